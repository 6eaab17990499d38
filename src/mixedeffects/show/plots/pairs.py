"""Draws of two parameters against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.diagnostics import normal_ranks
from mixedeffects.errors import ModelError
from mixedeffects.show.formats import counted
from mixedeffects.show.plots.figures import new_axes
from mixedeffects.show.plots.style import VERMILLION, dress, scatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]


def worst_pair(draws: Mapping[str, Floats]) -> tuple[str, str]:
    """The two of largest correlation of their ranks.

    Raises
    ------
    ModelError
        If there is one parameter alone.
    """
    names = [name for name, values in draws.items() if np.ptp(values) > 0.0]
    if len(names) < 2:
        raise ModelError("The model has no two parameters that vary, to be drawn as a pair.")
    r = np.abs(_correlations([draws[name] for name in names]))
    np.fill_diagonal(r, -1.0)
    i, j = np.unravel_index(int(r.argmax()), r.shape)
    return names[i], names[j]


def _correlations(draws: list[Floats]) -> Floats:
    scores = normal_ranks(np.stack(draws, axis=-1)).reshape(-1, len(draws))
    r: Floats = np.corrcoef(scores, rowvar=False)
    return r


def pairs(
    draws: Mapping[str, Floats], diverging: NDArray[np.bool_] | None, ax: Axes | None
) -> Axes:
    """The draws of two parameters (C, S); those at which the sampler diverged stand out."""
    (x_name, x), (y_name, y) = draws.items()
    ax = new_axes(ax, 5.4, 5.0)
    scatter(ax, x.ravel(), y.ravel())
    r = _correlations([x, y])[0, 1]
    caption = f"{counted(x.size, 'draw')}; rank correlation {r:.2f}"
    if diverging is not None:
        gone = np.asarray(diverging, dtype=bool).ravel()
        if gone.any():
            ax.plot(
                x.ravel()[gone], y.ravel()[gone], "x", color=VERMILLION, ms=5.0, gid="divergent"
            )
        caption += f"; {counted(int(gone.sum()), 'divergence')}" + (" (×)" if gone.any() else "")
    dress(ax, f"{y_name} and {x_name}", caption, x=x_name, y=y_name)
    return ax
