"""Successes among trials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, gammaln, xlogy

from mixedeffects.families._rows import binomial_logit
from mixedeffects.families.base import AbstractFamily, Predictors
from mixedeffects.families.jets import Array, Partials, Wanted
from mixedeffects.families.response import Column, Response, is_count, is_whole
from mixedeffects.families.rows import table
from mixedeffects.families.special import logistic

PROBABILITY_LINKS = ("logit", "probit", "cloglog", "loglog", "cauchit", "log", "identity")
# Proportions times trials are whole to this share.
_ROUNDING = 1e-6


def trials_response(
    y: Array, trials: Array | None, name: str, rows: NDArray[np.intp] | None
) -> Response:
    """Checked counts of successes among trials, one trial each by default.

    Raises
    ------
    DataError
        For trials that are not 1, 2, …, and for successes that are not among 0, …, trials.
    """
    if trials is None:
        Column(name, rows).require(
            y,
            lambda v: (v == 0) | (v == 1),
            "Without trials a response is 0 or 1. For proportions pass the numbers of trials as"
            " weights=, or write (successes, failures) as two columns; for proportions that are"
            " not of trials use family 'beta'.",
        )
        return Response(y, np.ones_like(y), {"log_choose": np.zeros_like(y)})
    Column(f"trials of {name}", rows).require(
        trials,
        lambda v: is_whole(v) & (v > 0),
        "Numbers of trials are 1, 2, …; drop the rows that have none. Weights that are not"
        " numbers of trials have no place in this family.",
    )
    whole = np.round(y)
    y = np.where(np.abs(y - whole) <= _ROUNDING * np.maximum(whole, 1.0), whole, y)
    column = Column(name, rows)
    column.require(y, is_count, "Successes are whole numbers 0, 1, …, up to that of the trials.")
    column.require(
        y, lambda v: v <= trials, "That is more than its trials; check the numbers of trials."
    )
    if (trials == 1.0).all():
        return Response(y, trials, {"log_choose": np.zeros_like(y)})
    choose = gammaln(trials + 1.0) - gammaln(y + 1.0) - gammaln(trials - y + 1.0)
    return Response(y, trials, {"log_choose": choose})


@dataclass(frozen=True)
class Binomial(AbstractFamily):
    """Successes among trials, each with probability μ = g⁻¹(η); 0/1 responses have one trial.

    Attributes
    ----------
    link : {"logit", "probit", "cloglog", "loglog", "cauchit", "log", "identity"}
    """

    link: str = "logit"

    name = "binomial"
    response_kind = "binomial"
    links = PROBABILITY_LINKS
    natural = "logit"
    has_dispersion = False
    discrete = True
    zero_mass = True

    def response(
        self,
        y: Array,
        trials: Array | None = None,
        name: str = "y",
        rows: NDArray[np.intp] | None = None,
    ) -> Response:
        return trials_response(y, trials, name, rows)

    def partials(self, response: Response, point: Predictors, wanted: Wanted) -> Partials:
        (t,) = point
        y, n = response.y, trials_of(response)
        failures = n - y
        p, q, rest = logistic(t)
        curvature = -n * (p * q)
        return wanted.pick(
            {
                (): lambda: (
                    response.known["log_choose"]
                    - n * rest
                    - failures * np.maximum(t, 0.0)
                    + y * np.minimum(t, 0.0)
                ),
                (0,): lambda: y * q - failures * p,
                (0, 0): lambda: curvature,
                (0, 0, 0): lambda: curvature * (q - p),
            }
        )

    def compiled(self, response: Response, point: Predictors, wanted: Wanted) -> Array | None:
        if self.link != "logit":
            return None
        y, n = response.y, trials_of(response)
        eta = point[0] if point[0].ndim else np.full(y.shape, point[0])
        eta = np.ascontiguousarray(eta)
        choose = response.known["log_choose"]
        return table(len(y), wanted, 1, lambda *part: binomial_logit(eta, y, n, choose, *part))

    def variance(self, response: Response, predictors: Predictors) -> Array:
        return self.mean(predictors) * self.g.complement(predictors[0]) / trials_of(response)

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        n = trials_of(response).astype(np.int64)
        return rng.binomial(n, self.mean(predictors)).astype(float)

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        below: Array = bdtr(response.y, trials_of(response).astype(int), self.mean(predictors))
        return below

    def deviance(self, response: Response, predictors: Predictors) -> Array:
        y, n = response.y, trials_of(response)
        p, q = self.mean(predictors), self.g.complement(predictors[0])
        unit: Array = 2.0 * (xlogy(y, y / (n * p)) + xlogy(n - y, (n - y) / (n * q)))
        return unit

    def start_mean(self, response: Response) -> Array:
        return proportion_start(response)


def trials_of(response: Response) -> Array:
    assert response.trials is not None
    return response.trials


def proportion_start(response: Response) -> Array:
    """Proportions away from 0 and 1."""
    return (response.y + 0.5) / (trials_of(response) + 1.0)
