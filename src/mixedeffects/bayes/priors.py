"""Prior distributions, by name; public as ``me.priors``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, xlogy

from mixedeffects.bayes.prior_base import AbstractPositivePrior, AbstractPrior, Support, Terms
from mixedeffects.errors import ModelError

__all__ = [
    "LKJ",
    "AbstractPrior",
    "Exponential",
    "Flat",
    "Gamma",
    "HalfNormal",
    "HalfStudentT",
    "Laplace",
    "Normal",
    "StudentT",
]

Floats = NDArray[np.float64]

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_LOG_2 = math.log(2.0)


# -- real numbers --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Normal(AbstractPrior):
    """Normal distribution.

    Attributes
    ----------
    mean, sd : float

    Examples
    --------
    >>> print(Normal(0, 10))
    Normal(0, 10)
    """

    mean: float
    sd: float

    support: ClassVar[Support] = "real"
    positive: ClassVar[tuple[str, ...]] = ("sd",)

    def log_density(self, x: ArrayLike) -> Floats:
        z = (np.asarray(x) - self.mean) / self.sd
        found: Floats = -0.5 * z * z - np.log(self.sd) - _HALF_LOG_2PI
        return found

    def gradient(self, x: ArrayLike) -> Floats:
        slope: Floats = (self.mean - np.asarray(x)) / self.sd / self.sd
        return slope

    def draw(self, rng: np.random.Generator, size: Any = None) -> Floats:
        return np.asarray(rng.normal(self.mean, self.sd, size))


@dataclass(frozen=True, slots=True)
class StudentT(AbstractPrior):
    """Student's t distribution about ``mean``, ``scale`` times the standard one.

    Attributes
    ----------
    df, mean, scale : float
        ``mean`` is the centre also where df ≤ 1 leaves no expectation.

    Examples
    --------
    >>> StudentT(3, 0, 2.5).log_density(0.0).round(6)
    np.float64(-1.91718)
    """

    df: float
    mean: float
    scale: float

    support: ClassVar[Support] = "real"
    positive: ClassVar[tuple[str, ...]] = ("df", "scale")

    def log_density(self, x: ArrayLike) -> Floats:
        z = (np.asarray(x) - self.mean) / self.scale
        tail = 0.5 * (self.df + 1.0) * np.log1p(z * z / self.df)
        found: Floats = _log_t_constant(self.df) - tail - np.log(self.scale)
        return found

    def gradient(self, x: ArrayLike) -> Floats:
        z = (np.asarray(x) - self.mean) / self.scale
        slope: Floats = -(self.df + 1.0) * z / (self.df + z * z) / self.scale
        return slope

    def draw(self, rng: np.random.Generator, size: Any = None) -> Floats:
        return self.mean + self.scale * np.asarray(rng.standard_t(self.df, size))


def _log_t_constant(df: float) -> Floats:
    constant: Floats = gammaln(0.5 * (df + 1.0)) - gammaln(0.5 * df) - 0.5 * np.log(np.pi * df)
    return constant


@dataclass(frozen=True, slots=True)
class Laplace(AbstractPrior):
    """Laplace (double exponential) distribution, whose variance is 2·scale².

    Attributes
    ----------
    mean, scale : float
    """

    mean: float
    scale: float

    support: ClassVar[Support] = "real"
    positive: ClassVar[tuple[str, ...]] = ("scale",)

    def log_density(self, x: ArrayLike) -> Floats:
        found: Floats = -np.abs(np.asarray(x) - self.mean) / self.scale - np.log(2.0 * self.scale)
        return found

    def gradient(self, x: ArrayLike) -> Floats:
        slope: Floats = -np.sign(np.asarray(x) - self.mean) / self.scale
        return slope

    def draw(self, rng: np.random.Generator, size: Any = None) -> Floats:
        return np.asarray(rng.laplace(self.mean, self.scale, size))


# -- positive numbers ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HalfNormal(AbstractPositivePrior):
    """The absolute value of a Normal(0, sd).

    Attributes
    ----------
    sd : float
    """

    sd: float

    positive: ClassVar[tuple[str, ...]] = ("sd",)

    @property
    def terms(self) -> Terms:
        return 1.0, 0.0, 0.5 / self.sd / self.sd, 0.0, 1.0

    @property
    def log_constant(self) -> Floats:
        return np.asarray(np.log(2.0 / self.sd) - _HALF_LOG_2PI)

    def draw(self, rng: np.random.Generator, size: Any = None) -> Floats:
        return np.asarray(np.abs(rng.normal(0.0, self.sd, size)))


@dataclass(frozen=True, slots=True)
class HalfStudentT(AbstractPositivePrior):
    """The absolute value of a StudentT(df, 0, scale) (Gelman 2006, Bayesian Analysis 1, 515-534).

    Attributes
    ----------
    df, scale : float
    """

    df: float
    scale: float

    positive: ClassVar[tuple[str, ...]] = ("df", "scale")

    @property
    def terms(self) -> Terms:
        return 1.0, 0.0, 0.0, 0.5 * (self.df + 1.0), self.df * self.scale * self.scale

    @property
    def log_constant(self) -> Floats:
        return np.asarray(np.log(2.0 / self.scale) + _log_t_constant(self.df))

    def draw(self, rng: np.random.Generator, size: Any = None) -> Floats:
        return np.asarray(self.scale * np.abs(rng.standard_t(self.df, size)))


@dataclass(frozen=True, slots=True)
class Exponential(AbstractPositivePrior):
    """Exponential distribution of mean 1/rate.

    Attributes
    ----------
    rate : float
    """

    rate: float

    positive: ClassVar[tuple[str, ...]] = ("rate",)

    @property
    def terms(self) -> Terms:
        return 1.0, self.rate, 0.0, 0.0, 1.0

    @property
    def log_constant(self) -> Floats:
        return np.asarray(np.log(self.rate))

    def draw(self, rng: np.random.Generator, size: Any = None) -> Floats:
        return np.asarray(rng.exponential(1.0 / self.rate, size))


@dataclass(frozen=True, slots=True)
class Gamma(AbstractPositivePrior):
    """Gamma distribution of mean shape/rate.

    Attributes
    ----------
    shape, rate : float
    """

    shape: float
    rate: float

    positive: ClassVar[tuple[str, ...]] = ("shape", "rate")

    @property
    def terms(self) -> Terms:
        return self.shape, self.rate, 0.0, 0.0, 1.0

    @property
    def log_constant(self) -> Floats:
        return np.asarray(xlogy(self.shape, self.rate) - gammaln(self.shape))

    def draw(self, rng: np.random.Generator, size: Any = None) -> Floats:
        return np.asarray(rng.gamma(self.shape, 1.0 / self.rate, size))


# -- correlations, and no information ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LKJ(AbstractPrior):
    """Correlation matrices R (k, k) with a density proportional to |R|^(eta − 1).

    All correlation matrices are equally likely at eta = 1; the larger eta, the nearer to the
    identity. Each correlation r has (1 + r)/2 ~ Beta(a, a), a = eta + k/2 − 1
    (Lewandowski, Kurowicka and Joe 2009, J. Multivariate Analysis 100, 1989-2001).

    Attributes
    ----------
    eta : float

    Examples
    --------
    >>> LKJ(1).log_density([[1.0, 0.3], [0.3, 1.0]]).round(6)  # uniform on (-1, 1)
    np.float64(-0.693147)
    """

    eta: float

    support: ClassVar[Support] = "correlation"
    positive: ClassVar[tuple[str, ...]] = ("eta",)

    def log_density(self, x: ArrayLike) -> Floats:
        """Of a correlation matrix (k, k), by the elements below its diagonal."""
        matrix = np.asarray(x, dtype=np.float64)
        sign, log_determinant = np.linalg.slogdet(matrix)
        if sign <= 0 or not np.all(np.linalg.eigvalsh(matrix) > 0.0):
            return np.asarray(-np.inf)
        return np.asarray((self.eta - 1.0) * log_determinant - self._log_constant(len(matrix)))

    def gradient(self, x: ArrayLike) -> Floats:
        """By each pair of elements r_ij = r_ji, as a symmetric matrix (k, k), zero diagonal."""
        slope = 2.0 * (self.eta - 1.0) * np.linalg.inv(np.asarray(x, dtype=np.float64))
        np.fill_diagonal(slope, 0.0)
        return slope

    def draw(self, rng: np.random.Generator, size: Any = None) -> Floats:
        """A correlation matrix (k, k) for size k, by its partial correlations."""
        k = int(size)
        root = np.eye(k)
        for j, shape in enumerate(self.shapes(k)):
            partial = 2.0 * rng.beta(shape, shape, k - j - 1) - 1.0
            rest = root[j + 1 :].diagonal(j + 1).copy()
            rows = np.arange(j + 1, k)
            root[rows, j] = partial * rest
            root[rows, rows] = rest * np.sqrt(1.0 - partial**2)
        return root @ root.T

    def shapes(self, k: int) -> Floats:
        """a (k − 1,): (1 + r)/2 ~ Beta(a_j, a_j) for the partial correlations r of column j, given
        the columns before it."""
        return self.eta + 0.5 * np.arange(k - 2, -1, -1.0)

    def _log_constant(self, k: int) -> float:
        """log of ∫|R|^(eta − 1) over all correlation matrices."""
        shapes = self.shapes(k)
        log_beta = 2.0 * gammaln(shapes) - gammaln(2.0 * shapes)
        # the volume of the partial correlations, by the Jacobian of their correlations
        return float(np.sum(np.arange(k - 1, 0, -1.0) * (log_beta + (2.0 * shapes - 1.0) * _LOG_2)))


@dataclass(frozen=True, slots=True)
class Flat(AbstractPrior):
    """The same density everywhere in the range of the parameter: no distribution where that is
    unbounded.

    Where the data do not bound the parameter either, the posterior is none and is refused.
    """

    support: ClassVar[Support] = "any"
    proper: ClassVar[bool] = False
    terms: ClassVar[Terms] = (1.0, 0.0, 0.0, 0.0, 1.0)
    """As of an `AbstractPositivePrior`."""
    log_constant: ClassVar[float] = 0.0

    def log_density(self, x: ArrayLike) -> Floats:
        return np.zeros(np.shape(x))

    def gradient(self, x: ArrayLike) -> Floats:
        return np.zeros(np.shape(x))

    def draw(self, rng: np.random.Generator, size: Any = None) -> Floats:
        raise ModelError("Flat() is no distribution: nothing can be drawn from it.")
