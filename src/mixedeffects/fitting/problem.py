"""A Gaussian mixed model as standardized arrays, before anything is estimated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.cholesky import (
    ArrangedProducts,
    Plan,
    analyse,
    arrange,
    arrange_response,
    columns_of,
)
from mixedeffects.algebra.crossproducts import (
    Crossproducts,
    Grouping,
    crossproducts,
    replace_response,
)
from mixedeffects.algebra.standardize import FixedBasis, fixed_basis, random_basis, row_blocks
from mixedeffects.covariance import AbstractCovariance
from mixedeffects.fitting.start import MomentEquations, moment_equations

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Term:
    """One random term inside its grouping factor.

    ``covariance`` its structure; ``map`` (k, k) the change of basis, values = columns @ map;
    ``grouping`` index of the grouping factor; ``column`` its first column there; ``first``
    its first parameter in θ.
    """

    covariance: AbstractCovariance
    map: Floats
    grouping: int
    column: int
    first: int

    @property
    def parameters(self) -> slice:
        """Its place in θ."""
        return slice(self.first, self.first + self.covariance.n_parameters)

    @property
    def columns(self) -> slice:
        """Its place among the columns of its grouping factor."""
        return slice(self.column, self.column + self.covariance.n_columns)


@dataclass(frozen=True, slots=True)
class Problem:
    """A Gaussian mixed model reduced to what its likelihood needs.

    ``scale`` of y; ``least_squares`` (p,) coefficients, in the basis of X, already taken off
    y; ``constant`` what the standardization adds to the objective.  The rows, ``groupings``
    and ``weights`` (n,), serve only another response.
    """

    terms: tuple[Term, ...]
    groupings: tuple[Grouping, ...]
    weights: Floats | None
    products: Crossproducts
    plan: Plan
    arranged: ArrangedProducts
    moments: MomentEquations | None
    n_rows: int
    n_parameters: int
    reml: bool
    scale: float
    least_squares: Floats
    basis: FixedBasis
    constant: float

    @property
    def dof(self) -> int:
        """ν: n for maximum likelihood, n − p for REML."""
        return self.n_rows - self.plan.n_fixed * self.reml


@dataclass(frozen=True, slots=True)
class TermArrays:
    """A random term as arrays: covariates (n, k), codes (n,), structure, intercept column."""

    values: Floats
    codes: NDArray[np.int32]
    n_levels: int
    covariance: AbstractCovariance
    intercept: int | None
    factor: int
    relationship: Floats | None = None


def build_problem(
    y: Floats,
    X: Floats,
    random: Sequence[TermArrays],
    *,
    reml: bool,
    weights: Floats | None = None,
    intercept: int | None = None,
) -> Problem:
    """Standardize, form the cross-products and analyse the pattern.

    Parameters
    ----------
    y, X
        (n,) response less its offset, (n, p) fixed-effects columns.
    random
        The random terms; those with the same ``factor`` number share a grouping factor.
    reml
        Whether the objective is the REML criterion.
    weights
        (n,) positive prior weights.
    intercept
        The column of X that is all ones, or None.
    """
    basis = fixed_basis(X, weights, intercept)
    least_squares, residual, scale = _take_off_least_squares(basis.columns, y, weights)
    terms, groupings = group_terms(random)
    products = crossproducts(groupings, basis.columns, residual, weights)
    relationships = tuple(g.relationship for g in groupings)
    plan = analyse(products, [r is not None for r in relationships])
    return Problem(
        terms=terms,
        groupings=groupings,
        weights=weights,
        products=products,
        plan=plan,
        arranged=arrange(products, plan, relationships),
        moments=moment_equations(products),
        n_rows=len(y),
        n_parameters=sum(t.covariance.n_parameters for t in terms),
        reml=reml,
        scale=scale,
        least_squares=least_squares,
        basis=basis,
        constant=_constant(products, groupings, basis, reml),
    )


def with_response(problem: Problem, y: Floats) -> Problem:
    """The same model of another response (n,), less its offset; its pattern is reused."""
    least_squares, residual, scale = _take_off_least_squares(
        problem.basis.columns, y, problem.weights
    )
    products = replace_response(
        problem.products, problem.groupings, problem.basis.columns, residual, problem.weights
    )
    border, corner = arrange_response(products, problem.plan)
    return replace(
        problem,
        products=products,
        arranged=replace(problem.arranged, border=border, corner=corner),
        scale=scale,
        least_squares=least_squares,
    )


def _constant(
    products: Crossproducts, groupings: Sequence[Grouping], basis: FixedBasis, reml: bool
) -> float:
    """What weights, relationship matrices and the basis of X add, whatever θ."""
    related = sum(
        g.values.shape[1] * float(np.linalg.slogdet(g.relationship)[1])
        for g in groupings
        if g.relationship is not None
    )
    return float(related - products.log_weights + 2.0 * basis.log_scale * reml)


def _take_off_least_squares(
    columns: Floats, y: Floats, weights: Floats | None
) -> tuple[Floats, Floats, float]:
    """Least-squares coefficients, and the residual in units of its own size."""
    n, p = columns.shape
    coefficients, gram, residual = np.zeros(p), np.zeros((p, p)), y.copy()
    for rows, w in row_blocks(n, weights):
        gram += columns[rows].T @ (columns[rows] * w[:, None])
    for _ in range(2 if p else 0):  # the second pass removes rounding
        moments = np.zeros(p)
        for rows, w in row_blocks(n, weights):
            moments += (w * residual[rows]) @ columns[rows]
        more = np.linalg.solve(gram, moments)
        coefficients += more
        for rows, _w in row_blocks(n, weights):
            residual[rows] -= columns[rows] @ more
    square = sum(float(w @ residual[rows] ** 2) for rows, w in row_blocks(n, weights))
    scale = float(np.sqrt(square / n))
    if not scale > 0.0:
        scale = 1.0
    return coefficients, residual / scale, scale


def group_terms(random: Sequence[TermArrays]) -> tuple[tuple[Term, ...], tuple[Grouping, ...]]:
    terms: list[Term] = []
    columns: dict[int, list[Floats]] = {}
    arrays: dict[int, TermArrays] = {}
    first = 0
    for term in random:
        values, mapping = random_basis(term.values, term.covariance.closure, term.intercept)
        members = columns.setdefault(term.factor, [])
        place = list(columns).index(term.factor)
        column = sum(m.shape[1] for m in members)
        terms.append(Term(term.covariance, mapping, place, column, first))
        first += term.covariance.n_parameters
        members.append(values)
        arrays[term.factor] = term
    groupings = tuple(
        Grouping(
            arrays[f].codes,
            np.ascontiguousarray(members[0] if len(members) == 1 else np.hstack(members)),
            arrays[f].n_levels,
            arrays[f].relationship,
        )
        for f, members in columns.items()
    )
    return tuple(terms), groupings


def original_coefficients(problem: Problem, beta: Floats, b: Floats) -> tuple[Floats, list[Floats]]:
    """β (p,) and the modes (L, k) of each term for the user's columns and response.

    From ``Objective.coefficients``: ``beta`` (p,) and ``b`` (q,).
    """
    modes = [problem.scale * own for own in original_modes(problem.terms, problem.plan, b)]
    return problem.basis.original(problem.least_squares + problem.scale * beta), modes


def original_modes(terms: Sequence[Term], plan: Plan, b: Floats) -> list[Floats]:
    """The modes (L, k) of each term for the user's columns, from ``b`` (q,)."""
    return [
        cast(Floats, np.linalg.solve(t.map, b[columns_of(plan, t.grouping)[:, t.columns]].T).T)
        for t in terms
    ]
