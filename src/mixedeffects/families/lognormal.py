"""Log-normal responses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from mixedeffects.families.base import AbstractFamily, Predictors
from mixedeffects.families.gamma import positive_response
from mixedeffects.families.jets import Array, Partials, Wanted, log, reciprocal, variables
from mixedeffects.families.response import Response
from mixedeffects.families.special import HALF_LOG_2PI, softplus


@dataclass(frozen=True)
class Lognormal(AbstractFamily):
    """Positive responses whose logarithm is normal, with mean μ = g⁻¹(η) and SD φ = exp(δ).

    Mean and standard deviation are those of the response itself, as in glmmTMB, not of its
    logarithm, whose variance is log(1 + φ²/μ²).

    Attributes
    ----------
    link : {"log", "identity", "inverse", "sqrt"}
    """

    link: str = "log"

    name = "lognormal"
    links = ("log", "identity", "inverse", "sqrt")
    natural = "log"
    dispersion = "standard deviation"
    sigma_name = "standard deviation"
    variance_is = "variance = its square"

    def response(
        self,
        y: Array,
        trials: Array | None = None,
        name: str = "y",
        rows: NDArray[np.intp] | None = None,
    ) -> Response:
        return positive_response(self, y, trials, name, rows)

    def partials(self, response: Response, point: Predictors, wanted: Wanted) -> Partials:
        t, delta = variables(point, wanted)
        log_y = response.known["log"]
        variance = (2.0 * (delta - t)).compose(softplus)
        deviation = log_y - t + 0.5 * variance
        fit = deviation * deviation * reciprocal(variance)
        return (-0.5 * (log(variance) + fit) - log_y - HALF_LOG_2PI).partials()

    def variance(self, response: Response, predictors: Predictors) -> Array:
        return np.exp(2.0 * predictors[1]) + np.zeros_like(response.y)

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        mean, sd = self._of_logarithm(predictors)
        return np.exp(mean + sd * rng.standard_normal(response.y.shape))

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        mean, sd = self._of_logarithm(predictors)
        below: Array = ndtr((np.log(response.y) - mean) / sd)
        return below

    def _of_logarithm(self, predictors: Predictors) -> tuple[Array, Array]:
        """Mean and SD of the logarithm."""
        t = np.log(self.mean(predictors))
        (variance,) = softplus(2.0 * (predictors[1] - t))
        return t - 0.5 * variance, np.sqrt(variance)

    def start_mean(self, response: Response) -> Array:
        return response.y

    def initial_dispersion(self, response: Response) -> float:
        return float(np.log(max(response.y.std(), 1e-12 * response.y.mean())))
