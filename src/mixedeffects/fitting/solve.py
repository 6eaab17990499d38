"""From a problem to its certified optimum: minimize, leave saddles, settle at zeros."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance.base import lower_root
from mixedeffects.fitting.checks import BOUNDARY
from mixedeffects.fitting.lmm import Objective, Problem
from mixedeffects.fitting.optimize import Optimum, minimize

Floats = NDArray[np.float64]

# A standard deviation below this share of σ (columns of unit size) counts as zero.
SINGULAR = 1e-4
# With more parameters than this, a singular optimum may be one of several: a second start
# from large variances finds the others.
SIMPLE = 6
WIDE = 3.0
# How far beside a saddle to start again: a standard deviation in units of σ.
ESCAPE = 0.3


@dataclass(frozen=True, slots=True)
class Solution:
    """A problem's optimum in the standardized basis.

    ``beta`` (p,) and ``b`` (q,), the coefficients there, in units of the scaled response;
    ``sigma`` in those units; ``fixed_root`` (p, p) upper, the Cholesky factor of X'V⁻¹X;
    ``exact``, whether the optimum's Hessian is; ``zeros``, the variances at their boundary.
    """

    optimum: Optimum
    beta: Floats
    b: Floats
    sigma: float
    fixed_root: Floats
    exact: bool
    zeros: tuple[ZeroVariance, ...]


@dataclass(frozen=True, slots=True)
class ZeroVariance:
    """A direction of a term without variance.

    ``term`` its number; ``direction`` (k,) in the standardized columns; ``slope``, the
    derivative of the objective by the variance along it.
    """

    term: int
    direction: Floats
    slope: float


def solve(
    problem: Problem,
    start: Floats | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> Solution:
    """Fit: minimize the objective from ``start`` (standardized θ)."""
    objective = Objective(problem)
    optimum = _minimize(objective, objective.start() if start is None else start, on_step)
    for _ in range(3):
        escape = _escape(objective, optimum)
        if escape is None:
            break
        optimum = _better(optimum, _minimize(objective, escape, on_step))
    if problem.n_parameters > SIMPLE and zero_variances(objective, optimum.theta):
        wide = np.concatenate([WIDE * t.covariance.start() for t in problem.terms])
        optimum = _better(optimum, _minimize(objective, wide, on_step))
    optimum = _settle(objective, optimum)
    return solution_at(objective, optimum)


def _better(one: Optimum, other: Optimum) -> Optimum:
    best = other if other.value < one.value - 1e-9 else one
    return replace(best, evaluations=one.evaluations + other.evaluations)


def _minimize(
    objective: Objective, start: Floats, on_step: Callable[[int, float], None] | None
) -> Optimum:
    optimum = minimize(objective, start, recenter=objective.rotate, on_step=on_step)
    theta, here = objective.upright(optimum.theta)
    return replace(optimum, theta=theta, gradient=here.gradient, hessian=here.hessian)


def solution_at(objective: Objective, optimum: Optimum) -> Solution:
    """The conditional estimates at an optimum, and what certifies it."""
    theta = optimum.theta
    beta, b = objective.coefficients(theta)
    return Solution(
        optimum=optimum,
        beta=beta,
        b=b,
        sigma=float(np.sqrt(objective.variance(theta))),
        fixed_root=objective.fixed_root(theta),
        exact=objective.exact,
        zeros=zero_variances(objective, theta),
    )


def zero_variances(objective: Objective, theta: Floats) -> tuple[ZeroVariance, ...]:
    """The directions in which a term's covariance is singular, with the derivative there."""
    found = []
    for number, term in enumerate(objective.problem.terms):
        T = term.covariance.factor(theta[term.parameters])
        vectors, values, _ = np.linalg.svd(T)
        null = vectors[:, values < SINGULAR]
        if null.shape[1]:
            slope = null.T @ objective.by_covariance(theta)[number] @ null
            slopes, along = np.linalg.eigh(slope)
            found += [
                ZeroVariance(number, null @ along[:, i], float(slopes[i]))
                for i in range(len(slopes))
            ]
    return tuple(found)


def _escape(objective: Objective, optimum: Optimum) -> Floats | None:
    """A start beside a zero variance with which the likelihood grows, or None."""
    problem, theta, found = objective.problem, optimum.theta.copy(), False
    for zero in zero_variances(objective, optimum.theta):
        if zero.slope < BOUNDARY * problem.n_rows:
            term = problem.terms[zero.term]
            T = term.covariance.factor(theta[term.parameters])
            root = lower_root(np.hstack([T, ESCAPE * zero.direction[:, None]]))
            theta[term.parameters] = term.covariance.parameters(root)
            found = True
    return theta if found else None


def _settle(objective: Objective, optimum: Optimum) -> Optimum:
    """Set to zero the small principal deviations that the likelihood lets go."""
    theta = optimum.theta.copy()
    for term in objective.problem.terms:
        if term.covariance.second(theta[term.parameters]) is not None:
            continue  # an entry of T is not a parameter of its own
        T = term.covariance.factor(theta[term.parameters])
        axes, sizes, others = np.linalg.svd(T)
        if np.any(sizes < 10 * SINGULAR) and np.any(sizes[sizes < 10 * SINGULAR] > 0):
            T = (axes * np.where(sizes < 10 * SINGULAR, 0.0, sizes)) @ others
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
