"""How uncertain the variance parameters are, and what that does to the covariance of β̂."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.lmm import Objective
from mixedeffects.fitting.problem import Problem

Floats = NDArray[np.float64]

# Step of the central differences by θ, which is of order one in the standardized basis: its
# square times a third derivative is what they err by.
STEP = 1e-4
# Curvature below this share of the largest is none: the direction is void, or at a bound.
FLAT = 1e-8


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Curvature of the likelihood at the optimum, in standardized θ with σ profiled out.

    With D the total derivative of a function of (θ, σ̂(θ)) and E its derivative by log σ², the
    function's variance is D'·theta_covariance·D + (2/dof)·E²: given the profile, log σ̂² is
    independent of θ̂.

    Attributes
    ----------
    theta_covariance : ndarray, shape (m, m)
        Twice the inverse of the objective's Hessian, over the directions with curvature.
    slopes : ndarray, shape (m, p, p)
        Derivative by θ of Cov(β̂) = σ̂²(θ)(X'V⁻¹X)⁻¹ in the user's units of the response, for
        the columns of the problem's basis.
    log_variance_slopes : ndarray, shape (m,)
        Derivative by θ of log σ̂²(θ).
    dof : int
        ν: n for maximum likelihood, n − p for REML.
    """

    theta_covariance: Floats
    slopes: Floats
    log_variance_slopes: Floats
    dof: int


def uncertainty(fit: Fit) -> Uncertainty:
    """Differentiate gradient, residual variance and Cov(β̂) at the optimum of a fit.

    One pair of evaluations a parameter, whatever the number of random effects.
    """
    return uncertainty_at(fit.problem, fit.solution.optimum.theta)


def uncertainty_at(problem: Problem, theta: Floats) -> Uncertainty:
    """The same at the optimum θ (m,), standardized, of a problem."""
    m, p = problem.n_parameters, problem.plan.n_fixed
    hessian, slopes, variance_slopes = np.zeros((m, m)), np.zeros((m, p, p)), np.zeros(m)
    objective = Objective(problem, exact=False)
    lower = np.concatenate([t.covariance.lower for t in problem.terms]) if m else np.empty(0)
    free = theta - STEP > lower
    for k in np.flatnonzero(free):
        step = np.zeros(m)
        step[k] = STEP
        above = _point(objective, theta + step)
        below = _point(objective, theta - step)
        hessian[k] = (above[0] - below[0]) / (2.0 * STEP)
        slopes[k] = (above[1] - below[1]) / (2.0 * STEP)
        variance_slopes[k] = (above[2] - below[2]) / (2.0 * STEP)
    hessian[:, ~free] = 0.0
    return Uncertainty(_inverse(0.5 * (hessian + hessian.T)), slopes, variance_slopes, problem.dof)


def _point(objective: Objective, theta: Floats) -> tuple[Floats, Floats, float]:
    """Gradient, Cov(β̂) and log σ̂² at θ."""
    problem, gradient = objective.problem, objective(theta).gradient
    variance = objective.variance(theta)
    root = np.linalg.solve(objective.fixed_root(theta), np.eye(problem.plan.n_fixed))
    covariance = variance * problem.scale**2 * (root @ root.T)
    return gradient, covariance, float(np.log(variance))


def _inverse(hessian: Floats) -> Floats:
    """Twice the inverse, over the directions with curvature."""
    values, vectors = np.linalg.eigh(hessian)
    kept = values > FLAT * np.abs(values).max(initial=0.0)
    inverse: Floats = 2.0 * (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    return inverse
