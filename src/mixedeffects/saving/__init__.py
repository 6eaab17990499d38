"""Fits and posteriors in files: plain arrays, never code; see docs/file-format.md."""

from mixedeffects.saving.archive import replacing
from mixedeffects.saving.fits import read, write

__all__ = ["read", "replacing", "write"]
