"""Normally distributed responses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from mixedeffects.families.base import AbstractFamily, Predictors
from mixedeffects.families.jets import Array, Partials, Wanted
from mixedeffects.families.response import Column, Response
from mixedeffects.families.special import HALF_LOG_2PI


@dataclass(frozen=True)
class Gaussian(AbstractFamily):
    """Normal responses with mean μ = g⁻¹(η) and variance exp(δ).

    The dispersion predictor δ is the logarithm of the residual *variance*, so that a dispersion
    formula has the coefficients of glmmTMB 1.1.5; σ = exp(δ/2) is the residual SD.

    Attributes
    ----------
    link : {"identity", "log", "inverse", "sqrt"}
    """

    link: str = "identity"

    name = "gaussian"
    links = ("identity", "log", "inverse", "sqrt")
    natural = "identity"
    has_residual = True
    dispersion = "residual variance"
    sigma_name = "residual standard deviation"

    def response(
        self,
        y: Array,
        trials: Array | None = None,
        name: str = "y",
        rows: NDArray[np.intp] | None = None,
    ) -> Response:
        column = Column(name, rows)
        self._refuse_trials(trials, column)
        column.require(y, np.isfinite, "Change or drop that row.")
        return Response(y)

    def partials(self, response: Response, point: Predictors, wanted: Wanted) -> Partials:
        mu, delta = point
        precision = np.exp(-delta)
        r = response.y - mu
        slope = r * precision
        z = r * slope
        return wanted.pick(
            {
                (): lambda: -0.5 * (z + delta) - HALF_LOG_2PI,
                (0,): lambda: slope,
                (1,): lambda: 0.5 * (z - 1.0),
                (0, 0): lambda: -precision,
                (0, 1): lambda: -slope,
                (1, 1): lambda: -0.5 * z,
                (0, 0, 1): lambda: precision,
                (0, 1, 1): lambda: slope,
                (1, 1, 1): lambda: 0.5 * z,
            }
        )

    def variance(self, response: Response, predictors: Predictors) -> Array:
        return np.exp(predictors[1]) + np.zeros_like(response.y)

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        sd = np.exp(0.5 * predictors[1])
        return self.mean(predictors) + sd * rng.standard_normal(response.y.shape)

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        z = (response.y - self.mean(predictors)) * np.exp(-0.5 * predictors[1])
        below: Array = ndtr(z)
        return below

    def deviance(self, response: Response, predictors: Predictors) -> Array:
        return (response.y - self.mean(predictors)) ** 2

    def start_mean(self, response: Response) -> Array:
        if self.link == "identity":
            return response.y
        # the other links have positive means only
        least = 0.1 * np.abs(response.y).mean() or 1.0
        return np.maximum(response.y, least)

    def sigma(self, delta: Array | float) -> Array:
        return np.exp(0.5 * delta)

    def initial_dispersion(self, response: Response) -> float:
        return float(np.log(max(response.y.var(), 1e-300)))
