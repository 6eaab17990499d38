"""Estimates with their intervals, one in each row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixedeffects.show.plots.style import BLACK, BLUE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]


def interval_rows(
    ax: Axes,
    rows: Floats,
    estimate: Floats,
    low: Floats,
    high: Floats,
    *,
    color: str = BLUE,
    marker: str = "o",
    label: str | None = None,
) -> None:
    """Points at the estimates and bars from low to high, (r,) each; bars alone where known."""
    many = len(rows) > 150
    faint = float(np.clip(175.0 / max(len(rows), 1), 0.05, 0.35))
    ax.hlines(
        rows,
        low,
        high,
        color=color,
        linewidth=0.7 if many else 1.6,
        alpha=faint if many else 0.9,
        rasterized=len(rows) > 1500,
        gid="intervals",
    )
    ax.plot(
        estimate,
        rows,
        marker,
        color=BLACK if many else color,
        markersize=float(np.clip(26.0 / np.sqrt(max(len(rows), 1)), 1.6, 6.0)),
        linestyle="none",
        label=label,
        gid="estimates",
    )


def without(low: Floats, high: Floats) -> int:
    """How many have no finite interval."""
    return int(np.count_nonzero(~(np.isfinite(low) & np.isfinite(high))))
