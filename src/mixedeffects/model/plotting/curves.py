"""Predictions over a grid as curves, with the rows that lie near each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import Columns
from mixedeffects.effects.means.grid import unknown_variable, variables
from mixedeffects.effects.typical import is_factor, observed, places, positions
from mixedeffects.errors import ModelError
from mixedeffects.formula.design import Design
from mixedeffects.show.plots.predictions import Curve, value_text

Floats = NDArray[np.float64]
Found = Mapping[str, Floats]


def default_values(
    design: Design, x: str, by: str | None, at: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Values of x and of ``by`` where ``at`` has none of them.

    Raises
    ------
    ModelError
        If one is not a variable of the fixed part, or both are the same.
    """
    if at is not None and not isinstance(at, Mapping):
        raise ModelError(f"at={at!r} is not a dict, such as at={{'x': [1, 2]}}.")
    designs = (design, *design.others.values())
    factors, covariates = variables(designs)
    for name in (x, *([] if by is None else [by])):
        if name not in (*factors, *covariates):
            raise unknown_variable(designs, name)
    if x == by:
        raise ModelError(f"x and by are both {x!r}: draw it by another variable, or by none.")
    chosen = dict(at or {})
    for name in (x, *([] if by is None else [by])):
        if name in chosen:
            continue
        if not is_factor(design, name):
            used = design.columns[name].values[design.rows]
            mean, sd = used.mean(), used.std(ddof=1)
            three = [mean - sd, mean, mean + sd]
            chosen[name] = places(design, name).values if name == x else three
        else:
            shown = places(design, name)
            chosen[name] = shown.values if shown.levels is None else shown.levels[shown.values]
    return chosen


def curves_of(
    design: Design,
    x: str,
    by: str | None,
    columns: Columns,
    values: Mapping[str, NDArray[Any]],
    found: Found,
) -> tuple[tuple[Curve, ...], tuple[str, ...] | None]:
    """A curve for each value of ``by``, or of a response's categories; names of x's levels."""
    several = [
        n for n, v in values.items() if n not in (x, by) and len(np.unique(v.astype(str))) > 1
    ]
    if several:
        raise ModelError(
            f"at has several values of {several[0]!r}, which is neither x nor by: give one."
        )
    keys = np.array([value_text(v) for v in values[by]] if by else [""] * columns.n_rows, object)
    first = np.flatnonzero(keys == keys[0])
    at, data, levels = positions(design, x, columns[x].take(first))
    near = _nearest(design, by, values)
    y = np.zeros(0) if found["estimate"].ndim == 2 else observed(design)
    curves = []
    for number, key in enumerate(dict.fromkeys(keys)):
        rows = keys == key
        parts = {name: column[rows] for name, column in found.items()}
        estimate = parts["estimate"]
        low, high = parts.get("conf_low", estimate), parts.get("conf_high", estimate)
        if estimate.ndim == 2:
            return tuple(
                Curve(name, at, estimate[:, k], low[:, k], high[:, k], np.zeros(0), np.zeros(0))
                for k, name in enumerate(design.categories)
            ), levels
        own = near == number
        curves.append(Curve(key, at, estimate, low, high, data[own], y[own]))
    return tuple(curves), levels


def _nearest(design: Design, by: str | None, values: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Which of the values of ``by`` each row used (n,) has, or is nearest to."""
    if by is None:
        return np.zeros(len(design.rows), dtype=np.intp)
    shown = list(dict.fromkeys(values[by].tolist()))
    column = design.columns[by].take(design.rows)
    if not is_factor(design, by):
        away = np.abs(column.values[:, None] - np.array(shown, dtype=float))
        nearest: NDArray[Any] = away.argmin(axis=1)
        return nearest
    group = column.as_group()
    place = {value_text(value): i for i, value in enumerate(shown)}
    lie = np.array([place.get(text, -1) for text in group.labels()])
    nearest = lie[group.values]
    return nearest


def held_text(values: Mapping[str, NDArray[Any]], x: str, by: str | None) -> str:
    """What the other variables are held at."""
    held = [f"{n} = {value_text(v[0])}" for n, v in values.items() if n not in (x, by)]
    return f"at {', '.join(held)}" if held else ""
