"""Distribution functions F of the latent variable in cumulative models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_ndtr

from mixedeffects.families.jets import Array
from mixedeffects.families.special import log1mexp, log_normal_cdf


@dataclass(frozen=True, slots=True)
class AbstractDistribution(ABC):
    """A continuous distribution of a real variable; all functions are of arrays."""

    @abstractmethod
    def log_tails(self, x: Array) -> tuple[Array, Array]:
        """log F(x) and log(1 − F(x))."""

    @abstractmethod
    def log_ratios(self, x: Array) -> tuple[Array, Array]:
        """log(f/F) and log(f/(1 − F)), with all digits in either tail."""

    @abstractmethod
    def slope(self, x: Array) -> tuple[Array, Array]:
        """The first two derivatives of log f."""


@dataclass(frozen=True, slots=True)
class Logistic(AbstractDistribution):
    """F(x) = 1/(1 + exp(−x))."""

    def log_tails(self, x: Array) -> tuple[Array, Array]:
        return -np.logaddexp(0.0, -x), -np.logaddexp(0.0, x)

    def log_ratios(self, x: Array) -> tuple[Array, Array]:
        return -np.logaddexp(0.0, x), -np.logaddexp(0.0, -x)

    def slope(self, x: Array) -> tuple[Array, Array]:
        p, q = expit(x), expit(-x)
        return q - p, -2.0 * p * q


@dataclass(frozen=True, slots=True)
class Normal(AbstractDistribution):
    """F = Φ."""

    def log_tails(self, x: Array) -> tuple[Array, Array]:
        return log_ndtr(x), log_ndtr(-x)

    def log_ratios(self, x: Array) -> tuple[Array, Array]:
        return np.log(log_normal_cdf(x, 1)[1]), np.log(log_normal_cdf(-x, 1)[1])

    def slope(self, x: Array) -> tuple[Array, Array]:
        return -x, -np.ones_like(x)


@dataclass(frozen=True, slots=True)
class Minimum(AbstractDistribution):
    """F(x) = 1 − exp(−exp(x)): the smallest extreme value, the complementary log-log link."""

    def log_tails(self, x: Array) -> tuple[Array, Array]:
        z = np.exp(x)
        return log1mexp(-z)[0], -z

    def log_ratios(self, x: Array) -> tuple[Array, Array]:
        z = np.exp(x)
        return x - z - log1mexp(-z)[0], x

    def slope(self, x: Array) -> tuple[Array, Array]:
        z = np.exp(x)
        return 1.0 - z, -z


@dataclass(frozen=True, slots=True)
class Maximum(AbstractDistribution):
    """F(x) = exp(−exp(−x)): the largest extreme value, the log-log link."""

    def log_tails(self, x: Array) -> tuple[Array, Array]:
        lower, upper = Minimum().log_tails(-x)
        return upper, lower

    def log_ratios(self, x: Array) -> tuple[Array, Array]:
        lower, upper = Minimum().log_ratios(-x)
        return upper, lower

    def slope(self, x: Array) -> tuple[Array, Array]:
        first, second = Minimum().slope(-x)
        return -first, second


@dataclass(frozen=True, slots=True)
class Cauchy(AbstractDistribution):
    """F(x) = ½ + arctan(x)/π."""

    def log_tails(self, x: Array) -> tuple[Array, Array]:
        return np.log(np.arctan2(1.0, -x) / np.pi), np.log(np.arctan2(1.0, x) / np.pi)

    def log_ratios(self, x: Array) -> tuple[Array, Array]:
        density = -np.log(np.pi) - np.log1p(x * x)
        lower, upper = self.log_tails(x)
        return density - lower, density - upper

    def slope(self, x: Array) -> tuple[Array, Array]:
        w = 1.0 / (1.0 + x * x)
        return -2.0 * x * w, 2.0 * (x * x - 1.0) * w * w


DISTRIBUTIONS: dict[str, AbstractDistribution] = {
    "logit": Logistic(),
    "probit": Normal(),
    "cloglog": Minimum(),
    "loglog": Maximum(),
    "cauchit": Cauchy(),
}
