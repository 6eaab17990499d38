"""Responses with zeros of their own: zero-inflated and hurdle models."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from mixedeffects.errors import ModelError
from mixedeffects.families._rows import zero_inflated
from mixedeffects.families.base import AbstractFamily, Extras, Predictors
from mixedeffects.families.jets import Array, Jet, Partials, Wanted, scatter, variables
from mixedeffects.families.response import Response
from mixedeffects.families.rows import base_wanted, flat, inflation_recipes, table
from mixedeffects.families.special import log_expit, softplus


@dataclass(frozen=True)
class ZeroInflated(AbstractFamily):
    """A family with extra zeros, of probability π = 1/(1 + exp(−ζ)).

    Where the family itself gives zeros (counts, "tweedie"), those add to the extra ones: a
    zero-inflated model. Where it does not (truncated counts, "gamma", "beta", …), all zeros are
    extra: a hurdle model. The predictor ζ, named "zero_inflation", follows the dispersion.

    Attributes
    ----------
    base : AbstractFamily
        The family of what is not an extra zero.

    Examples
    --------
    >>> from mixedeffects.families import Poisson
    >>> family = ZeroInflated(Poisson())
    >>> family.predictors()
    ('conditional', 'zero_inflation')
    >>> family.mean((np.log([2.0, 4.0]), np.zeros(2)))
    array([1., 2.])
    """

    link: str = field(init=False, default="")
    base: AbstractFamily

    name = "zero_inflated"
    links = ()
    natural = None
    zero_mass = True

    def __post_init__(self) -> None:
        if isinstance(self.base, ZeroInflated) or self.base.name == "cumulative":
            raise ModelError(f"Family {self.base.name!r} takes no zero_inflation=.")
        # tables and messages speak of the base
        spoken = ("name", "dispersion", "sigma_name", "variance_is")
        for attribute in ("link", "has_dispersion", "discrete", *spoken):
            object.__setattr__(self, attribute, getattr(self.base, attribute))

    @property
    def place(self) -> int:
        """Of ζ among the predictors."""
        return len(self.base.predictors())

    def predictors(self) -> tuple[str, ...]:
        return (*self.base.predictors(), "zero_inflation")

    def describe(self) -> str:
        hurdle = "" if self.base.zero_mass else " (hurdle)"
        return f"{self.base.describe()}, with zero inflation{hurdle}"

    def extras(self, response: Response) -> Extras:
        return self.base.extras(self._of_base(response))

    def response(
        self,
        y: Array,
        trials: Array | None = None,
        name: str = "y",
        rows: NDArray[np.intp] | None = None,
    ) -> Response:
        if self.base.zero_mass:
            return self.base.response(y, trials, name, rows)
        # zeros are no values of the base: others stand in for them, and are never looked at
        some = y[y != 0]
        stand_in = some[0] if len(some) else 1.0
        checked = self.base.response(np.where(y == 0, stand_in, y), trials, name, rows)
        return replace(checked, y=y)

    def _of_base(self, response: Response) -> Response:
        """The rows that the base may have produced."""
        return response if self.base.zero_mass else response.take(np.flatnonzero(response.y))

    def _without(self, predictors: Predictors) -> Predictors:
        """The predictors of the base."""
        return (*predictors[: self.place], *predictors[self.place + 1 :])

    def partials(self, response: Response, point: Predictors, wanted: Wanted) -> Partials:
        (zero, zeros), (other, others) = response.remember("split", (), lambda: _split(response))
        zeta = variables(point, wanted)[self.place]
        groups: list[tuple[NDArray[np.intp], Partials]] = []
        if len(other):
            density = self._base_jet(others, point, wanted, other)
            shown = _rows(zeta, other).compose(_log_rest) + density
            groups.append((other, shown.partials()))
        if len(zero):
            hidden = _rows(zeta, zero)
            shown = hidden.compose(log_expit)
            if self.base.zero_mass:
                density = self._base_jet(zeros, point, wanted, zero)
                shown = shown + (density - hidden).compose(softplus)
            groups.append((zero, shown.partials()))
        return scatter(len(response.y), groups)

    def compiled(self, response: Response, point: Predictors, wanted: Wanted) -> Array | None:
        if not self.base.zero_mass:
            return None
        place, y = self.place, response.y
        base = self.base.compiled(response, self._without(point), base_wanted(wanted, place))
        if base is None:
            return None
        zeta, recipes = flat(point[place]), inflation_recipes(wanted, place, len(point))
        return table(
            len(y),
            wanted,
            len(point),
            lambda *part: zero_inflated(y, zeta, base, recipes, *part),
        )

    def _base_jet(
        self, response: Response, point: Predictors, wanted: Wanted, rows: NDArray[np.intp]
    ) -> Jet:
        """The base's log-density of a response of some rows, its predictors renumbered."""
        places = tuple(i for i in range(len(point)) if i != self.place)
        own = tuple(p[rows] if p.ndim else p for p in self._without(point))
        curved = tuple(i for i, place in enumerate(places) if place in wanted.curved)
        found = self.base.derivatives(response, own, wanted.order, curved)
        terms: Partials = {(places[i],): term for i, term in found.first.items()}
        for known in (found.second, found.third):
            for key, term in known.items():
                terms[tuple(places[i] for i in key)] = term
        return Jet(found.value, wanted, len(point), terms)

    def mean(self, predictors: Predictors) -> Array:
        rest = expit(-predictors[self.place])
        mean: Array = rest * self.base.mean(self._without(predictors))
        return mean

    def variance(self, response: Response, predictors: Predictors) -> Array:
        own = self._without(predictors)
        rest = expit(-predictors[self.place])
        mean = self.base.mean(own)
        spread: Array = rest * (self.base.variance(response, own) + (1.0 - rest) * mean * mean)
        return spread

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        extra = rng.random(response.y.shape) < expit(predictors[self.place])
        drawn = self.base.draw(rng, response, self._without(predictors))
        return np.where(extra, 0.0, drawn)

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        zeta = np.broadcast_to(predictors[self.place], response.y.shape)
        below = np.where(response.y >= 0, expit(zeta), 0.0)
        rows = np.arange(len(response.y))
        if not self.base.zero_mass and self.base.name not in ("gaussian", "student_t"):
            rows = np.flatnonzero(response.y > 0)
        own = tuple(np.broadcast_to(p, response.y.shape)[rows] for p in self._without(predictors))
        below[rows] += expit(-zeta[rows]) * self.base.cdf(response.take(rows), own)
        return below

    def atoms(self, response: Response) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (response.y == 0) | self.base.atoms(response)
        return found

    def start_mean(self, response: Response) -> Array:
        if self.base.zero_mass:
            return self.base.start_mean(response)
        other = np.flatnonzero(response.y)
        found = self.base.start_mean(response.take(other))
        start = np.full(response.y.shape, found.mean() if len(found) else 1.0)
        start[other] = found
        return start

    def sigma(self, delta: Array | float) -> Array:
        return self.base.sigma(delta)

    def initial_dispersion(self, response: Response) -> float:
        return self.base.initial_dispersion(self._of_base(response))

    def initial_zero_inflation(self, response: Response) -> float:
        """ζ from which to iterate."""
        y = response.y
        extra = float(np.count_nonzero(y == 0)) / len(y)
        if self.base.zero_mass:
            extra -= float(np.exp(-response.observed.mean()))
        return float(logit(min(max(extra, 0.02), 0.98)))


Part = tuple[NDArray[np.intp], Response]


def _split(response: Response) -> tuple[Part, Part]:
    """Rows and responses that are zero, and those that are not."""
    zero, other = np.flatnonzero(response.y == 0), np.flatnonzero(response.y)
    return (zero, response.take(zero)), (other, response.take(other))


def _log_rest(zeta: Array, order: int) -> tuple[Array, ...]:
    """log(1 − π)."""
    value, *slopes = softplus(zeta, order)
    return (-value, *(-slope for slope in slopes))


def _rows(x: Jet, rows: NDArray[np.intp]) -> Jet:
    """Some rows of a predictor, or the number that stands for all."""
    return x.with_terms(x.value[rows], x.terms) if x.value.ndim else x
