"""Inverse Gaussian responses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

from mixedeffects.families.base import AbstractFamily, Predictors
from mixedeffects.families.gamma import POSITIVE_LINKS, positive_response
from mixedeffects.families.jets import Array, Partials, Wanted
from mixedeffects.families.response import Response
from mixedeffects.families.special import HALF_LOG_2PI


@dataclass(frozen=True)
class InverseGaussian(AbstractFamily):
    """Positive responses with mean μ = g⁻¹(η) and variance φμ³, φ = exp(δ).

    φ is the reciprocal of the usual shape λ; it is the dispersion of a generalized linear model.

    Attributes
    ----------
    link : {"log", "inverse", "identity", "sqrt", "1/mu^2"}
    """

    link: str = "log"

    name = "inverse_gaussian"
    links = POSITIVE_LINKS
    natural = "log"
    dispersion = "sigma^2"
    sigma_name = "sigma"
    variance_is = "variance = sigma^2 mu^3"

    def sigma(self, delta: Array | float) -> Array:
        return np.exp(0.5 * delta)

    def response(
        self,
        y: Array,
        trials: Array | None = None,
        name: str = "y",
        rows: NDArray[np.intp] | None = None,
    ) -> Response:
        return positive_response(self, y, trials, name, rows)

    def partials(self, response: Response, point: Predictors, wanted: Wanted) -> Partials:
        t, delta = point
        y, log_y = response.y, response.known["log"]
        excess = np.expm1(log_y - t)
        half = 0.5 * np.exp(-delta)
        r = np.exp(-t)
        # ½ exp(−δ) times (y − μ)²/(μ²y) and its derivatives by t
        fit = half * excess * excess / y
        first = -2.0 * half * r * excess
        second = half * r * (4.0 * excess + 2.0)
        third = -half * r * (8.0 * excess + 6.0)
        return wanted.pick(
            {
                (): lambda: -fit - 0.5 * delta - 1.5 * log_y - HALF_LOG_2PI,
                (0,): lambda: -first,
                (1,): lambda: fit - 0.5,
                (0, 0): lambda: -second,
                (0, 1): lambda: first,
                (1, 1): lambda: -fit,
                (0, 0, 0): lambda: -third,
                (0, 0, 1): lambda: second,
                (0, 1, 1): lambda: -first,
                (1, 1, 1): lambda: fit,
            }
        )

    def variance(self, response: Response, predictors: Predictors) -> Array:
        return self.mean(predictors) ** 3 * np.exp(predictors[1])

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        return rng.wald(self.mean(predictors), np.exp(-predictors[1]), response.y.shape)

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        y, mu = response.y, self.mean(predictors)
        shape = np.exp(-predictors[1])
        root = np.sqrt(shape / y)
        far = np.exp(2.0 * shape / mu + log_ndtr(-root * (y / mu + 1.0)))
        below: Array = ndtr(root * (y / mu - 1.0)) + far
        return below

    def deviance(self, response: Response, predictors: Predictors) -> Array:
        y, mu = response.y, self.mean(predictors)
        return (y - mu) ** 2 / (mu * mu * y)

    def start_mean(self, response: Response) -> Array:
        return response.y

    def initial_dispersion(self, response: Response) -> float:
        y = response.y
        return float(np.log(max((1.0 / y).mean() - 1.0 / y.mean(), 1e-12 / y.mean())))
