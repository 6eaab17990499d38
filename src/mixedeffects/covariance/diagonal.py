"""Independent random effects, each with its own variance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance.base import (
    AbstractCovariance,
    Array,
    Closure,
    column_deviations,
)


@dataclass(frozen=True, slots=True)
class Diagonal(AbstractCovariance):
    """``(x || g)`` or ``diag(x | g)``: θ holds the k relative standard deviations.

    Examples
    --------
    >>> Diagonal(2).factor(np.array([2.0, 0.5]))
    array([[2. , 0. ],
           [0. , 0.5]])
    """

    name: ClassVar[str] = "diag"
    closure: ClassVar[Closure] = "scaling"

    @property
    def n_parameters(self) -> int:
        return self.n_columns

    @property
    def linear_pattern(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return np.arange(self.n_columns), np.arange(self.n_columns)

    @property
    def correlated(self) -> bool:
        return False

    @property
    def n_deviations(self) -> int:
        return self.n_columns

    def start(self) -> Array:
        return np.ones(self.n_columns)

    def names(self, columns: Sequence[str]) -> tuple[str, ...]:
        return tuple(columns)

    def factor(self, theta: Array) -> Array:
        return np.diag(np.asarray(theta, dtype=float))

    def jacobian(self, theta: Array) -> Array:
        k = self.n_columns
        jacobian = np.zeros((k, k, k))
        each = np.arange(k)
        jacobian[each, each, each] = 1.0
        return jacobian

    def second(self, theta: Array) -> None:
        return None

    def parameters(self, factor: Array) -> Array:
        return column_deviations(factor)
