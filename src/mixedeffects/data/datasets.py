"""Small real data sets, shipped with the package."""

from __future__ import annotations


def names() -> tuple[str, ...]:
    """The names of the data sets."""
    return ()
