"""Priors of what all rows share: the dispersion, and a family's extra parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from mixedeffects.bayes.independent import Independent, PositiveIndependent
from mixedeffects.bayes.priors import AbstractPrior, Flat
from mixedeffects.errors import ModelError
from mixedeffects.families import AbstractFamily
from mixedeffects.families.base import Extras

Floats = NDArray[np.float64]
Coordinate = Literal["real", "log", "logit"]

# Draws of thresholds that may turn out to be out of order.
TRIES = 10_000


@dataclass(frozen=True, slots=True)
class SigmaPrior:
    """The prior of the one dispersion of all rows, on the scale on which it is reported.

    Attributes
    ----------
    prior : AbstractPrior
        Of σ, what the family calls sigma.
    power : float
        σ = exp(power·δ) of the dispersion predictor δ.
    """

    prior: AbstractPrior
    power: float
    _positive: PositiveIndependent = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_positive", PositiveIndependent([self.prior]))

    def log_density(self, log_sigma: float) -> tuple[float, float]:
        """Log-density of log σ, Jacobian included, and its derivative."""
        value, gradient = self._positive.log_density_of_logs(np.array([log_sigma]))
        return value, float(gradient[0])

    def log_density_of_delta(self, delta: float) -> tuple[float, float]:
        """The same of the dispersion predictor δ."""
        value, slope = self.log_density(self.power * delta)
        return value + float(np.log(abs(self.power))), slope * self.power

    def draw(self, rng: np.random.Generator) -> float:
        """σ."""
        return float(self.prior.draw(rng))


def dispersion_power(family: AbstractFamily) -> float:
    """log σ per unit of the dispersion predictor."""
    return float(np.log(family.sigma(1.0)))


@dataclass(frozen=True, slots=True)
class ExtrasPrior:
    """The prior of extra parameters v = to_user(ψ), ψ (e,) unconstrained.

    Thresholds have theirs for τ less the mean Sβ of the conditional predictor, unless it was
    given for τ as it is reported.

    Attributes
    ----------
    names : tuple of str
    coordinates : tuple of str, length e
        What each ψ is: the value itself, a logarithm (of a value or of the distance from the
        one before), a logit.
    ordered : bool
        Whether values increase.
    independent : Independent
        The priors of v − Sβ.
    shifts : array (e, P)
        S, over the coefficients of all predictors.
    constant : array (e,)
        The mean offset, likewise.
    """

    names: tuple[str, ...]
    coordinates: tuple[Coordinate, ...]
    ordered: bool
    independent: Independent
    shifts: Floats = field(repr=False)
    constant: Floats = field(repr=False)
    transform: Extras = field(repr=False)

    def log_density(self, psi: Floats, beta: Floats) -> tuple[float, Floats, Floats]:
        """Log-density of ψ (e,) given β (P,), Jacobian included; gradients by ψ and by β."""
        if not len(psi):
            return 0.0, np.zeros(0), np.zeros(len(beta))
        user, jacobian = self.transform.to_user(psi)
        value, by_value = self.independent.log_density(user - self.shifts @ beta - self.constant)
        by_psi = by_value @ jacobian
        for j, kind in enumerate(self.coordinates):
            if kind == "log":
                value, by_psi[j] = value + psi[j], by_psi[j] + 1.0
            elif kind == "logit":
                value += float(np.log(jacobian[j, j]))
                by_psi[j] += 1.0 - 2.0 * expit(psi[j])
        return float(value), by_psi, -by_value @ self.shifts

    def draw(self, rng: np.random.Generator, beta: Floats) -> Floats:
        """Values (e,) from the prior given β (P,), on the user's scale."""
        shift = self.shifts @ beta + self.constant
        priors = self.independent.priors
        alike = self.ordered and len(set(priors)) == 1 and bool(np.all(shift == shift[:1]))
        for _ in range(TRIES):
            drawn = np.array([self._one(j, rng) for j in range(len(priors))]) + shift
            if alike:
                return np.sort(drawn)
            if self._possible(drawn):
                return drawn
        raise ModelError(
            f"The priors of {', '.join(map(repr, self.names))} contradict their order or range: "
            f"none of {TRIES} draws was possible. Give priors that overlap it."
        )

    def _one(self, j: int, rng: np.random.Generator) -> float:
        prior = self.independent.priors[j]
        if self.coordinates[j] == "logit" and isinstance(prior, Flat):
            return float(rng.uniform(*self._ends()))
        return float(prior.draw(rng))

    def _ends(self) -> tuple[float, float]:
        """The range of a value whose coordinate is a logit."""
        return float(self.transform.to_user(np.array([-700.0]))[0][0]), float(
            self.transform.to_user(np.array([700.0]))[0][0]
        )

    def _possible(self, values: Floats) -> bool:
        if "logit" in self.coordinates:
            low, high = self._ends()
            return bool(low < values[0] < high)
        return not self.ordered or bool(np.all(np.diff(values) > 0.0))


def coordinates_of(family: AbstractFamily, extras: Extras) -> tuple[tuple[Coordinate, ...], bool]:
    """What each unconstrained extra parameter is, and whether their values increase."""
    if not extras.names:
        return (), False
    if family.name == "tweedie":
        return ("logit",), False
    if family.name == "student_t":
        return ("log",), False
    rest: list[Coordinate] = ["log"] * (len(extras.names) - 1)
    return ("real", *rest), extras.names[-1] != "spacing"
