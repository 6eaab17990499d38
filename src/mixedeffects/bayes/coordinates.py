"""Unconstrained coordinates of the covariance of a random term, and their prior.

A vector x (n,) stands for a root Λ (k, k) of Σ = ΛΛᵀ, absolute and for the user's columns: first
the logarithms of the standard deviations, then one number for each free correlation. Those are
tanh x (stretched to the range of a common correlation), and their priors are independent
symmetric Beta distributions: for all correlation matrices the partial correlations of the LKJ
distribution (Lewandowski, Kurowicka and Joe 2009, J. Multivariate Analysis 100, 1989-2001), for
Toeplitz ones the partial autocorrelations.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from mixedeffects.bayes.independent import FARTHEST, Independent
from mixedeffects.bayes.priors import LKJ
from mixedeffects.covariance import (
    AbstractCovariance,
    CompoundSymmetry,
    HomogeneousCompoundSymmetry,
    Toeplitz,
    Unstructured,
)
from mixedeffects.covariance.base import column_deviations, lower_root

Floats = NDArray[np.float64]
Pullback = Callable[[Floats], Floats]

# Correlations are kept this far from ±1, in coordinates.
EDGE = 15.0
# The least standard deviation, as a share of the largest, that has a coordinate.
LEAST = 1e-8


@dataclass(frozen=True, slots=True)
class AbstractTermCoordinates(ABC):
    """Coordinates x (n,) of the covariance of the k random effects of one term.

    Attributes
    ----------
    n_columns : int
        k.
    deviations : Independent
        Priors of the standard deviations, whose logarithms are the first coordinates.
    shapes : array (c,)
        a of the prior Beta(a, a) of each correlation coordinate, (1 + tanh x)/2.
    """

    n_columns: int
    deviations: Independent
    shapes: Floats = field(repr=False)

    @property
    def dimension(self) -> int:
        """n."""
        return len(self.deviations) + len(self.shapes)

    @abstractmethod
    def root(self, x: Floats) -> tuple[Floats, Pullback]:
        """Λ (k, k), lower triangular, and what carries ∂f/∂Λ (k, k) to ∂f/∂x (n,)."""

    @abstractmethod
    def of_root(self, root: Floats) -> Floats:
        """x (n,) of any root (k, k) of a covariance of the structure.

        A zero deviation is taken for a very small one, correlations ±1 for ones near them.
        """

    def log_prior(self, x: Floats) -> tuple[float, Floats]:
        """Log-density of x under the prior, log-Jacobian included, and its gradient (n,)."""
        d = len(self.deviations)
        value, by_logs = self.deviations.log_density_of_logs(x[:d])
        if not len(self.shapes):
            return value, by_logs
        a, t = self.shapes, np.abs(x[d:])
        # log s + log(1 − s) of s = (1 + tanh x)/2
        product = -2.0 * (t + np.log1p(np.exp(-2.0 * t)))
        value += float(np.sum(a * product - betaln(a, a))) + len(a) * math.log(2.0)
        return value, np.concatenate([by_logs, -2.0 * a * np.tanh(x[d:])])

    def draw(self, rng: np.random.Generator) -> Floats:
        """x (n,) from the prior."""
        first, second = rng.standard_gamma(np.tile(self.shapes, (2, 1)))
        tiny = np.finfo(np.float64).tiny
        angles = 0.5 * (np.log(np.maximum(first, tiny)) - np.log(np.maximum(second, tiny)))
        deviations = np.maximum(self.deviations.draw(rng), tiny)
        return np.concatenate([np.log(deviations), np.clip(angles, -EDGE, EDGE)])


@dataclass(frozen=True, slots=True)
class UnstructuredCoordinates(AbstractTermCoordinates):
    """Any covariance: k deviations, and the partial correlations of each pair given the columns
    before the first of them, row by row."""

    def root(self, x: Floats) -> tuple[Floats, Pullback]:
        k = self.n_columns
        sd = np.exp(np.clip(x[:k], -FARTHEST, FARTHEST))
        if k == 1:
            return sd[:, None], lambda slope: slope[0] * sd
        below = np.tril_indices(k, -1)
        partial, rest = np.eye(k), np.zeros((k, k))
        partial[below] = np.tanh(x[k:])
        rest[below] = 1.0 / np.cosh(np.clip(x[k:], -EDGE, EDGE))
        left = np.ones((k, k))  # what the columns before leave of a row's length
        np.cumprod(rest[:, :-1], axis=1, out=left[:, 1:])
        correlated = partial * left
        root = sd[:, None] * correlated

        def pullback(slope: Floats) -> Floats:
            along = slope * root
            after = np.cumsum(along[:, ::-1], axis=1)[:, ::-1] - along
            own = slope * sd[:, None] * left * rest**2
            by_partial = own - partial * after
            return np.concatenate([along.sum(axis=1), by_partial[below]])

        return root, pullback

    def of_root(self, root: Floats) -> Floats:
        k = self.n_columns
        lower = lower_root(root)
        sd = _not_zero(column_deviations(lower))
        correlated = lower / sd[:, None]
        squares = np.cumsum(correlated**2, axis=1)
        rest = np.sqrt(np.maximum(1.0 - squares + correlated**2, 1e-300))
        below = np.tril_indices(k, -1)
        return np.concatenate([np.log(sd), _inverse_tanh((correlated / rest)[below])])


@dataclass(frozen=True, slots=True)
class StructuredCoordinates(AbstractTermCoordinates):
    """The covariance of a structure, whose parameters are deviations, then angles.

    An angle is 2 arcsin √s less the ``offset`` at which nothing is correlated, s = (1 + tanh x)/2.
    """

    covariance: AbstractCovariance
    offset: float

    def root(self, x: Floats) -> tuple[Floats, Pullback]:
        d = len(self.deviations)
        sd = np.exp(np.clip(x[:d], -FARTHEST, FARTHEST))
        inner = np.clip(x[d:], -EDGE, EDGE)
        angles = 2.0 * np.arctan(np.tanh(0.5 * inner)) + 0.5 * math.pi - self.offset
        theta = np.concatenate([sd, angles])
        speed = np.concatenate([sd, 1.0 / np.cosh(inner)])

        def pullback(slope: Floats) -> Floats:
            moved = self.covariance.jacobian(theta)
            by_x: Floats = np.einsum("ij,mij->m", slope, moved) * speed
            return by_x

        return self.covariance.factor(theta), pullback

    def of_root(self, root: Floats) -> Floats:
        d = len(self.deviations)
        theta = self.covariance.parameters(root)
        angles = np.nan_to_num(theta[d:]) + self.offset - 0.5 * math.pi
        return np.concatenate([np.log(_not_zero(theta[:d])), _inverse_tanh(np.sin(angles))])


def term_coordinates(
    covariance: AbstractCovariance, deviations: Independent, correlation: LKJ
) -> AbstractTermCoordinates:
    """Coordinates of a structure's covariance, given the priors of its deviations and of its
    correlations."""
    k = covariance.n_columns
    if isinstance(covariance, Unstructured):
        of_column = correlation.shapes(k) if k > 1 else np.empty(0)
        return UnstructuredCoordinates(k, deviations, of_column[np.tril_indices(k, -1)[1]])
    n_angles = covariance.n_parameters - covariance.n_deviations
    shapes = np.full(n_angles, correlation.eta)
    if isinstance(covariance, Toeplitz):
        shapes = correlation.eta * np.arange(k - 1, 0, -1.0)
    common = isinstance(covariance, CompoundSymmetry | HomogeneousCompoundSymmetry)
    offset = 2.0 * math.asin(1.0 / math.sqrt(k)) if common else 0.5 * math.pi
    return StructuredCoordinates(k, deviations, shapes, covariance, offset)


def _not_zero(deviations: Floats) -> Floats:
    largest = float(np.max(deviations, initial=0.0))
    return np.maximum(deviations, LEAST * (largest or 1.0))


def _inverse_tanh(values: Floats) -> Floats:
    edge = math.tanh(EDGE)
    return np.arctanh(np.clip(values, -edge, edge))
