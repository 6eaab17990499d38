"""Caterpillars: conditional modes in order, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixedeffects.show.plots.effects import Effect, by_place
from mixedeffects.show.plots.intervals import interval_rows
from mixedeffects.show.plots.style import (
    counted,
    dress,
    new_axes,
    new_figure,
    row_labels,
    rows_height,
    settle,
    zero_line,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Integers = NDArray[np.intp]


def random_effects(effects: Sequence[Effect], intervals: str, ax: Axes | None) -> Axes | Figure:
    """One effect on one axes, or several side by side, groups one above the other.

    ``intervals``, of which kind they are.
    """
    if len(effects) == 1 or ax is not None:
        effect = effects[0]
        ax = new_axes(ax, height=rows_height(len(effect.levels)))
        caterpillar(ax, effect, np.argsort(effect.modes, kind="stable"), intervals)
        return ax
    places = by_place(effects)
    heights = [rows_height(len(own[0].levels)) for own in places.values()]
    widest = max(map(len, places.values()))
    figure = new_figure(min(2.2 + 3.4 * widest, 14.0), min(sum(heights), 22.0))
    parts = figure.subfigures(len(places), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, own in zip(parts, places.values(), strict=True):
        # those of a group share its rows, in the order of the first
        order = np.argsort(own[0].modes, kind="stable")
        axes = part.subplots(1, len(own), sharey=True, squeeze=False)[0]
        for position, (each, effect) in enumerate(zip(axes, own, strict=True)):
            caterpillar(each, effect, order, intervals)
            if position:
                each.tick_params(labelleft=False)
                each.set_ylabel("")
    settle(figure)
    return figure


def caterpillar(ax: Axes, effect: Effect, order: Integers, intervals: str) -> None:
    """The modes of one effect in the order given, from below."""
    rows = np.arange(len(order), dtype=float)
    interval_rows(ax, rows, *(v[order] for v in (effect.modes, effect.low, effect.high)))
    zero_line(ax, vertical=True)
    row_labels(ax, effect.levels[order].tolist())
    dress(
        ax,
        f"{effect.term} by {effect.place}",
        f"{counted(len(order), 'level')}; {intervals}",
        x="Deviation from the population",
        y=effect.group,
        grid="x",
    )
