"""Generalized Poisson counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.families.base import AbstractFamily, Predictors
from mixedeffects.families.jets import Array, Partials, Wanted, exp, log, variables
from mixedeffects.families.poisson import COUNT_LINKS, count_response, count_start
from mixedeffects.families.response import Response
from mixedeffects.families.special import expm1
from mixedeffects.families.sums import cdf_by_sum, draw_by_sum


@dataclass(frozen=True)
class GeneralizedPoisson(AbstractFamily):
    """Counts with mean μ = g⁻¹(η) and variance μφ, φ = exp(δ) (Consul and Famoye 1992).

    With s = φ^(−½), P(y) = μs (y + (μ − y)s)^(y−1) exp(−y − (μ − y)s) / y!. The dispersion
    parameter φ is glmmTMB's. Below φ = 1 counts above μs/(s − 1) are impossible and the
    probabilities add up to a little less than 1; there prefer family "compois".

    Attributes
    ----------
    link : {"log", "identity", "sqrt", "inverse"}
    """

    link: str = "log"

    name = "genpois"
    links = COUNT_LINKS
    natural = "log"
    dispersion = "phi"
    sigma_name = "phi"
    variance_is = "variance = mu phi"
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
        t, delta = variables(point, wanted)
        y = response.y
        log_scale = -0.5 * delta
        own = t + log_scale  # log of μs
        rate = exp(own) - y * log_scale.compose(expm1)
        return (own + (y - 1.0) * log(rate) - rate - response.known["log_factorial"]).partials()

    def variance(self, response: Response, predictors: Predictors) -> Array:
        return self.mean(predictors) * np.exp(predictors[1])

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        return draw_by_sum(self, rng, response, predictors)

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        return cdf_by_sum(self, response, predictors)

    def start_mean(self, response: Response) -> Array:
        return count_start(response)

    def initial_dispersion(self, response: Response) -> float:
        mean, variance = response.y.mean(), response.y.var()
        return float(np.log(np.clip(variance / max(mean, 1e-300), 1.0, 1e3)))
