"""From a problem to its optimum: minimize, leave saddles, settle at zeros."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance.base import lower_root
from mixedeffects.errors import ModelError
from mixedeffects.fitting.boundary import (
    SINGULAR,
    ZeroVariance,
    least_deviation,
    likeliest,
    principal_evaluation,
    zero_variances,
)
from mixedeffects.fitting.checks import BOUNDARY
from mixedeffects.fitting.lmm import Objective
from mixedeffects.fitting.objective import AbstractObjective
from mixedeffects.fitting.optimize import Evaluation, Optimum, minimize
from mixedeffects.fitting.problem import Problem

Floats = NDArray[np.float64]
OnStep = Callable[[int, float], None]

# Deviations below this, in units of σ, are looked at: saddles, zeros, other optima.
SMALL = 10 * SINGULAR
# With more parameters than this, a singular optimum may be one of several: starts from large and
# from small variances find the others.
SIMPLE = 6
SIZES = (3.0, 0.3)
# No further start after this many evaluations.
PATIENCE = 28
# How far beside a saddle to start again: a standard deviation in units of σ.
ESCAPE = 0.3


@dataclass(frozen=True, slots=True)
class Solution:
    """A problem's optimum in the standardized basis.

    ``beta`` (p,) and ``b`` (q,), the coefficients there, in units of the scaled response;
    ``sigma`` in those units; ``fixed_root`` (p, p) upper, the Cholesky factor of X'V⁻¹X;
    ``exact``, whether the optimum's Hessian is; ``zeros``, the variances at their boundary;
    ``singular``, whether a variance is zero or a correlation ±1; ``principal``, gradient and
    Hessian along the principal axes of the covariances, for the parameters that are not
    void there.
    """

    optimum: Optimum
    beta: Floats
    b: Floats
    sigma: float
    fixed_root: Floats
    exact: bool
    zeros: tuple[ZeroVariance, ...]
    singular: bool
    principal: Evaluation


def solve(
    problem: Problem,
    start: Floats | None = None,
    *,
    exact: bool = True,
    on_step: OnStep | None = None,
) -> Solution:
    """Fit: minimize the objective from ``start`` (standardized θ), by default from moments.

    ``exact`` allows the exact Hessian where it is affordable.
    """
    objective = Objective(problem, exact)
    optimum = search(objective, objective.start() if start is None else start, on_step)
    return solution_at(objective, optimum)


def search(objective: AbstractObjective, start: Floats, on_step: OnStep | None = None) -> Optimum:
    """Minimize from ``start``: θ (m,), then whatever other parameters the objective has."""
    optimum = _minimize(objective, start, on_step)
    if least_deviation(objective.problem, optimum.theta) < SMALL:
        optimum = _at_boundary(objective, optimum, on_step)
    return optimum


def _minimize(
    objective: AbstractObjective, start: Floats, on_step: OnStep | None, known: float = np.inf
) -> Optimum:
    bounds = [t.covariance.lower for t in objective.problem.terms]
    bounded = any(np.isfinite(b).any() for b in bounds)
    others = len(start) - objective.problem.n_parameters
    optimum = minimize(
        objective,
        start,
        lower=np.concatenate([*bounds, np.full(others, -np.inf)]) if bounded else None,
        recenter=objective.rotate,
        known=known,
        on_step=on_step,
    )
    if not np.isfinite(optimum.value):
        raise ModelError(
            "The likelihood cannot be computed where the fit starts: covariates, weights or start "
            "are of very different sizes; bring them nearer to one."
        )
    if not objective.rotated:
        return optimum
    theta, here = objective.upright(optimum.theta)
    return replace(optimum, theta=theta, gradient=here.gradient, hessian=here.hessian)


def _at_boundary(objective: AbstractObjective, optimum: Optimum, on_step: OnStep | None) -> Optimum:
    """Away from saddles and worse optima, then onto the zeros that the likelihood prefers."""
    problem = objective.problem
    for _ in range(3):
        escape = _escape(objective, optimum)
        if escape is None:
            break
        optimum = _better(optimum, _minimize(objective, escape, on_step))
    singular = least_deviation(problem, optimum.theta) < SINGULAR
    if singular and problem.n_parameters > SIMPLE:
        for size in SIZES:
            if optimum.evaluations > PATIENCE:
                break
            starts = [size * t.covariance.start() for t in problem.terms]
            start = np.concatenate([*starts, optimum.theta[problem.n_parameters :]])
            other = _minimize(objective, start, on_step, known=optimum.value)
            optimum = _better(optimum, other)
    return _settle(objective, optimum)


def _better(one: Optimum, other: Optimum) -> Optimum:
    # One that was given up on may lie lower by rounding, but is no optimum.
    lower = other.status == "converged" and other.value < one.value - 1e-9
    best = other if lower else one
    return replace(best, evaluations=one.evaluations + other.evaluations)


def solution_at(objective: Objective, optimum: Optimum) -> Solution:
    """The conditional estimates at an optimum, and what certifies it."""
    theta = optimum.theta
    beta, b = objective.coefficients(theta)
    near = least_deviation(objective.problem, theta) < SMALL
    plain = Evaluation(optimum.value, optimum.gradient, optimum.hessian, optimum.hessian)
    return Solution(
        optimum=optimum,
        beta=beta,
        b=b,
        sigma=float(np.sqrt(objective.variance(theta))),
        fixed_root=objective.fixed_root(theta),
        exact=objective.exact,
        zeros=zero_variances(objective, theta) if near else (),
        singular=near and least_deviation(objective.problem, theta) < SINGULAR,
        principal=principal_evaluation(objective, theta) if near else plain,
    )


def _escape(objective: AbstractObjective, optimum: Optimum) -> Floats | None:
    """A start beside a zero variance with which the likelihood grows, or None."""
    problem, theta, found = objective.problem, optimum.theta.copy(), False
    for zero in zero_variances(objective, optimum.theta):
        if zero.slope < BOUNDARY * problem.n_rows:
            term = problem.terms[zero.term]
            own = theta[term.parameters]
            if term.covariance.closure == "affine":
                T = term.covariance.factor(own)
                root = lower_root(np.hstack([T, ESCAPE * zero.direction[:, None]]))
                theta[term.parameters] = term.covariance.parameters(root)
            else:
                G = objective.by_covariance(optimum.theta)[zero.term]
                own = likeliest(term.covariance, own, G)
                deviations = own[: term.covariance.n_deviations]
                deviations[np.abs(deviations) < SINGULAR] = ESCAPE
                theta[term.parameters] = own
            found = True
    return theta if found else None


def _settle(objective: AbstractObjective, optimum: Optimum) -> Optimum:
    """Set to zero the small principal deviations that the likelihood lets go."""
    theta = optimum.theta.copy()
    for term in objective.problem.terms:
        if term.covariance.closure != "affine":
            deviations = theta[term.parameters][: term.covariance.n_deviations]
            deviations[np.abs(deviations) < SMALL] = 0.0
            continue
        T = term.covariance.factor(theta[term.parameters])
        axes, sizes, others = np.linalg.svd(T)
        if np.any(sizes < SMALL) and np.any(sizes[sizes < SMALL] > 0):
            T = (axes * np.where(sizes < SMALL, 0.0, sizes)) @ others
            theta[term.parameters] = term.covariance.parameters(T)
    if np.array_equal(theta, optimum.theta):
        return optimum
    there = objective(theta)
    falls = any(
        zero.slope < BOUNDARY * objective.problem.n_rows
        for zero in zero_variances(objective, theta)
    )
    if falls or there.value > optimum.value + 1e-9 * (1.0 + abs(optimum.value) * 1e-3):
        return replace(optimum, evaluations=optimum.evaluations + 1)
    return replace(
        optimum,
        theta=theta,
        value=there.value,
        gradient=there.gradient,
        hessian=there.hessian,
        evaluations=optimum.evaluations + 1,
    )
