"""Quantile residuals with their tests: uniform, and level over what is expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import level_text
from mixedeffects.effects.simulated_residuals import GroupTests, SimulatedResiduals
from mixedeffects.show.formats import counted
from mixedeffects.show.plots.figures import HEIGHT, new_figure, rows_height
from mixedeffects.show.plots.style import (
    BLUE,
    GREY,
    VERMILLION,
    dress,
    row_labels,
    scatter,
    settle,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

QUARTILES = (0.25, 0.5, 0.75)
# Of as many neighbours quartiles are taken.
NEIGHBOURS = 25
ALPHA = 0.05


def simulated_residuals(found: SimulatedResiduals) -> Figure:
    """Two axes, or three where groups were tested."""
    groups = found.groups
    height = HEIGHT if groups is None else max(HEIGHT, rows_height(len(groups.levels)))
    figure = new_figure(10.5 if groups is None else 14.0, height)
    axes = figure.subplots(1, 2 if groups is None else 3)
    uniform(axes[0], found)
    over_expected(axes[1], found)
    if groups is not None:
        by_group(axes[2], groups)
    settle(figure)
    return figure


def uniform(ax: Axes, found: SimulatedResiduals) -> None:
    """The residuals in order against uniform quantiles."""
    n = len(found.residuals)
    ax.plot([0.0, 1.0], [0.0, 1.0], color=GREY, linewidth=1.0, gid="identity")
    scatter(ax, (np.arange(n) + 0.5) / n, np.sort(found.residuals))
    tests = {"uniformity": found.uniformity, "dispersion": found.dispersion}
    tests["outliers"] = found.outliers
    if found.zeros is not None:
        tests["zeros"] = found.zeros
    told = ", ".join(f"{name} p = {test.p_value:.2g}" for name, test in tests.items())
    caption = f"{counted(n, 'row')}, {counted(found.n, 'simulated data set')}: {told}"
    dress(ax, "Quantile residuals", caption, x="Uniform quantile", y="Residual")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))


def over_expected(ax: Axes, found: SimulatedResiduals) -> None:
    """Residuals by the rank of the expected response, with running quartiles."""
    scatter(ax, found.expected_rank, found.residuals)
    at, quartiles = running_quartiles(found.expected_rank, found.residuals)
    for level, line in zip(QUARTILES, quartiles, strict=True):
        ax.axhline(level, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)))
        ax.plot(at, line, color=VERMILLION, linewidth=1.6, gid="quartile")
    dress(
        ax,
        "Residuals over the expected response",
        "lines: quartiles among neighbours; level at 1/4, 1/2, 3/4 if the model holds",
        x="Rank of the expected response",
        y="Residual",
    )
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))


def running_quartiles(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Places (k,) and quartiles (3, k) of y in bins of equally many neighbours along x."""
    order = np.argsort(x, kind="stable")
    bins = max(min(len(x) // NEIGHBOURS, 10), 1)
    parts = np.array_split(order, bins)
    at = np.array([x[part].mean() for part in parts])
    return at, np.array([[np.quantile(y[part], q) for part in parts] for q in QUARTILES])


def by_group(ax: Axes, groups: GroupTests) -> None:
    """Distance from uniformity of each level, the largest above."""
    order = np.argsort(groups.statistic, kind="stable")
    apart = groups.p_adjusted[order] < ALPHA
    rows = np.arange(len(order))
    for shown, color, label in ((~apart, BLUE, "within chance"), (apart, VERMILLION, "beyond it")):
        if shown.any():
            ax.plot(groups.statistic[order][shown], rows[shown], "o", color=color, label=label)
    ax.set_xlim(left=0.0)
    row_labels(ax, level_text(groups.levels[order]).tolist())
    caption = (
        f"{counted(len(order), 'level')}; {int(apart.sum())} beyond chance at {ALPHA:g}, adjusted"
        " for their number"
    )
    dress(ax, "Levels that do not fit", caption, x="Kolmogorov's distance", grid="x")
