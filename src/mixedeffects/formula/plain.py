"""Matrices of columns as they are, and of their products: made again without formulaic."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.formula.values import Values

if TYPE_CHECKING:
    from formulaic import ModelSpec, SimpleFormula

__all__ = ["Coding", "Recipe", "coding", "multiply", "recipe_of"]

# For each column of a matrix the columns of the data that it multiplies, each with the level that
# it indicates; −1 for numbers.
Recipe = tuple[tuple[tuple[str, int], ...], ...]
Coding = tuple[Any, ...]

# Codings of more levels are not remembered.
MOST_LEVELS = 100


def coding(formula: SimpleFormula, values: Values) -> Coding | None:
    """What a matrix's recipe depends on: terms and levels; None where a factor is computed."""
    factors = {f.expr: f for term in formula if term.degree for f in term.factors}
    if any(f.eval_method.value != "lookup" for f in factors.values()):
        return None
    levels = [tuple(getattr(values.column(name), "categories", ())) for name in factors]
    if sum(map(len, levels)) > MOST_LEVELS:
        return None
    terms = [tuple(f.expr for f in term.factors) if term.degree else () for term in formula]
    return tuple(terms), tuple(zip(factors, levels, strict=True))


def recipe_of(model: ModelSpec) -> Recipe:
    """The recipe that formulaic followed, where its factors are columns."""
    found = []
    for row in model.structure:
        for scoped in row.scoped_terms:
            ways = []
            for own in scoped.factors:
                name = own.factor.expr
                levels = model.encoder_state[name][1].get("categories")
                codes = [-1] if levels is None else range(int(own.reduced), len(levels))
                ways.append([(name, code) for code in codes])
            # the levels of the first factor go fastest
            found += [tuple(reversed(way)) for way in product(*reversed(ways))]
    return tuple(found)


def multiply(recipe: Recipe, values: Values) -> NDArray[np.float64]:
    """The matrix (n, k)."""
    matrix = np.ones((values.columns.n_rows, len(recipe)))
    with np.errstate(all="ignore"):
        for j, factors in enumerate(recipe):
            for name, code in factors:
                column = values.column(name)
                matrix[:, j] *= column if code < 0 else column.codes == code
    return matrix
