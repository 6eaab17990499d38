"""Fits in files: plain arrays with a manifest, never code; see docs/file-format.md."""

from mixedeffects.saving.archive import replacing
from mixedeffects.saving.fits import SavedFit, read, resume, write

__all__ = ["SavedFit", "read", "replacing", "resume", "write"]
