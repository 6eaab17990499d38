"""Logarithms of standard deviations, stretched so that their posterior is about normal.

Where data cannot tell a deviation from zero, its logarithm has a long tail to minus infinity, in
which trajectories get lost; where groups are few, one to infinity.  With σ(y) = log(1 + eʸ),
x = a + sy − lσ(−y)² + rσ(y)² gives exponential tails of x the normal ones of y.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra._joint import stretch
from mixedeffects.bayes.coordinates import AbstractTermCoordinates
from mixedeffects.bayes.roots import Pullback

Floats = NDArray[np.float64]

# Where the density is looked at, in standard deviations from its mode, until it has fallen.
PLACES = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.5, 8.0, 10.0, 13.0, 17.0)
FALLEN = 8.0
# Of the curve's slopes, the least; of y, the farthest place that is fitted.
LEAST_SLOPE, FARTHEST = 0.02, 3.5


@dataclass(frozen=True, slots=True)
class StretchedCoordinates:
    """Coordinates of a term's covariance, y in place of the logarithms of its deviations.

    ``inner`` has the logarithms; ``shape`` (4, d) a, s, l and r of each.
    """

    inner: AbstractTermCoordinates
    shape: Floats = field(repr=False)

    @property
    def dimension(self) -> int:
        return self.inner.dimension

    def plain(self, y: Floats) -> Floats:
        """The coordinates of ``inner``."""
        d = self.shape.shape[1]
        return np.concatenate([_curve(self.shape, y[:d])[0], y[d:]])

    def root(self, y: Floats) -> tuple[Floats, Pullback]:
        """Λ (k, k), and what carries ∂f/∂Λ to ∂f/∂y."""
        x, speed = y.copy(), np.ones(len(y))
        d = self.shape.shape[1]
        x[:d], speed[:d], _ = _curve(self.shape, y[:d])
        root, pull = self.inner.root(x)
        return root, lambda slope: pull(slope) * speed

    def of_root(self, root: Floats) -> Floats:
        """y of any root of a covariance of the structure."""
        y, d = self.inner.of_root(root), self.shape.shape[1]
        low, high = np.full(d, -1e3), np.full(d, 1e3)
        for _ in range(60):
            middle = 0.5 * (low + high)
            above = _curve(self.shape, middle)[0] > y[:d]
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        y[:d] = 0.5 * (low + high)
        return y

    def log_prior(self, y: Floats) -> tuple[float, Floats]:
        """Log-density of y under the prior, log-Jacobian included, and its gradient."""
        x, d = y.copy(), self.shape.shape[1]
        x[:d], speed, change = _curve(self.shape, y[:d])
        value, slope = self.inner.log_prior(x)
        slope[:d] = slope[:d] * speed + change / speed
        return value + float(np.log(speed).sum()), slope

    def plain_prior(self, y: Floats) -> float:
        """Log-density as one of the logarithms of deviations."""
        return self.inner.plain_prior(self.plain(y))


def _curve(shape: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """x, dx/dy and d²x/dy² (d,)."""
    x, first, second = np.empty((3, shape.shape[1]))
    stretch(shape, y, x, first, second)
    return x, first, second


def fitted_shape(log_density: Callable[[float], float], deviation: float) -> Floats:
    """a, s, l and r (4,) that make a density about normal.

    ``log_density(t)`` at a distance from the mode; ``deviation``, about its standard deviation.
    """
    from scipy.optimize import nnls
    from scipy.special import ndtri

    places, values = _looked_at(log_density, deviation)
    fine = np.linspace(places[0], places[-1], 2001)
    mass = np.cumsum(np.exp(np.interp(fine, places, values)))
    y = ndtri((mass - 0.5 * mass[0]) / (mass[-1] + mass[0]))
    chosen = np.linspace(-FARTHEST, FARTHEST, 57)
    chosen = chosen[(chosen > y[0]) & (chosen < y[-1])]
    x = np.interp(chosen, y, fine)
    unit = np.eye(4)[:, :, None] * np.ones(len(chosen))
    basis = np.array([_curve(row, chosen)[0] for row in unit]).T
    columns = np.column_stack([basis, -basis[:, 0]])
    floor = LEAST_SLOPE * deviation
    weights = np.exp(-0.25 * chosen**2)
    found = nnls(columns * weights[:, None], (x - floor * chosen) * weights)[0]
    return np.array([found[0] - found[4], found[1] + floor, found[2], found[3]])


def _looked_at(log_density: Callable[[float], float], deviation: float) -> tuple[Floats, Floats]:
    """Distances from the mode in order, and the log-density there."""
    found = {0.0: log_density(0.0)}
    for sign in (-1.0, 1.0):
        for place in PLACES:
            value = log_density(sign * place * deviation)
            if not np.isfinite(value):
                break
            found[sign * place * deviation] = value
            if value < found[0.0] - FALLEN:
                break
    places = np.array(sorted(found))
    values = np.array([found[place] for place in places])
    return places, values - values.max()
