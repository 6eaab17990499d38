"""Tweedie responses: exact zeros among positive values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammainc, gammaln

from mixedeffects.families.base import AbstractFamily, Extras, Predictors
from mixedeffects.families.jets import (
    Array,
    Jet,
    Partials,
    Wanted,
    exp,
    log,
    scatter,
    variables,
)
from mixedeffects.families.response import Column, Response
from mixedeffects.families.special import log_expit, log_gamma

# Terms of the series that are kept lie this many standard deviations about the largest.
_WIDTH, _MARGIN = 9.0, 12.0
# Rows are taken together as long as their terms are not more than these.
_TERMS = 1_000_000


@dataclass(frozen=True)
class Tweedie(AbstractFamily):
    """Values ≥ 0 with mean μ = g⁻¹(η) and variance φμᵖ, φ = exp(δ), 1 < p < 2.

    The sum of a Poisson number of gamma values: an exact zero has a positive probability. The
    power p = 1 + 1/(1 + exp(−ψ)) is estimated, the same for all rows; φ is glmmTMB's
    dispersion. Densities come from the series of Dunn and Smyth (2005, Statistics and Computing
    15, 267-280), summed about its largest term.

    Attributes
    ----------
    link : {"log", "identity", "inverse", "sqrt"}
    """

    link: str = "log"

    name = "tweedie"
    links = ("log", "identity", "inverse", "sqrt")
    natural = "log"
    zero_mass = True

    def extras(self, response: Response) -> Extras:
        return Extras(
            ("power",),
            np.array([0.0]),
            lambda psi: (1.0 + expit(psi), np.diag(expit(psi) * expit(-psi))),
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
        y = response.y
        point = tuple(np.broadcast_to(p, y.shape) for p in point)
        groups = []
        for rows in (np.flatnonzero(y == 0), np.flatnonzero(y > 0)):
            if len(rows):
                own = tuple(p[rows] for p in point)
                groups.append((rows, _log_density(y[rows], own, wanted).partials()))
        return scatter(len(y), groups)

    def variance(self, response: Response, predictors: Predictors) -> Array:
        power = 1.0 + expit(predictors[2])
        spread: Array = np.exp(predictors[1]) * self.mean(predictors) ** power
        return spread

    def _clusters(self, predictors: Predictors) -> tuple[Array, Array, Array]:
        """Mean number of gamma values, their shape and their scale."""
        mu, phi = self.mean(predictors), np.exp(predictors[1])
        above, below = expit(predictors[2]), expit(-predictors[2])  # p − 1 and 2 − p
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
        above, below = expit(predictors[2]), expit(-predictors[2])
        unit: Array = 2.0 * (y * (y**-above - mu**-above) / -above - (y**below - mu**below) / below)
        return np.where(y == 0, 2.0 * mu**below / below, unit)

    def start_mean(self, response: Response) -> Array:
        start: Array = 0.9 * response.y + 0.1 * max(response.y.mean(), 1e-300)
        return start

    def initial_dispersion(self, response: Response) -> float:
        mean = max(response.y.mean(), 1e-300)
        return float(np.log(max(response.y.var(), 1e-12 * mean**2) / mean**1.5))


def _log_density(y: Array, point: Predictors, wanted: Wanted) -> Jet:
    """Of rows that are all zero or all positive."""
    t, delta, psi = variables(point, wanted)
    log_above, log_below = psi.compose(log_expit), (-psi).compose(log_expit)
    above, below = exp(log_above), exp(log_below)  # p − 1 and 2 − p
    zero = exp(below * t - delta - log_below)
    if not y[0]:
        return -zero
    unseen = exp(-(above * t) - delta - log_above)
    series = _log_series(y, delta, psi)
    return series - np.log(y) - y * unseen - zero


def _log_series(y: Array, delta: Jet, psi: Jet) -> Jet:
    """log Σ_j W_j, the part of the density that does not depend on the mean."""
    shape = exp(-psi)  # (2 − p)/(p − 1)
    log_above, log_below = psi.compose(log_expit), (-psi).compose(log_expit)
    log_z = shape * (np.log(y) - log_above) - (shape + 1.0) * delta - log_below
    centre = np.exp(_log_peak(y, delta.value, psi.value))
    spread = np.sqrt(centre / (1.0 + shape.value))
    first = np.maximum(1.0, np.floor(centre - _WIDTH * spread - _MARGIN))
    last = np.ceil(centre + _WIDTH * spread + _MARGIN)
    groups = []
    for rows in _batches(last - first + 1.0):
        width = int((last[rows] - first[rows]).max()) + 1
        j = first[rows, None] + np.arange(width, dtype=float)
        term = _column(log_z.take(rows)) * j - gammaln(j + 1.0)
        term = term - (_column(shape.take(rows)) * j).compose(log_gamma)
        # relative to the largest term, derivatives too: j is large where φ is small
        largest = _at(term, term.value.argmax(axis=1))
        total = log(exp(term - _column(largest)).sum(axis=1)) + largest
        groups.append((rows, total.partials()))
    found = scatter(len(y), groups)
    return delta.with_terms(found[()], {k: v for k, v in found.items() if k})


def _log_peak(y: Array, delta: Array, psi: Array) -> Array:
    """Logarithm of about the index of the largest term, y^(2−p)/((2 − p)φ)."""
    below = expit(-psi)
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


def _column(x: Jet) -> Jet:
    """With an axis for the terms of the series."""
    return x.with_terms(x.value[:, None], {k: v[:, None] for k, v in x.terms.items()})
