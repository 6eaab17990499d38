"""The reference grid: every combination of the fixed part's variables.

Lenth (2016, J. Stat. Softw. 69(1)) calls so the rows over which marginal means are taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import Column, Columns, FrameKind, level_text
from mixedeffects.errors import DataError, ModelError, suggestion
from mixedeffects.formula.design import Design
from mixedeffects.formula.values import Values, listed, match_levels

Floats = NDArray[np.float64]

# Of a grid: as many numbers as take 400 MB.
_MOST_VALUES = 50_000_000


@dataclass(frozen=True, slots=True)
class Axis:
    """One variable of a grid.

    Attributes
    ----------
    name : str
    values : ndarray, shape (k,)
        Levels of a factor, or numbers.
    column : Column
        The variable in the n rows used.
    levels : ndarray, shape (L,), or None
        Of a factor: those that the fit knows.
    chosen : ndarray of int, shape (k,)
        Which of the levels the values are.
    """

    name: str
    values: NDArray[Any]
    column: Column
    levels: NDArray[Any] | None
    chosen: NDArray[np.intp]

    @property
    def codes(self) -> NDArray[np.int32]:
        """Which of a factor's values each row used has (n,), -1 for others."""
        assert self.levels is not None
        rank = np.full(len(self.levels) + 1, -1, np.int32)
        rank[self.chosen] = np.arange(len(self.chosen))
        codes: NDArray[np.int32] = rank[match_levels(self.column, self.levels)]
        return codes

    def spread(self, positions: NDArray[np.intp], shift: Floats | None = None) -> Column:
        """The variable on rows with values at the positions (r,), moved by the shift (r,)."""
        if self.column.kind == "categorical":
            codes = self.chosen[positions].astype(np.int32)
            kind = self.column.dtype_kind
            return Column(self.name, "categorical", codes, self.levels, False, kind)
        numbers = self.values.astype(np.float64)[positions]
        numbers = numbers if shift is None else numbers + shift
        return Column(self.name, "numeric", numbers, None, False, "float")


@dataclass(frozen=True, slots=True)
class Grid:
    """All combinations of the values of the axes, the last varying fastest."""

    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis.values) for axis in self.axes)

    def axis(self, name: str) -> int:
        return [axis.name for axis in self.axes].index(name)

    def position(self, name: str) -> NDArray[np.intp]:
        """Which of its values a variable has in each of the N combinations."""
        position: NDArray[np.intp] = np.indices(self.shape)[self.axis(name)].ravel()
        return position


def build_grid(designs: Sequence[Design], at: Mapping[str, Any] | None) -> Grid:
    """All levels of the factors and the means of the covariates, or what ``at`` says.

    Of the variables of one linear predictor, or of several.

    Raises
    ------
    ModelError
        At a variable or level that the fixed part does not have, or too large a grid.
    """
    chosen = _checked(designs, at)
    grid = Grid(tuple(_axis(designs, name, chosen.get(name)) for name in _names(designs)))
    rows, columns = math.prod(grid.shape), sum(len(design.x_names) for design in designs)
    if rows * columns > _MOST_VALUES:
        sizes = ", ".join(f"{a.name} ({len(a.values)})" for a in grid.axes if len(a.values) > 1)
        raise ModelError(
            f"The reference grid has {rows:,} combinations, of {sizes}: too many. Hold some of"
            " these variables at one value or a few with at={...}."
        )
    return grid


def variables(designs: Sequence[Design]) -> tuple[list[str], list[str]]:
    """Names of the factors and of the covariates of the fixed parts."""
    names = _names(designs)
    factors = [name for name in names if _levels(designs, name) is not None]
    return factors, [name for name in names if name not in factors]


def unknown_variable(designs: Sequence[Design], name: Any) -> ModelError:
    """The error for a variable that no fixed part has."""
    factors, covariates = variables(designs)
    known = factors + covariates
    kinds = [("factors", factors), ("covariates", covariates)]
    shown = "; ".join(f"{kind} {', '.join(map(repr, found))}" for kind, found in kinds if found)
    return ModelError(
        f"{name!r} is not a variable of the fixed part of"
        f" {', '.join(repr(design.formula) for design in designs)}, which has"
        f" {shown or 'none'}.{suggestion(str(name), known)}"
    )


