"""One correlation between any two random effects of a level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixedeffects.covariance.base import Array, Closure
from mixedeffects.covariance.jets import Jet, cos, power, sin
from mixedeffects.covariance.scaled import AbstractScaledCorrelation


@dataclass(frozen=True, slots=True)
class AbstractCompoundSymmetry(AbstractScaledCorrelation):
    """Correlation ρ throughout, -1/(k - 1) ≤ ρ ≤ 1.

    The eigenvalues of the correlation matrix are 1 + (k-1)ρ = k sin²α, once, and 1 - ρ =
    k/(k-1) cos²α, k - 1 times. The parameter is φ with α = arcsin(1/√k) + φ/2: no correlation at
    φ = 0, and ρ = sin φ when k = 2.
    """

    @property
    def angle_names(self) -> tuple[str, ...]:
        return ("angle(rho)",) if self.n_columns > 1 else ()

    def correlation_root(self, angles: tuple[Jet, ...]) -> Jet:
        k = self.n_columns
        alpha = angles[0] * 0.5 + math.asin(1 / math.sqrt(k))
        spread = cos(alpha) * math.sqrt(k / (k - 1))  # √(1 - ρ), with the sign of the cosine
        rho = spread * spread * -1.0 + 1.0
        j = np.arange(k)[None]
        first, last = np.eye(1, k), np.eye(1, k, k - 1)
        before = rho * np.where(first, 0, j - 1) + 1.0  # 1 + (j-1)ρ
        after = rho * np.where(last, 0, j) + 1.0  # 1 + jρ, the last of which is k sin²α
        scale = (spread * (1 - first) + first) * power(before, -0.5)
        diagonal = power(after, 0.5) * (1 - last) + sin(alpha) * (math.sqrt(k) * last)
        below = rho * power(after, -0.5)
        return scale * (diagonal * np.eye(k) + below * np.tri(k, k=-1))

    def angles(self, correlation: Array) -> Array:
        k = self.n_columns
        known = correlation[np.tril_indices(k, -1)]
        known = known[~np.isnan(known)]
        rho = float(np.mean(known)) if known.size else 0.0
        alpha = np.arccos(np.sqrt(np.clip((1 - rho) * (k - 1) / k, 0.0, 1.0)))
        return np.array([2 * (alpha - math.asin(1 / math.sqrt(k)))])


@dataclass(frozen=True, slots=True)
class CompoundSymmetry(AbstractCompoundSymmetry):
    """``cs(f | g)``: k standard deviations and one correlation.

    Examples
    --------
    >>> root = CompoundSymmetry(2).factor(np.array([1.0, 2.0, np.arcsin(0.6)]))
    >>> (root @ root.T).round(12)
    array([[1. , 1.2],
           [1.2, 4. ]])
    """

    name: ClassVar[str] = "cs"
    closure: ClassVar[Closure] = "scaling"
    common_deviation: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class HomogeneousCompoundSymmetry(AbstractCompoundSymmetry):
    """``homcs(f | g)``: one standard deviation and one correlation.

    Examples
    --------
    >>> root = HomogeneousCompoundSymmetry(2).factor(np.array([2.0, np.arcsin(0.5)]))
    >>> (root @ root.T).round(12)
    array([[4., 2.],
           [2., 4.]])
    """

    name: ClassVar[str] = "homcs"
    closure: ClassVar[Closure] = "common"
    common_deviation: ClassVar[bool] = True
