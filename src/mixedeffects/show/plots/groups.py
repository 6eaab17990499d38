"""The rows of each level of a group, with the lines of the population, the level, and both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError, suggestion
from mixedeffects.show.formats import counted
from mixedeffects.show.plots.figures import new_figure
from mixedeffects.show.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    VERMILLION,
    dress,
    plain,
    tilted_ticks,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

# Panels where no levels are asked for.
PANELS = 30
LINES = {
    "population": ("Population (pooled)", GREY, (0, (5, 2))),
    "unpooled": ("Within level alone (no pooling)", GREEN, (0, (1, 1))),
    "shrunken": ("Mixed model (shrunken)", VERMILLION, "solid"),
}


@dataclass(frozen=True, slots=True)
class Panel:
    """One level: its rows ``x`` and ``y`` (r,), and lines (k,) by their name over ``places``."""

    level: str
    x: Floats
    y: Floats
    places: Floats
    lines: dict[str, Floats]


@dataclass(frozen=True, slots=True)
class Lattice:
    """Panels with what they are of; ``ticks``, names of the places where x has levels.

    ``total``, levels that the group has.
    """

    group: str
    x_name: str
    y_name: str
    panels: tuple[Panel, ...]
    total: int
    ticks: tuple[str, ...] | None


def chosen_levels(
    names: NDArray[Any], order: NDArray[np.intp], asked: Sequence[Any] | None
) -> NDArray[np.intp]:
    """Those asked for; else all in order, or as many as there are panels, evenly spread.

    Raises
    ------
    ModelError
        At a level that the group does not have.
    """
    if asked is None:
        if len(order) <= PANELS:
            return order
        spread: NDArray[np.intp] = np.linspace(0, len(order) - 1, PANELS).round().astype(np.intp)
        return order[spread]
    listed = [asked] if isinstance(asked, str) or not isinstance(asked, Sequence) else list(asked)
    place = {name: i for i, name in enumerate(names.tolist())}
    for level in listed:
        if str(level) not in place:
            raise ModelError(
                f"levels: the group has no level {str(level)!r}.{suggestion(str(level), place)}"
            )
    if not listed:
        raise ModelError("levels=[] leaves nothing to draw: name one, or leave it out.")
    return np.array([place[str(level)] for level in listed], dtype=np.intp)


def lattice_figure(lattice: Lattice) -> Figure:
    """A panel a level, on common axes."""
    count = len(lattice.panels)
    columns = min(count, 6 if count > 12 else 4)
    rows = math.ceil(count / columns)
    size = 1.75 if count > 12 else 2.2
    figure = new_figure(max(size * columns + 0.6, 5.0), size * rows + 1.3)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for ax, panel in zip(axes, lattice.panels, strict=False):
        _panel(ax, panel, lattice.ticks)
    for ax in axes[count:]:
        ax.set_visible(False)
    for ax in axes[max(count - columns, 0) : count]:
        ax.tick_params(labelbottom=True)
        ax.set_xlabel(plain(lattice.x_name, 24), fontsize="small")
    shown = counted(count, "level")
    if count < lattice.total:
        shown = f"{count} of {lattice.total:,} levels"
    title = f"{lattice.y_name} by {lattice.x_name} in each {lattice.group} ({shown})"
    figure.suptitle(plain(title, 100), fontsize="medium", fontweight="bold")
    figure.supylabel(plain(lattice.y_name), fontsize="medium")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize="small"
    )
    return figure


def _panel(ax: Axes, panel: Panel, ticks: tuple[str, ...] | None) -> None:
    ax.plot(panel.x, panel.y, "o", color=BLUE, markersize=3.2, alpha=0.8, label="Data", gid="data")
    for name, values in panel.lines.items():
        label, color, style = LINES[name]
        ax.plot(
            panel.places,
            values,
            color=BLACK if name == "population" else color,
            linestyle=style,
            linewidth=1.5,
            marker="." if ticks and len(ticks) < 12 else None,
            label=label,
            gid=name,
        )
    if ticks:
        tilted_ticks(ax, panel.places, ticks, 6)
    else:
        from matplotlib.ticker import MaxNLocator

        whole = bool((panel.x == np.round(panel.x)).all())
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=whole))
    dress(ax, "")
    ax.set_title(plain(panel.level, 22), loc="left", fontsize="small", pad=3.0)
