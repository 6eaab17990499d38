"""Cook's distances of what was deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixedeffects.data.frames import level_text
from mixedeffects.effects.influence import Influence
from mixedeffects.show.formats import counted
from mixedeffects.show.plots.figures import TALLEST, new_axes, rows_height
from mixedeffects.show.plots.style import BLUE, VERMILLION, dress, plain, row_labels, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# More are drawn in their own order, with the names of so many.
ROWS, NAMED = 45, 5


def influence(found: Influence, ax: Axes | None) -> Axes:
    """Few levels in order of their distance, by name; many along an axis, the largest named."""
    labels = level_text(found.levels).tolist()
    distance = found.cooks_distance
    known = np.flatnonzero(np.isfinite(distance))
    noun = "row" if found.group is None else f"level of {found.group}"
    many = None if found.group is None else f"levels of {found.group}"
    held = "" if found.refitted else ", variance parameters held"
    caption = f"{counted(len(labels), noun, many)}, each left out{held}"
    if gone := len(labels) - len(known):
        caption += f"; {gone:,} without which there is no estimate"
    if len(labels) <= ROWS:
        order = known[np.argsort(distance[known], kind="stable")]
        ax = new_axes(ax, height=min(rows_height(len(order)), TALLEST))
        rows = np.arange(len(order), dtype=float)
        ax.hlines(rows, 0.0, distance[order], color=BLUE, linewidth=1.4, gid="stems")
        ax.plot(distance[order], rows, "o", color=BLUE, markersize=5.0, gid="points")
        row_labels(ax, [labels[i] for i in order])
        if len(order):
            ax.set_xlim(left=0.0)
        else:
            say(ax, f"No estimate without a single one. {found.reasons[0]}")
        axes = {"x": "Cook's distance", "y": found.group or "Row", "grid": "x"}
    else:
        ax = new_axes(ax)
        _along(ax, found, known, labels)
        axes = {"x": "Row" if found.group is None else found.group, "y": "Cook's distance"}
    dress(ax, "Influence on the fixed effects", caption, **axes)
    return ax


def _along(ax: Axes, found: Influence, known: np.ndarray, labels: list[str]) -> None:
    distance = found.cooks_distance
    ax.vlines(
        known,
        0.0,
        distance[known],
        color=BLUE,
        linewidth=0.9,
        alpha=0.7,
        rasterized=len(known) > 3000,
        gid="stems",
    )
    top = known[np.argsort(-distance[known], kind="stable")[:NAMED]]
    ax.plot(top, distance[top], "o", color=VERMILLION, markersize=4.0, gid="largest")
    for i in top:
        ax.annotate(
            plain(labels[i], 16),
            (i, distance[i]),
            (4.0, 1.0),
            textcoords="offset points",
            fontsize="x-small",
            gid="named",
        )
    ax.set_ylim(bottom=0.0)
    ax.set_xlim(-0.02 * len(labels), 1.06 * len(labels))
    if found.group is not None:
        ax.set_xticks([])
