"""From a problem to its certified optimum: minimize, leave saddles, settle at zeros."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance.base import AbstractCovariance, lower_root
from mixedeffects.fitting.checks import BOUNDARY, GRADIENT
from mixedeffects.fitting.lmm import Objective
from mixedeffects.fitting.optimize import Evaluation, Optimum, minimize
from mixedeffects.fitting.problem import Problem, Term

Floats = NDArray[np.float64]

# A standard deviation below this share of σ (columns of unit size) counts as zero.
SINGULAR = 1e-4
# With more parameters than this, a singular optimum may be one of several: a second start
# from large variances finds the others.
SIMPLE = 6
WIDE = 3.0
# How far beside a saddle to start again: a standard deviation in units of σ.
ESCAPE = 0.3
# Parameters of a correlation, over its whole range, that are tried beside a zero deviation.
ANGLES = np.linspace(-np.pi, np.pi, 33)


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
    bounds = [t.covariance.lower for t in objective.problem.terms]
    bounded = any(np.isfinite(b).any() for b in bounds)
    optimum = minimize(
        objective,
        start,
        lower=np.concatenate(bounds) if bounded else None,
        recenter=objective.rotate,
        on_step=on_step,
    )
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

    Without what a bound holds, and without what changes nothing there: the correlations of
    terms whose standard deviations are all zero, or those behind another that is ±1.
    """
    evaluation = objective.principal(theta)
    used = np.ones(len(theta), dtype=bool)
    for term in objective.problem.terms:
        if term.covariance.closure != "affine":
            moved = np.linalg.norm(term.covariance.jacobian(theta[term.parameters]), axis=(1, 2))
            held = _held(term, theta, evaluation.gradient)
            used[term.parameters] = ~held & (moved > SINGULAR)
    inner = np.ix_(used, used)
    return Evaluation(
        evaluation.value,
        evaluation.gradient[used],
        evaluation.hessian[inner],
        evaluation.information[inner],
    )


def _held(term: Term, theta: Floats, gradient: Floats) -> NDArray[np.bool_]:
    """Which of a term's parameters (m,) are at a bound that the likelihood pushes against."""
    at_bound = theta[term.parameters] <= term.covariance.lower
    held: NDArray[np.bool_] = at_bound & (gradient[term.parameters] > GRADIENT)
    return held


def zero_variances(objective: Objective, theta: Floats) -> tuple[ZeroVariance, ...]:
    """The directions in which a term's covariance is singular, with the derivative there.

    A free term's are the eigenvectors of the derivative on the null space; another term's
    are its zero standard deviations (a correlation of ±1 shows in the curvature by θ), with
    the derivative by the deviation itself where a bound holds it.  A common deviation of
    zero leaves the correlation free: the derivative is that with the most likely one.
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
                found += [
                    ZeroVariance(number, a, float(s)) for a, s in zip(axes.T, slopes, strict=True)
                ]
            continue
        for i in np.flatnonzero(np.abs(own[: term.covariance.n_deviations]) < SINGULAR):
            G = objective.by_covariance(theta)[number]
            root = term.covariance.jacobian(_likeliest(term.covariance, own, G))[i]
            slope = np.sum(G * (root @ root.T))
            gradient = objective.upright(theta)[1].gradient
            if _held(term, theta, gradient)[i]:
                slope = gradient[term.parameters][i]
            found.append(ZeroVariance(number, np.linalg.norm(root, axis=1), float(slope)))
    return tuple(found)


def _likeliest(covariance: AbstractCovariance, theta: Floats, G: Floats) -> Floats:
    """θ (m,) whose common deviation is zero, with the correlation along which G falls most."""
    if covariance.n_deviations != 1 or covariance.n_parameters != 2:
        return theta
    slopes = []
    for angle in ANGLES:
        root = covariance.factor(np.array([1.0, angle]))
        slopes.append(np.sum(G * (root @ root.T)))
    return np.array([theta[0], ANGLES[int(np.argmin(slopes))]])


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
                G = objective.by_covariance(optimum.theta)[zero.term]
                own = _likeliest(term.covariance, own, G)
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
