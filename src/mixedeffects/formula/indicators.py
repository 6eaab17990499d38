"""The fixed part with a column for every level: in these terms hypotheses can be stated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.formula.design import Design
from mixedeffects.formula.matrix import MatrixSpec
from mixedeffects.formula.values import Values

__all__ = ["TermFactors", "indicator_matrix", "term_factors"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TermFactors:
    """What a term of the fixed part multiplies: categorical and numeric factors, as written."""

    categorical: frozenset[str]
    numeric: frozenset[str]


def term_factors(spec: MatrixSpec) -> tuple[TermFactors, ...]:
    """The factors of each term, empty for the intercept."""
    kinds = {name: str(kind.value) for name, (kind, _) in spec.model.encoder_state.items()}
    found = []
    for row in spec.model.structure:
        names = [f.expr for f in row.term.factors if f.expr in kinds]
        categorical = frozenset(name for name in names if kinds[name] == "categorical")
        found.append(TermFactors(categorical, frozenset(names) - categorical))
    return tuple(found)


def indicator_matrix(design: Design) -> tuple[Array, NDArray[np.intp]]:
    """The matrix (n, P) with a column for every level, whatever the contrasts, and its terms (P,).

    Knots, centres and levels are those of the fit.

    Examples
    --------
    >>> from mixedeffects.formula.design import build_design
    >>> data = {"y": [1.0, 2.0, 4.0, 3.0], "f": ["a", "b", "a", "b"], "g": [1, 1, 2, 2]}
    >>> indicator_matrix(build_design("y ~ f + (1 | g)", data))[0]
    array([[1., 1., 0.],
           [1., 0., 1.],
           [1., 1., 0.],
           [1., 0., 1.]])
    """
    spec = design.spec
    columns = design.columns
    if len(design.rows) < columns.n_rows:
        columns = columns.take(design.rows)
    values = Values(columns, design.formula, dict(spec.levels), rows=design.rows, fitted=True)
    matrix, term_of = spec.fixed.indicators(values)
    return matrix, np.array(term_of, dtype=np.intp)
