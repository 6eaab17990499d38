"""Analysis of variance of the fixed effects: which hypothesis a term stands for, and its test.

SAS Institute, "The four types of estimable functions" (SAS/STAT user's guide); Goodnight 1978,
SAS technical report R-101; Fox and Weisberg, An R Companion to Applied Regression.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.formula.indicators import TermFactors, indicator_matrix, term_factors
from mixedeffects.inference.coefficients import (
    AnyFit,
    Coefficients,
    coefficients,
    full_basis,
)
from mixedeffects.inference.freedom import AbstractFreedom, FTest, rotated

Floats = NDArray[np.float64]

# Singular values below this share of the largest are zero.
ZERO = 1e-8
# What the coding cannot express of a level's column, beyond which type III is refused.
OUTSIDE = 1e-6


def anova_table(
    fit: AnyFit, freedom: AbstractFreedom, kind: int, component: str = "conditional"
) -> dict[str, object]:
    """Columns of the table of F tests, or of χ² tests for infinite degrees of freedom.

    ``term sum_sq mean_sq num_df den_df statistic p_value``; a sum of squares is σ²Σt² of
    uncorrelated contrasts, and there is none in the χ² table, nor where no residual variance
    scales the response. The intercept has no row; a term of which nothing can be tested has
    ``num_df`` 0.
    """
    asymptotic = freedom.name == "asymptotic"
    own = coefficients(fit, component)
    freedom = own.freedom(freedom)
    hypotheses = term_hypotheses(fit, kind, asymptotic or not isinstance(fit, Fit), own)
    tests = [freedom.joint(L) for _, L in hypotheses]
    columns: dict[str, object] = {"term": [term for term, _ in hypotheses]}
    if not asymptotic and isinstance(fit, Fit):
        # Kenward-Roger's scale belongs to the test, not to the sum of squares.
        squares = [rotated(freedom, L)[1] for _, L in hypotheses]
        sums = [s.sum() if len(s) else np.nan for s in squares]
        columns["sum_sq"] = sum_sq = np.array(sums) * fit.estimates.sigma**2
        columns["mean_sq"] = sum_sq / np.array([max(t.num_df, 1) for t in tests])
    return columns | _tests(tests, asymptotic)


def _tests(tests: Sequence[FTest], asymptotic: bool) -> dict[str, object]:
    num_df = np.array([t.num_df for t in tests], dtype=np.int64)
    F = np.array([t.statistic for t in tests], dtype=np.float64)
    return {
        "num_df": num_df,
        "den_df": np.array([t.den_df if t.num_df else np.nan for t in tests], dtype=np.float64),
        "statistic": F * num_df if asymptotic else F,
        "p_value": np.array([t.p_value for t in tests], dtype=np.float64),
    }


def term_hypotheses(
    fit: AnyFit, kind: int, generalized: bool = False, own: Coefficients | None = None
) -> list[tuple[str, Floats]]:
    """For each term but the intercept a matrix L (r, p) with Lβ = 0 its hypothesis.

    Parameters
    ----------
    fit
    kind
        1: each term given those before it. 2: given all others that do not contain it. 3:
        the hypothesis about equally weighted cells, whatever the contrasts of the factors.
    generalized
        Whether types 1 and 2 leave out terms in the sense of generalized least squares (as a
        Wald test does of the model without them) or of ordinary ones (as SAS and lmerTest
        do); and whether a term that multiplies further covariates contains its factors.
    own
        The coefficients, by default those of the conditional predictor.
    """
    own = coefficients(fit) if own is None else own
    columns = [own.columns_of(number) for number in range(len(own.terms))]
    tested = [number for number in range(len(own.terms)) if own.terms[number] != "1"]
    if own.design is None:
        raise ModelError(
            f"Component {own.estimate.name!r} has no terms to test, only constants: test its "
            "coefficients by test(L, component=...)."
        )
    factors = term_factors(own.design.spec.fixed)
    if kind == 3:
        rows = _equally_weighted(fit, own, columns)
    else:
        root = _root(fit, own, generalized)
        rows = {}
        for number in tested:
            stays, later = left_out(number, kind, columns, factors, generalized)
            columns_here = columns[number]
            alone = kind == 2 and not later
            rows[number] = (
                np.eye(len(root))[columns_here]
                if alone
                else _given(root, stays, columns_here, later)
            )
    return [(own.terms[number], rows[number]) for number in tested]


def contains(outer: TermFactors, inner: TermFactors, any_covariate: bool = False) -> bool:
    """Whether a term contains another: more categorical factors and the same covariates.

    ``any_covariate``: or further covariates (``A`` in ``A:x``).
    """
    covariates = inner.numeric <= outer.numeric if any_covariate else inner.numeric == outer.numeric
    return outer != inner and inner.categorical <= outer.categorical and covariates


# -- types I and II ------------------------------------------------------------------------


def _root(fit: AnyFit, own: Coefficients, generalized: bool) -> Floats:
    """R (p, p) with R'R = X'X, or the inverse of Cov(β̂), for the columns kept."""
    if generalized:
        inverse: Floats = np.linalg.pinv(own.estimate.root) @ own.estimate.map
        return inverse
    basis = full_basis(fit, own)
    return np.linalg.cholesky(basis.columns.T @ basis.columns).T @ basis.map


def left_out(
    number: int,
    kind: int,
    columns: Sequence[list[int]],
    factors: Sequence[TermFactors],
    generalized: bool,
) -> tuple[list[int], list[int]]:
    """Columns of the terms that a term is given, and of those that it is not given."""
    others = [i for i in range(len(columns)) if i != number]
    if kind == 1:
        later = [i for i in others if i > number]
    else:
        later = [i for i in others if contains(factors[i], factors[number], generalized)]
    stays = [j for i in others if i not in later for j in columns[i]]
    return stays, [j for i in later for j in columns[i]]


def _given(root: Floats, stays: list[int], own: list[int], later: list[int]) -> Floats:
    """Rows of the triangular factor that test ``own`` given ``stays`` and without ``later``.

    Scaled as Doolittle's: Satterthwaite's degrees of freedom of several rows depend, a
    little, on how the hypothesis is written.
    """
    rows = np.zeros((len(own), len(root)))
    order = [*stays, *own, *later]
    triangle = np.linalg.qr(root[:, order]).R[len(stays) : len(stays) + len(own)]
    rows[:, order] = triangle / np.diagonal(triangle, len(stays))[:, None]
    return rows


# -- type III ------------------------------------------------------------------------------


def _equally_weighted(
    fit: AnyFit, own: Coefficients, columns: Sequence[list[int]]
) -> dict[int, Floats]:
    """Estimable functions of a term and those that contain it, orthogonal to the latter's.

    A term without one of its margins (``0 + a``) stands for the margin too.
    """
    assert own.design is not None
    indicators = indicator_matrix(own.design)
    owner, factors = indicators.owner, indicators.factors
    there = [bool(c) or own.terms[i] == "1" for i, c in enumerate(columns)]
    left = np.array([there[owner[t]] for t in indicators.term_of], dtype=bool)
    term_of = indicators.term_of[left]
    D = _expressed(fit, own, indicators.values[:, left])
    found = {}
    for number, own_columns in enumerate(columns):
        members = [i for i in range(len(factors)) if owner[i] == number and own_columns]
        parts = [_estimable(D, term_of, i, factors) for i in members]
        rows = np.concatenate([np.zeros((0, len(D))), *parts])
        found[number] = _echelon(rows, rows @ D[:, term_of == number])[:, own.first :]
    return found


def _estimable(
    D: Floats, term_of: NDArray[np.intp], number: int, factors: Sequence[TermFactors]
) -> Floats:
    """z (r, p) whose functions z'D say of one term only what those containing it do not."""
    holding = [i for i, other in enumerate(factors) if contains(other, factors[number])]
    own, within = term_of == number, np.isin(term_of, holding)
    free = _null_space(D[:, ~(own | within)].T)
    rows = free.T @ D
    nested = _null_space(rows[:, own].T).T @ rows
    return (free @ _null_space(nested @ rows.T)).T


