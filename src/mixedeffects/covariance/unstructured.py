"""Any covariance: the lower triangle of T, by column, as θ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance.base import AbstractCovariance, Array, Closure, lower_root


@dataclass(frozen=True, slots=True)
class Unstructured(AbstractCovariance):
    """``(x | g)`` or ``us(x | g)``: all variances and covariances are free.

    θ is the lower triangle of T by column, the order of lme4.

    Examples
    --------
    >>> Unstructured(2).factor(np.array([2.0, 0.5, 1.0]))
    array([[2. , 0. ],
           [0.5, 1. ]])
    """

    name: ClassVar[str] = "us"
    closure: ClassVar[Closure] = "affine"

    @property
    def n_parameters(self) -> int:
        return self.n_columns * (self.n_columns + 1) // 2

    @property
    def linear_pattern(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return _lower_triangle(self.n_columns)

    def start(self) -> Array:
        return self.parameters(np.eye(self.n_columns))

    def names(self, columns: Sequence[str]) -> tuple[str, ...]:
        rows, cols = self.linear_pattern
        return tuple(
            columns[i] if i == j else f"{columns[i]}.{columns[j]}"
            for i, j in zip(rows, cols, strict=True)
        )

    def factor(self, theta: Array) -> Array:
        factor = np.zeros((self.n_columns, self.n_columns))
        factor[self.linear_pattern] = theta
        return factor

    def jacobian(self, theta: Array) -> Array:
        return _jacobian(self.n_columns)

    def second(self, theta: Array) -> None:
        return None

    def parameters(self, factor: Array) -> Array:
        theta: Array = lower_root(factor)[self.linear_pattern]
        return theta


@lru_cache
def _lower_triangle(k: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    columns, rows = np.triu_indices(k)
    rows.flags.writeable = columns.flags.writeable = False
    return rows, columns


@lru_cache
def _jacobian(k: int) -> Array:
    rows, columns = _lower_triangle(k)
    jacobian = np.zeros((len(rows), k, k))
    jacobian[np.arange(len(rows)), rows, columns] = 1.0
    jacobian.flags.writeable = False
    return jacobian
