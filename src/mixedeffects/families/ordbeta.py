"""Proportions between 0 and 1, both included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, expit

from mixedeffects.families.base import AbstractFamily, Extras, Predictors
from mixedeffects.families.beta import beta_density, beta_known, beta_start, draw_beta
from mixedeffects.families.jets import (
    Array,
    Jet,
    Partials,
    Wanted,
    exp,
    scatter,
    variables,
)
from mixedeffects.families.response import Column, Response
from mixedeffects.families.special import first_and_log_distances, log1mexp, log_expit


@dataclass(frozen=True)
class OrderedBeta(AbstractFamily):
    """Proportions in [0, 1]: zeros, ones and beta values between, on one predictor.

    (Kubinec 2022, Political Analysis.) With cutpoints c₁ = ψ₁ and c₂ = ψ₁ + exp(ψ₂) on the
    logit scale, a response is 0 with probability 1/(1 + exp(η − c₁)), 1 with probability
    1/(1 + exp(c₂ − η)), and else beta distributed with mean 1/(1 + exp(−η)) and precision
    φ = exp(δ), glmmTMB's dispersion parameter.

    Attributes
    ----------
    link : {"logit"}
    """

    link: str = "logit"

    name = "ordbeta"
    links = ("logit",)
    natural = "logit"
    dispersion = "precision"
    sigma_name = "precision"
    variance_is = "that of the values between 0 and 1"
    zero_mass = True

    def extras(self, response: Response) -> Extras:
        n = len(response.y)
        zeros = (np.count_nonzero(response.y == 0) + 0.5) / (n + 1.0)
        ones = (np.count_nonzero(response.y == 1) + 0.5) / (n + 1.0)
        lower = np.log(zeros / (1.0 - zeros))
        upper = np.log((1.0 - ones) / ones)
        return Extras(
            ("cutpoint.1", "cutpoint.2"),
            np.array([lower, np.log(max(upper - lower, 0.1))]),
            _to_user,
            first_and_log_distances,
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
            lambda v: (v >= 0) & (v <= 1),
            "Family 'ordbeta' is for proportions from 0 to 1.",
        )
        return Response(y)

    def partials(self, response: Response, point: Predictors, wanted: Wanted) -> Partials:
        y = response.y
        point = tuple(np.broadcast_to(p, y.shape) for p in point)
        groups = []
        for rows, density in (
            (np.flatnonzero(y == 0), _of_zero),
            (np.flatnonzero((y > 0) & (y < 1)), _between),
            (np.flatnonzero(y == 1), _of_one),
        ):
            if len(rows):
                own = variables(tuple(p[rows] for p in point), wanted)
                groups.append((rows, density(y[rows], *own).partials()))
        return scatter(len(y), groups)

    def _probabilities(self, predictors: Predictors) -> tuple[Array, Array]:
        """Of zero and of one."""
        eta, _, first, gap = predictors
        return expit(first - eta), expit(eta - first - np.exp(gap))

    def mean(self, predictors: Predictors) -> Array:
        zero, one = self._probabilities(predictors)
        mean: Array = one + (1.0 - zero - one) * expit(predictors[0])
        return mean

    def variance(self, response: Response, predictors: Predictors) -> Array:
        zero, one = self._probabilities(predictors)
        mu = expit(predictors[0])
        square = mu * mu + mu * (1.0 - mu) / (1.0 + np.exp(predictors[1]))
        spread: Array = one + (1.0 - zero - one) * square - self.mean(predictors) ** 2
        return spread

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        zero, one = self._probabilities(predictors)
        eta, phi = predictors[0], np.exp(predictors[1])
        between = draw_beta(rng, response.y.shape, expit(eta), expit(-eta), phi)
        u = rng.random(response.y.shape)
        return np.where(u < zero, 0.0, np.where(u > 1.0 - one, 1.0, between))

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        zero, one = self._probabilities(predictors)
        eta, phi = predictors[0], np.exp(predictors[1])
        inside = betainc(expit(eta) * phi, expit(-eta) * phi, response.y)
        return np.where(response.y == 1, 1.0, zero + (1.0 - zero - one) * inside)

    def atoms(self, response: Response) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (response.y == 0) | (response.y == 1)
        return found

    def start_mean(self, response: Response) -> Array:
        return np.clip(response.y, 0.02, 0.98)

    def initial_dispersion(self, response: Response) -> float:
        between = response.y[(response.y > 0) & (response.y < 1)]
        return beta_start(between) if len(between) > 1 else 0.0


def _to_user(psi: Array) -> tuple[Array, Array]:
    distance = np.exp(psi[1])
    return np.array([psi[0], psi[0] + distance]), np.array([[1.0, 0.0], [1.0, distance]])


def _of_zero(y: Array, eta: Jet, delta: Jet, first: Jet, gap: Jet) -> Jet:
    return (first - eta).compose(log_expit)


def _of_one(y: Array, eta: Jet, delta: Jet, first: Jet, gap: Jet) -> Jet:
    return (eta - first - exp(gap)).compose(log_expit)


def _between(y: Array, eta: Jet, delta: Jet, first: Jet, gap: Jet) -> Jet:
    # F(a) − F(b) = F(a)(1 − F(b))(1 − exp(b − a)) for the logistic F
    distance = exp(gap)
    a = eta - first
    inside = a.compose(log_expit) + (distance - a).compose(log_expit)
    return inside + (-distance).compose(log1mexp) + beta_density(beta_known(y), eta, delta)