def _echelon(rows: Floats, functions: Floats) -> Floats:
    """The same rows such that their functions (r, k) of the levels are in echelon form.

    From the last level on: differences to the first. Whatever the contrasts were, the rows
    are then the same functions of the levels.
    """
    rows, functions = rows.copy(), functions.copy()
    done, size = 0, np.abs(functions).max(initial=0.0)
    for j in reversed(range(functions.shape[1])):
        if done == len(rows):
            break
        pivot = done + int(np.abs(functions[done:, j]).argmax())
        if np.abs(functions[pivot, j]) <= ZERO * size:
            continue
        for matrix in (rows, functions):
            matrix[[done, pivot]] = matrix[[pivot, done]]
        by = functions[done, j]
        rows[done], functions[done] = rows[done] / by, functions[done] / by
        multiples = functions[:, j].copy()
        multiples[done] = 0.0
        rows -= np.outer(multiples, rows[done])
        functions -= np.outer(multiples, functions[done])
        done += 1
    return rows


def _expressed(fit: AnyFit, own: Coefficients, indicators: Floats) -> Floats:
    """D (p, P) with indicators = X D for the columns of X kept.

    z'D are the estimable functions of the levels' parameters, z'β their values.
    """
    assert own.design is not None
    basis = full_basis(fit, own)
    gram = basis.columns.T @ basis.columns
    inner = np.linalg.solve(gram, basis.columns.T @ indicators)
    sizes = np.sqrt((indicators**2).mean(axis=0))
    outside = np.sqrt(((indicators - basis.columns @ inner) ** 2).mean(axis=0))
    if np.any(outside > OUTSIDE * sizes):
        raise ModelError(
            "Type III needs contrasts that span the differences of all levels, and those of this "
            "fit do not: use type=2, or test(L) with the hypothesis you mean."
        )
    D = np.linalg.solve(basis.map, inner)
    # Rounding of entries that are zero, at the size of the columns.
    scale = np.sqrt((own.design.X[:, basis.kept] ** 2).mean(axis=0))
    cleaned: Floats = np.where(np.abs(D) * scale[:, None] < 1e-9 * sizes, 0.0, D)
    return cleaned


def _null_space(matrix: Floats) -> Floats:
    """Orthonormal basis (n, d) of the vectors that a matrix (m, n) takes to zero."""
    m, n = matrix.shape
    if m == 0:
        return np.eye(n)
    _, singular, axes = np.linalg.svd(matrix)
    rank = int((singular > ZERO * singular.max(initial=1e-300)).sum()) if n else 0
    return cast(Floats, axes[rank:].T)
