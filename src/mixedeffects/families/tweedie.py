"""Tweedie responses: exact zeros among positive values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammainc, gammaln, logit

from mixedeffects.families.base import AbstractFamily, Extras, Predictors
from mixedeffects.families.jets import (
    Array,
    Jet,
    Partials,
    Wanted,
    exp,
    from_partials,
    log,
    scatter,
    variables,
)
from mixedeffects.families.response import Column, Response
from mixedeffects.families.special import log_expit, log_gamma

# How near the power comes to 1 and to 2.
_EDGE = 0.01
# Terms of the series that are kept lie this many standard deviations about the largest.
_WIDTH, _MARGIN = 9.0, 12.0
# Rows are taken together as long as their terms are not more than these.
_TERMS = 100_000


@dataclass(frozen=True)
class Tweedie(AbstractFamily):
    """Values ≥ 0 with mean μ = g⁻¹(η) and variance φμᵖ, φ = exp(δ), 1.01 < p < 1.99.

    The sum of a Poisson number of gamma values: an exact zero has a positive probability. The
    power p = 1.01 + 0.98/(1 + exp(−ψ)) is estimated, the same for all rows; φ is glmmTMB's
    dispersion. At 1 and 2 the density has no series, and the likelihood may have no bound.
    Densities come from the series of Dunn and Smyth (2005, Statistics and Computing 15, 267-280),
    summed about its largest term.

    Attributes
    ----------
    link : {"log", "identity", "inverse", "sqrt"}
    """

    link: str = "log"

    name = "tweedie"
    links = ("log", "identity", "inverse", "sqrt")
    natural = "log"
    dispersion = "phi"
    sigma_name = "phi"
    variance_is = "variance = phi mu^power"
    zero_mass = True

    def extras(self, response: Response) -> Extras:
        return Extras(
            ("power",),
            np.array([0.0]),
            _to_user,
            _from_user,
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
        column.require(
            y,
            lambda v: np.isfinite(v) & (v >= 0),
            "Family 'tweedie' is for values that are zero or positive.",
        )
        return Response(y)

    def partials(self, response: Response, point: Predictors, wanted: Wanted) -> Partials:
        series = response.remember(
            f"series, {wanted}",
            point[1:],
            lambda: _log_series(response.y, point[1], point[2], wanted),
        )
        t, delta, psi = variables(point, wanted)
        above, below = _jet_parts(psi)
        log_above, log_below = log(above), log(below)
        zero = exp(below * t - delta - log_below)
        shown = response.y * exp(-(above * t) - delta - log_above)
        return (from_partials(series, wanted, len(point)) - shown - zero).partials()

    def variance(self, response: Response, predictors: Predictors) -> Array:
        power = 1.0 + _parts(predictors[2])[0]
        spread: Array = np.exp(predictors[1]) * self.mean(predictors) ** power
        return spread

    def _clusters(self, predictors: Predictors) -> tuple[Array, Array, Array]:
        """Mean number of gamma values, their shape and their scale."""
        mu, phi = self.mean(predictors), np.exp(predictors[1])
        above, below = _parts(predictors[2])
        return mu**below / (phi * below), below / above, phi * above * mu**above

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        number, shape, scale = self._clusters(predictors)
        counts = rng.poisson(np.broadcast_to(number, response.y.shape))
        return scale * rng.standard_gamma(shape * counts)

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        number, shape, scale = self._clusters(predictors)
        below = np.exp(-number) + np.zeros_like(response.y)
        most = np.max(number + _WIDTH * np.sqrt(number)) + 3.0 * _MARGIN
        for j in range(1, int(most) + 1):
            weight = np.exp(j * np.log(number) - number - gammaln(j + 1.0))
            below = below + weight * gammainc(j * shape, response.y / scale)
        return below

    def deviance(self, response: Response, predictors: Predictors) -> Array:
        y, mu = response.y, self.mean(predictors)
        above, below = _parts(predictors[2])
        # at y = 0 the first part is zero, the limit of y^(2 − p)
        some = np.where(y == 0, 1.0, y)
        first = y * (some**-above - mu**-above) / -above
        unit: Array = 2.0 * (first - (y**below - mu**below) / below)
        return unit

    def start_mean(self, response: Response) -> Array:
        start: Array = 0.9 * response.y + 0.1 * max(response.y.mean(), 1e-300)
        return start

    def initial_dispersion(self, response: Response) -> float:
        mean = max(response.y.mean(), 1e-300)
        return float(np.log(max(response.y.var(), 1e-12 * mean**2) / mean**1.5))


def _parts(psi: Array) -> tuple[Array, Array]:
    """p − 1 and 2 − p."""
    width = 1.0 - 2.0 * _EDGE
    return _EDGE + width * expit(psi), _EDGE + width * expit(-psi)


def _to_user(psi: Array) -> tuple[Array, Array]:
    slope = (1.0 - 2.0 * _EDGE) * expit(psi) * expit(-psi)
    return 1.0 + _parts(psi)[0], np.diag(slope)


def _from_user(power: Array) -> Array:
    psi: Array = logit((power - 1.0 - _EDGE) / (1.0 - 2.0 * _EDGE))
    return psi


def _jet_parts(psi: Jet) -> tuple[Jet, Jet]:
    """The same with derivatives."""
    width = 1.0 - 2.0 * _EDGE
    return exp(psi.compose(log_expit)) * width + _EDGE, exp(
        (-psi).compose(log_expit)
    ) * width + _EDGE


def _log_series(y: Array, delta: Array, psi: Array, wanted: Wanted) -> Partials:
    """log(Σ_j W_j / y), the part of the density that does not depend on the mean; 0 for zeros."""
    other = np.flatnonzero(y)
    delta, psi = (np.broadcast_to(p, y.shape)[other] for p in (delta, psi))
    first, last = _series_ends(y[other], delta, psi)
    groups = []
    for places in _batches(last - first + 1.0):
        width = int((last[places] - first[places]).max()) + 1
        j = first[places, None] + np.arange(width, dtype=float)
        point = (delta[places, None], delta[places, None], psi[places, None])
        total = _log_sum(y[other[places], None], j, variables(point, wanted))
        groups.append((other[places], total.partials()))
    return scatter(len(y), groups) if groups else {(): np.zeros(len(y))}


def _log_sum(y: Array, j: Array, predictors: tuple[Jet, ...]) -> Jet:
    """log Σ_j W_j − log y over given terms j (r, K), for predictors (r, 1)."""
    _, delta, psi = predictors
    above, below = _jet_parts(psi)
    log_above, log_below = log(above), log(below)
    shape = exp(log_below - log_above)
    log_y = np.log(y)
    log_z = shape * (log_y - log_above) - (shape + 1.0) * delta - log_below
    term = log_z * j - gammaln(j + 1.0) - (shape * j).compose(log_gamma)
    # relative to the largest term, derivatives too: j is large where φ is small
    largest = _at(term, term.value.argmax(axis=1))
    beyond = term - largest.with_terms(
        largest.value[:, None], {k: v[:, None] for k, v in largest.terms.items()}
    )
    return log(exp(beyond).sum(axis=1)) + largest - log_y[:, 0]


def _series_ends(y: Array, delta: Array, psi: Array) -> tuple[Array, Array]:
    """First and last j (n,) of the terms that matter."""
    centre = np.exp(_log_peak(y, delta, psi))
    spread = np.sqrt(centre * _parts(psi)[0])
    first = np.maximum(1.0, np.floor(centre - _WIDTH * spread - _MARGIN))
    return first, np.ceil(centre + _WIDTH * spread + _MARGIN)


def _log_peak(y: Array, delta: Array, psi: Array) -> Array:
    """Logarithm of about the index of the largest term, y^(2−p)/((2 − p)φ)."""
    below = _parts(psi)[1]
    peak: Array = below * np.log(y) - delta - np.log(below)
    return peak


def _batches(widths: Array) -> Iterator[NDArray[np.intp]]:
    """Rows in groups of like width, none too large."""
    order = np.argsort(widths)
    start = 0
    while start < len(order):
        most = max(1, int(_TERMS / widths[order[start]]))
        stop = min(start + most, len(order))
        # the last of a group is the widest
        most = max(1, int(_TERMS / widths[order[stop - 1]]))
        stop = min(start + most, len(order))
        yield order[start:stop]
        start = stop


def _at(x: Jet, places: NDArray[np.intp]) -> Jet:
    """The given place of each row."""
    rows = np.arange(len(places))
    terms = {k: np.broadcast_to(v, x.value.shape)[rows, places] for k, v in x.terms.items()}
    return x.with_terms(x.value[rows, places], terms)
