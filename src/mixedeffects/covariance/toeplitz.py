"""A correlation for each distance between two random effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import matmul
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from mixedeffects.covariance.base import Array, Closure
from mixedeffects.covariance.jets import Jet, constant_matrix, cos, sin, stack_rows
from mixedeffects.covariance.scaled import AbstractScaledCorrelation
from mixedeffects.errors import ModelError


@dataclass(frozen=True, slots=True)
class Toeplitz(AbstractScaledCorrelation):
    """``toep(t | g)``: k standard deviations, and a free correlation for each lag 1 … k - 1.

    The parameters are the arcsines of the partial autocorrelations, which range over (-1, 1) with
    no further constraint and reach every positive-definite Toeplitz correlation matrix exactly
    once (Barndorff-Nielsen & Schou 1973, J. Multivariate Analysis 3, 408-419).

    Examples
    --------
    >>> root = Toeplitz(3).factor(np.array([1.0, 1.0, 1.0, np.arcsin(0.5), 0.0]))
    >>> (root @ root.T).round(12)
    array([[1.  , 0.5 , 0.25],
           [0.5 , 1.  , 0.5 ],
           [0.25, 0.5 , 1.  ]])
    """

    name: ClassVar[str] = "toep"
    closure: ClassVar[Closure] = "scaling"
    common_deviation: ClassVar[bool] = False

    @classmethod
    def from_positions(cls, n_columns: int, positions: ArrayLike | None) -> Self:
        if positions is not None and n_columns > 2:
            gaps = np.diff(np.asarray(positions, dtype=float))
            if not np.allclose(gaps, gaps[0]):
                raise ModelError(
                    "toep() needs equally spaced times: its correlations belong to distances. "
                    "Use us() or, with whole-numbered times, ar1()."
                )
        return cls(n_columns)

    @property
    def angle_names(self) -> tuple[str, ...]:
        return tuple(f"asin(partial {lag})" for lag in range(1, self.n_columns))

    def correlation_root(self, angles: tuple[Jet, ...]) -> Jet:
        """The rows of R are e₁, Ue₁, U²e₁, …, with U orthogonal and upper Hessenberg.

        U is a product of k - 1 reflections in neighbouring coordinates, the lattice filter with
        the given partial autocorrelations (Ammar, Gragg & Reichel 1986): ⟨Uˢe₁, Uᵗe₁⟩ depends on
        t - s alone, and Uᵗe₁ ends at its coordinate t.
        """
        k = self.n_columns
        reflections = [_reflection(angle, i, k) for i, angle in enumerate(angles)]
        transposed = reduce(matmul, reversed(reflections))
        rows = [constant_matrix(np.eye(1, k), len(transposed.first))]
        for _ in range(k - 1):
            rows.append(rows[-1] @ transposed)
        return stack_rows(rows)

    def angles(self, correlation: Array) -> Array:
        lags = [np.diagonal(correlation, -lag) for lag in range(1, self.n_columns)]
        known = [lag[~np.isnan(lag)] for lag in lags]
        means = [float(np.mean(lag)) if lag.size else None for lag in known]
        return np.arcsin(_partial_autocorrelations(means))


def _reflection(angle: Jet, i: int, k: int) -> Jet:
    """The identity (k, k) with [[sin, cos], [cos, -sin]] in the rows and columns i, i + 1."""
    rest, sines, cosines = np.eye(k), np.zeros((k, k)), np.zeros((k, k))
    rest[[i, i + 1], [i, i + 1]] = 0.0
    sines[[i, i + 1], [i, i + 1]] = 1.0, -1.0
    cosines[[i, i + 1], [i + 1, i]] = 1.0
    return sin(angle) * sines + cos(angle) * cosines + rest


def _partial_autocorrelations(autocorrelations: Sequence[float | None]) -> Array:
    """Durbin-Levinson recursion; a lag of which nothing is known counts as predicted."""
    partial, past = np.zeros(len(autocorrelations)), np.zeros(0)
    weights, variance = np.zeros(0), 1.0
    for lag, known in enumerate(autocorrelations):
        predicted = float(weights @ past[::-1])
        innovation = 0.0 if known is None else known - predicted
        partial[lag] = np.clip(innovation / variance, -1.0, 1.0) if variance > 1e-14 else 0.0
        weights = np.append(weights - partial[lag] * weights[::-1], partial[lag])
        variance *= 1 - partial[lag] ** 2
        past = np.append(past, predicted + innovation)
    return partial
