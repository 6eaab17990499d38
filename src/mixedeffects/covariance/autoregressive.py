"""Correlation that decays with the time between two random effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from mixedeffects.covariance.base import Array, Closure
from mixedeffects.covariance.decay import AbstractDecay
from mixedeffects.covariance.jets import Jet, cos, falling_power, power, sin
from mixedeffects.errors import ModelError


@dataclass(frozen=True, slots=True)
class Autoregressive(AbstractDecay):
    """``ar1(t | g)``: one standard deviation, and correlation ρ^|s - t| between times s and t.

    Time is counted in the largest unit of which all gaps are multiples (ages 8, 10, 12, 14 are
    1, 2, 3, 4 units of two years), and the parameter is arcsin ρ, ρ the correlation across one
    unit.

    Attributes
    ----------
    n_columns : int
    times : tuple of int, or None
        The k times in units, increasing; None means 0, 1, …, k - 1.

    Examples
    --------
    >>> root = Autoregressive(3).factor(np.array([1.0, np.arcsin(0.5)]))
    >>> (root @ root.T).round(12)
    array([[1.  , 0.5 , 0.25],
           [0.5 , 1.  , 0.5 ],
           [0.25, 0.5 , 1.  ]])
    """

    times: tuple[int, ...] | None = None

    name: ClassVar[str] = "ar1"
    closure: ClassVar[Closure] = "common"
    common_deviation: ClassVar[bool] = True

    @classmethod
    def from_positions(cls, n_columns: int, positions: ArrayLike | None) -> Self:
        if positions is None or n_columns < 2:
            return cls(n_columns)
        times = np.asarray(positions, dtype=float)
        if np.any(times != np.round(times)):
            raise ModelError(
                "ar1() needs whole-numbered times, so that its correlation may be negative; "
                f"{times[times != np.round(times)][0]:g} is not whole. Multiply the time column "
                "by a number that makes it whole."
            )
        gaps = np.diff(times).astype(np.int64)
        if np.any(gaps <= 0):
            raise ModelError("ar1() needs times that increase from column to column.")
        units = np.concatenate([[0], np.cumsum(gaps // np.gcd.reduce(gaps))])
        return cls(n_columns, tuple(units.tolist()))

    @property
    def angle_names(self) -> tuple[str, ...]:
        return ("asin(rho)",) if self.n_columns > 1 else ()

    def start_angles(self) -> Array:
        # with no gap of one unit, ρ = 0 is a stationary point whatever the data say
        gap = min(np.diff(self._times()), default=1)
        rho = 0.0 if gap == 1 else 0.1 ** (1 / gap)
        return np.full(len(self.angle_names), np.arcsin(rho))

    def unit_correlation(self, angle: ArrayLike) -> tuple[Array, Array]:
        radians = np.asarray(angle, dtype=float)
        return np.sin(radians), np.cos(radians)

    def correlation_root(self, angles: tuple[Jet, ...]) -> Jet:
        times = self._times()
        rho = sin(angles[0])
        first = np.zeros((1, self.n_columns))
        first[0, 0] = 1.0
        innovation = cos(angles[0]) * power(_geometric_sum(rho, np.diff(times, prepend=0)), 0.5)
        lags = np.abs(times[:, None] - times)
        return power(rho, lags) * (innovation * (1 - first) + first) * np.tri(self.n_columns)

    def angles(self, correlation: Array) -> Array:
        gaps = np.diff(self._times())
        # an odd power keeps the sign of ρ; the gaps have no common divisor, so one of them is odd
        j = int(np.argmin(np.where(gaps % 2 == 1, gaps, np.inf)))
        decay = np.nan_to_num(correlation[j + 1, j])
        return np.arcsin([np.sign(decay) * np.abs(decay) ** (1 / gaps[j])])

    def _times(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.asarray(range(self.n_columns) if self.times is None else self.times)


def _geometric_sum(rho: Jet, gaps: Array) -> Jet:
    """(1 - ρ^2d) / (1 - ρ²) = Σ ρ^2i over i < d, for each gap d; 1 for d = 0."""
    exponents = np.arange(0, 2 * max(1, int(np.max(gaps))), 2, dtype=np.float64)[:, None]
    kept = exponents < 2 * np.maximum(gaps, 1)
    sums = (
        np.sum(kept * falling_power(rho.value, exponents, order), axis=0, keepdims=True)
        for order in range(3)
    )
    return rho.compose(*sums)
