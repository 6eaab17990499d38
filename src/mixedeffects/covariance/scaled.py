"""Structures that are standard deviations times a correlation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixedeffects.covariance.base import AbstractCovariance, Array, column_deviations
from mixedeffects.covariance.jets import Jet, constant_matrix, constants, variables


@dataclass(frozen=True, slots=True)
class AbstractScaledCorrelation(AbstractCovariance):
    """T = S R: relative standard deviations S and a factor R of a correlation matrix.

    θ holds the standard deviations (one for all columns, or one each), then angles. A correlation
    is the sine of an angle, or close to it, rather than a logistic function of a real number:
    correlations ±1 then lie at finite θ, where R stays smooth and the likelihood, even in the
    distance from there, is stationary just as it is at a zero standard deviation.
    """

    common_deviation: ClassVar[bool]
    """Whether the columns share one standard deviation."""

    @property
    @abstractmethod
    def angle_names(self) -> tuple[str, ...]:
        """Names of the angles; their number with it."""

    @abstractmethod
    def correlation_root(self, angles: tuple[Jet, ...]) -> Jet:
        """R (k, k), lower triangular, with R Rᵀ the correlation matrix."""

    @abstractmethod
    def angles(self, correlation: Array) -> Array:
        """Angles that give a correlation matrix (k, k), NaN where it is undefined."""

    @property
    def n_deviations(self) -> int:
        return 1 if self.common_deviation else self.n_columns

    @property
    def n_parameters(self) -> int:
        return self.n_deviations + len(self.angle_names)

    @property
    def lower(self) -> Array:
        # one negative deviation among three turns the signs of some correlations only
        bounds = np.full(self.n_parameters, -np.inf)
        if not self.common_deviation and self.n_columns > 2:
            bounds[: self.n_deviations] = 0.0
        return bounds

    def start(self) -> Array:
        return np.concatenate([np.ones(self.n_deviations), self.start_angles()])

    def start_angles(self) -> Array:
        return np.zeros(len(self.angle_names))

    def names(self, columns: Sequence[str]) -> tuple[str, ...]:
        deviations = ("sd",) if self.common_deviation else tuple(columns)
        return deviations + self.angle_names

    def factor(self, theta: Array) -> Array:
        root = self._root(constants(theta[self.n_deviations :]))
        return self._deviations(theta) * root.value

    def jacobian(self, theta: Array) -> Array:
        root = self._root(variables(theta[self.n_deviations :]))
        by_deviation = self._indicators() * root.value
        return np.concatenate([by_deviation, self._deviations(theta) * root.first])

    def second(self, theta: Array) -> Array:
        m, k, d = self.n_parameters, self.n_columns, self.n_deviations
        root = self._root(variables(theta[self.n_deviations :]))
        second = np.zeros((m, m, k, k))
        mixed = self._indicators()[:, None] * root.first
        second[:d, d:] = mixed
        second[d:, :d] = mixed.swapaxes(0, 1)
        second[d:, d:] = self._deviations(theta) * root.second
        return second

    def parameters(self, factor: Array) -> Array:
        deviations = column_deviations(factor)
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled = factor / deviations[:, None]
        if self.common_deviation:
            deviations = np.array([np.sqrt(np.mean(deviations**2))])
        if not self.angle_names:
            return deviations
        return np.concatenate([deviations, self.angles(np.clip(scaled @ scaled.T, -1.0, 1.0))])

    def _root(self, angles: tuple[Jet, ...]) -> Jet:
        # a single column has no correlation, hence no angle
        return self.correlation_root(angles) if angles else constant_matrix(np.eye(1), 0)

    def _indicators(self) -> Array:
        """∂S/∂(standard deviations) as columns that scale rows: (d, k, 1)."""
        k = self.n_columns
        return np.ones((1, k, 1)) if self.common_deviation else np.eye(k)[:, :, None]

    def _deviations(self, theta: Array) -> Array:
        """The standard deviation of each row (k, 1)."""
        return np.broadcast_to(theta[: self.n_deviations], (self.n_columns,))[:, None]
