"""Rows to draw a model along: typical of the data, but for what varies."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import Column, Columns, FrameKind
from mixedeffects.effects.means.grid import build_grid, unknown_variable, variables
from mixedeffects.errors import ModelError
from mixedeffects.formula.design import Design

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# Values of a covariate along which a curve is drawn.
PLACES = 61


def is_factor(design: Design, name: str) -> bool:
    """Whether a column's values are levels, so that nothing lies between them."""
    if design.columns[name].kind == "categorical":
        return True
    designs = (design, *design.others.values())
    grouping = {c for d in designs for spec in d.spec.random for c in spec.grouping.columns}
    # time points of ar1(t | g), as of columns without a model matrix
    times = {
        c
        for d in designs
        for spec in d.spec.random
        if not hasattr(spec.effects, "model")
        for c in spec.effects.columns
    }
    made = {key for d in designs for key in d.spec.levels}
    return name in grouping | times or not made.isdisjoint({name, f"factor({name})"})


def typical_row(design: Design, among: Rows) -> dict[str, Column]:
    """One row of all columns: means of covariates, the most frequent of levels.

    ``among`` (r,), the positions in the data of the rows that it is typical of.
    """
    return {name: _typical(design, name, among) for name in design.columns.columns}


def _typical(design: Design, name: str, among: Rows) -> Column:
    column = design.columns[name]
    if not is_factor(design, name):
        mean = np.array([column.values[among].mean()])
        return Column(name, "numeric", mean, None, False, "float")
    _, first, counts = np.unique(column.values[among], return_index=True, return_counts=True)
    return column.take(among[first[[counts.argmax()]]])


def observed(design: Design) -> Floats:
    """The response (n,) on the scale of its mean: proportions of trials, 1 for a success."""
    return design.y if design.trials is None else design.y / design.trials


def places(design: Design, name: str) -> Column:
    """Values along which to draw a variable: its range, or the levels that occur.

    Raises
    ------
    ColumnNotFoundError
    """
    column = design.columns[name]
    used = column.values[design.rows]
    if not is_factor(design, name):
        values = np.linspace(used.min(), used.max(), PLACES)
        return Column(name, "numeric", values, None, False, "float")
    _, first = np.unique(used, return_index=True)
    return column.take(design.rows[first])


def positions(
    design: Design, name: str, shown: Column
) -> tuple[Floats, Floats, tuple[str, ...] | None]:
    """Where values (k,) of a variable and those of the rows used (n,) lie on an axis.

    Covariates lie at their values. The levels of a factor lie at 0, 1, … and have names, the
    third value; a row with another level lies nowhere.
    """
    column = design.columns[name].take(design.rows)
    if not is_factor(design, name):
        return shown.values, column.values, None
    own, grouped = shown.as_group(), column.as_group()
    names = own.labels()[own.values]
    place = {text: float(i) for i, text in enumerate(names)}
    lie = np.array([place.get(text, np.nan) for text in grouped.labels()])
    return np.arange(len(names), dtype=float), lie[grouped.values], tuple(names)


def along(row: Mapping[str, Column], varied: Column) -> Columns:
    """The row, once for each value of what is varied."""
    n = len(varied)
    columns = {name: column.take(np.zeros(n, np.intp)) for name, column in row.items()}
    columns[varied.name] = varied
    return Columns(MappingProxyType(columns), n, FrameKind(), tuple(columns))


def crossed_rows(
    design: Design, at: Mapping[str, Any], typical: Mapping[str, Column]
) -> tuple[Columns, dict[str, NDArray[Any]]]:
    """Every combination of the values given, else typical; and the values of each row.

    Raises
    ------
    ModelError
        At a variable that no fixed part has.
    DataError
        At a level or a value that it does not take.
    """
    designs = (design, *design.others.values())
    factors, covariates = variables(designs)
    for name in at:
        if name not in (*factors, *covariates):
            raise unknown_variable(designs, name)
    still = {
        name: [_level(typical[name])] for name in factors if name not in at and name in typical
    }
    grid = build_grid(designs, {**still, **at})
    n = int(np.prod(grid.shape))
    columns = {name: column.take(np.zeros(n, np.intp)) for name, column in typical.items()}
    columns |= {a.name: a.spread(grid.position(a.name)) for a in grid.axes}
    values = {a.name: np.asarray(a.values)[grid.position(a.name)] for a in grid.axes}
    return Columns(MappingProxyType(columns), n, FrameKind(), tuple(columns)), values


def _level(column: Column) -> Any:
    """The value of a factor's single row."""
    value = column.values[0]
    return value if column.levels is None else column.levels[value]


def _varies_within(design: Design, name: str, codes: NDArray[np.int32]) -> bool:
    values = design.columns[name].values[design.rows]
    _, first = np.unique(codes, return_index=True)
    return bool((values != values[first][codes]).any())


def default_covariate(design: Design, group: str) -> str:
    """What a group's slopes are of; else the first covariate, or factor, of the fixed part.

    Raises
    ------
    ModelError
        If there is none.
    """
    own = [spec.effects.columns for spec in design.spec.random if spec.grouping.name == group]
    random = sorted((n for names in own for n in names), key=lambda n: is_factor(design, n))
    factors, covariates = variables([design])
    candidates = list(dict.fromkeys((*random, *covariates, *factors)))
    codes = next(r.codes for r in design.random if r.group == group)
    varying = [name for name in candidates if _varies_within(design, name, codes)]
    for name in (*varying, *candidates):
        return name
    raise ModelError(
        f"The model {design.formula!r} has no covariate against which the rows of {group!r} could"
        " be drawn."
    )
