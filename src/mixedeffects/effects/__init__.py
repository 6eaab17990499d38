"""What a fit says of data: predictions, simulations, residuals, random effects."""
