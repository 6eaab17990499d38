"""Coordinates of ψ = (θ, β) of a generalized model in which one natural parameter is one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.families.base import AbstractFamily, Extras
from mixedeffects.fitting.axes import Axes
from mixedeffects.fitting.general import GeneralProblem, Predictor
from mixedeffects.inference.coordinates import AbstractCoordinates, of_term
from mixedeffects.inference.parameters import Parameter

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Coefficient(AbstractCoordinates):
    """t is a multiple of a predictor's coefficient; the others are along orthogonal ``axes``.

    ``own``, the predictor's place in ψ; ``axes`` (p, p), the first along the coefficient, which
    is ``unit`` times t.
    """

    own: slice
    axes: Floats
    unit: float

    def value(self, t: float) -> float:
        return self.unit * t

    def split(self, y: Floats) -> tuple[Floats, float]:
        z = y.copy()
        z[self.own] = self.axes.T @ y[self.own]
        return super().split(z)

    def join(self, x: Floats, t: float) -> Floats:
        y = super().join(x, t)
        y[self.own] = self.axes @ y[self.own]
        return y

    def jacobian(self, x: Floats, t: float) -> Floats:
        jacobian = super().jacobian(x, t)
        jacobian[self.own] = self.axes @ jacobian[self.own]
        return jacobian


@dataclass(frozen=True)
class Deviation(AbstractCoordinates):
    """t is a standard deviation in multiples of ``unit``."""

    unit: float

    def value(self, t: float) -> float:
        return self.unit * t


@dataclass(frozen=True)
class Dispersion(AbstractCoordinates):
    """t is the dispersion's coefficient, with the ``sign`` with which σ grows."""

    family: AbstractFamily
    sign: float

    def value(self, t: float) -> float:
        with np.errstate(over="ignore"):
            return float(self.family.sigma(np.float64(self.sign * t)))

    def split(self, y: Floats) -> tuple[Floats, float]:
        x, t = super().split(y)
        return x, self.sign * t

    def join(self, x: Floats, t: float) -> Floats:
        return super().join(x, self.sign * t)

    def jacobian(self, x: Floats, t: float) -> Floats:
        jacobian = super().jacobian(x, t)
        jacobian[:, -1] *= self.sign
        return jacobian


@dataclass(frozen=True)
class Extra(AbstractCoordinates):
    """t is an extra parameter on its unconstrained scale; the others have no part in it.

    ``own``, the extra parameters' place in ψ, of which it is the one with this ``number``.
    """

    extras: Extras
    own: slice
    number: int

    def value(self, t: float) -> float:
        psi = np.zeros(self.own.stop - self.own.start)
        psi[self.number] = t
        return float(self.extras.to_user(psi)[0][self.number])


@dataclass(frozen=True)
class Threshold(AbstractCoordinates):
    """t is a threshold: the first one, in ψ, plus distances that are exponentials of ψ.

    ``number`` of the threshold, ``own`` as in `Extra`; the first gives way to t.
    """

    extras: Extras
    own: slice
    number: int

    def value(self, t: float) -> float:
        return t

    def split(self, y: Floats) -> tuple[Floats, float]:
        t = self.extras.to_user(y[self.own])[0][self.number]
        return np.delete(y, self.position), float(t)

    def join(self, x: Floats, t: float) -> Floats:
        y = np.insert(x, self.position, 0.0)
        y[self.position] = t - self.extras.to_user(y[self.own])[0][self.number]
        return y

    def jacobian(self, x: Floats, t: float) -> Floats:
        jacobian = super().jacobian(x, t)
        by_psi = self._slopes(x, t)
        jacobian[self.position, self.own.start : self.own.stop - 1] = -by_psi[1:]
        return jacobian

    def bend(self, x: Floats, t: float, gradient: Floats) -> Floats:
        # an exponential's second derivative is the first
        bend = np.zeros((len(gradient),) * 2)
        places = np.arange(self.own.start, self.own.stop - 1)
        bend[places, places] = -gradient[self.position] * self._slopes(x, t)[1:]
        return bend

    def _slopes(self, x: Floats, t: float) -> Floats:
        slopes: Floats = self.extras.to_user(self.join(x, t)[self.own])[1][self.number]
        return slopes


def general_coordinates(
    parameter: Parameter, problem: GeneralProblem, axes: Axes
) -> AbstractCoordinates:
    """Coordinates for any natural parameter; turns the axes of a free term to it."""
    m = problem.n_parameters
    lower = np.concatenate(
        [*(t.covariance.lower for t in problem.terms), np.full(problem.n_fixed, -np.inf)]
    )
    everywhere = -np.inf, np.inf, lower
    if parameter.kind in ("sd", "corr"):
        return of_term(parameter, problem.terms, axes.orient, lower, Deviation)
    predictors = {p.name: p for p in problem.predictors}
    if parameter.kind == "sigma":
        family = problem.family
        sign = float(np.sign(family.sigma(np.float64(1.0)) - family.sigma(np.float64(0.0))))
        return Dispersion(m + predictors["dispersion"].first, *everywhere, family, sign)
    if parameter.component in predictors:
        own = predictors[parameter.component]
        return _coefficient(parameter.number, own, m, lower)
    extras = problem.family.extras(problem.response)
    own_slice = slice(m + problem.n_fixed - len(extras.names), m + problem.n_fixed)
    slopes = extras.to_user(extras.start)[1][parameter.number]
    if np.count_nonzero(slopes) > 1:
        return Threshold(own_slice.start, *everywhere, extras, own_slice, parameter.number)
    position = own_slice.start + parameter.number
    return Extra(position, *everywhere, extras, own_slice, parameter.number)


def _coefficient(number: int, own: Predictor, m: int, lower: Floats) -> Coefficient:
    row = np.linalg.inv(own.basis.map)[number]
    axes = np.linalg.qr(row[:, None], mode="complete")[0]
    axes = axes * np.where(axes[:, 0] @ row < 0.0, -1.0, 1.0)
    place = slice(m + own.first, m + own.first + len(row))
    length = float(np.linalg.norm(row))
    return Coefficient(place.start, -np.inf, np.inf, lower, place, axes, length)
