"""Responses as a fitted generalized model would have made them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.cholesky import columns_of
from mixedeffects.errors import ModelError
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.inference.draws import Random
from mixedeffects.inference.streams import Streams

Floats = NDArray[np.float64]


class GeneralDraws:
    """Responses of a fit by the number of a replicate, each from its own stream.

    ``"marginal"`` draws new random effects, ``"conditional"`` keeps the estimated ones.

    Raises
    ------
    ModelError
        If rows have prior weights, which count them and say nothing of one response.
    """

    def __init__(self, fit: GeneralFit, random: Random, streams: Streams) -> None:
        problem, weights = fit.problem, fit.problem.weights
        if weights is not None and not (weights == 1.0).all():
            raise ModelError(
                "The weights of this model multiply the rows' log-likelihoods, and a row that "
                "counts several times has no single response to simulate: repeat the rows instead."
            )
        self._problem, self._random, self._streams = problem, random, streams
        theta = fit.solution.optimum.theta
        self._fixed = [predictor.fixed(fit.solution.beta) for predictor in problem.predictors]
        self._factors = [t.covariance.factor(theta[t.parameters]) for t in problem.terms]
        self._modes = [
            fit.solution.b[columns_of(problem.plan, t.grouping)[:, t.columns]]
            for t in problem.terms
        ]

    def response(self, number: int) -> Floats:
        """Response (nobs,) of a replicate."""
        rng = self._streams.generator(number)
        eta, problem = list(self._fixed), self._problem
        for place, (term, T) in enumerate(zip(problem.terms, self._factors, strict=True)):
            grouping = problem.groupings[term.grouping]
            b = self._modes[place]
            if self._random == "marginal":
                b = rng.standard_normal((grouping.n_levels, len(T))) @ T.T
                if grouping.relationship is not None:
                    b = np.linalg.cholesky(grouping.relationship) @ b
            own = grouping.values[:, term.columns]
            a = problem.predictor[term.grouping]
            eta[a] = eta[a] + np.einsum("nk,nk->n", own, b[grouping.codes])
        return problem.family.draw(rng, problem.response, tuple(eta))
