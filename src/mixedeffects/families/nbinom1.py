"""Negative binomial counts whose variance is linear in the mean."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from mixedeffects.families.base import AbstractFamily, Predictors
from mixedeffects.families.jets import Array, Partials, Wanted, total, wanted_keys
from mixedeffects.families.nbinom2 import (
    draw_negative_binomial,
    negative_binomial,
    negative_binomial_cdf,
)
from mixedeffects.families.poisson import COUNT_LINKS, count_response, count_start
from mixedeffects.families.response import Response
from mixedeffects.families.special import log_rising


@dataclass(frozen=True)
class NegativeBinomial1(AbstractFamily):
    """Counts with mean μ = g⁻¹(η) and variance μ(1 + φ), φ = exp(δ).

    The dispersion parameter φ is glmmTMB's: the larger, the more overdispersed.

    Attributes
    ----------
    link : {"log", "identity", "sqrt", "inverse"}
    """

    link: str = "log"

    name = "nbinom1"
    links = COUNT_LINKS
    natural = "log"
    dispersion = "phi"
    sigma_name = "phi"
    variance_is = "variance = mu (1 + phi)"
    discrete = True
    zero_mass = True

    def response(
        self,
        y: Array,
        trials: Array | None = None,
        name: str = "y",
        rows: NDArray[np.intp] | None = None,
    ) -> Response:
        return count_response(self, y, trials, name, rows)

    def partials(self, response: Response, point: Predictors, wanted: Wanted) -> Partials:
        # the size is μ/φ, so that its logarithm is t − δ
        t, delta = point
        rising = log_rising(response.y, t - delta, wanted.order)
        every = Wanted(wanted.order, (0, 1))
        by_size = negative_binomial(response, t, t - delta, rising, every)
        found: Partials = {(): by_size[()]}
        for key in wanted_keys(wanted, 2):
            means, sizes = key.count(0), key.count(1)
            found[key] = (-1.0) ** sizes * total(
                [
                    comb(means, j) * by_size[(0,) * (means - j) + (1,) * (sizes + j)]
                    for j in range(means + 1)
                ]
            )
        return found

    def variance(self, response: Response, predictors: Predictors) -> Array:
        return self.mean(predictors) * (1.0 + np.exp(predictors[1]))

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        mu = self.mean(predictors)
        return draw_negative_binomial(rng, response.y.shape, mu, mu * np.exp(-predictors[1]))

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        mu = self.mean(predictors)
        return negative_binomial_cdf(response.y, mu, mu * np.exp(-predictors[1]))

    def start_mean(self, response: Response) -> Array:
        return count_start(response)

    def initial_dispersion(self, response: Response) -> float:
        mean, variance = response.y.mean(), response.y.var()
        return float(np.log(np.clip(variance / max(mean, 1e-300) - 1.0, 0.1, 1e3)))
