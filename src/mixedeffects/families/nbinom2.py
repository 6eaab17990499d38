"""Negative binomial counts whose variance is quadratic in the mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, xlog1py, xlogy

from mixedeffects.families._rows import nbinom2_log
from mixedeffects.families.base import AbstractFamily, Predictors
from mixedeffects.families.jets import Array, Partials, Wanted
from mixedeffects.families.poisson import COUNT_LINKS, count_response, count_start
from mixedeffects.families.response import Response
from mixedeffects.families.rows import flat, places, table
from mixedeffects.families.special import log1pmx, log_rising, logistic


def negative_binomial(
    response: Response,
    t: Array,
    delta: Array,
    rising: tuple[Array, ...],
    wanted: Wanted,
) -> Partials:
    """Log-density of mean exp(t) and size exp(δ), with its derivatives by t and δ.

    ``rising`` is `log_rising` of y and δ.
    At a large size every derivative by δ vanishes like the inverse size, without cancellation.
    """
    y = response.y
    size, mu = np.exp(delta), np.exp(t)
    p, q, rest = logistic(t - delta)
    log_ratio = rest + np.maximum(t - delta, 0.0)
    gap = size * log1pmx(mu / size) + mu * p  # size·(log(1 + μ/size) − p)
    slope = y * q - size * p
    pq = p * q
    curvature = -(y + size) * pq
    return wanted.pick(
        {
            (): lambda: (
                y * t - (y + size) * log_ratio + rising[0] - response.known["log_factorial"]
            ),
            (0,): lambda: slope,
            (1,): lambda: rising[1] - gap + y * p,
            (0, 0): lambda: curvature,
            (0, 1): lambda: p * slope,
            (1, 1): lambda: rising[2] - gap + size * p * p - y * pq,
            (0, 0, 0): lambda: curvature * (q - p),
            (0, 0, 1): lambda: pq * slope + p * curvature,
            (0, 1, 1): lambda: p * slope * (p - q),
            (1, 1, 1): lambda: rising[3] - gap + 2.0 * size * p**3 + y * pq * (q - p),
        }
    )


@dataclass(frozen=True)
class NegativeBinomial2(AbstractFamily):
    """Counts with mean μ = g⁻¹(η) and variance μ(1 + μ/θ), θ = exp(δ).

    The dispersion parameter θ is the size, as in glmmTMB: the larger, the nearer to Poisson.

    Attributes
    ----------
    link : {"log", "identity", "sqrt", "inverse"}
    """

    link: str = "log"

    name = "nbinom2"
    links = COUNT_LINKS
    natural = "log"
    dispersion = "size"
    sigma_name = "size"
    variance_is = "variance = mu (1 + mu / size)"
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
        t, delta = point
        return negative_binomial(response, t, delta, _rising(response, delta, wanted.order), wanted)

    def compiled(self, response: Response, point: Predictors, wanted: Wanted) -> Array | None:
        if self.link != "log":
            return None
        eta, delta, y = flat(point[0]), flat(point[1]), response.y
        rising = _rising(response, point[1], wanted.order)
        r0, r1, r2, r3 = rising + rising[:1] * (4 - len(rising))
        known = response.known["log_factorial"]
        where = places(wanted)
        return table(
            len(y),
            wanted,
            2,
            lambda *part: nbinom2_log(eta, delta, y, known, r0, r1, r2, r3, where, *part),
        )

    def variance(self, response: Response, predictors: Predictors) -> Array:
        mu = self.mean(predictors)
        return mu + mu * mu * np.exp(-predictors[1])

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        return draw_negative_binomial(
            rng, response.y.shape, self.mean(predictors), np.exp(predictors[1])
        )

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        return negative_binomial_cdf(response.y, self.mean(predictors), np.exp(predictors[1]))

    def deviance(self, response: Response, predictors: Predictors) -> Array:
        y, mu, size = response.y, self.mean(predictors), np.exp(predictors[1])
        unit: Array = 2.0 * (xlogy(y, y / mu) - xlog1py(y + size, (y - mu) / (mu + size)))
        return unit

    def start_mean(self, response: Response) -> Array:
        return count_start(response)

    def initial_dispersion(self, response: Response) -> float:
        mean, variance = response.y.mean(), response.y.var()
        return float(np.log(np.clip(mean**2 / max(variance - mean, 1e-300), 0.1, 1e3)))


def _rising(response: Response, delta: Array, order: int) -> tuple[Array, ...]:
    return response.remember(
        f"log_rising, {order}", (delta,), lambda: log_rising(response.y, delta, order)
    )


def draw_negative_binomial(
    rng: np.random.Generator, shape: tuple[int, ...], mu: Array, size: Array
) -> Array:
    """Counts of mean μ and variance μ(1 + μ/size): Poisson with gamma distributed rates."""
    rates = mu * rng.standard_gamma(np.broadcast_to(size, shape)) / size
    return rng.poisson(rates).astype(float)


def negative_binomial_cdf(y: Array, mu: Array, size: Array) -> Array:
    """Probability of a count not above y; at -1 it is zero."""
    below: Array = betainc(size, np.maximum(y, 0.0) + 1.0, size / (size + mu))
    return np.where(y < 0, 0.0, below)
