"""Model matrices: formulaic makes them, and makes them again on new data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import FormulaError, MixedEffectsError
from mixedeffects.formula.plain import Coding, Recipe, coding, multiply, recipe_of
from mixedeffects.formula.terms import formula_columns
from mixedeffects.formula.values import Values

if TYPE_CHECKING:
    from formulaic import ModelSpec, SimpleFormula
    from formulaic.parser.types import Term

__all__ = ["MatrixSpec", "build_matrix"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MatrixSpec:
    """How the columns of a model matrix are made.

    Attributes
    ----------
    model : formulaic.ModelSpec
        What formulaic remembers: coding, knots, centres.
    terms : tuple of str
        Text of each term, ``"1"`` for the intercept.
    names : tuple of str
        Names of the columns.
    term_of : tuple of int
        The term that each column belongs to.
    columns : tuple of str
        Columns of the data that the matrix needs.
    """

    model: ModelSpec
    terms: tuple[str, ...]
    names: tuple[str, ...]
    term_of: tuple[int, ...]
    columns: tuple[str, ...]

    def covers(self, formula: SimpleFormula) -> bool:
        """Whether the columns of a formula are among these.

        They are if its terms are and it has all their margins, so that none stands for one.
        """
        own = {_factors(row.term) for row in self.model.structure}
        terms = {_factors(term) for term in formula}
        return terms <= own and all(term - {name} in terms for term in terms for name in term)

    def part(self, matrix: Array, formula: SimpleFormula) -> tuple[Array, MatrixSpec]:
        """The columns (n, k) of a formula that this covers, and the way to make them again."""
        model = self.model.subset(formula)
        place = {name: j for j, name in enumerate(self.names)}
        spec = _spec_of(model)
        return matrix.take([place[name] for name in spec.names], axis=1), spec

    def evaluate(self, values: Values) -> Array:
        """The matrix (n, k) on other rows, C-contiguous.

        Raises
        ------
        DataError
            If a value is not finite: the column or term and the row are named.
        NewLevelError
            At a level that the fit has not seen.
        """
        if not values.columns.n_rows:
            return np.empty((0, len(self.names)))
        matrix: Array = _materialize(self.model, values).__wrapped__
        _check_finite(matrix, self.names, self.columns, values)
        return matrix

    def indicators(
        self, values: Values, more: Sequence[Term] = ()
    ) -> tuple[Array, tuple[int, ...]]:
        """The matrix (n, P) with a column for every level, and the terms (P,) of its columns.

        ``more`` terms follow those of the formula.
        """
        formula = type(self.model.formula)([*self.model.formula, *more], _ordering="none")
        model = self.model.update(formula=formula, ensure_full_rank=False, structure=None)
        made = _materialize(model, values)
        matrix: Array = made.__wrapped__
        return matrix, _term_of(made.model_spec)


def build_matrix(
    formula: SimpleFormula, values: Values, what: str | None = None
) -> tuple[Array, MatrixSpec]:
    """The model matrix (n, k) and the way to make it again.

    Parameters
    ----------
    formula : formulaic.SimpleFormula
    values : Values
    what : str, optional
        What the columns are, for messages, if not terms.

    Raises
    ------
    DataError, FormulaError
        If the terms cannot be evaluated, or a value is not finite.
    """
    code = coding(formula, values)
    if code in _REMEMBERED:
        recipe, spec = _REMEMBERED[code]
        matrix: Array = multiply(recipe, values)
    else:
        made = _materialize(formula, values)
        matrix, spec = made.__wrapped__, _spec_of(made.model_spec)
        if code is not None:
            _remember(code, spec)
    _check_finite(matrix, spec.names, spec.columns, values, what)
    return matrix, spec


# The next fit of a formula whose levels are the same does not ask formulaic again.
_REMEMBERED: dict[Coding | None, tuple[Recipe, MatrixSpec]] = {}
_ROOM = 64


def _remember(code: Coding, spec: MatrixSpec) -> None:
    if len(_REMEMBERED) >= _ROOM:
        _REMEMBERED.clear()
    _REMEMBERED[code] = recipe_of(spec.model), spec


def _spec_of(model: ModelSpec) -> MatrixSpec:
    return MatrixSpec(
        model,
        tuple(":".join(f.expr for f in row.term.factors) for row in model.structure),
        tuple(model.column_names),
        _term_of(model),
        formula_columns([model.formula]),
    )


def _factors(term: Term) -> frozenset[str]:
    return frozenset(f.expr for f in term.factors) if term.degree else frozenset()


def _term_of(model: ModelSpec) -> tuple[int, ...]:
    return tuple(i for i, row in enumerate(model.structure) for _ in row.columns)


def _materialize(spec: SimpleFormula | ModelSpec, values: Values) -> Any:
    from formulaic.errors import FactorEvaluationError

    from mixedeffects.formula.materializer import ColumnsMaterializer

    try:
        with np.errstate(all="ignore"):
            return ColumnsMaterializer(values).matrix(spec)
    except FactorEvaluationError as error:
        if isinstance(error.__cause__, MixedEffectsError):
            raise error.__cause__ from None
        raise FormulaError(str(error), values.text) from error


def _check_finite(
    matrix: Array,
    names: tuple[str, ...],
    columns: tuple[str, ...],
    values: Values,
    what: str | None = None,
) -> None:
    if not np.isfinite(matrix).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(matrix))[0])
        raise values.not_finite(what or f"Term {names[column]!r}", columns, row)
