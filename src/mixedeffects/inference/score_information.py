"""The expected information of a generalized model at a smaller one, from simulated scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance.base import lower_root
from mixedeffects.errors import MixedEffectsError, ModelError
from mixedeffects.fitting.general_fit import GeneralFit, problem_with_response
from mixedeffects.fitting.quadrature import objective_of
from mixedeffects.inference.general_draws import GeneralDraws
from mixedeffects.inference.information import Direction
from mixedeffects.inference.nesting import CarriedCovariances
from mixedeffects.inference.streams import Streams

Floats = NDArray[np.float64]

SEED = 20240607
# Responses drawn: correlations of scores err by some 0.05, weights of a mixture by 0.01.
DRAWS = 400


def score_information(
    small: GeneralFit,
    large: GeneralFit,
    carried: CarriedCovariances,
    tested: Sequence[Direction],
    free: Sequence[Direction],
) -> Floats:
    """Information (d, d) on tested directions of the covariances, all else profiled out.

    It is the covariance of the larger model's scores at the smaller one, over responses that the
    smaller one makes; coefficients of all predictors and the ``free`` directions are profiled.

    Raises
    ------
    ModelError
        If the larger model has no likelihood at the smaller one.
    """
    psi = _point(small, large, carried)
    draws = GeneralDraws(small, "marginal", Streams(SEED))
    scores = []
    for number in range(DRAWS):
        try:
            problem = problem_with_response(large, draws.response(number))
        except MixedEffectsError:
            continue
        objective = objective_of(problem, large.solution.u)
        here = objective(psi)
        if not np.isfinite(here.value):
            continue
        by_covariance = objective.by_covariance(psi)
        along = [float(np.sum(by_covariance[t] * D)) for t, D in (*tested, *free)]
        scores.append([*along, *here.gradient[large.problem.n_parameters :]])
    if len(scores) < 0.5 * DRAWS:
        raise ModelError(
            "The larger model has no likelihood at the smaller one: use method='bootstrap'."
        )
    whole, d = 0.25 * np.cov(np.array(scores).T), len(tested)
    cross = whole[:d, d:]
    efficient: Floats = whole[:d, :d] - cross @ np.linalg.pinv(whole[d:, d:]) @ cross.T
    return efficient


def _point(small: GeneralFit, large: GeneralFit, carried: CarriedCovariances) -> Floats:
    """ψ of the larger model at the smaller one's estimates."""
    theta = np.zeros(large.problem.n_parameters)
    for term, S in zip(large.problem.terms, carried.estimated, strict=True):
        values, vectors = np.linalg.eigh(S)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        theta[term.parameters] = term.covariance.parameters(lower_root(root))
    eta = {p.name: p.fixed(small.solution.beta) for p in small.problem.predictors}
    beta = np.zeros(large.problem.n_fixed)
    for p in large.problem.predictors:
        target = eta[p.name] - (0.0 if p.offset is None else p.offset)
        columns = p.basis.columns
        target = np.broadcast_to(target, len(columns))
        beta[p.coefficients] = np.linalg.lstsq(columns, target, rcond=None)[0]
    return np.concatenate([theta, beta])
