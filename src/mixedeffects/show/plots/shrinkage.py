"""How far the effects of a group's levels are drawn from their own estimates to the population."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.unpooled import Unpooled
from mixedeffects.errors import ModelError
from mixedeffects.show.formats import counted
from mixedeffects.show.plots.figures import new_axes, new_figure
from mixedeffects.show.plots.style import BLUE, FAINT, GREEN, GREY, dress, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

MOST = 4
MANY = 100


def shrinkage(found: Unpooled, group: str, ax: Axes | None) -> Axes | Figure:
    """Arrows in the plane of two effects, a plane for each pair; or one effect against itself.

    Raises
    ------
    ModelError
        If no level's rows determine its effects, or there are too many of them.
    """
    k = len(found.names)
    if not np.isfinite(found.estimate).all(axis=1).any():
        raise ModelError(
            f"No level of {group!r} has rows enough for {counted(k, 'effect')} of its own, from"
            " which shrinkage could be measured."
        )
    if k > MOST and ax is None:
        raise ModelError(
            f"{group!r} has {k} random effects: shrinkage is drawn of up to {MOST}, pair by pair."
        )
    if k == 1:
        return _single(new_axes(ax, 5.4, 5.0), found, group)
    if k == 2 or ax is not None:
        return _pair(new_axes(ax, 5.8, 5.2), found, group, 0, 1)
    figure = new_figure(3.8 * (k - 1), 3.5 * (k - 1))
    axes = figure.subplots(k - 1, k - 1, squeeze=False)
    for i in range(1, k):
        for j in range(k - 1):
            if j < i:
                _pair(axes[i - 1, j], found, group, j, i)
            else:
                axes[i - 1, j].set_visible(False)
    return figure


def _caption(found: Unpooled) -> str:
    known = int(np.isfinite(found.estimate).all(axis=1).sum())
    caption = counted(known, "level")
    if gone := len(found.levels) - known:
        caption += f" ({gone:,} more with too few rows for estimates of their own)"
    return caption


def _single(ax: Axes, found: Unpooled, group: str) -> Axes:
    own, modes = found.estimate[:, 0], found.modes[:, 0]
    known = np.isfinite(own)
    ends = np.array([own[known].min(), own[known].max()])
    ax.plot(ends, ends, color=GREY, linewidth=1.0, label="No shrinkage", gid="identity")
    ax.axhline(0.0, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), label="Population")
    ax.plot(
        own[known], modes[known], "o", color=BLUE, markersize=_size(int(known.sum())), gid="points"
    )
    legend(ax)
    dress(
        ax,
        f"Shrinkage of {found.names[0]} by {group}",
        _caption(found),
        x="From its own rows alone",
        y="In the mixed model",
    )
    return ax


def _pair(ax: Axes, found: Unpooled, group: str, i: int, j: int) -> Axes:
    known = np.isfinite(found.estimate).all(axis=1)
    own, modes = found.estimate[known], found.modes[known]
    segments = np.stack([own[:, [i, j]], modes[:, [i, j]]], axis=1)
    from matplotlib.collections import LineCollection

    many = len(own) > 1500
    ax.add_collection(
        LineCollection(
            list(segments), colors=FAINT, linewidths=0.8, rasterized=many, zorder=1, gid="moves"
        )
    )
    size = _size(int(known.sum()))
    ax.plot(*own[:, [i, j]].T, "o", mfc="none", color=GREEN, ms=size, label="Own rows alone")
    ax.plot(*modes[:, [i, j]].T, "o", color=BLUE, markersize=size, label="Mixed model")
    ax.plot([0.0], [0.0], "+", color="black", markersize=10.0, label="Population", gid="population")
    legend(ax)
    beyond = _frame(ax, own[:, [i, j]], modes[:, [i, j]])
    title = f"Shrinkage of the effects of {group}"
    caption = _caption(found) + (f"; {beyond} from beyond the frame" if beyond else "")
    dress(ax, title, caption, x=found.names[i], y=found.names[j])
    return ax


def _frame(ax: Axes, own: Floats, modes: Floats) -> int:
    """Limits that a few wild estimates of many do not set; how many (of L) lie beyond."""
    if len(own) < MANY:
        return 0
    low, high = np.quantile(own, [0.005, 0.995], axis=0)
    low, high = np.minimum(low, modes.min(axis=0)), np.maximum(high, modes.max(axis=0))
    margin = 0.04 * (high - low)
    low, high = low - margin, high + margin
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    return int(((own < low) | (own > high)).any(axis=1).sum())


def _size(count: int) -> float:
    return float(np.clip(60.0 / np.sqrt(max(count, 1)), 2.0, 5.0))
