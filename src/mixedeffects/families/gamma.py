"""Gamma distributed responses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc

from mixedeffects.families.base import AbstractFamily, Predictors
from mixedeffects.families.jets import Array, Partials, Wanted
from mixedeffects.families.response import Column, Response, is_positive
from mixedeffects.families.special import HALF_LOG_2PI, stirling

POSITIVE_LINKS = ("log", "inverse", "identity", "sqrt", "1/mu^2")


def positive_response(
    family: AbstractFamily,
    y: Array,
    trials: Array | None,
    name: str,
    rows: NDArray[np.intp] | None,
) -> Response:
    """Checked positive values with their logarithms.

    Raises
    ------
    DataError
        At a value that is not positive.
    """
    column = Column(name, rows)
    family._refuse_trials(trials, column)
    column.require(
        y,
        is_positive,
        f"Family {family.name!r} is for positive values. Where zeros are real, give them a model"
        " of their own (zero_inflation=), or use family 'tweedie'.",
    )
    return Response(y, known={"log": np.log(y)})


@dataclass(frozen=True)
class Gamma(AbstractFamily):
    """Gamma responses with mean μ = g⁻¹(η) and shape exp(δ).

    As in glmmTMB, the dispersion predictor δ is the logarithm of the shape: Var = μ²σ² with
    σ = exp(−δ/2), the coefficient of variation.

    Attributes
    ----------
    link : {"log", "inverse", "identity", "sqrt", "1/mu^2"}
    """

    link: str = "log"

    name = "gamma"
    links = POSITIVE_LINKS
    natural = "log"
    dispersion = "shape"
    sigma_name = "sigma"
    variance_is = "variance = (sigma mu)^2"

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
        shape = np.exp(delta)
        w = response.known["log"] - t
        excess = np.expm1(w)
        slope = shape * excess
        fit = shape * w - slope
        curvature = -(slope + shape)
        rest = stirling(delta, wanted.order)
        return wanted.pick(
            {
                (): lambda: fit + 0.5 * delta - HALF_LOG_2PI - rest[0] - response.known["log"],
                (0,): lambda: slope,
                (1,): lambda: fit + 0.5 - rest[1],
                (0, 0): lambda: curvature,
                (0, 1): lambda: slope,
                (1, 1): lambda: fit - rest[2],
                (0, 0, 0): lambda: -curvature,
                (0, 0, 1): lambda: curvature,
                (0, 1, 1): lambda: slope,
                (1, 1, 1): lambda: fit - rest[3],
            }
        )

    def variance(self, response: Response, predictors: Predictors) -> Array:
        return self.mean(predictors) ** 2 * np.exp(-predictors[1])

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        shape = np.exp(predictors[1])
        drawn = rng.standard_gamma(np.broadcast_to(shape, response.y.shape))
        return self.mean(predictors) * drawn / shape

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        shape = np.exp(predictors[1])
        below: Array = gammainc(shape, shape * response.y / self.mean(predictors))
        return below

    def deviance(self, response: Response, predictors: Predictors) -> Array:
        mu = self.mean(predictors)
        return 2.0 * ((response.y - mu) / mu - np.log(response.y / mu))

    def start_mean(self, response: Response) -> Array:
        return response.y

    def sigma(self, delta: Array | float) -> Array:
        return np.exp(-0.5 * delta)

    def initial_dispersion(self, response: Response) -> float:
        return float(-np.log(max(response.known["log"].var(), 1e-12)))
