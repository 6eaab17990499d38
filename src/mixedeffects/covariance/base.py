"""What every covariance structure of a random-effects term provides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Closure = Literal["affine", "scaling", "common"]


@dataclass(frozen=True, slots=True)
class AbstractCovariance(ABC):
    """Covariance of the k random effects that belong to one level of a grouping variable.

    The covariance is Σ = σ² T Tᵀ, with T = ``factor(theta)`` lower triangular. T is a smooth
    function of θ everywhere, also where a standard deviation is zero or a correlation ±1, so that
    a boundary is an ordinary stationary point for the optimizer. It is linear in the standard
    deviations, never in their logarithms.

    Attributes
    ----------
    n_columns : int
        k, the number of random effects of a level.
    """

    n_columns: int

    name: ClassVar[str]
    """The word that wraps the term in a formula."""
    closure: ClassVar[Closure]
    """Which linear maps of the columns keep Σ in the structure: any (``"affine"``), any positive
    scaling of each column (``"scaling"``), or only one scaling common to all (``"common"``)."""

    @classmethod
    def from_positions(cls, n_columns: int, positions: ArrayLike | None) -> Self:
        """The structure of k columns at times (k,) or places (k, d), if it has a use for them."""
        return cls(n_columns)

    @property
    @abstractmethod
    def n_parameters(self) -> int:
        """m, the length of θ."""

    @abstractmethod
    def start(self) -> Array:
        """θ (m,) where an optimizer starts: T is the identity, or close to it."""

    @abstractmethod
    def names(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Names of the m elements of θ, given those of the k columns."""

    @abstractmethod
    def factor(self, theta: Array) -> Array:
        """T (k, k), lower triangular, with Σ/σ² = T Tᵀ."""

    @abstractmethod
    def jacobian(self, theta: Array) -> Array:
        """∂T/∂θ (m, k, k)."""

    @abstractmethod
    def second(self, theta: Array) -> Array | None:
        """∂²T/∂θ∂θᵀ (m, m, k, k), or None where T is linear in θ."""

    @abstractmethod
    def parameters(self, factor: Array) -> Array:
        """θ (m,) that gives T Tᵀ for a ``factor`` T (k, k), in canonical form.

        T may be any root of a covariance of this structure, lower triangular or not. In canonical
        form standard deviations and the diagonal of T are not negative and angles lie within
        their first period.
        """

    @property
    def n_deviations(self) -> int:
        """How many elements of θ, from the first, are standard deviations; 0 for a free T."""
        return 0

    def least_deviation(self, theta: Array) -> float:
        """The smallest relative standard deviation of any combination of the columns."""
        return float(np.linalg.svd(self.factor(theta), compute_uv=False)[-1])

    @property
    def lower(self) -> Array:
        """Bounds (m,) that θ must not cross, for the structures that leave their kind there."""
        return np.full(self.n_parameters, -np.inf)

    @property
    def linear_pattern(self) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
        """(rows, columns) with T[rows[i], columns[i]] = θ[i] and zero elsewhere, or None."""
        return None

    @property
    def correlated(self) -> bool:
        """Whether correlations belong in a report."""
        return self.n_columns > 1


def lower_root(factor: Array) -> Array:
    """The lower-triangular root (k, k) of T Tᵀ with a diagonal that is not negative."""
    if factor[_above_diagonal(*factor.shape)].any():
        upper: Array = np.linalg.qr(factor.T).R
        factor = np.tril(upper.T)
    return factor * np.where(np.diagonal(factor) < 0, -1.0, 1.0)


@lru_cache
def _above_diagonal(rows: int, columns: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.triu_indices(rows, 1, columns)


def column_deviations(factor: Array) -> Array:
    """Relative standard deviations (k,): the square roots of the diagonal of T Tᵀ."""
    deviations: Array = np.sqrt(np.sum(factor * factor, axis=1))
    return deviations
