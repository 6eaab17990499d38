"""What every prior distribution provides."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from mixedeffects.errors import ModelError

Floats = NDArray[np.float64]
Terms = tuple[float, float, float, float, float]
Support = Literal["real", "positive", "correlation", "any"]


@dataclass(frozen=True, slots=True)
class AbstractPrior(ABC):
    """The distribution of a parameter before any data.

    Values are numbers, or arrays of them element by element; those of `LKJ` are matrices.
    """

    support: ClassVar[Support]
    """Which values are possible; ``"any"`` where it takes the parameter's own range."""
    positive: ClassVar[tuple[str, ...]] = ()
    """The parameters that must be positive; the others are any number."""
    proper: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for field in fields(self):
            value = _number(type(self).__name__, field.name, getattr(self, field.name))
            if field.name in self.positive and not value > 0.0:
                raise ModelError(
                    f"{type(self).__name__}({field.name}={value:g}): {field.name} must be positive."
                )
            object.__setattr__(self, field.name, value)

    @abstractmethod
    def log_density(self, x: ArrayLike) -> Floats:
        """Logarithm of the density at x, with its constant; −∞ outside of the support."""

    @abstractmethod
    def gradient(self, x: ArrayLike) -> Floats:
        """Derivative of `log_density` by x, inside of the support."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, size: Any = None) -> Floats:
        """Independent values, an array of the given shape."""

    def __str__(self) -> str:
        shown = ", ".join(f"{getattr(self, field.name):.4g}" for field in fields(self))
        return f"{type(self).__name__}({shown})"


def _number(kind: str, name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool | str) or not math.isfinite(number):
        raise ModelError(f"{kind}({name}={value!r}): {name} must be a finite number.")
    return number


def stacked(priors: Sequence[AbstractPrior]) -> AbstractPrior:
    """Priors of one kind as one whose parameters are arrays, for values side by side."""
    kind = type(priors[0])
    together = object.__new__(kind)
    for field in fields(kind):
        values = np.array([getattr(prior, field.name) for prior in priors])
        object.__setattr__(together, field.name, values)
    return together


@dataclass(frozen=True, slots=True)
class AbstractPositivePrior(AbstractPrior):
    """Densities of s > 0 proportional to s^(a − 1) exp(−b s − c s²) / (1 + s²/e)^d."""

    support: ClassVar[Support] = "positive"

    @property
    @abstractmethod
    def terms(self) -> Terms:
        """a, b, c, d, e."""

    @property
    @abstractmethod
    def log_constant(self) -> Floats:
        """Logarithm of the factor that makes the density integrate to 1."""

    def log_density(self, x: ArrayLike) -> Floats:
        a, b, c, d, e = self.terms
        s = np.asarray(x, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = xlogy(a - 1.0, s) - b * s - c * s * s - d * np.log1p(s * s / e)
            return np.asarray(np.where(s >= 0.0, found + self.log_constant, -np.inf))

    def gradient(self, x: ArrayLike) -> Floats:
        a, b, c, d, e = self.terms
        s = np.asarray(x, dtype=np.float64)
        slope: Floats = (a - 1.0) / s - b - 2.0 * c * s - 2.0 * d * s / (e + s * s)
        return slope
