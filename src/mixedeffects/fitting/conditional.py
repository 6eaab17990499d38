"""The factor at a fit's optimum, and the uncertainties of random effects that it gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.cholesky import BlockFactor, Plan
from mixedeffects.fitting.lmm import Objective
from mixedeffects.fitting.problem import Problem, Term, original_coefficients

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]

# Step of the differences by θ, which is of order one in the standardized basis.
STEP = 1e-4
# Rows that pair levels never seen together are solved this many at a time.
BATCH = 64


class ConditionalFactor:
    """The factored system at θ (standardized), shared by what is asked of a fit later.

    It keeps the workspace of its factor: one object serves one thread.
    """

    def __init__(self, problem: Problem, theta: Floats) -> None:
        self.problem = problem
        self._objective = Objective(problem)
        self._objective.value(theta)
        self._factors = [t.covariance.factor(theta[t.parameters]) for t in problem.terms]

    def level_covariances(self, number: int, fixed: bool = False) -> Floats:
        """Cov(b − b̂ | β, θ, y)/σ² of each level of a term, (L, k, k), in the user's columns.

        ``fixed``: whether the uncertainty of β counts.
        """
        term = self.problem.terms[number]
        factor = self._objective.factor
        factor.invert(fixed)
        blocks = factor.level_covariances(self.problem.plan.position[term.grouping])
        root = np.linalg.solve(term.map, self._factors[number])
        covariances: Floats = root @ blocks[:, term.columns, term.columns] @ root.T
        return covariances

    def variances(
        self, X: Floats, values: Sequence[Floats], codes: Sequence[Integers], fixed: bool = True
    ) -> Floats:
        """Var(xβ̂ + zb̂ − xβ − zb | θ)/σ² of rows, (n,).

        Parameters
        ----------
        X
            (n, p) columns that the fit kept.
        values, codes
            Per term (n, k) covariates and (n,) levels, negative where the level is new: its
            random effect is left out.
        fixed
            Whether the uncertainty of β counts.
        """
        x = np.ascontiguousarray(np.linalg.solve(self.problem.basis.map.T, X.T).T)
        terms, plan = self.problem.terms, self.problem.plan
        z, vertices = level_rows(terms, plan, self._factors, values, codes)
        return row_variances(self._objective.factor, plan, vertices, z, x, fixed)


def level_rows(
    terms: Sequence[Term],
    plan: Plan,
    factors: Sequence[Floats],
    values: Sequence[Floats],
    codes: Sequence[Integers],
) -> tuple[Floats, Integers]:
    """Λ'z of rows, (n, Σk), and their vertices (n, F); ``factors`` T (k, k) of each term."""
    sizes = plan.factor_size
    n = len(codes[0]) if codes else 0
    z = np.zeros((n, int(sizes.sum())))
    vertices = np.full((n, len(sizes)), -1, dtype=np.int32)
    first = np.concatenate([[0], np.cumsum(sizes)])
    for term, T, own, levels in zip(terms, factors, values, codes, strict=True):
        start = first[term.grouping] + term.column
        scaled = np.linalg.solve(term.map.T, own.T).T @ T
        z[:, start : start + scaled.shape[1]] = scaled
        known = levels >= 0
        position = plan.position[term.grouping]
        vertices[known, term.grouping] = position[levels[known]]
    return z, vertices


def row_variances(
    factor: BlockFactor, plan: Plan, vertices: Integers, z: Floats, x: Floats, fixed: bool
) -> Floats:
    """Squared lengths of R⁻ᵀ(z, x), (n,); of z alone where not ``fixed``."""
    factor.invert(fixed)
    result: Floats = factor.variances(vertices, z, x)
    unpaired = np.flatnonzero(np.isnan(result))
    for start in range(0, len(unpaired), BATCH):
        rows = unpaired[start : start + BATCH]
        result[rows] = _solved(factor, plan, vertices[rows], z[rows], x[rows], fixed)
    return result


def _solved(
    factor: BlockFactor, plan: Plan, vertices: Integers, z: Floats, x: Floats, fixed: bool
) -> Floats:
    q, p = int(plan.offset[-1]), x.shape[1]
    rhs = np.zeros((q + p, len(z)))
    first = np.concatenate([[0], np.cumsum(plan.factor_size)])
    for row in range(len(z)):
        for f, vertex in enumerate(vertices[row]):
            if vertex >= 0:
                at = int(plan.offset[vertex])
                rhs[at : at + plan.factor_size[f], row] = z[row, first[f] : first[f + 1]]
    rhs[q:] = x.T
    factor.forward(rhs)
    squares: Floats = (rhs[: q + p * fixed] ** 2).sum(axis=0)
    return squares


def coefficient_slopes(problem: Problem, theta: Floats) -> list[tuple[Floats, list[Floats]]]:
    """∂β̂/∂θ and ∂b̂/∂θ, one pair a parameter, by central differences."""
    objective, slopes = Objective(problem), []
    for i in range(len(theta)):
        step = np.zeros(len(theta))
        step[i] = STEP
        up, down = (
            original_coefficients(problem, *objective.coefficients(theta + sign * step))
            for sign in (1.0, -1.0)
        )
        slopes.append(
            (
                (up[0] - down[0]) / (2 * STEP),
                [(a - b) / (2 * STEP) for a, b in zip(up[1], down[1], strict=True)],
            )
        )
    return slopes
