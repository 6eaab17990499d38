"""Parts of a page that a fit may not be able to give."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mixedeffects.errors import MixedEffectsError, MixedEffectsWarning
from mixedeffects.show.report.elements import figure, left_out, paragraph
from mixedeffects.show.report.pictures import picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_EXPECTED = (MixedEffectsError, ArithmeticError, np.linalg.LinAlgError, MemoryError)


def attempt(what: str, make: Callable[[], str]) -> str:
    """What is made, with our own warnings below; or the reason why it is not there."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            made = make()
        except _EXPECTED as without:
            return left_out(what, str(without) or type(without).__name__)
    own = [str(t.message) for t in told if issubclass(t.category, MixedEffectsWarning)]
    return made + "".join(paragraph(text, "quiet") for text in dict.fromkeys(own))


def drawn(caption: str, shows: str, draw: Callable[[], Axes | Figure]) -> str:
    """A picture with its caption; ``shows``, what is to be seen, for those who cannot."""
    return attempt(f"Picture '{caption}' is", lambda: figure(picture(draw, shows), caption))
