"""The factor at a generalized fit's optimum, and the uncertainties that it gives."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.cholesky import columns_of
from mixedeffects.fitting.conditional import level_rows, row_variances
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.general_solve import GeneralSolution
from mixedeffects.fitting.laplace import LaplaceObjective

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]

# Step of the differences by ψ, in standard errors.
STEP = 1e-3


class GeneralConditional:
    """The factored system at ψ̂, shared by what is asked of a fit later.

    It keeps the workspace of its factor: one object serves one thread.
    """

    def __init__(self, problem: GeneralProblem, solution: GeneralSolution) -> None:
        self.problem = problem
        self._solution = solution
        self._objective = LaplaceObjective(problem, solution.u)
        self._psi = solution.optimum.theta
        if solution.turned:
            self._psi, _ = self._objective.turned(self._psi)
        else:
            self._objective(self._psi)
        self._factors = self._objective.axes.factors(self._psi[: problem.n_parameters])

    def level_covariances(self, number: int) -> Floats:
        """Cov(b − b̂ | ψ, y) of each level of a term, (L, k, k), in the user's columns."""
        term = self.problem.terms[number]
        factor = self._objective.rows.factor
        factor.invert(False)
        blocks = factor.level_covariances(self.problem.plan.position[term.grouping])
        root = np.linalg.solve(term.map, self._factors[number])
        covariances: Floats = root @ blocks[:, term.columns, term.columns] @ root.T
        return covariances

    def variances(
        self, X: Floats, values: Sequence[Floats], codes: Sequence[Integers], fixed: bool = True
    ) -> Floats:
        """Var(xβ̂ + zb̂ − xβ − zb) of rows, (n,).

        Parameters
        ----------
        X
            (n, P) columns that the fit kept, of all predictors and extra parameters.
        values, codes
            Per term of all predictors (n, k) covariates and (n,) levels, negative where the
            level is new: its random effect is left out.
        fixed
            Whether the uncertainty of β and θ counts (first order).
        """
        terms, plan = self.problem.terms, self.problem.plan
        z, vertices = level_rows(terms, plan, self._factors, values, codes)
        none = np.empty((len(z), 0))
        result = row_variances(self._objective.rows.factor, plan, vertices, z, none, False)
        if fixed:
            J = self._jacobian(X, values, codes)
            result = result + np.einsum("ij,jk,ik->i", J, self._solution.covariance, J)
        return result

    def _jacobian(self, X: Floats, values: Sequence[Floats], codes: Sequence[Integers]) -> Floats:
        """∂(xβ̂ + zb̂)/∂ψ (n, m + P), where b̂ follows ψ."""
        m = self.problem.n_parameters
        J = np.zeros((len(X), len(self._psi)))
        for predictor in self.problem.predictors:
            own, mapping = predictor.coefficients, predictor.basis.map
            J[:, m:][:, own] = np.linalg.solve(mapping.T, X[:, own].T).T
        for slopes, own_values, own_codes in zip(self._slopes, values, codes, strict=True):
            known = own_codes >= 0
            moved = slopes[own_codes[known]]
            J[known] += np.einsum("ik,ikj->ij", own_values[known], moved)
        return J

    @cached_property
    def _slopes(self) -> list[Floats]:
        """∂b̂/∂ψ of each term, (L, k, m + P), by central differences."""
        sizes = np.sqrt(np.diagonal(self._solution.covariance))
        steps = STEP * np.where(sizes > 0.0, sizes, 1.0)
        columns = []
        for i, step in enumerate(steps):
            up, down = self._psi.copy(), self._psi.copy()
            up[i] += step
            down[i] -= step
            (_, above), (_, below) = self._objective.modes(up), self._objective.modes(down)
            columns.append((above - below) / (2.0 * step))
        b = (
            np.stack(columns, axis=-1)
            if columns
            else np.empty((int(self.problem.plan.offset[-1]), 0))
        )
        return [
            cast(
                Floats,
                np.linalg.solve(t.map, b[columns_of(self.problem.plan, t.grouping)[:, t.columns]]),
            )
            for t in self.problem.terms
        ]
