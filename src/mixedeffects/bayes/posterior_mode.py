"""The mode of a posterior with its random effects integrated out by Laplace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.joint import Target
from mixedeffects.errors import ModelError
from mixedeffects.fitting.general_start import likelihood, start_of_fixed
from mixedeffects.fitting.laplace import LaplaceObjective
from mixedeffects.fitting.optimize import Evaluation, minimize, unknown_evaluation

Floats = NDArray[np.float64]

# Standard deviations of the random effects, in the problem's basis, where searches begin.
STARTS = (0.5, 0.1, 0.01)
# Step of differences of what is smooth and cheap.
FINE_STEP = 1e-5
TOLERANCE = 1e-3
EVALUATIONS = 200


class MarginalPosterior:
    """−2 log p(ψ | y), the random effects integrated out by Laplace, with its exact gradient.

    The Hessian is approximate, as that of `LaplaceObjective`.
    """

    def __init__(self, target: Target, objective: LaplaceObjective | None = None) -> None:
        self.target = target
        self.objective = objective or LaplaceObjective(target.problem)

    def __call__(self, psi: Floats) -> Evaluation:
        theta, carry = self.theta(psi)
        found = self.objective(theta)
        if not np.isfinite(found.value):
            return unknown_evaluation(np.inf, len(psi))
        value, gradient = self.target.prior(psi)
        information = carry.T @ found.information @ carry - 2.0 * self._prior_curvature(psi)
        slope = carry.T @ found.gradient - 2.0 * gradient
        return Evaluation(found.value - 2.0 * value, slope, information, information)

    def value(self, psi: Floats) -> float:
        """The value alone; infinite where there is none."""
        found = self.objective(self.theta(psi)[0]).value
        return found - 2.0 * self.target.prior(psi)[0]

    def gradient(self, psi: Floats) -> Floats:
        """The exact gradient alone."""
        theta, carry = self.theta(psi)
        return carry.T @ self.objective.gradient(theta) - 2.0 * self.target.prior(psi)[1]

    def refine(self, psi: Floats) -> None:
        """Evaluate at ψ, with modes from now on found as finely as differences need."""
        self.objective.refine(self.theta(psi)[0])

    def theta(self, psi: Floats) -> tuple[Floats, Floats]:
        """The objective's parameters at ψ, and their derivatives by it."""
        target, m = self.target, self.target.problem.n_parameters
        p = target.problem.n_fixed
        theta, carry = np.empty(m + p), np.zeros((m + p, len(psi)))
        theta[m:] = psi[:p]
        carry[m:, :p] = np.eye(p)
        for number, (term, place) in enumerate(
            zip(target.problem.terms, target.places, strict=True)
        ):
            parameters = partial(_parameters, target, number)
            theta[term.parameters] = parameters(psi[place])
            carry[term.parameters, place] = differences(parameters, psi[place], FINE_STEP)
        return theta, carry

    def _prior_curvature(self, psi: Floats) -> Floats:
        return differences(lambda at: self.target.prior(at)[1], psi, FINE_STEP)

    def modes(self, psi: Floats) -> Floats:
        """u (q,), the random effects' mode at ψ."""
        return self.objective.modes(self.theta(psi)[0])[0]


def _parameters(target: Target, number: int, x: Floats) -> Floats:
    """θ of a term at its coordinates x."""
    return target.problem.terms[number].covariance.parameters(target.root(number, x)[0])


def differences(function: Callable[[Floats], Floats], x: Floats, step: float) -> Floats:
    """The Jacobian by central differences."""
    columns = []
    for i in range(len(x)):
        move = np.zeros(len(x))
        move[i] = step
        columns.append((function(x + move) - function(x - move)) / (2.0 * step))
    return np.array(columns).T if columns else np.empty((len(function(x)), 0))


def start_of(target: Target, deviation: float) -> Floats:
    """ψ at which the search for the mode begins, the effects' standard deviation as given."""
    problem = target.problem
    psi = np.zeros(target.dimension)
    psi[: problem.n_fixed] = penalized_start(target)
    for coordinates, term, place in zip(
        target.coordinates, problem.terms, target.places, strict=True
    ):
        psi[place] = coordinates.of_root(deviation * cast(Floats, np.linalg.inv(term.map)))
    return psi


def penalized_start(target: Target) -> Floats:
    """The coefficients (p,) of largest posterior density without random effects."""

    def evaluate(beta: Floats) -> Evaluation:
        found = likelihood(target.problem, beta)
        value, gradient = target.log_prior(beta)
        curvature = differences(lambda at: target.log_prior(at)[1], beta, FINE_STEP)
        hessian = found.hessian - 2.0 * curvature
        return Evaluation(
            found.value - 2.0 * value, found.gradient - 2.0 * gradient, hessian, hessian
        )

    start = start_of_fixed(target.problem)
    return minimize(evaluate, start, tolerance=0.1, max_evaluations=50).theta


def found_mode(marginal: MarginalPosterior, starts: Sequence[Floats]) -> Floats:
    """ψ of largest density, the random effects integrated out by Laplace.

    The marginal's factor is of there afterwards.

    Raises
    ------
    ModelError
        If there is none.
    """
    for start in starts:
        optimum = minimize(marginal, start, tolerance=TOLERANCE, max_evaluations=EVALUATIONS)
        if np.isfinite(optimum.value):
            marginal.refine(optimum.theta)
            return optimum.theta
    raise ModelError(
        "No mode of the posterior was found: the likelihood could not be computed where the "
        "search began. Simplify the model, or give priors that keep its means in the family's "
        "range."
    )
