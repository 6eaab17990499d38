"""Poisson counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc, gammaln, xlogy

from mixedeffects.families._rows import poisson_log
from mixedeffects.families.base import AbstractFamily, Predictors
from mixedeffects.families.jets import Array, Partials, Wanted
from mixedeffects.families.response import Column, Response, is_count
from mixedeffects.families.rows import flat, table

COUNT_LINKS = ("log", "identity", "sqrt", "inverse")


def count_response(
    family: AbstractFamily,
    y: Array,
    trials: Array | None,
    name: str,
    rows: NDArray[np.intp] | None,
) -> Response:
    """Checked counts 0, 1, 2, … with the logarithms of their factorials.

    Raises
    ------
    DataError
        At a negative or fractional value.
    """
    column = Column(name, rows)
    family._refuse_trials(trials, column)
    column.require(
        y,
        is_count,
        f"Family {family.name!r} is for counts 0, 1, 2, …. For rates, model the count with an"
        " offset of the log exposure; for positive measurements use 'gamma', 'lognormal' or"
        " 'tweedie'.",
    )
    return Response(y, known={"log_factorial": gammaln(y + 1.0)})


@dataclass(frozen=True)
class Poisson(AbstractFamily):
    """Counts with mean and variance μ = g⁻¹(η).

    Attributes
    ----------
    link : {"log", "identity", "sqrt", "inverse"}

    Examples
    --------
    >>> family = Poisson()
    >>> response = family.response(np.array([0.0, 3.0]))
    >>> found = family.derivatives(response, (np.zeros(2),), order=2)
    >>> found.first[0], found.second[0, 0]
    (array([-1.,  2.]), array([-1., -1.]))
    """

    link: str = "log"

    name = "poisson"
    links = COUNT_LINKS
    natural = "log"
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
        return count_response(self, y, trials, name, rows)

    def partials(self, response: Response, point: Predictors, wanted: Wanted) -> Partials:
        (t,) = point
        mu = np.exp(t)
        curvature = -mu
        return wanted.pick(
            {
                (): lambda: response.y * t - mu - response.known["log_factorial"],
                (0,): lambda: response.y - mu,
                (0, 0): lambda: curvature,
                (0, 0, 0): lambda: curvature,
            }
        )

    def compiled(self, response: Response, point: Predictors, wanted: Wanted) -> Array | None:
        if self.link != "log":
            return None
        eta, y, factorial = flat(point[0]), response.y, response.known["log_factorial"]
        return table(len(y), wanted, 1, lambda *part: poisson_log(eta, y, factorial, *part))

    def variance(self, response: Response, predictors: Predictors) -> Array:
        return self.mean(predictors)

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        return rng.poisson(self.mean(predictors), response.y.shape).astype(float)

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        below: Array = gammaincc(response.y + 1.0, self.mean(predictors))
        return below

    def deviance(self, response: Response, predictors: Predictors) -> Array:
        y, mu = response.y, self.mean(predictors)
        unit: Array = 2.0 * (xlogy(y, y / mu) - (y - mu))
        return unit

    def start_mean(self, response: Response) -> Array:
        return count_start(response)


def count_start(response: Response) -> Array:
    """Counts drawn a little to their mean, none of them zero."""
    start: Array = 0.9 * response.y + 0.1 * max(response.y.mean(), 1e-3)
    return start
