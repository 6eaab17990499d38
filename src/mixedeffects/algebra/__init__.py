"""Arrays only: cross-products of grouped rows, and the factor of their bordered system."""
