"""Structures with one correlation, across a unit of distance, that tells all others."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from numpy.typing import ArrayLike

from mixedeffects.covariance.base import Array
from mixedeffects.covariance.scaled import AbstractScaledCorrelation


@dataclass(frozen=True, slots=True)
class AbstractDecay(AbstractScaledCorrelation):
    """The one angle after the standard deviation is a function of the unit correlation."""

    @abstractmethod
    def unit_correlation(self, angle: ArrayLike) -> tuple[Array, Array]:
        """The correlation across the unit, and its derivative by the angle."""
