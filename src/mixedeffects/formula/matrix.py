"""Model matrices: built once from terms and data, then replayed on new data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import product

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import DataError
from mixedeffects.formula.coding import Piece, code_terms
from mixedeffects.formula.contrasts import Coded
from mixedeffects.formula.evaluate import Evaluator, Value
from mixedeffects.formula.terms import Factor, Term
from mixedeffects.formula.transforms import Basis

__all__ = ["MatrixSpec", "build_matrix"]

Array = NDArray[np.float64]
_Columns = list[tuple[str, Array]]


@dataclass(frozen=True, slots=True)
class MatrixSpec:
    """How the columns of a model matrix are made.

    Attributes
    ----------
    factors : tuple of Factor
        All factors of the terms.
    terms : tuple of str
        Text of each term, ``"1"`` for the intercept.
    pieces : tuple of tuple of Piece
        Coding of each term.
    names : tuple of str
        Names of the columns.
    term_of : tuple of int
        The term that each column belongs to.
    """

    factors: tuple[Factor, ...]
    terms: tuple[str, ...]
    pieces: tuple[tuple[Piece, ...], ...]
    names: tuple[str, ...]
    term_of: tuple[int, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the data that the matrix needs."""
        return tuple(dict.fromkeys(c for f in self.factors for c in f.columns))

    def evaluate(self, evaluator: Evaluator) -> Array:
        """The matrix (n, k) on the evaluator's rows, C-contiguous.

        Raises
        ------
        DataError
            If a value is not finite: the column or term and the row are named.
        """
        return _fill(_term_columns(self.factors, self.pieces, evaluator), evaluator, self.factors)


def build_matrix(terms: tuple[Term, ...], evaluator: Evaluator) -> tuple[Array, MatrixSpec]:
    """The model matrix (n, k) of the terms and the way to make it again."""
    factors = tuple(dict.fromkeys(f for term in terms for f in term))
    categorical = {f.name for f in factors if isinstance(evaluator.factor(f), Coded)}
    names = [tuple(f.name for f in term) for term in terms]
    pieces = tuple(tuple(p) for p in code_terms(names, categorical))
    by_term = _term_columns(factors, pieces, evaluator)
    spec = MatrixSpec(
        factors,
        tuple(":".join(term) or "1" for term in names),
        pieces,
        tuple(name for columns in by_term for name, _ in columns),
        tuple(i for i, columns in enumerate(by_term) for _ in columns),
    )
    return _fill(by_term, evaluator, factors), spec


def _term_columns(
    factors: tuple[Factor, ...], pieces: tuple[tuple[Piece, ...], ...], evaluator: Evaluator
) -> list[_Columns]:
    values = {f.name: evaluator.factor(f) for f in factors}
    with np.errstate(all="ignore"):
        return [
            [column for piece in term for column in _product(piece, values, evaluator)]
            for term in pieces
        ]


def _product(piece: Piece, values: dict[str, Value], evaluator: Evaluator) -> _Columns:
    if not piece:
        return [("Intercept", np.ones(evaluator.columns.n_rows))]
    encoded = [_encode(name, values[name], reduced) for name, reduced in piece]
    if len(encoded) == 1:
        return encoded[0]
    # the first factor varies fastest, as in R
    chosen = (tuple(reversed(parts)) for parts in product(*reversed(encoded)))
    return [
        (":".join(name for name, _ in parts), reduce(np.multiply, (x for _, x in parts)))
        for parts in chosen
    ]


def _encode(name: str, value: Value, reduced: bool) -> _Columns:
    match value:
        case Coded():
            return value.columns(name, reduced=reduced)
        case Basis(values=values, fields=fields):
            return [(f"{name}[{field}]", values[:, j]) for j, field in enumerate(fields)]
    return [(name, value)]


def _fill(by_term: list[_Columns], evaluator: Evaluator, factors: tuple[Factor, ...]) -> Array:
    columns = [column for term in by_term for column in term]
    out = np.empty((evaluator.columns.n_rows, len(columns)))
    for j, (_, values) in enumerate(columns):
        out[:, j] = values
    if not np.isfinite(out).all():
        raise _not_finite(evaluator, factors, out, [name for name, _ in columns])
    return out


def _not_finite(
    evaluator: Evaluator, factors: tuple[Factor, ...], out: Array, names: list[str]
) -> DataError:
    for name in dict.fromkeys(c for f in factors for c in f.columns):
        evaluator.check_finite(name)
    row, column = (int(i) for i in np.argwhere(~np.isfinite(out))[0])
    return DataError(
        f"Term {names[column]!r} is not finite in row {evaluator.source_row(row)}."
        " Change or drop that row, or the transformation."
    )
