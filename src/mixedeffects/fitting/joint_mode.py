"""Coefficients with the random effects: what lme4 calls nAGQ = 0.

At each θ, β and u together maximize the penalized likelihood, and θ minimizes the Laplace
approximation F(θ) = L(θ, β̂(θ)) there (Bates, Mächler, Bolker and Walker, lme4's "Computational
methods").  β̂ is not the maximum of L: F is no likelihood, and lies above the minimum of L.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError
from mixedeffects.families.base import Derivatives
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.laplace import Integral, LaplaceObjective
from mixedeffects.fitting.mode import Mode, Rows
from mixedeffects.fitting.optimize import Evaluation, unknown_evaluation

Floats = NDArray[np.float64]

# Newton steps of β, and the length of the last one in standard errors: F is not stationary in β,
# so that its error is of the first order.
STEPS, CLOSE = 30, 1e-8
NO_LIKELIHOOD = (
    "quadrature=0 estimates the coefficients along with the modes, not by maximum likelihood: "
    "there is no likelihood for profiles, refits and ratios to follow. Fit with quadrature=1."
)


def check_likelihood(problem: GeneralProblem) -> None:
    """Refuse estimates that are of no likelihood.

    Raises
    ------
    ModelError
    """
    if problem.quadrature == 0:
        raise ModelError(NO_LIKELIHOOD)


def check_joint(problem: GeneralProblem) -> None:
    """Refuse other parameters than coefficients of the mean, which modes would bias.

    Raises
    ------
    ModelError
    """
    if len(problem.predictors) > 1:
        others = ", ".join(repr(p.name) for p in problem.predictors[1:])
        raise ModelError(
            "quadrature=0 estimates coefficients as modes, which is for models of a mean alone, "
            f"families 'binomial' and 'poisson'; this one has {others} besides: leave quadrature "
            "out."
        )


class JointObjective(LaplaceObjective):
    """F by θ (m,), with its exact gradient.

    dF/dθ = ∂L/∂θ + ∂L/∂β·dβ̂/dθ, and dβ̂/dθ = −P_ββ⁻¹P_βθ for the penalized deviance P profiled
    over u: with ``along`` w = −P_ββ⁻¹∂L/∂β, the second term is w'P_βθ, the derivative of −2w'X'ℓ'.
    It goes through the modes just as the log-determinant does when 2WXw is added to its
    derivative by the predictor.

    Attributes
    ----------
    beta : ndarray, shape (p,)
        β̂ of the last θ.
    information : ndarray, shape (p, p)
        P_ββ there, twice the inverse of the covariance of β̂ at known θ.
    """

    def __init__(self, problem: GeneralProblem, beta: Floats) -> None:
        super().__init__(problem)
        self.beta = beta.copy()
        self.information = np.eye(problem.n_fixed)
        self._along: Floats | None = None
        self._slope = np.zeros(problem.n_fixed)

    def full(self, theta: Floats) -> Floats:
        """ψ = (θ, β̂), for θ where it was evaluated last."""
        return np.concatenate([theta[: self.problem.n_parameters], self.beta])

    def rotate(self, psi: Floats) -> tuple[Floats, Evaluation] | None:
        found = super().rotate(self.full(psi))
        return None if found is None else self._part(*found)

    def principal(self, psi: Floats) -> Evaluation:
        return self._reduced(super().principal(self.full(psi)))

    def turned(self, psi: Floats) -> tuple[Floats, Evaluation]:
        return self._part(*super().turned(self.full(psi)))

    def upright(self, psi: Floats) -> tuple[Floats, Evaluation]:
        return self._part(*super().upright(self.full(psi)))

    def by_covariance(self, psi: Floats) -> list[Floats]:
        return super().by_covariance(self.full(psi))

    def _evaluate(self, psi: Floats, informed: bool) -> Evaluation:
        here = self._joint(psi[: self.problem.n_parameters])
        if here is None:
            return unknown_evaluation(np.inf, self.problem.n_parameters)
        self._along = self._newton(here.gradient[-len(self.beta) :])
        total = super()._evaluate(self.full(psi), True)
        self._along = None
        return self._reduced(total)

    def _joint(self, theta: Floats) -> Evaluation | None:
        """L at β̂(θ), by Newton; None where it is not found."""
        step, length = np.zeros_like(self.beta), np.inf
        for _ in range(STEPS):
            here = super()._evaluate(self.full(theta), True)
            if not np.isfinite(here.value):
                step = 0.5 * step
                self.beta = self.beta - step
                if not step.any():
                    return None
                continue
            if length < CLOSE:
                return here
            self.information = here.hessian[-len(step) :, -len(step) :]
            step = self._newton(self._slope)
            length = float(np.sqrt(0.5 * np.abs(step @ self._slope)))
            self.beta = self.beta + step
        return None

    def _newton(self, slope: Floats) -> Floats:
        """-P_ββ⁻¹ times a slope (p,) by β."""
        return -cast(Floats, np.linalg.solve(self.information, slope))

    def _differentiate(
        self,
        integral: Integral,
        factors: list[Floats],
        roots: list[Floats],
        mode: Mode,
        weights: Mapping[tuple[int, int], Floats],
    ) -> None:
        self._weights = weights
        score = self._search.prior(mode.ell.first[0])
        self._slope = -2.0 * self.problem.predictors[0].basis.columns.T @ score
        super()._differentiate(integral, factors, roots, mode, weights)

    def _by_weight(self, ell: Derivatives, leverages: Mapping[tuple[int, int], Floats]) -> Rows:
        rows = super()._by_weight(ell, leverages)
        if self._along is not None:
            columns = self.problem.predictors[0].basis.columns
            rows[0] = rows[0] + 2.0 * self._weights[0, 0] * (columns @ self._along)
        return rows

    def _part(self, psi: Floats, whole: Evaluation) -> tuple[Floats, Evaluation]:
        return psi[: self.problem.n_parameters], self._reduced(whole)

    def _reduced(self, whole: Evaluation) -> Evaluation:
        """By θ alone, β̂ following it."""
        m = self.problem.n_parameters
        mixed = whole.hessian[m:, :m]
        hessian = whole.hessian[:m, :m] - mixed.T @ np.linalg.solve(self.information, mixed)
        return Evaluation(whole.value, whole.gradient[:m], hessian, hessian)
