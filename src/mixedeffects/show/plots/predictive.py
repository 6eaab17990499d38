"""The response beside responses that the model gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.libraries import arviz
from mixedeffects.show.plots.figures import new_axes
from mixedeffects.show.plots.style import BLACK, BLUE, SKY, dress, legend, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

# Bars of a discrete response, each of one value or of as many as it takes.
BARS = 40
# Of the densities of so many simulated responses each is drawn.
CURVES = 50


def predictive_check(
    observed: Floats,
    simulated: Floats,
    name: str,
    discrete: bool,
    categories: tuple[str, ...],
    ax: Axes | None,
) -> Axes:
    """Response (n,) and simulated ones (N, n): shares of values, or densities."""
    ax = new_axes(ax)
    caption = f"{len(observed):,} rows; {len(simulated):,} simulated responses"
    if discrete:
        edges = bar_edges(observed, simulated)
        _shares(ax, observed, simulated, edges)
        if categories:
            values = range(len(categories))
            ax.set_xticks(values, [plain(name, 16) for name in categories])
        caption += ", lines: central 95% of them"
        caption += "; last: and larger" if simulated.max() >= edges[-1] else ""
        y = "Share of rows"
    else:
        _densities(ax, observed, simulated[:CURVES])
        y = "Density"
    legend(ax)
    dress(ax, "Predictive check", caption, x=name, y=y)
    return ax


def bar_edges(observed: Floats, simulated: Floats) -> Floats:
    """Edges (b + 1,) of bars of whole numbers, over what was observed and most of the rest."""
    low = min(observed.min(), simulated.min())
    high = max(observed.max(), np.quantile(simulated, 0.99))
    width = np.ceil((high - low + 1.0) / BARS)
    bars = int(np.ceil((high - low + 1.0) / width))
    edges: Floats = low - 0.5 + width * np.arange(bars + 1)
    return edges


def _shares(ax: Axes, observed: Floats, simulated: Floats, edges: Floats) -> None:
    own, drawn = shares(observed[None], edges)[0], shares(simulated, edges)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    middle, width = 0.5 * (edges[1:] + edges[:-1]), 0.8 * (edges[1] - edges[0])
    ax.bar(middle, own, width, color=SKY, alpha=0.6, label="Observed", gid="observed")
    ax.vlines(middle, low, high, color=BLUE, linewidth=2.0, gid="intervals")
    median = np.median(drawn, axis=0)
    ax.plot(middle, median, "o", color=BLUE, ms=4.0, label="Simulated", gid="simulated")


def shares(responses: Floats, edges: Floats) -> Floats:
    """Shares (N, b) of the values of each response (N, n) between edges; the last and beyond."""
    bars = len(edges) - 1
    place = np.minimum(np.searchsorted(edges, responses, side="right") - 1, bars - 1)
    counts = np.stack([np.bincount(row, minlength=bars) for row in place])
    result: Floats = counts / responses.shape[1]
    return result


def _densities(ax: Axes, observed: Floats, simulated: Floats) -> None:
    # a few wild draws would leave no room for the rest
    low, high = np.quantile(simulated, [0.001, 0.999])
    low, high = min(low, float(observed.min())), max(high, float(observed.max()))
    for i, row in enumerate(simulated):
        value, height = arviz().kde(row[(row >= low) & (row <= high)])
        label = None if i else "Simulated"
        ax.plot(value, height, color=SKY, linewidth=0.6, alpha=0.6, label=label, gid="simulated")
    value, height = arviz().kde(observed)
    ax.plot(value, height, color=BLACK, linewidth=1.9, label="Observed", gid="observed")
    ax.set_xlim(low, high)
    ax.set_ylim(bottom=0.0)
