"""Responses with Student's t distribution about their mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from mixedeffects.families.base import AbstractFamily, Extras, Predictors
from mixedeffects.families.jets import Array, Jet, Partials, Wanted, exp, variables
from mixedeffects.families.response import Column, Response
from mixedeffects.families.special import HALF_LOG_2PI, log1p, log_rising

# Degrees of freedom from which an optimizer starts.
_START = 5.0


@dataclass(frozen=True)
class StudentT(AbstractFamily):
    """Responses μ + φ·T with μ = g⁻¹(η), scale φ = exp(δ) and T of Student's t distribution.

    Its degrees of freedom ν = exp(ψ) are estimated, the same for all rows, as in glmmTMB. φ is
    the scale, not the standard deviation: Var = φ²ν/(ν − 2), infinite for ν ≤ 2.

    Attributes
    ----------
    link : {"identity", "log", "inverse"}
    """

    link: str = "identity"

    name = "student_t"
    links = ("identity", "log", "inverse")
    natural = "identity"
    dispersion = "scale"
    sigma_name = "scale"
    variance_is = "variance = scale^2 df / (df - 2)"

    def extras(self, response: Response) -> Extras:
        return Extras(
            ("df",),
            np.array([np.log(_START)]),
            _to_user,
            np.log,
        )

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
        mu, delta, psi = variables(point, wanted)
        r = response.y - mu
        ratio = r * r * exp(-2.0 * delta - psi)  # z²/ν
        half, log_two = np.asarray(0.5), float(np.log(2.0))
        norm = (psi - log_two).compose(lambda x, order: log_rising(half, x, order))
        tail = 0.5 * (exp(psi) + 1.0) * ratio.compose(log1p)
        density: Jet = norm - delta - tail - HALF_LOG_2PI
        return density.partials()

    def variance(self, response: Response, predictors: Predictors) -> Array:
        df = np.exp(predictors[2])
        ratio = np.where(df > 2.0, df / np.maximum(df - 2.0, 1e-300), np.inf)
        return np.exp(2.0 * predictors[1]) * ratio + np.zeros_like(response.y)

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        t = rng.standard_t(np.exp(predictors[2]), response.y.shape)
        return self.mean(predictors) + np.exp(predictors[1]) * t

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        z = (response.y - self.mean(predictors)) * np.exp(-predictors[1])
        below: Array = stdtr(np.exp(predictors[2]), z)
        return below

    def start_mean(self, response: Response) -> Array:
        if self.link == "identity":
            return response.y
        least = 0.1 * np.abs(response.y).mean() or 1.0
        return np.maximum(response.y, least)

    def initial_dispersion(self, response: Response) -> float:
        return float(np.log(max(0.8 * response.y.std(), 1e-150)))


def _to_user(psi: Array) -> tuple[Array, Array]:
    return np.exp(psi), np.diag(np.exp(psi))
