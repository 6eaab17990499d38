"""The way from a linear predictor to the mean, probability or dispersion that it is of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.means.transforms import BackTransform, Step
from mixedeffects.families.links import AbstractLink

Floats = NDArray[np.float64]

# Links whose η is positive: beyond zero they would turn back.
_POSITIVE = ("sqrt", "inverse", "1/mu^2")


@dataclass(frozen=True, slots=True)
class InverseLink:
    """g⁻¹(rate·η).

    Attributes
    ----------
    link : AbstractLink
    target : str
        What comes out, such as ``"the mean of y"``.
    typical : bool
        Whether random effects are added to η, of which these are at zero.
    rate : float
    """

    link: AbstractLink
    target: str
    typical: bool
    rate: float = 1.0

    def __call__(self, x: Floats) -> tuple[Floats, Floats]:
        """Value and derivative (r,) at x (r,)."""
        eta = self.rate * x
        if self.link.name in _POSITIVE:
            eta = np.maximum(eta, 0.0)
        with np.errstate(divide="ignore", over="ignore"):
            return self.link.inverse(eta), self.rate * self.link.slopes(eta)[0]

    @property
    def ratio(self) -> BackTransform | None:
        """That of a difference: of logarithms a ratio, of logits one of odds, else none."""
        ratios = {"log": "ratios of", "logit": "odds ratios of"}
        if self.link.name not in ratios:
            return None
        base = float(np.exp(self.rate))
        return BackTransform((Step("log", base),), f"{ratios[self.link.name]} {self.target}")

    @property
    def note(self) -> str:
        return f"Back-transformed to {at_zero(self.target, self.typical)}"


def at_zero(target: str, typical: bool) -> str:
    """What comes out, and of whom."""
    of_whom = "at random effects of zero: that of a typical group, not averaged over groups"
    return f"{target}, {of_whom}" if typical else target
