"""Successes among trials whose probability varies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.families.base import AbstractFamily, Predictors
from mixedeffects.families.beta import draw_beta
from mixedeffects.families.binomial import (
    PROBABILITY_LINKS,
    proportion_start,
    trials_of,
    trials_response,
)
from mixedeffects.families.jets import Array, Partials, Wanted, variables
from mixedeffects.families.response import Response
from mixedeffects.families.special import log_expit, log_rising
from mixedeffects.families.sums import cdf_by_sum


@dataclass(frozen=True)
class BetaBinomial(AbstractFamily):
    """Successes among n trials, with probabilities beta distributed about μ = g⁻¹(η).

    The dispersion parameter φ = exp(δ) is the sum of the two shapes of the beta distribution
    (Morris 1997), as in glmmTMB: the proportion of successes has variance
    μ(1 − μ)(φ + n)/(n(φ + 1)).

    Attributes
    ----------
    link : {"logit", "probit", "cloglog", "loglog", "cauchit", "log", "identity"}
    """

    link: str = "logit"

    name = "betabinomial"
    response_kind = "binomial"
    links = PROBABILITY_LINKS
    natural = "logit"
    dispersion = "precision"
    sigma_name = "precision"
    variance_is = "variance of the probabilities = mu (1 - mu) / (1 + precision)"
    discrete = True
    zero_mass = True

    def response(
        self,
        y: Array,
        trials: Array | None = None,
        name: str = "y",
        rows: NDArray[np.intp] | None = None,
    ) -> Response:
        return trials_response(y, trials, name, rows)

    def partials(self, response: Response, point: Predictors, wanted: Wanted) -> Partials:
        t, delta = variables(point, wanted)
        n = trials_of(response)
        y, failures = response.y, n - response.y
        log_mu, log_nu = t.compose(log_expit), (-t).compose(log_expit)
        # the binomial density, and what each rising factorial has beyond its power
        binomial = y * log_mu + failures * log_nu + response.known["log_choose"]
        rest = (
            (delta + log_mu).compose(lambda x, order: log_rising(y, x, order))
            + (delta + log_nu).compose(lambda x, order: log_rising(failures, x, order))
            - delta.compose(lambda x, order: log_rising(n, x, order))
        )
        return (binomial + rest).partials()

    def variance(self, response: Response, predictors: Predictors) -> Array:
        n, phi = trials_of(response), np.exp(predictors[1])
        spread = self.mean(predictors) * self.g.complement(predictors[0])
        return spread * (phi + n) / (n * (phi + 1.0))

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        rest = self.g.complement(predictors[0])
        phi = np.exp(predictors[1])
        p = draw_beta(rng, response.y.shape, self.mean(predictors), rest, phi)
        return rng.binomial(trials_of(response).astype(np.int64), p).astype(float)

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        return cdf_by_sum(self, response, predictors)

    def start_mean(self, response: Response) -> Array:
        return proportion_start(response)

    def initial_dispersion(self, response: Response) -> float:
        return 1.0
