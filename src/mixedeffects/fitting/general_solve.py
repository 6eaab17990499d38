"""From a generalized problem to its optimum, with the exact Hessian there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.fitting.boundary import (
    SINGULAR,
    ZeroVariance,
    least_deviation,
    varying,
    zero_variances,
)
from mixedeffects.fitting.differences import differenced_hessian
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.general_start import start_of_fixed
from mixedeffects.fitting.laplace import no_modes
from mixedeffects.fitting.optimize import Evaluation, Optimum, newton_step
from mixedeffects.fitting.plain import GeneralObjective, general_objective
from mixedeffects.fitting.separation import CURVATURE, drifting, parts
from mixedeffects.fitting.solve import SMALL, search

Floats = NDArray[np.float64]
OnStep = Callable[[int, float], None]

# How often start variances shrink where the likelihood cannot be computed.
SHRINKINGS = 8
# Stopped by the edge of the family's range is a search with a step beyond it among its last ones
# and this much still promised (objective: −2 log-likelihood).
NEARBY, EDGE = 20, 1e-4
# Curvature below this share of the largest, each parameter in its own standard errors, is none.
FLAT = 1e-10
# The standard error of a combination of coefficients without a finite estimate: of no meaning,
# but a number, and no less than where curvature counts as none.
UNBOUNDED = 1e3


@dataclass(frozen=True, slots=True)
class GeneralSolution:
    """A generalized problem's optimum ψ = (θ, β) in the standardized basis.

    ``u`` (q,) the mode, ``b`` (q,) = Λu; ``covariance`` (m + p, m + p) of ψ̂, twice the inverse
    of the exact Hessian, zero for parameters at a boundary, θ along the principal axes where
    ``turned``; ``drifting`` (p, d) the directions of β without a finite estimate, orthonormal;
    ``zeros``, ``singular`` and ``principal`` as in ``Solution``, without what drifts;
    ``lacking``, how many parameters have only approximate second derivatives.
    """

    optimum: Optimum
    beta: Floats
    u: Floats
    b: Floats
    covariance: Floats
    turned: bool
    drifting: Floats
    zeros: tuple[ZeroVariance, ...]
    singular: bool
    principal: Evaluation
    lacking: int


def solve_general(
    problem: GeneralProblem, start: Floats | None = None, *, on_step: OnStep | None = None
) -> GeneralSolution:
    """Fit: minimize from ``start``, by default from a fit without terms.

    ``start`` is standardized: θ alone, or ψ = (θ, β).
    """
    objective = general_objective(problem)
    if start is None:
        start = np.concatenate([np.empty(0), *(t.covariance.start() for t in problem.terms)])
    if len(start) == problem.n_parameters:
        start = _computable(objective, np.concatenate([start, start_of_fixed(problem)]))
    return general_solution_at(objective, search(objective, start, on_step))


def _computable(objective: GeneralObjective, start: Floats) -> Floats:
    """The start, with smaller variances where its own take means out of the family's range."""
    psi, m = start.copy(), objective.problem.n_parameters
    for _ in range(SHRINKINGS if objective.problem.bounded else 0):
        if np.isfinite(objective(psi).value):
            break
        psi[:m] *= 0.3
    return psi


def general_solution_at(objective: GeneralObjective, optimum: Optimum) -> GeneralSolution:
    """The conditional estimates at an optimum, and what certifies it."""
    problem = objective.problem
    psi, m = optimum.theta, problem.n_parameters
    near = least_deviation(problem, psi) < SMALL
    plain = objective.refine(psi)
    zeros = zero_variances(objective, psi) if near else ()
    u, b = objective.modes(psi)
    if problem.bounded and _at_edge(optimum):
        raise no_modes(problem)
    along, here = objective.turned(psi) if near else (psi, plain)
    hessian, lacking = differenced_hessian(objective, along, here)
    used = np.concatenate(
        [varying(problem.terms, along[:m], here.gradient), np.ones(len(psi) - m, bool)]
    )
    away = drifting(problem, hessian[m:, m:], here.hessian[m:, m:], here.value)
    used[:m] &= ~_idle(problem, away, hessian)
    basis = bounded_basis(used, away)
    if near:
        objective.upright(along)
    inner = basis.T @ hessian @ basis
    principal = Evaluation(here.value, basis.T @ here.gradient, inner, inner)
    covariance = basis @ (2.0 * inverse(inner)) @ basis.T
    covariance[m:, m:] += UNBOUNDED**2 * (away @ away.T)
    return GeneralSolution(
        optimum=replace(optimum, value=plain.value, gradient=plain.gradient, hessian=hessian),
        beta=psi[m:],
        u=u,
        b=b,
        covariance=covariance,
        turned=near,
        drifting=away,
        zeros=zeros,
        singular=near and least_deviation(problem, psi) < SINGULAR,
        principal=principal,
        lacking=lacking,
    )


def _at_edge(optimum: Optimum) -> bool:
    """Whether the search stopped below no optimum, beside where the likelihood ends."""
    ended = any(not np.isfinite(step.value) for step in optimum.trace[-NEARBY:])
    return ended and newton_step(optimum.gradient, optimum.hessian, np.inf)[1] > EDGE


def _idle(problem: GeneralProblem, away: Floats, hessian: Floats) -> NDArray[np.bool_]:
    """Which of θ (m,) say nothing, as their predictor drifts to where no row depends on it."""
    drifting_predictors = parts(problem, away)
    idle = np.zeros(problem.n_parameters, dtype=bool)
    for term in problem.terms:
        if problem.predictor[term.grouping] in drifting_predictors:
            own = np.abs(np.diagonal(hessian)[term.parameters])
            idle[term.parameters] = own < 1e3 * CURVATURE
    return idle


def bounded_basis(used: NDArray[np.bool_], away: Floats) -> Floats:
    """A basis (m + p, ·) of what is used and does not drift, the axes where nothing does."""
    if not away.shape[1]:
        return np.eye(len(used))[:, used]
    first = len(used) - len(away)
    rest = np.linalg.svd(away)[0][:, away.shape[1] :]
    inner = int(np.count_nonzero(used[:first]))
    basis = np.zeros((len(used), inner + rest.shape[1]))
    basis[:first, :inner] = np.eye(first)[:, used[:first]]
    basis[first:, inner:] = rest
    return basis


def inverse(hessian: Floats) -> Floats:
    """The inverse, each parameter in its own units; of no use where there is no curvature."""
    sizes = np.sqrt(np.maximum(np.abs(np.diagonal(hessian)), 1e-300))
    values, vectors = np.linalg.eigh(hessian / np.outer(sizes, sizes))
    kept = values > FLAT * max(values.max(initial=0.0), 0.0)
    inverse: Floats = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    inverse += UNBOUNDED**2 * (vectors[:, ~kept] @ vectors[:, ~kept].T)
    return cast(Floats, inverse / np.outer(sizes, sizes))
