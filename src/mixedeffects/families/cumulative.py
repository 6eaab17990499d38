"""Ordered categories: the cumulative link model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import DataError, ModelError
from mixedeffects.families.base import AbstractFamily, Extras, Predictors
from mixedeffects.families.distributions import DISTRIBUTIONS, AbstractDistribution
from mixedeffects.families.jets import (
    Array,
    Jet,
    Partials,
    Wanted,
    compose_many,
    exp,
    variables,
)
from mixedeffects.families.response import Column, Response, is_count
from mixedeffects.families.special import first_and_log_distances, log1mexp

Threshold = Literal["flexible", "equidistant"]


@dataclass(frozen=True)
class Cumulative(AbstractFamily):
    """Ordered categories 1, …, J with P(Y ≤ j) = F(τ_j − η).

    A larger η makes higher categories likelier; there is no intercept besides the thresholds
    τ₁ < … < τ_{J−1}. The distribution function F is that of the link: logistic, normal, or
    F(x) = 1 − exp(−exp(x)) for "cloglog". Responses are codes 0, 1, …, J − 1.

    Attributes
    ----------
    link : {"logit", "probit", "cloglog", "loglog", "cauchit"}
    threshold : {"flexible", "equidistant"}
        Thresholds of any distances, or all of the same: τ_j = τ₁ + (j − 1)·spacing. Unconstrained
        scales are ψ₁ = τ₁ and the logarithms of the distances.

    Examples
    --------
    >>> family = Cumulative()
    >>> response = family.response(np.array([0.0, 1.0, 2.0]))
    >>> psi = family.extras(response).start
    >>> family.probabilities(response, (np.zeros(3), *psi)).round(3)[0]
    array([0.333, 0.333, 0.333])
    """

    link: str = "logit"
    threshold: Threshold = "flexible"

    name = "cumulative"
    links = tuple(DISTRIBUTIONS)
    natural = None
    has_dispersion = False
    discrete = True
    has_thresholds = True
    response_kind = "ordinal"
    extra_component = "threshold"

    def __post_init__(self) -> None:
        AbstractFamily.__post_init__(self)
        if self.threshold not in ("flexible", "equidistant"):
            raise ModelError(
                f"threshold={self.threshold!r} is neither 'flexible' nor 'equidistant'."
            )

    def describe(self) -> str:
        return f"{AbstractFamily.describe(self)}, {self.threshold} thresholds"

    @property
    def distribution(self) -> AbstractDistribution:
        """F."""
        return DISTRIBUTIONS[self.link]

    def response(
        self,
        y: Array,
        trials: Array | None = None,
        name: str = "y",
        rows: NDArray[np.intp] | None = None,
    ) -> Response:
        column = Column(name, rows)
        self._refuse_trials(trials, column)
        column.require(y, is_count, "Codes of ordered categories are 0, 1, 2, ….")
        counts = np.bincount(y.astype(np.intp))
        if len(counts) < 2:
            raise DataError(
                f"{name!r} has one category only; family 'cumulative' needs two or more."
            )
        if not counts.all():
            raise DataError(
                f"No row of {name!r} is in category {int(np.argmin(counts)) + 1} of"
                f" {len(counts)}, so that its thresholds have no estimate. Leave that category"
                " out, or join it to a neighbour."
            )
        return Response(y, n_categories=len(counts))

    def extras(self, response: Response) -> Extras:
        shares = np.bincount(response.y.astype(np.intp), minlength=response.n_categories)
        below = np.cumsum(shares)[:-1] / len(response.y)
        tau = self.g.forward(np.clip(below, 1e-6, 1.0 - 1e-6))
        logs = np.log(np.maximum(np.diff(tau), 1e-3))
        if self.threshold == "flexible":
            names = tuple(f"{j}|{j + 1}" for j in range(1, len(tau) + 1))
            return Extras(
                names, np.array([tau[0], *logs]), _flexible_to_user, first_and_log_distances
            )
        if len(tau) == 1:
            return Extras(("threshold.1",), tau, _one_to_user, np.array)
        return Extras(
            ("threshold.1", "spacing"),
            np.array([tau[0], np.log(np.exp(logs).mean())]),
            _equidistant_to_user,
            _equidistant_from_user,
        )

    def partials(self, response: Response, point: Predictors, wanted: Wanted) -> Partials:
        eta, *psi = variables((point[0], *(_number(p) for p in point[1:])), wanted)
        codes = response.y.astype(np.intp)
        tau = self._thresholds(tuple(psi), response.n_categories)
        upper = _gather(tau, np.minimum(codes, len(tau) - 1)) - eta
        lower = _gather(tau, np.maximum(codes - 1, 0)) - eta
        top, bottom = codes == len(tau), codes == 0
        density = log_interval(
            self.distribution, upper.value, lower.value, top, bottom, wanted.order
        )
        return compose_many(density, (upper, lower)).partials()

    def _thresholds(self, psi: tuple[Jet, ...], n_categories: int) -> list[Jet]:
        """τ (J − 1)."""
        tau = [psi[0]]
        distances = [exp(step) for step in psi[1:]]
        if self.threshold == "equidistant":
            distances = distances * (n_categories - 2)
        for distance in distances:
            tau.append(tau[-1] + distance)
        return tau

    def probabilities(self, response: Response, predictors: Predictors) -> Array:
        """Probabilities (n, J) of the categories."""
        n = response.n_categories
        if not np.size(predictors[0]):
            return np.empty((0, n))
        psi = variables(tuple(_number(p) for p in predictors[1:]), Wanted(0))
        tau = np.array([float(t.value) for t in self._thresholds(psi, n)])
        eta = np.asarray(predictors[0])[:, None]
        with np.errstate(all="ignore"):
            columns = [
                log_interval(
                    self.distribution,
                    tau[min(j, n - 2)] - eta[:, 0],
                    tau[max(j - 1, 0)] - eta[:, 0],
                    np.full(len(eta), j == n - 1),
                    np.full(len(eta), j == 0),
                    0,
                )[()]
                for j in range(n)
            ]
        return np.exp(np.stack(columns, axis=1))

    def mean(self, predictors: Predictors) -> Array:
        """Mean code (n,); it treats the categories as equidistant numbers."""
        n = len(predictors) if self.threshold == "flexible" else 0
        if not n:
            raise ModelError(
                "The mean of a cumulative model with equidistant thresholds needs the number of"
                " categories; use its probabilities."
            )
        found = self.probabilities(Response(np.empty(0), n_categories=n), predictors)
        mean: Array = found @ np.arange(n)
        return mean

    def variance(self, response: Response, predictors: Predictors) -> Array:
        codes = np.arange(response.n_categories)
        found = self.probabilities(response, predictors)
        spread: Array = found @ codes**2 - (found @ codes) ** 2
        return spread

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        below = np.cumsum(self.probabilities(response, predictors), axis=1)
        u = rng.random((len(below), 1))
        drawn: Array = (u > below[:, :-1]).sum(axis=1).astype(float)
        return drawn

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        below = np.cumsum(self.probabilities(response, predictors), axis=1)
        found: Array = below[np.arange(len(below)), response.y.astype(np.intp)]
        return np.minimum(found, 1.0)

    def start_mean(self, response: Response) -> Array:
        return np.zeros_like(response.y)

    def initial_eta(self, response: Response) -> Array:
        return np.zeros_like(response.y)


def _flexible_to_user(psi: Array) -> tuple[Array, Array]:
    steps = np.array([psi[0], *np.exp(psi[1:])])
    slopes = np.array([1.0, *np.exp(psi[1:])])
    return np.cumsum(steps), np.tril(np.ones((len(psi), len(psi)))) * slopes


def _one_to_user(psi: Array) -> tuple[Array, Array]:
    return psi, np.eye(1)


def _equidistant_to_user(psi: Array) -> tuple[Array, Array]:
    spacing = np.exp(psi[1])
    return np.array([psi[0], spacing]), np.diag([1.0, spacing])


def _equidistant_from_user(values: Array) -> Array:
    return np.stack([values[..., 0], np.log(values[..., 1])], axis=-1)


def _number(x: Array) -> Array:
    """The one value of a predictor that is the same for all rows."""
    return np.asarray(np.ravel(x)[0])


def _gather(tau: list[Jet], rows: NDArray[np.intp]) -> Jet:
    """For each row, the threshold of its number."""
    keys = {key: None for t in tau for key in t.terms}
    nothing = np.asarray(0.0)
    terms = {key: np.array([t.terms.get(key, nothing) for t in tau])[rows] for key in keys}
    return tau[0].with_terms(np.array([t.value for t in tau])[rows], terms)


def log_interval(
    distribution: AbstractDistribution,
    a: Array,
    b: Array,
    top: NDArray[np.bool_],
    bottom: NDArray[np.bool_],
    order: int,
) -> Partials:
    """log(F(a) − F(b)) and its partial derivatives; a is infinite at the top, −b at the bottom.

    Differences are taken in the lower or in the upper tail, whichever is the smaller.
    """
    (lower_a, upper_a), (lower_b, upper_b) = distribution.log_tails(a), distribution.log_tails(b)
    lower_a, upper_a = np.where(top, 0.0, lower_a), np.where(top, -np.inf, upper_a)
    lower_b, upper_b = np.where(bottom, -np.inf, lower_b), np.where(bottom, 0.0, upper_b)
    in_upper = upper_b < lower_a
    larger = np.where(in_upper, upper_b, lower_a)
    gap = np.where(in_upper, upper_a - upper_b, lower_b - lower_a)
    width = log1mexp(gap)[0]
    value = larger + width
    if not order:
        return {(): value}
    # densities over the probability, by ratios that stay finite in the tails
    ratios_a, ratios_b = distribution.log_ratios(a), distribution.log_ratios(b)
    log_f = np.where(in_upper, ratios_a[1] + gap, ratios_a[0]) - width
    log_g = np.where(in_upper, ratios_b[1], ratios_b[0] + gap) - width
    f = np.where(top, 0.0, np.exp(log_f))
    g = np.where(bottom, 0.0, np.exp(log_g))
    found: Partials = {(): value, (0,): f, (1,): -g}
    if order >= 2:
        h, h1 = distribution.slope(a)
        k, k1 = distribution.slope(b)
        found |= {(0, 0): f * (h - f), (0, 1): f * g, (1, 1): -g * (k + g)}
    if order >= 3:
        found |= {
            (0, 0, 0): f * ((h - f) * (h - 2.0 * f) + h1),
            (0, 0, 1): f * g * (h - 2.0 * f),
            (0, 1, 1): f * g * (k + 2.0 * g),
            (1, 1, 1): -g * ((k + g) * (k + 2.0 * g) + k1),
        }
    return found
