"""Quantile residuals of generalized fits, tested against data sets simulated from the fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.general_quantiles import drawn_places
from mixedeffects.effects.general_rows import linear_predictors, own_general_rows
from mixedeffects.effects.general_simulate import simulated_responses
from mixedeffects.effects.predict import Seed
from mixedeffects.effects.simulated_residuals import (
    SimulatedResiduals,
    checked_simulation,
    judged_residuals,
    two_sided,
)
from mixedeffects.errors import MixedEffectsError
from mixedeffects.families import Response
from mixedeffects.fitting.general_fit import GeneralFit, same_categories
from mixedeffects.fitting.joint_mode import check_likelihood
from mixedeffects.fitting.quadrature import objective_of
from mixedeffects.fitting.solve import search

Floats = NDArray[np.float64]


def general_simulated_residuals(
    fit: GeneralFit, n: int, seed: Seed = None, group: str | None = None
) -> SimulatedResiduals:
    """Quantile residuals of a fit and of n data sets simulated from it and fitted.

    Raises
    ------
    ModelError
        If n is too small, or the model cannot be simulated.
    DataError
        If the model has no such grouping.
    """
    check_likelihood(fit.problem)
    grouping = checked_simulation(fit, n, group)
    rng = np.random.default_rng(seed)
    family, own = fit.family, fit.problem.response
    eta = linear_predictors(fit, own_general_rows(fit), [])
    covariances = [term.covariance for term in fit.estimates.terms]
    sets = [drawn_places(fit, own, eta, covariances, rng)]
    zeros = [np.count_nonzero(own.y == 0)]
    responses = simulated_responses(fit, "marginal", rng)
    for _ in range(n):
        y = next(responses)
        try:
            response = family.response(y, own.trials)
            at = _refitted(fit, response)
        except MixedEffectsError:
            continue  # counted as failed
        sets.append(drawn_places(fit, response, *at, rng))
        zeros.append(np.count_nonzero(y == 0))
    expected = eta[0] if family.response_kind == "ordinal" else family.mean(eta)
    test = two_sided(np.array(zeros, dtype=float)) if _counts_zeros(fit, own) else None
    return judged_residuals(fit, sets, n, expected, test, grouping)


def _refitted(fit: GeneralFit, response: Response) -> tuple[list[Floats], list[Floats]]:
    """Predictors (nobs,) without random effects and terms' covariances, estimated again."""
    problem = replace(fit.problem, response=same_categories(fit, response))
    psi = search(objective_of(problem), fit.solution.optimum.theta).theta
    theta, beta = psi[: problem.n_parameters], psi[problem.n_parameters :]
    eta = []
    for predictor in problem.predictors:
        linear = predictor.basis.columns @ beta[predictor.coefficients]
        eta.append(linear if predictor.offset is None else linear + predictor.offset)
    roots = [
        np.linalg.solve(t.map, t.covariance.factor(theta[t.parameters])) for t in problem.terms
    ]
    return eta, [root @ root.T for root in roots]


def _counts_zeros(fit: GeneralFit, response: Response) -> bool:
    """Whether zeros are values among others; of a single trial they say what the mean says."""
    single = response.trials is not None and bool((response.trials == 1.0).all())
    return fit.family.zero_mass and not single
