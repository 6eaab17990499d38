"""Positions in time or space: one indicator column for each that occurs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import DataError, FormulaError, NewLevelError
from mixedeffects.formula.grammar import RandomTerm
from mixedeffects.formula.values import Values, kind_of

__all__ = ["OVER_SPACE", "PositionSpec", "build_positions"]

Array = NDArray[np.float64]

OVER_SPACE = ("exp", "gau", "ou")
# Their covariance is factored at every step, at a cost that grows with the cube.
MOST = 1000


@dataclass(frozen=True, slots=True)
class PositionSpec:
    """One indicator column a position.

    Attributes
    ----------
    columns : tuple of str
        The d coordinates.
    positions : ndarray, shape (k, d)
        Those that occur, sorted.
    names : tuple of str
    """

    columns: tuple[str, ...]
    positions: Array
    names: tuple[str, ...]

    def evaluate(self, values: Values) -> Array:
        """Indicators (n, k).

        Raises
        ------
        NewLevelError
            At a position that the fit has not seen.
        """
        points = _coordinates(self.columns, values)
        both, codes = np.unique(
            np.concatenate([self.positions, points]), axis=0, return_inverse=True
        )
        k = len(self.positions)
        places = np.full(len(both), -1)
        places[codes[:k]] = np.arange(k)
        own = places[codes[k:]]
        if own.size and own.min() < 0:
            row = int(own.argmin())
            point = ", ".join(f"{c} {v:g}" for c, v in zip(self.columns, points[row], strict=True))
            raise NewLevelError(
                f"The position {point} in row {values.source_row(row)} is none that the fit has"
                " seen. With random='population' predictions need no positions."
            )
        return np.asarray(own[:, None] == np.arange(k), dtype=np.float64)


def build_positions(term: RandomTerm, values: Values) -> tuple[PositionSpec, Array]:
    """The way to make a term's columns, and their positions (k, d).

    Raises
    ------
    FormulaError, DataError
        If the term does not name columns of numbers, or they give fewer than two or too many
        positions.
    """
    columns = _columns(term, values)
    points = _coordinates(columns, values)
    positions = np.unique(points, axis=0)
    k, named = len(positions), ", ".join(map(repr, columns))
    if k < 2:
        raise DataError(f"({term.label}) has a single position in {named}: it needs two or more.")
    if k > MOST:
        raise DataError(
            f"({term.label}) has {k:,} different positions in {named}, and a covariance among more"
            f" than {MOST:,} is not affordable here: round the coordinates, or use an aggregate of"
            " the rows."
        )
    names = tuple(
        ":".join(f"{c}[{v:.12g}]" for c, v in zip(columns, p, strict=True)) for p in positions
    )
    return PositionSpec(columns, positions, names), positions


def _columns(term: RandomTerm, values: Values) -> tuple[str, ...]:
    factors = [t.factors for t in term.formula if t.degree]
    plain = all(len(f) == 1 and f[0].eval_method.value == "lookup" for f in factors)
    example = (
        "ou(time | group)" if term.structure == "ou" else f"{term.structure}(0 + x + y | group)"
    )
    if not factors or not plain or (term.structure == "ou" and len(factors) > 1):
        wanted = "one column of times" if term.structure == "ou" else "columns of coordinates"
        raise FormulaError(
            f"{term.structure}(...) takes {wanted}: {example}", values.text, term.position
        )
    names = tuple(f[0].expr for f in factors)
    for name in names:
        column = values.columns[name]
        if column.kind != "numeric":
            raise FormulaError(
                f"{term.structure}(...) takes numbers, the coordinates themselves, but column"
                f" {name!r} holds {kind_of(column)}: {example}",
                values.text,
                term.position,
            )
        values.check_finite(name)
    return names


def _coordinates(columns: tuple[str, ...], values: Values) -> Array:
    """Coordinates (n, d) of the rows, without a zero's sign."""
    return np.column_stack([values.columns[name].values for name in columns]) + 0.0
