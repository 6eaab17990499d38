"""Unconstrained coordinates of the covariance of a random term, and their prior.

A vector x (n,) stands for a root Λ (k, k) of Σ = ΛΛᵀ, absolute and for the user's columns: first
the logarithms of the standard deviations, then one number for each free correlation. Those
correlations are tanh x, stretched to their range, and their priors are independent symmetric Beta
distributions: for all correlation matrices the partial correlations of the LKJ distribution
(Lewandowski, Kurowicka and Joe 2009, J. Multivariate Analysis 100, 1989-2001), for Toeplitz ones
the partial autocorrelations.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from mixedeffects.bayes.independent import FARTHEST, PositiveIndependent
from mixedeffects.bayes.priors import LKJ
from mixedeffects.covariance import (
    AbstractCovariance,
    AbstractSpatial,
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
    deviations : PositiveIndependent
        Priors of the standard deviations, whose logarithms are the first coordinates.
    shapes : array (c,)
        a of the prior Beta(a, a) of each correlation coordinate, (1 + tanh x)/2.
    """

    n_columns: int
    deviations: PositiveIndependent
    shapes: Floats = field(repr=False)
    _constant: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        constants = math.log(2.0) - betaln(self.shapes, self.shapes)
        object.__setattr__(self, "_constant", float(np.sum(constants)))

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
        slopes = by_logs.tolist()
        for angle, a in zip(x[d:].tolist(), self.shapes.tolist(), strict=True):
            t = abs(angle)
            # log s + log(1 − s) of s = (1 + tanh x)/2 is −2 times the parenthesis
            value -= 2.0 * a * (t + math.log1p(math.exp(-2.0 * t)))
            slopes.append(-2.0 * a * math.tanh(angle))
        return value + self._constant, np.array(slopes)

    def plain_prior(self, x: Floats) -> float:
        """Log-density as one of the logarithms of deviations."""
        return self.log_prior(x)[0]

    def draw(self, rng: np.random.Generator) -> Floats:
        """x (n,) from the prior."""
        first, second = rng.standard_gamma(np.tile(self.shapes, (2, 1)))
        tiny = np.finfo(np.float64).tiny
        angles = 0.5 * (np.log(np.maximum(first, tiny)) - np.log(np.maximum(second, tiny)))
        deviations = np.maximum(self.deviations.draw(rng), tiny)
        return np.concatenate([np.log(deviations), _bounded(angles, EDGE)])


@dataclass(frozen=True, slots=True)
class UnstructuredCoordinates(AbstractTermCoordinates):
    """Any covariance: k deviations, and the partial correlations of each pair given the columns
    before the first of them, row by row."""

    def root(self, x: Floats) -> tuple[Floats, Pullback]:
        k = self.n_columns
        sd = np.exp(_bounded(x[:k], FARTHEST))
        if k == 1:
            return sd[:, None], lambda slope: slope[0] * sd
        below = _below(k)
        partial, rest = np.eye(k), np.zeros((k, k))
        partial[below] = np.tanh(x[k:])
        rest[below] = 1.0 / np.cosh(_bounded(x[k:], EDGE))
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
        below = _below(k)
        return np.concatenate([np.log(sd), _inverse_tanh((correlated / rest)[below])])


