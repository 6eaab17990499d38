"""Likelihoods, their optimum, its certificate, and the record of a fit."""
