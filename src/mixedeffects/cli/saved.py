"""Fits that ``mixedeffects fit --save`` wrote."""

from __future__ import annotations

from typing import Any

from mixedeffects.errors import FileFormatError, MixedEffectsError


def load_fit(path: str) -> Any:
    """The fit in a file.

    Raises
    ------
    MixedEffectsError
        If there is none in it.
    """
    from mixedeffects.model import MixedFit, load

    try:
        found = load(path)
    except FileFormatError as error:
        if "~" in path:
            raise MixedEffectsError(
                f"{path!r} is a formula, not a file: add --data, or give files that "
                "mixedeffects fit --save wrote."
            ) from None
        raise error
    if not isinstance(found, MixedFit):
        raise MixedEffectsError(f"{path} has a posterior, not a fit.")
    return found
