"""Marginal means, slopes and contrasts: linear functions of the fixed effects, with names."""
