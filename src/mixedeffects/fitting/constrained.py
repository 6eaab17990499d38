"""A generalized model under linear hypotheses about the coefficients of one predictor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.standardize import FixedBasis, functions_in_basis
from mixedeffects.errors import ModelError
from mixedeffects.fitting.general import GeneralProblem, Predictor
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.fitting.quadrature import objective_of
from mixedeffects.fitting.solve import search

Floats = NDArray[np.float64]

# Singular values below this share of the largest: rows of a hypothesis repeat one another.
REDUNDANT = 1e-10


def constrained_objective(fit: GeneralFit, component: str, L: Floats) -> tuple[float, int]:
    """The least −2 log-likelihood with Lβ = 0, L (r, p) over a predictor's columns kept.

    Also the number of coefficients left. The search starts from the fit's own estimates.

    Raises
    ------
    ModelError
        If the smaller model cannot be estimated.
    """
    problem, m = fit.problem, fit.problem.n_parameters
    number = [p.name for p in problem.predictors].index(component)
    own = problem.predictors[number]
    free = _null_space(functions_in_basis(L, own.basis.map))
    psi = fit.solution.optimum.theta
    beta = psi[m:]
    inside = beta[own.coefficients] @ free
    start = np.concatenate([psi[:m], beta[: own.first], inside, beta[own.coefficients.stop :]])
    objective = objective_of(_within(problem, number, free), fit.solution.u)
    optimum = search(objective, start)
    if optimum.status != "converged":
        raise ModelError(
            f"A smaller model, with {free.shape[1]} coefficients of {component!r}, has no optimum "
            "that the search finds: use test='wald'."
        )
    return objective.refine(optimum.theta).value, free.shape[1]


def _within(problem: GeneralProblem, number: int, free: Floats) -> GeneralProblem:
    """The problem with a predictor's coefficients within the span of ``free`` (p, r)."""
    lost = free.shape[0] - free.shape[1]
    predictors: list[Predictor] = []
    for place, predictor in enumerate(problem.predictors):
        if place == number:
            columns = np.ascontiguousarray(predictor.basis.columns @ free)
            kept = np.arange(free.shape[1])
            basis = FixedBasis(columns, np.eye(len(kept)), kept, np.arange(0))
            predictors.append(replace(predictor, basis=basis))
        else:
            first = predictor.first - lost * (place > number)
            predictors.append(replace(predictor, first=first))
    return replace(problem, predictors=tuple(predictors), n_fixed=problem.n_fixed - lost)


def _null_space(L: Floats) -> Floats:
    """Orthonormal basis (p, p − rank) of the coefficients that L takes to zero."""
    if not len(L):
        return np.eye(L.shape[1])
    scaled = L / np.maximum(np.linalg.norm(L, axis=1, keepdims=True), 1e-300)
    _, sizes, axes = np.linalg.svd(scaled)
    rank = int((sizes > REDUNDANT * sizes.max(initial=0.0)).sum())
    free: Floats = np.ascontiguousarray(axes[rank:].T)
    return free