def evaluate(design: Design, grid: Grid, shift: Mapping[str, Floats] | None = None) -> Floats:
    """The fixed part's columns (N, P) in each combination, aliased ones too.

    ``shift`` (N,) is added to the values of the covariates that it names.
    """
    rows = math.prod(grid.shape)
    moved = shift or {}
    columns = {a.name: a.spread(grid.position(a.name), moved.get(a.name)) for a in grid.axes}
    table = Columns(MappingProxyType(columns), rows, FrameKind(), tuple(columns))
    spec = design.spec
    return spec.fixed.evaluate(Values(table, spec.parsed.text, dict(spec.levels), fitted=True))


def frequencies(design: Design, grid: Grid) -> Floats:
    """Rows used, or their weights' sum, in each combination of the factors, shape of the grid.

    A covariate's values share them equally.
    """
    weight = np.ones(len(design.rows)) if design.weights is None else design.weights
    factors = [axis for axis in grid.axes if axis.levels is not None]
    shape = tuple(len(axis.values) for axis in factors)
    codes = np.array([axis.codes for axis in factors], dtype=np.intp).reshape(len(factors), -1)
    if factors:
        inside = (codes >= 0).all(axis=0)
        cells = np.ravel_multi_index(tuple(codes[:, inside]), shape)
        counts = np.bincount(cells, weight[inside], math.prod(shape))
    else:
        counts = np.array([weight.sum()])
    own = [len(axis.values) if axis.levels is not None else 1 for axis in grid.axes]
    return np.broadcast_to(counts.reshape(own), grid.shape)


# -- one axis --------------------------------------------------------------------------------


def _names(designs: Sequence[Design]) -> list[str]:
    """The variables of the fixed parts, each once."""
    return list(dict.fromkeys(name for own in designs for name in own.spec.fixed.columns))


def _levels(designs: Sequence[Design], name: str) -> NDArray[Any] | None:
    """Levels of a factor as the fit knows them; None for a covariate."""
    for design in designs:
        for key in (name, f"factor({name})"):
            if key in design.spec.levels:
                return design.spec.levels[key]
    return designs[0].columns[name].levels


def _axis(designs: Sequence[Design], name: str, chosen: Any) -> Axis:
    column = designs[0].columns[name].take(designs[0].rows)
    levels = _levels(designs, name)
    if levels is None:
        values = np.array([column.values.mean()]) if chosen is None else _numbers(name, chosen)
        return Axis(name, values, column, None, np.empty(0, np.intp))
    positions = np.arange(len(levels)) if chosen is None else _positions(name, levels, chosen)
    return Axis(name, levels[positions], column, levels, positions)


def _numbers(name: str, chosen: Any) -> Floats:
    try:
        values = np.atleast_1d(np.asarray(chosen, dtype=np.float64))
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise DataError(f"at={{{name!r}: {chosen!r}}}: column {name!r} takes finite numbers.")
    return _distinct(name, values)


def _positions(name: str, levels: NDArray[Any], chosen: Any) -> NDArray[np.intp]:
    single = isinstance(chosen, str) or not isinstance(chosen, Sequence | np.ndarray)
    wanted = np.array([chosen] if single else list(chosen))
    numbers = _are_numbers(levels) and _are_numbers(wanted)
    known = {key: i for i, key in enumerate(levels.tolist() if numbers else level_text(levels))}
    found = wanted.tolist() if numbers else level_text(wanted).tolist()
    for key in found:
        if key not in known:
            raise DataError(
                f"at: {str(key)!r} is not a level of {name!r}, which has"
                f" {listed(level_text(levels))}.{suggestion(str(key), map(str, known))}"
            )
    if not found:
        raise DataError(f"at={{{name!r}: {chosen!r}}} names no level.")
    return _distinct(name, np.array([known[key] for key in found]))


def _are_numbers(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "iuf"


def _distinct(name: str, values: NDArray[Any]) -> NDArray[Any]:
    if len(np.unique(values)) < len(values):
        raise DataError(f"at: a value of {name!r} is given twice.")
    return values


def _checked(designs: Sequence[Design], at: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if at is None:
        return {}
    if not isinstance(at, Mapping):
        raise ModelError(f"at={at!r} is not a dict, such as at={{'x': [1, 2]}}.")
    for name in at:
        if name not in _names(designs):
            raise unknown_variable(designs, name)
    return at
