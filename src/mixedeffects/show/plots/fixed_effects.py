"""Forest of the fixed effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedeffects.errors import ModelError, suggestion
from mixedeffects.fitting.estimates import prefix_of
from mixedeffects.show.formats import counted
from mixedeffects.show.plots.figures import new_axes, rows_height
from mixedeffects.show.plots.intervals import interval_rows, without
from mixedeffects.show.plots.style import dress, percent, row_labels, zero_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def fixed_effects(
    table: Mapping[str, Any],
    terms: str | Sequence[str] | None,
    level: float,
    scale: str,
    ax: Axes | None,
) -> Axes:
    """Rows of a table of coefficients, the first above.

    Intercepts, thresholds and parameters of a shape where they are asked for by name.
    ``scale``, what the coefficients are of.
    """
    names = coefficient_names(table)
    rows, left_out = _chosen(names, terms)
    ax = new_axes(ax, height=rows_height(len(rows), 0.3))
    below = rows[::-1]
    estimate, low, high = (
        np.asarray(table[name], dtype=float)[below]
        for name in ("estimate", "conf_low", "conf_high")
    )
    interval_rows(ax, np.arange(len(rows), dtype=float), estimate, low, high)
    zero_line(ax, vertical=True)
    row_labels(ax, [names[i] for i in below])
    caption = f"{counted(len(rows), 'coefficient')}; {percent(level)} intervals"
    if unknown := without(low, high):
        caption += f" ({unknown} without)"
    if left_out:
        few = " and ".join(left_out) if len(left_out) < 3 else f"{len(left_out)} others"
        caption += f"; {few} left out"
    several = len({_component(names[i]) for i in rows}) > 1
    of = "each on its predictor's scale" if several else scale
    dress(ax, "Fixed effects", caption, x=f"Estimate ({of})", grid="x")
    return ax


def coefficient_names(table: Mapping[str, Any]) -> list[str]:
    """Terms, after their predictor where it is not the conditional one."""
    terms = list(table["term"])
    components = table.get("component", ["conditional"] * len(terms))
    return [f"{prefix_of(own)}{term}" for own, term in zip(components, terms, strict=True)]


def _component(name: str) -> str:
    return name.partition(": ")[0] if ": " in name else "conditional"


def _chosen(names: Sequence[str], terms: str | Sequence[str] | None) -> tuple[list[int], list[str]]:
    """Positions shown, and names of intercepts that are not."""
    if not names:
        raise ModelError("The model has no fixed effects to draw.")
    if terms is None:
        constant = [
            name.split(": ")[-1] == "Intercept" or _component(name) in ("threshold", "shape")
            for name in names
        ]
        shown = [i for i, one in enumerate(constant) if not one]
        if not shown:
            return list(range(len(names))), []
        return shown, [name for name, one in zip(names, constant, strict=True) if one]
    wanted = [terms] if isinstance(terms, str) else list(terms)
    for name in wanted:
        if name not in names:
            raise ModelError(
                f"Term {name!r} is not among the fixed effects, which are"
                f" {', '.join(map(repr, names))}.{suggestion(str(name), names)}"
            )
    if not wanted:
        raise ModelError("terms=[] leaves nothing to draw: name one, or leave it out.")
    return [names.index(name) for name in wanted], []
