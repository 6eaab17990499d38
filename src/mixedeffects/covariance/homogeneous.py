"""Independent random effects that share one variance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixedeffects.covariance.base import (
    AbstractCovariance,
    Array,
    Closure,
    column_deviations,
)


@dataclass(frozen=True, slots=True)
class Homogeneous(AbstractCovariance):
    """``id(f | g)``: T = θ I, one relative standard deviation for all k columns.

    Examples
    --------
    >>> Homogeneous(2).factor(np.array([0.5]))
    array([[0.5, 0. ],
           [0. , 0.5]])
    """

    name: ClassVar[str] = "id"
    closure: ClassVar[Closure] = "common"

    @property
    def n_parameters(self) -> int:
        return 1

    @property
    def correlated(self) -> bool:
        return False

    @property
    def n_deviations(self) -> int:
        return 1

    def start(self) -> Array:
        return np.ones(1)

    def names(self, columns: Sequence[str]) -> tuple[str, ...]:
        return ("sd",)

    def factor(self, theta: Array) -> Array:
        scaled: Array = theta[0] * np.eye(self.n_columns)
        return scaled

    def jacobian(self, theta: Array) -> Array:
        return np.eye(self.n_columns)[None]

    def second(self, theta: Array) -> None:
        return None

    def parameters(self, factor: Array) -> Array:
        return np.array([np.sqrt(np.mean(column_deviations(factor) ** 2))])
