"""Structures of which the correlation falls from one towards zero with the distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from mixedeffects.covariance.base import Array, Closure
from mixedeffects.covariance.decay import AbstractDecay
from mixedeffects.covariance.jets import Jet, cholesky, exp, lapse
from mixedeffects.errors import ModelError

# Share of the correlations that is left out so that the root exists also where positions are so
# near to each other, or the range so long, that rounding decides.
NUGGET = 1e-10
# Positions nearer than this share of the largest distance are one, but for rounding.
NEAREST = 1e-8


@dataclass(frozen=True, slots=True)
class AbstractSpatial(AbstractDecay):
    """One standard deviation, and correlation exp(-(distance/range)^power) between positions.

    The parameter is τ, of which the correlation across the unit distance (the median of those
    between two positions) is exp(-τ²): range = unit / τ^(2/power).  At τ = 0 all correlations
    are 1; there the factor is smooth, and the likelihood even in τ.

    Attributes
    ----------
    n_columns : int
    positions : tuple of tuple of float, or None
        Coordinates of the k positions; None means 0, 1, …, k - 1 on a line.
    """

    positions: tuple[tuple[float, ...], ...] | None = None

    closure: ClassVar[Closure] = "common"
    common_deviation: ClassVar[bool] = True
    power: ClassVar[int]

    @classmethod
    def from_positions(cls, n_columns: int, positions: ArrayLike | None) -> Self:
        if positions is None or n_columns < 2:
            return cls(n_columns)
        points = np.asarray(positions, dtype=float).reshape(n_columns, -1)
        if not np.isfinite(points).all():
            raise ModelError(f"{cls.name}() needs positions that are finite.")
        made = cls(n_columns, tuple(map(tuple, points.tolist())))
        distances = made._distances()
        apart = distances[np.triu_indices(n_columns, 1)]
        if apart.min() <= NEAREST * apart.max():
            i, j = np.argwhere(np.triu(distances <= NEAREST * apart.max(), 1))[0]
            raise ModelError(
                f"{cls.name}() has two positions that are the same but for rounding, "
                f"{spelled(points[i])} and {spelled(points[j])}: round the coordinates."
            )
        return made

    @property
    def angle_names(self) -> tuple[str, ...]:
        if self.n_columns < 2:
            return ()
        ratio = f"{self.unit:.6g}/range"
        return (ratio if self.power == 2 else f"sqrt({ratio})",)

    @property
    def unit(self) -> float:
        """The median distance between two positions, in their own unit."""
        return float(np.median(self._distances()[np.triu_indices(self.n_columns, 1)]))

    @property
    def unit_name(self) -> str:
        """What the unit correlation is of."""
        return f"distance {self.unit:.6g}"

    def unit_correlation(self, angle: ArrayLike) -> tuple[Array, Array]:
        tau = np.asarray(angle, dtype=float)
        correlation = np.exp(-tau * tau)
        return correlation, -2.0 * tau * correlation

    def range(self, angle: float) -> float:
        """The distance, in the positions' own unit, at which the correlation is exp(-1)."""
        with np.errstate(divide="ignore"):
            return float(self.unit * np.abs(angle) ** (-2.0 / self.power))

    def start_angles(self) -> Array:
        return np.ones(len(self.angle_names))

    def least_deviation(self, theta: Array) -> float:
        """About that of a difference between two effects.

        Other combinations, of neighbours or of what is smooth, hardly vary though nothing is
        singular.
        """
        return float(np.abs(theta[0]) * np.min(np.abs(theta[1:]), initial=1.0))

    def correlation_root(self, angles: tuple[Jet, ...]) -> Jet:
        """R = [1 0; c τF], with c the first column and τ²FF' what it leaves of the others.

        With E = (1 - correlation)/τ², which keeps its digits for small τ, FF' is
        E_i1 + E_1j - E_ij - τ²E_i1 E_1j.
        """
        tau, k = angles[0], self.n_columns
        first = np.eye(1, k)
        distances = (self._distances() / self.unit) ** self.power
        square = tau * tau
        everywhere, down = (lapse(square * d) * d for d in (distances, distances[:, :1]))
        across = lapse(square * distances[:1]) * distances[:1]
        left = down + across + everywhere * -1.0 + square * (down * across) * -1.0
        left = left * (1.0 - NUGGET * (1.0 - np.eye(k))) + first.T * first
        rest = np.tri(k) * (1.0 - first.T * first)
        return exp(square * -distances[:, :1]) * first + tau * (cholesky(left) * rest)

    def angles(self, correlation: Array) -> Array:
        rows, columns = np.triu_indices(self.n_columns, 1)
        by_first = np.outer(correlation[:, 0], correlation[0])
        exactly = by_first + (correlation - by_first) / (1.0 - NUGGET)
        known = np.nan_to_num(exactly[rows, columns])
        # neither 0 nor 1, it tells most
        best = int(np.argmin(np.abs(known - 0.5)))
        distance = self._distances()[rows[best], columns[best]] / self.unit
        lost = np.abs(np.log(np.clip(known[best], 1e-300, 1.0)))
        return np.sqrt([lost / distance**self.power])

    def _distances(self) -> Array:
        """Distances (k, k) between the positions."""
        if self.positions is None:
            points = np.arange(float(self.n_columns))[:, None]
        else:
            points = np.array(self.positions)
        gaps = points[:, None] - points
        distances: Array = np.sqrt((gaps * gaps).sum(axis=2))
        return distances


def spelled(position: Sequence[float] | Array) -> str:
    """A position as text: ``2.5``, or ``(1, 2.5)``."""
    numbers = [f"{float(c):.12g}" for c in position]
    return numbers[0] if len(numbers) == 1 else f"({', '.join(numbers)})"
