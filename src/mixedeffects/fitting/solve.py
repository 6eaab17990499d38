"""From a problem to its certified optimum: minimize, leave saddles, settle at zeros."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance.base import lower_root
from mixedeffects.fitting.checks import BOUNDARY, difference_hessian
from mixedeffects.fitting.lmm import Objective, Problem
from mixedeffects.fitting.optimize import Optimum, minimize

Floats = NDArray[np.float64]

# A standard deviation below this share of σ (columns of unit size) counts as zero.
SINGULAR = 1e-4
# Differences of the gradient make the certificate's Hessian where they cost less than about
# a tenth of a second.
AFFORDABLE = 5e7
# How far beside a saddle to start again: a standard deviation in units of σ.
ESCAPE = 0.3


@dataclass(frozen=True, slots=True)
class Solution:
    """A problem's optimum in the standardized basis.

    ``u`` (q,) and ``beta`` (p,) at the optimum, in the factor's order and in units of the
    scaled response; ``sigma`` in those units; ``fixed_root`` (p, p) upper, the Cholesky
    factor of X'V⁻¹X; ``hessian`` (m, m), exact when ``exact``; ``zeros``, the variances at
    their boundary.
    """

    optimum: Optimum
    u: Floats
    beta: Floats
    sigma: float
    fixed_root: Floats
    hessian: Floats
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
    *,
    thorough: bool = True,
    on_step: Callable[[int, float], None] | None = None,
) -> Solution:
    """Fit: minimize the objective from ``start`` (standardized θ).

    ``thorough`` takes the certificate's Hessian from differences where they are cheap.
    """
    objective = Objective(problem)
    optimum = minimize(objective, objective.start() if start is None else start, on_step=on_step)
    for _ in range(3):
        escape = _escape(objective, optimum)
        if escape is None:
            break
        again = minimize(objective, escape, on_step=on_step)
        if again.value > optimum.value:
            break
        optimum = replace(again, evaluations=optimum.evaluations + again.evaluations)
    optimum = _settle(objective, optimum)
    return solution_at(objective, optimum, thorough)


def solution_at(objective: Objective, optimum: Optimum, thorough: bool = True) -> Solution:
    """The conditional estimates at an optimum, and what certifies it."""
    problem = objective.problem
    zeros = zero_variances(objective, optimum.theta)
    hessian, exact = optimum.hessian, False
    if thorough and problem.plan.operations * 4 * problem.n_parameters < AFFORDABLE:
        hessian, exact = difference_hessian(objective, optimum.theta), True
    objective.value(optimum.theta)
    factor = objective.factor
    factor.solve()
    p, n = problem.plan.n_fixed, factor.dense.shape[0]
    block = slice(n - 1 - p, n - 1)
    return Solution(
        optimum=optimum,
        u=factor.u.copy(),
        beta=factor.beta.copy(),
        sigma=float(np.sqrt(factor.rss / problem.dof)),
        fixed_root=np.triu(factor.dense[block, block]),
        hessian=hessian,
        exact=exact,
        zeros=zeros,
    )


def zero_variances(objective: Objective, theta: Floats) -> tuple[ZeroVariance, ...]:
    """The directions in which a term's covariance is singular, with the derivative there."""
    found = []
    for number, term in enumerate(objective.problem.terms):
        T = term.covariance.factor(theta[term.parameters])
        vectors, values, _ = np.linalg.svd(T)
        null = vectors[:, values < SINGULAR]
        if null.shape[1]:
            slope = null.T @ objective.slopes_by_variance(theta)[number] @ null
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
    """Set to zero the small diagonal entries of the factors that the likelihood lets go."""
    theta = optimum.theta.copy()
    for term in objective.problem.terms:
        if term.covariance.second(theta[term.parameters]) is not None:
            continue  # an entry of T is not a parameter of its own
        T = term.covariance.factor(theta[term.parameters])
        small = np.abs(np.diagonal(T)) < 10 * SINGULAR
        if not np.any(small):
            continue
        T = T.copy()
        T[np.diag_indices(len(T))] = np.where(small, 0.0, np.diagonal(T))
        theta[term.parameters] = term.covariance.parameters(T)
    if np.array_equal(theta, optimum.theta):
        return optimum
    there = objective(theta)
    if there.value > optimum.value + 1e-9 * (1.0 + abs(optimum.value) * 1e-3):
        return optimum
    return replace(
        optimum,
        theta=theta,
        value=there.value,
        gradient=there.gradient,
        hessian=there.hessian,
        evaluations=optimum.evaluations + 1,
    )
