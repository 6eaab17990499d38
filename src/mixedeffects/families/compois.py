"""Conway-Maxwell-Poisson counts by their mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from mixedeffects.families.base import AbstractFamily, Predictors
from mixedeffects.families.jets import (
    Array,
    Jet,
    Key,
    Partials,
    Wanted,
    compose_many,
    exp,
    scatter,
    variables,
)
from mixedeffects.families.poisson import COUNT_LINKS, count_response, count_start
from mixedeffects.families.response import Response

# The support is summed this many standard deviations about the mean, and this much further.
_WIDTH, _MARGIN = 10.0, 20.0
# Rows are taken together as long as their terms are not more than these.
_TERMS = 100_000
# Newton steps for the rate that a mean asks for; after one this small, one more is exact.
_STEPS, _SMALL = 60, 1e-7


@dataclass(frozen=True)
class ConwayMaxwellPoisson(AbstractFamily):
    """Counts with P(y) ∝ λʸ/(y!)^ν, by their mean μ = g⁻¹(η) (Huang 2017); ν = exp(−δ).

    The dispersion parameter φ = 1/ν is glmmTMB's: the variance is about μφ, so that φ < 1 is
    underdispersion, 1 the Poisson distribution and φ > 1 overdispersion. Sums run over the
    whole support that matters; they are slow for means in the thousands.

    Attributes
    ----------
    link : {"log", "identity", "sqrt", "inverse"}
    """

    link: str = "log"

    name = "compois"
    links = COUNT_LINKS
    natural = "log"
    dispersion = "phi"
    sigma_name = "phi"
    variance_is = "variance about mu phi"
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
        n = len(response.y)
        t, delta = (np.broadcast_to(p, n) for p in point)
        groups = []
        for rows, support in _supports(t, delta):
            own = (t[rows], delta[rows])
            y, log_factorial = response.y[rows], response.known["log_factorial"][rows]
            groups.append((rows, _density(y, log_factorial, own, support, wanted).partials()))
        return scatter(n, groups)

    def _weights(
        self, predictors: Predictors, n: int
    ) -> Iterator[tuple[NDArray[np.intp], Array, Array]]:
        """Rows, their supports (r, K), and the probabilities (r, K) there."""
        with np.errstate(all="ignore"):
            t = np.broadcast_to(np.log(self.mean(predictors)), n)
            delta = np.broadcast_to(predictors[1], n)
            for rows, support in _supports(t, delta):
                nu = np.exp(-delta[rows])
                _, weights = _solve(t[rows], nu, support)
                yield rows, support, weights

    def variance(self, response: Response, predictors: Predictors) -> Array:
        spread = np.empty(len(response.y))
        for rows, support, weights in self._weights(predictors, len(response.y)):
            mean = (weights * support).sum(axis=1, keepdims=True)
            spread[rows] = (weights * (support - mean) ** 2).sum(axis=1)
        return spread

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        drawn = np.empty(len(response.y))
        for rows, support, weights in self._weights(predictors, len(response.y)):
            below = np.cumsum(weights, axis=1)[:, :-1]
            steps = (rng.random((len(rows), 1)) > below).sum(axis=1)
            drawn[rows] = support[:, 0] + steps
        return drawn

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        below = np.empty(len(response.y))
        for rows, support, weights in self._weights(predictors, len(response.y)):
            below[rows] = (weights * (support <= response.y[rows, None])).sum(axis=1)
        return np.minimum(below, 1.0)

    def start_mean(self, response: Response) -> Array:
        return count_start(response)

    def initial_dispersion(self, response: Response) -> float:
        mean, variance = response.y.mean(), response.y.var()
        return float(np.log(np.clip(variance / max(mean, 1e-300), 0.2, 5.0)))


def _supports(t: Array, delta: Array) -> Iterator[tuple[NDArray[np.intp], Array]]:
    """Rows in groups of like width, with the counts (r, K) on which they have probability."""
    mu = np.exp(t)
    # overdispersion never goes beyond the geometric distribution's
    spread = np.minimum(np.sqrt(mu * np.exp(delta)), mu + np.sqrt(mu))
    first = np.maximum(0.0, np.floor(mu - _WIDTH * spread - _MARGIN))
    width = np.ceil(mu + np.maximum(_WIDTH * spread, 0.0) + _MARGIN) - first
    width = np.where(np.exp(delta) > 3.0, np.maximum(width, 45.0 * (spread + 1.0)), width)
    order = np.argsort(width)
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop - start + 1) * width[order[stop]] <= _TERMS:
            stop += 1
        rows = order[start:stop]
        counts = np.arange(int(width[order[stop - 1]]) + 1, dtype=float)
        yield rows, first[rows, None] + counts
        start = stop


def _log_factorials(support: Array) -> Array:
    """Of runs of counts (r, K), from one table."""
    least = support[:, 0].min()
    table: Array = gammaln(np.arange(least, support[:, -1].max() + 1.0) + 1.0)
    found: Array = table[(support - least).astype(np.intp)]
    return found


def _solve(t: Array, nu: Array, support: Array) -> tuple[Array, Array]:
    """ξ = log λ (r,) at which the mean is exp(t), and the probabilities (r, K)."""
    mu = np.exp(t)
    energy = nu[:, None] * _log_factorials(support)
    # Huang (2017): λ^(1/ν) ≈ μ + (ν − 1)/(2ν)
    centre = mu + 0.5 * (nu - 1.0) / nu
    xi = np.where(centre > 0.1 * mu, nu * np.log(np.maximum(centre, 0.1 * mu)), t)
    exact = False
    for _ in range(_STEPS):
        log_weights = xi[:, None] * support - energy
        weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        mean = (weights * support).sum(axis=1)
        variance = (weights * (support - mean[:, None]) ** 2).sum(axis=1)
        # Newton for the logarithm of the mean, in steps that cannot leave the support
        step = np.clip((t - np.log(mean)) * mean / variance, -2.0, 2.0)
        if exact:
            break
        xi = xi + step
        exact = bool((np.abs(step) * variance <= _SMALL * np.maximum(mean, variance)).all())
    return xi, weights


def _density(
    y: Array, log_factorial: Array, point: Predictors, support: Array, wanted: Wanted
) -> Jet:
    """Log-density; log λ is an implicit function of the mean and ν."""
    t, delta = variables(point, wanted)
    nu = exp(-delta)
    xi, weights = _solve(point[0], nu.value, support)
    cumulants = _cumulants(xi, nu.value, support, weights, wanted.order)
    rate = t.with_terms(xi, {})
    means = {key[1:]: term for key, term in cumulants.items() if key[:1] == (0,)}
    # each Newton step, with the slope held fixed, makes one more order of derivatives right
    for _ in range(wanted.order):
        missing = exp(t) - compose_many(means, (rate, nu))
        rate = rate.with_terms(xi, (rate + missing * (1.0 / cumulants[(0, 0)])).terms)
    norm = compose_many({k: v for k, v in cumulants.items() if len(k) <= 3}, (rate, nu))
    return y * rate - log_factorial * nu - norm


def _cumulants(xi: Array, nu: Array, support: Array, weights: Array, order: int) -> Partials:
    """log Z(ξ, ν) and its derivatives: joint cumulants of y and −log y!.

    Of the highest order, ``order`` + 1, only those that the mean's derivatives need.
    """
    log_factorials = _log_factorials(support)
    log_terms = xi[:, None] * support - nu[:, None] * log_factorials
    largest = log_terms.max(axis=1)
    norm = largest + np.log(np.exp(log_terms - largest[:, None]).sum(axis=1))
    statistics = (support, -log_factorials)
    means = [(weights * s).sum(axis=1) for s in statistics]
    centred = [s - m[:, None] for s, m in zip(statistics, means, strict=True)]
    found: Partials = {(): norm, (0,): means[0], (1,): means[1]}
    for length in range(2, max(order, 1) + 2):
        for key in combinations_with_replacement((0, 1), length):
            if length <= order or key[0] == 0:
                found[key] = _moment(weights, centred, key)
    for key in [k for k in found if len(k) == 4]:
        found[key] = found[key] - sum(
            found[(key[i], key[j])] * found[_others(key, i, j)] for i, j in ((0, 1), (0, 2), (0, 3))
        )
    return found


def _moment(weights: Array, centred: list[Array], key: Key) -> Array:
    product = weights
    for i in key:
        product = product * centred[i]
    moment: Array = product.sum(axis=1)
    return moment


def _others(key: Key, i: int, j: int) -> Key:
    return tuple(key[place] for place in range(4) if place not in (i, j))
