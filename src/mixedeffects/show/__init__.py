"""Fits as text and pages."""
