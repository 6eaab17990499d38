"""Any data frame or file as plain columns, and the data sets shipped with the package."""
