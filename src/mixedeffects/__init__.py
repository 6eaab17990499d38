"""Mixed effects models."""
