"""The likelihood of a generalized model without random effects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.general_start import likelihood
from mixedeffects.fitting.laplace import LaplaceObjective
from mixedeffects.fitting.optimize import Evaluation, unknown_evaluation
from mixedeffects.fitting.quadrature import objective_of

Floats = NDArray[np.float64]


class PlainObjective:
    """−2 log-likelihood by β, with its exact Hessian; an objective without θ."""

    rotated = False

    def __init__(self, problem: GeneralProblem) -> None:
        self.problem = problem

    def __call__(self, psi: Floats) -> Evaluation:
        """Value, gradient and Hessian."""
        here = likelihood(self.problem, psi)
        return here if np.isfinite(here.value) else unknown_evaluation(np.inf, len(psi))

    def refine(self, psi: Floats) -> Evaluation:
        """The same: nothing is found by iteration."""
        return self(psi)

    def gradient(self, psi: Floats) -> Floats:
        """The gradient alone."""
        return self(psi).gradient

    def rotate(self, psi: Floats) -> None:
        """There are no axes to turn."""

    def upright(self, psi: Floats) -> tuple[Floats, Evaluation]:
        """The same point."""
        return psi, self(psi)

    turned = upright

    def principal(self, psi: Floats) -> Evaluation:
        """The same point."""
        return self(psi)

    def by_covariance(self, psi: Floats) -> list[Floats]:
        """Of no terms."""
        return []

    def modes(self, psi: Floats) -> tuple[Floats, Floats]:
        """Of no random effects."""
        return np.empty(0), np.empty(0)


GeneralObjective = LaplaceObjective | PlainObjective


def general_objective(problem: GeneralProblem, u: Floats | None = None) -> GeneralObjective:
    """A problem's objective, whether or not it has random effects."""
    return objective_of(problem, u) if problem.terms else PlainObjective(problem)