@dataclass(frozen=True, slots=True)
class AbstractStructuredCoordinates(AbstractTermCoordinates):
    """The covariance of a structure, whose parameters are deviations, then angles."""

    covariance: AbstractCovariance

    @abstractmethod
    def angles(self, x: Floats) -> tuple[Floats, Floats]:
        """Angles (c,) of the correlation coordinates (c,), and their derivatives."""

    @abstractmethod
    def of_angles(self, angles: Floats) -> Floats:
        """s (c,) of angles (c,), s = (1 + tanh x)/2."""

    def root(self, x: Floats) -> tuple[Floats, Pullback]:
        d = len(self.deviations)
        sd = np.exp(_bounded(x[:d], FARTHEST))
        angles, slopes = self.angles(_bounded(x[d:], EDGE))
        moved = self.covariance.jacobian(np.concatenate([sd, angles]))
        flat, speed = moved.reshape(len(moved), -1), np.concatenate([sd, slopes])

        def pullback(slope: Floats) -> Floats:
            by_x: Floats = (flat @ slope.ravel()) * speed
            return by_x

        # the root is linear in the deviations
        return (sd @ flat[:d]).reshape(moved.shape[1:]), pullback

    def of_root(self, root: Floats) -> Floats:
        d = len(self.deviations)
        theta = self.covariance.parameters(root)
        s = self.of_angles(np.nan_to_num(theta[d:]))
        return np.concatenate([np.log(_not_zero(theta[:d])), _inverse_tanh(2.0 * s - 1.0)])


@dataclass(frozen=True, slots=True)
class AngularCoordinates(AbstractStructuredCoordinates):
    """Angles that are 2 arcsin √s, less the ``offset`` at which nothing is correlated."""

    offset: float

    def angles(self, x: Floats) -> tuple[Floats, Floats]:
        turned = 2.0 * np.arctan(np.tanh(0.5 * x)) + 0.5 * math.pi
        return turned - self.offset, 1.0 / np.cosh(x)

    def of_angles(self, angles: Floats) -> Floats:
        s: Floats = np.sin(0.5 * (angles + self.offset)) ** 2
        return s


@dataclass(frozen=True, slots=True)
class SpatialCoordinates(AbstractStructuredCoordinates):
    """τ of a spatial structure, with s = exp(−τ²) the correlation across the unit distance."""

    def angles(self, x: Floats) -> tuple[Floats, Floats]:
        # −log s without cancellation at either end
        tau = np.sqrt(np.logaddexp(0.0, -2.0 * x))
        return tau, -0.5 * (1.0 - np.tanh(x)) / tau

    def of_angles(self, angles: Floats) -> Floats:
        s: Floats = np.exp(-(angles**2))
        return s


def term_coordinates(
    covariance: AbstractCovariance, deviations: PositiveIndependent, correlation: LKJ
) -> AbstractTermCoordinates:
    """Coordinates of a structure's covariance, given the priors of its deviations and of its
    correlations.

    LKJ(η) means a density proportional to |R|^(η − 1) among the correlation matrices R of ``us``
    and ``toep``, and (1 + r)/2 ~ Beta(η, η), stretched to the range of r, for the one correlation
    r of the other structures.
    """
    k, eta = covariance.n_columns, correlation.eta
    if isinstance(covariance, Unstructured):
        of_column = correlation.shapes(k) if k > 1 else np.empty(0)
        return UnstructuredCoordinates(k, deviations, of_column[_below(k)[1]])
    shapes = np.full(covariance.n_parameters - covariance.n_deviations, eta)
    if isinstance(covariance, AbstractSpatial):
        return SpatialCoordinates(k, deviations, shapes, covariance)
    if isinstance(covariance, Toeplitz):
        shapes = eta * np.arange(k - 1, 0, -1.0)
    common = isinstance(covariance, CompoundSymmetry | HomogeneousCompoundSymmetry)
    offset = 2.0 * math.asin(1.0 / math.sqrt(k)) if common else 0.5 * math.pi
    return AngularCoordinates(k, deviations, shapes, covariance, offset)


@lru_cache
def _below(k: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the elements below the diagonal, row by row."""
    return np.tril_indices(k, -1)


def _bounded(x: Floats, most: float) -> Floats:
    return np.minimum(np.maximum(x, -most), most)


def _not_zero(deviations: Floats) -> Floats:
    largest = float(np.max(deviations, initial=0.0))
    return np.maximum(deviations, LEAST * (largest or 1.0))


def _inverse_tanh(values: Floats) -> Floats:
    edge = math.tanh(EDGE)
    return np.arctanh(np.clip(values, -edge, edge))
