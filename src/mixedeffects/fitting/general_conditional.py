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

    def term_factor(self, number: int) -> tuple[Floats, Floats]:
        """T (k, k) of a term and ∂T/∂θ (m, k, k), θ along the axes of the covariance of ψ̂."""
        term = self.problem.terms[number]
        jacobian = term.covariance.jacobian(self._psi[term.parameters])
        moved: Floats = self._objective.axes.rotation(number) @ jacobian
        return self._factors[number], moved

    def level_covariances(self, number: int) -> Floats:
        """Cov(b − b̂ | ψ, y) of each level of a term, (L, k, k), in the user's columns."""
        term = self.problem.terms[number]
        factor = self._objective.rows.factor
        factor.invert(False)
        blocks = factor.level_covariances(self.problem.plan.position[term.grouping])
        root = np.linalg.solve(term.map, self._factors[number])
        covariances: Floats = root @ blocks[:, term.columns, term.columns] @ root.T
        return covariances

    def covariances(self, X: Floats, values: Sequence[Floats], codes: Sequence[Integers]) -> Floats:
        """Cov(η̂ − η) of the predictors of rows, (n, A, A), with all that ψ̂ is uncertain about.

        To first order in ψ: given ψ, the modes vary about b̂ by the factor's inverse, and b̂
        follows ψ.

        Parameters
        ----------
        X
            (n, P) columns that the fit kept, of all predictors and extra parameters.
        values, codes
            Per term of all predictors (n, k) covariates and (n,) levels, negative where the
            level is new: its random effect is left out.
        """
        J = self._jacobian(X, values, codes)
        result: Floats = J @ self._solution.covariance @ J.transpose(0, 2, 1)
        owners = [self.problem.predictor[t.grouping] for t in self.problem.terms]
        curved = self.problem.curved
        single = {a: self._given(values, codes, [o == a for o in owners]) for a in curved}
        for i, a in enumerate(curved):
            result[:, a, a] += single[a]
            for b in curved[i + 1 :]:
                # by polarization, 2 cov(a, b) = var(a + b) − var(a) − var(b)
                both = self._given(values, codes, [o in (a, b) for o in owners])
                shared = 0.5 * (both - single[a] - single[b])
                result[:, a, b] += shared
                result[:, b, a] += shared
        return result

    def _given(
        self, values: Sequence[Floats], codes: Sequence[Integers], used: Sequence[bool]
    ) -> Floats:
        """Var(zb | ψ, y) of rows over the terms that are used, (n,)."""
        plan = self.problem.plan
        own = [v * u for v, u in zip(values, used, strict=True)]
        z, vertices = level_rows(self.problem.terms, plan, self._factors, own, codes)
        factor, none = self._objective.rows.factor, np.empty((len(z), 0))
        return row_variances(factor, plan, vertices, z, none, False)

    def _jacobian(self, X: Floats, values: Sequence[Floats], codes: Sequence[Integers]) -> Floats:
        """∂η̂/∂ψ of the predictors (n, A, m + P), where b̂ follows ψ."""
        problem, m = self.problem, self.problem.n_parameters
        J = np.zeros((len(X), len(problem.predictors), len(self._psi)))
        for a, predictor in enumerate(problem.predictors):
            own, mapping = predictor.coefficients, predictor.basis.map
            J[:, a, m:][:, own] = np.linalg.solve(mapping.T, X[:, own].T).T
        if not any((c >= 0).any() for c in codes):
            return J
        for term, slopes, z, levels in zip(problem.terms, self._slopes, values, codes, strict=True):
            known = np.flatnonzero(levels >= 0)
            moved = np.einsum("ik,ikj->ij", z[known], slopes[levels[known]])
            J[known, problem.predictor[term.grouping]] += moved
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
        self._objective(self._psi)  # the factor goes back to where it was
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
