"""Counts of at least one: the positive part of a count family, and of hurdle models."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mixedeffects.families.base import AbstractFamily, Predictors
from mixedeffects.families.jets import Array, Partials, Wanted, from_partials
from mixedeffects.families.nbinom1 import NegativeBinomial1
from mixedeffects.families.nbinom2 import NegativeBinomial2
from mixedeffects.families.poisson import COUNT_LINKS, Poisson, count_start
from mixedeffects.families.response import Column, Response, is_count
from mixedeffects.families.special import log1mexp


@dataclass(frozen=True)
class AbstractTruncated(AbstractFamily):
    """A count family given that the count is not zero.

    μ and the dispersion are those of the family before its zeros are cut off. With
    ``zero_inflation`` this is a hurdle model: all zeros come from the zero-inflation predictor.
    """

    link: str = "log"

    links = COUNT_LINKS
    natural = "log"
    discrete = True
    base: ClassVar[type[AbstractFamily]]
    """The family before truncation."""

    @property
    def whole(self) -> AbstractFamily:
        """The family before truncation, with the same link."""
        return self.base(link=self.link)

    def response(
        self,
        y: Array,
        trials: Array | None = None,
        name: str = "y",
        rows: NDArray[np.intp] | None = None,
    ) -> Response:
        Column(name, rows).require(
            y,
            lambda v: is_count(v) & (v > 0),
            f"Family {self.name!r} is for counts 1, 2, 3, …. For a hurdle model give the zeros a"
            f" predictor of their own (zero_inflation=); else use family {self.base.name!r}.",
        )
        self._refuse_trials(trials, Column(name, rows))
        return self.whole.response(y)

    def partials(self, response: Response, point: Predictors, wanted: Wanted) -> Partials:
        n = len(point)
        whole = from_partials(self.whole.partials(response, point, wanted), wanted, n)
        zeros = response.remember("zeros", (), lambda: _zeros(len(response.y)))
        zero = self.whole.partials(zeros, point, wanted)
        return (whole - from_partials(zero, wanted, n).compose(log1mexp)).partials()

    def log_zero(self, n: int, predictors: Predictors) -> Array:
        """Log-probability (n,) of a zero before truncation."""
        return self.whole.log_density(_zeros(n), predictors)

    def mean(self, predictors: Predictors) -> Array:
        mu = self.whole.mean(predictors)
        return mu / -np.expm1(self.log_zero(np.size(mu), predictors).reshape(np.shape(mu)))

    def variance(self, response: Response, predictors: Predictors) -> Array:
        mu, mean = self.whole.mean(predictors), self.mean(predictors)
        square = self.whole.variance(response, predictors) + mu * mu
        return square * mean / mu - mean * mean

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        log_zero = self.log_zero(len(response.y), predictors)
        below = self.whole.cdf(response, predictors) - np.exp(log_zero)
        return np.maximum(below, 0.0) / -np.expm1(log_zero)

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        shape = response.y.shape
        clusters = -self.log_zero(len(response.y), predictors)
        # Counts of these families are sums over a Poisson number of clusters. The first of them
        # comes at a time that is exponential, given that it comes before 1; the rest follow.
        time = -np.log1p(rng.random(shape) * np.expm1(-clusters)) / clusters
        left = np.maximum(1.0 - time, 0.0)
        return self._first_cluster(rng, shape, predictors) + self._rest(
            rng, shape, predictors, left
        )

    @abstractmethod
    def _first_cluster(
        self, rng: np.random.Generator, shape: tuple[int, ...], predictors: Predictors
    ) -> Array:
        """Sizes (n,) of one cluster."""

    @abstractmethod
    def _rest(
        self,
        rng: np.random.Generator,
        shape: tuple[int, ...],
        predictors: Predictors,
        left: Array,
    ) -> Array:
        """Counts (n,) in a time ``left``, where the whole time is 1."""

    def start_mean(self, response: Response) -> Array:
        return count_start(response)

    def initial_dispersion(self, response: Response) -> float:
        return self.whole.initial_dispersion(response)


def _zeros(n: int) -> Response:
    return Response(np.zeros(n), known={"log_factorial": np.zeros(n)})


@dataclass(frozen=True)
class TruncatedPoisson(AbstractTruncated):
    """Poisson counts without zeros; μ = g⁻¹(η) is the mean before truncation.

    Attributes
    ----------
    link : {"log", "identity", "sqrt", "inverse"}
    """

    name = "truncated_poisson"
    has_dispersion = False
    base = Poisson

    def _first_cluster(
        self, rng: np.random.Generator, shape: tuple[int, ...], predictors: Predictors
    ) -> Array:
        return np.ones(shape)

    def _rest(
        self,
        rng: np.random.Generator,
        shape: tuple[int, ...],
        predictors: Predictors,
        left: Array,
    ) -> Array:
        return rng.poisson(self.whole.mean(predictors) * left, shape).astype(float)


@dataclass(frozen=True)
class _TruncatedNegativeBinomial(AbstractTruncated):
    """A negative binomial family: clusters have the logarithmic distribution."""

    @abstractmethod
    def _size_and_odds(self, predictors: Predictors) -> tuple[Array, Array]:
        """The size before truncation, and mean over size."""

    def _first_cluster(
        self, rng: np.random.Generator, shape: tuple[int, ...], predictors: Predictors
    ) -> Array:
        _, odds = self._size_and_odds(predictors)
        p = np.clip(odds / (1.0 + odds), 1e-300, 1.0 - 1e-16)
        return rng.logseries(np.broadcast_to(p, shape)).astype(float)

    def _rest(
        self,
        rng: np.random.Generator,
        shape: tuple[int, ...],
        predictors: Predictors,
        left: Array,
    ) -> Array:
        size, odds = self._size_and_odds(predictors)
        rates = odds * rng.standard_gamma(np.broadcast_to(size * left, shape))
        return rng.poisson(rates).astype(float)


@dataclass(frozen=True)
class TruncatedNegativeBinomial1(_TruncatedNegativeBinomial):
    """Family "nbinom1" without zeros; μ = g⁻¹(η) and φ = exp(δ) are those before truncation.

    Attributes
    ----------
    link : {"log", "identity", "sqrt", "inverse"}
    """

    name = "truncated_nbinom1"
    dispersion = "phi"
    sigma_name = "phi"
    variance_is = "before truncation variance = mu (1 + phi)"
    base = NegativeBinomial1

    def _size_and_odds(self, predictors: Predictors) -> tuple[Array, Array]:
        odds = np.exp(predictors[1])
        return self.whole.mean(predictors) / odds, odds


@dataclass(frozen=True)
class TruncatedNegativeBinomial2(_TruncatedNegativeBinomial):
    """Family "nbinom2" without zeros; μ = g⁻¹(η) and θ = exp(δ) are those before truncation.

    Attributes
    ----------
    link : {"log", "identity", "sqrt", "inverse"}
    """

    name = "truncated_nbinom2"
    dispersion = "size"
    sigma_name = "size"
    variance_is = "before truncation variance = mu (1 + mu / size)"
    base = NegativeBinomial2

    def _size_and_odds(self, predictors: Predictors) -> tuple[Array, Array]:
        size = np.exp(predictors[1])
        return size, self.whole.mean(predictors) / size
