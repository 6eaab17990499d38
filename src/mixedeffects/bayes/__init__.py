"""Posterior distributions: priors, densities, samplers and what is said of their draws."""
