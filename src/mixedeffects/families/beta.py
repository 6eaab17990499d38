"""Proportions strictly between 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from mixedeffects.families.base import AbstractFamily, Predictors
from mixedeffects.families.jets import Array, Jet, Partials, Wanted, exp, variables
from mixedeffects.families.response import Column, Response
from mixedeffects.families.special import HALF_LOG_2PI, log_expit, stirling

BETA_LINKS = ("logit", "probit", "cloglog", "loglog", "cauchit")


def beta_density(y_known: dict[str, Array], t: Jet, delta: Jet) -> Jet:
    """Log-density of mean μ with logit t and precision φ = exp(δ).

    Written as φ times a divergence of y from μ, with the gamma functions by Stirling's formula
    and its rest, so that a large φ cancels nothing.
    """
    log_y, log_rest = y_known["log"], y_known["log_complement"]
    log_mu, log_nu = t.compose(log_expit), (-t).compose(log_expit)
    log_a, log_b = delta + log_mu, delta + log_nu
    fit = exp(log_a) * (log_y - log_mu) + exp(log_b) * (log_rest - log_nu)
    rest = delta.compose(stirling) - log_a.compose(stirling) - log_b.compose(stirling)
    return fit + rest + 0.5 * (delta + log_mu + log_nu) - (log_y + log_rest + HALF_LOG_2PI)


def beta_known(y: Array) -> dict[str, Array]:
    return {"log": np.log(y), "log_complement": np.log1p(-y)}


def draw_beta(
    rng: np.random.Generator, shape: tuple[int, ...], mu: Array, rest: Array, phi: Array
) -> Array:
    """Beta values of mean mu = 1 − rest, kept off 0 and 1, which rounding alone would give."""
    drawn = rng.beta(np.broadcast_to(mu * phi, shape), np.broadcast_to(rest * phi, shape))
    return np.clip(drawn, 1e-15, 1.0 - 1e-15)


def beta_start(y: Array) -> float:
    """Logarithm of the precision that a mean and a variance give."""
    mean = y.mean()
    precision = mean * (1.0 - mean) / max(float(y.var()), 1e-12) - 1.0
    return float(np.log(np.clip(precision, 0.5, 1e6)))


@dataclass(frozen=True)
class Beta(AbstractFamily):
    """Proportions in (0, 1) with mean μ = g⁻¹(η) and variance μ(1 − μ)/(1 + φ), φ = exp(δ).

    The dispersion parameter φ is a precision (Ferrari and Cribari-Neto 2004), as in glmmTMB.

    Attributes
    ----------
    link : {"logit", "probit", "cloglog", "loglog", "cauchit"}
    """

    link: str = "logit"

    name = "beta"
    links = BETA_LINKS
    natural = "logit"
    dispersion = "precision"
    sigma_name = "precision"
    variance_is = "variance = mu (1 - mu) / (1 + precision)"

    def response(
        self,
        y: Array,
        trials: Array | None = None,
        name: str = "y",
        rows: NDArray[np.intp] | None = None,
    ) -> Response:
        column = Column(name, rows)
        self._refuse_trials(trials, column)
        column.require(
            y,
            lambda v: (v > 0) & (v < 1),
            "Family 'beta' is for proportions strictly between 0 and 1. With zeros and ones use"
            " family 'ordbeta'; with zeros alone, zero_inflation=. Divide percentages by 100.",
        )
        return Response(y, known=beta_known(y))

    def partials(self, response: Response, point: Predictors, wanted: Wanted) -> Partials:
        t, delta = variables(point, wanted)
        return beta_density(dict(response.known), t, delta).partials()

    def variance(self, response: Response, predictors: Predictors) -> Array:
        spread = self.mean(predictors) * self.g.complement(predictors[0])
        return spread / (1.0 + np.exp(predictors[1]))

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        rest = self.g.complement(predictors[0])
        phi = np.exp(predictors[1])
        return draw_beta(rng, response.y.shape, self.mean(predictors), rest, phi)

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        phi = np.exp(predictors[1])
        rest = self.g.complement(predictors[0])
        below: Array = betainc(self.mean(predictors) * phi, rest * phi, response.y)
        return below

    def start_mean(self, response: Response) -> Array:
        return np.clip(response.y, 0.01, 0.99)

    def initial_dispersion(self, response: Response) -> float:
        return beta_start(response.y)
