"""Caterpillars: conditional modes in order, each with its interval.

Effects of more columns than fit side by side, as over many times, are lines along these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixedeffects.show.formats import counted
from mixedeffects.show.plots.effects import Effect, by_place
from mixedeffects.show.plots.figures import new_axes, new_figure, rows_height
from mixedeffects.show.plots.intervals import interval_rows
from mixedeffects.show.plots.style import (
    BLUE,
    PALETTE,
    dress,
    legend,
    plain,
    row_labels,
    settle,
    tilted_ticks,
    zero_line,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

Integers = NDArray[np.intp]

# Effects of a group side by side; levels whose lines have a band each, and names.
ABREAST, BANDS = 6, 6


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
    if len(places) == 1 and len(effects) > ABREAST:
        ax = new_axes(None, 8.0)
        trajectories(ax, effects, intervals)
        return ax
    lines = [len(own) > ABREAST for own in places.values()]
    heights = [
        4.4 if along else rows_height(len(own[0].levels))
        for along, own in zip(lines, places.values(), strict=True)
    ]
    widest = max(1 if along else len(p) for along, p in zip(lines, places.values(), strict=True))
    figure = new_figure(min(2.2 + 3.4 * widest, 14.0), min(sum(heights), 22.0))
    parts = figure.subfigures(len(places), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, along, own in zip(parts, lines, places.values(), strict=True):
        if along:
            trajectories(part.subplots(), own, intervals)
        else:
            _abreast(part, own, intervals)
    settle(figure)
    return figure


def _abreast(part: SubFigure, effects: Sequence[Effect], intervals: str) -> None:
    """Those of a group, which share its rows, in the order of the first."""
    order = np.argsort(effects[0].modes, kind="stable")
    axes = part.subplots(1, len(effects), sharey=True, squeeze=False)[0]
    for position, (each, effect) in enumerate(zip(axes, effects, strict=True)):
        caterpillar(each, effect, order, intervals)
        if position:
            each.tick_params(labelleft=False)
            each.set_ylabel("")


def of_group(ax: Axes, effects: Sequence[Effect], intervals: str) -> None:
    """The first of a group's effects, or all along their columns where these are many."""
    own = by_place(effects)[effects[0].place]
    if len(own) > ABREAST:
        trajectories(ax, own, intervals)
    else:
        caterpillar(ax, own[0], np.argsort(own[0].modes, kind="stable"), intervals)


def trajectories(ax: Axes, effects: Sequence[Effect], intervals: str) -> None:
    """A line a level along the columns, with its band where levels are few."""
    modes, low, high = (
        np.stack([getattr(e, name) for e in effects]) for name in ("modes", "low", "high")
    )
    at, levels = np.arange(len(effects)), effects[0].levels
    few = len(levels) <= BANDS
    for i, level in enumerate(levels):
        color = PALETTE[i] if few else BLUE
        if few:
            ax.fill_between(at, low[:, i], high[:, i], color=color, alpha=0.15, linewidth=0.0)
        faint = 1.0 if few else float(np.clip(8.0 / len(levels), 0.05, 0.6))
        label = plain(level) if few else None
        ax.plot(at, modes[:, i], color=color, linewidth=1.3, alpha=faint, label=label, gid="level")
    zero_line(ax)
    tilted_ticks(ax, at.astype(float), [effect.term for effect in effects], 8)
    if few:
        legend(ax, effects[0].group)
    caption = f"{counted(len(levels), 'level')}, {len(effects):,} effects of each"
    caption += f"; bands: {intervals}" if few else ""
    dress(ax, f"Effects by {effects[0].place}", caption, y="Deviation from the population")


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
