"""From a problem to its certified optimum: minimize, leave saddles, settle at zeros."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance.base import lower_root
from mixedeffects.fitting.checks import BOUNDARY
from mixedeffects.fitting.lmm import Objective, Problem
from mixedeffects.fitting.optimize import Evaluation, Optimum, minimize

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
    if problem.n_parameters > SIMPLE and is_singular(objective, optimum.theta):
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
        singular=is_singular(objective, theta),
        principal=_principal(objective, theta),
    )


def _principal(objective: Objective, theta: Floats) -> Evaluation:
    """The optimum seen along the principal axes, where no free term's parameter is redundant.

    Without the correlations of terms whose standard deviations are all zero.
    """
    evaluation = objective.principal(theta)
    used = np.ones(len(theta), dtype=bool)
    for term in objective.problem.terms:
        count = term.covariance.n_deviations
        own = used[term.parameters]
        if count and np.all(np.abs(theta[term.parameters][:count]) < SINGULAR):
            own[count:] = False
    inner = np.ix_(used, used)
    return Evaluation(
        evaluation.value,
        evaluation.gradient[used],
        evaluation.hessian[inner],
        evaluation.information[inner],
    )


def zero_variances(objective: Objective, theta: Floats) -> tuple[ZeroVariance, ...]:
    """The directions in which a term's covariance is singular, with the derivative there.

    A free term's are the eigenvectors of the derivative on the null space; another term's
    are its zero standard deviations (a correlation of ±1 shows in the curvature by θ).
    """
    found: list[ZeroVariance] = []
    for number, term in enumerate(objective.problem.terms):
        own = theta[term.parameters]
        if term.covariance.closure == "affine":
            vectors, values, _ = np.linalg.svd(term.covariance.factor(own))
            null = vectors[:, values < SINGULAR]
            if null.shape[1]:
                slope = null.T @ objective.by_covariance(theta)[number] @ null
                slopes, along = np.linalg.eigh(slope)
                axes = null @ along
                found += [ZeroVariance(number, a, float(s)) for a, s in zip(axes.T, slopes, strict=True)]
            continue
        for i in np.flatnonzero(np.abs(own[: term.covariance.n_deviations]) < SINGULAR):
            root = term.covariance.jacobian(own)[i]
            slope = np.sum(objective.by_covariance(theta)[number] * (root @ root.T))
            found.append(ZeroVariance(number, np.linalg.norm(root, axis=1), float(slope)))
    return tuple(found)


def is_singular(objective: Objective, theta: Floats) -> bool:
    """Whether some term's covariance has less than full rank."""
    return any(
        np.linalg.svd(t.covariance.factor(theta[t.parameters]), compute_uv=False).min() < SINGULAR
        for t in objective.problem.terms
    )


def _escape(objective: Objective, optimum: Optimum) -> Floats | None:
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
                deviations = own[: term.covariance.n_deviations]
                deviations[np.abs(deviations) < SINGULAR] = ESCAPE
                theta[term.parameters] = own
            found = True
    return theta if found else None


def _settle(objective: Objective, optimum: Optimum) -> Optimum:
    """Set to zero the small principal deviations that the likelihood lets go."""
    theta = optimum.theta.copy()
    for term in objective.problem.terms:
        if term.covariance.closure != "affine":
            deviations = theta[term.parameters][: term.covariance.n_deviations]
            deviations[np.abs(deviations) < 10 * SINGULAR] = 0.0
            continue
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
