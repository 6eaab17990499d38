"""The fixed part with a column for every level: in these terms hypotheses can be stated."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixedeffects.formula.design import Design
from mixedeffects.formula.matrix import MatrixSpec
from mixedeffects.formula.values import Values

if TYPE_CHECKING:
    from formulaic.parser.types import Term

__all__ = ["IndicatorMatrix", "TermFactors", "indicator_matrix", "term_factors"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TermFactors:
    """What a term of the fixed part multiplies: categorical and numeric factors, as written."""

    categorical: frozenset[str]
    numeric: frozenset[str]


@dataclass(frozen=True, slots=True)
class IndicatorMatrix:
    """A column for every level or combination of levels, whatever the contrasts.

    Terms that the formula leaves out although a term spans them (``1`` in ``0 + a``, ``x`` in
    ``a + a:x``) are among the terms here.

    Attributes
    ----------
    values : ndarray, shape (n, P)
    term_of : ndarray of int, shape (P,)
    factors : tuple of TermFactors
        The formula's terms, then those left out.
    owner : tuple of int
        For each of these the first term of the formula that spans it: itself, if it is one.
    """

    values: Array
    term_of: NDArray[np.intp]
    factors: tuple[TermFactors, ...]
    owner: tuple[int, ...]


def term_factors(spec: MatrixSpec) -> tuple[TermFactors, ...]:
    """The factors of each term, none for the intercept."""
    kinds = {name: str(kind.value) for name, (kind, _) in spec.model.encoder_state.items()}
    found = []
    for row in spec.model.structure:
        names = [f.expr for f in row.term.factors if f.expr in kinds]
        categorical = frozenset(name for name in names if kinds[name] == "categorical")
        found.append(TermFactors(categorical, frozenset(names) - categorical))
    return tuple(found)


def indicator_matrix(design: Design) -> IndicatorMatrix:
    """All levels' columns on the rows used, with the knots, centres and levels of the fit.

    Examples
    --------
    >>> from mixedeffects.formula.design import build_design
    >>> data = {"y": [1.0, 2.0, 4.0, 3.0], "f": ["a", "b", "a", "b"], "g": [1, 1, 2, 2]}
    >>> indicator_matrix(build_design("y ~ f + (1 | g)", data)).values
    array([[1., 1., 0.],
           [1., 0., 1.],
           [1., 1., 0.],
           [1., 0., 1.]])
    """
    spec, columns = design.spec, design.columns
    if len(design.rows) < columns.n_rows:
        columns = columns.take(design.rows)
    values = Values(columns, design.formula, dict(spec.levels), rows=design.rows, fitted=True)
    present = term_factors(spec.fixed)
    missing = _left_out(present)
    terms = [_term(spec.fixed, left_out) for left_out in missing]
    matrix, term_of = spec.fixed.indicators(values, terms)
    return IndicatorMatrix(
        matrix,
        np.array(term_of, dtype=np.intp),
        (*present, *missing),
        (*range(len(present)), *missing.values()),
    )


def _left_out(present: tuple[TermFactors, ...]) -> dict[TermFactors, int]:
    """Terms that the formula leaves out but spans, with the first term that spans each."""
    found: dict[TermFactors, int] = {}
    for number, term in enumerate(present):
        for size in range(len(term.categorical)):
            for subset in combinations(sorted(term.categorical), size):
                margin = TermFactors(frozenset(subset), term.numeric)
                if margin not in present:
                    found.setdefault(margin, number)
    return found


def _term(spec: MatrixSpec, wanted: TermFactors) -> Term:
    from formulaic.parser.types import Factor, Term

    names = wanted.categorical | wanted.numeric
    known = {f.expr: f for row in spec.model.structure for f in row.term.factors}
    factors = [known[name] for name in known if name in names]
    return Term(factors or [Factor("1", eval_method="literal")])
