"""Covariances without full rank: where they are so, and whether the likelihood agrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance.base import AbstractCovariance
from mixedeffects.fitting.checks import GRADIENT
from mixedeffects.fitting.objective import AbstractObjective, AbstractProblem
from mixedeffects.fitting.optimize import Evaluation
from mixedeffects.fitting.problem import Term

Floats = NDArray[np.float64]

# A standard deviation below this share of σ (columns of unit size) counts as zero.
SINGULAR = 1e-4
# Parameters of a correlation, over its whole range, that are tried beside a zero deviation.
ANGLES = np.linspace(-np.pi, np.pi, 33)


@dataclass(frozen=True, slots=True)
class ZeroVariance:
    """A direction of a term without variance.

    ``term`` its number; ``direction`` (k,) in the standardized columns; ``slope``, the
    derivative of the objective by the variance along it.
    """

    term: int
    direction: Floats
    slope: float


def least_deviation(problem: AbstractProblem, theta: Floats) -> float:
    """The smallest standard deviation of any combination of a term's effects, in units of σ."""
    return min(
        (t.covariance.least_deviation(theta[t.parameters]) for t in problem.terms), default=np.inf
    )


def zero_variances(objective: AbstractObjective, theta: Floats) -> tuple[ZeroVariance, ...]:
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
            root = term.covariance.jacobian(likeliest(term.covariance, own, G))[i]
            slope = np.sum(G * (root @ root.T))
            gradient = objective.upright(theta)[1].gradient
            if _held(term, theta, gradient)[i]:
                slope = gradient[term.parameters][i]
            found.append(ZeroVariance(number, np.linalg.norm(root, axis=1), float(slope)))
    return tuple(found)


def likeliest(covariance: AbstractCovariance, theta: Floats, G: Floats) -> Floats:
    """θ (m,) whose common deviation is zero, with the correlation along which G falls most."""
    if covariance.n_deviations != 1 or covariance.n_parameters != 2:
        return theta
    slopes = []
    for angle in ANGLES:
        root = covariance.factor(np.array([1.0, angle]))
        slopes.append(np.sum(G * (root @ root.T)))
    return np.array([theta[0], ANGLES[int(np.argmin(slopes))]])


def principal_evaluation(objective: AbstractObjective, theta: Floats) -> Evaluation:
    """The optimum seen along the principal axes, where no free term's parameter is redundant.

    Without what a bound holds, and without what changes nothing there: the correlations of
    terms whose standard deviations are all zero, or those behind another that is ±1.
    """
    evaluation = objective.principal(theta)
    used = np.ones(len(theta), dtype=bool)
    used[: objective.problem.n_parameters] = varying(
        objective.problem.terms, theta, evaluation.gradient
    )
    inner = np.ix_(used, used)
    return Evaluation(
        evaluation.value,
        evaluation.gradient[used],
        evaluation.hessian[inner],
        evaluation.information[inner],
    )


def varying(terms: Sequence[Term], theta: Floats, gradient: Floats) -> NDArray[np.bool_]:
    """Which parameters (m,) are not held by a bound, nor void behind another that is."""
    used = np.ones(sum(t.covariance.n_parameters for t in terms), dtype=bool)
    for term in terms:
        if term.covariance.closure != "affine":
            moved = np.linalg.norm(term.covariance.jacobian(theta[term.parameters]), axis=(1, 2))
            used[term.parameters] = ~_held(term, theta, gradient) & (moved > SINGULAR)
    return used


def _held(term: Term, theta: Floats, gradient: Floats) -> NDArray[np.bool_]:
    """Which of a term's parameters (m,) are at a bound that the likelihood pushes against."""
    at_bound = theta[term.parameters] <= term.covariance.lower
    held: NDArray[np.bool_] = at_bound & (gradient[term.parameters] > GRADIENT)
    return held
