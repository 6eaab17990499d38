"""Link functions: what turns a linear predictor η into a mean μ.

A density is differentiated on its *natural scale*, a function of μ on which it is simple and
stable: μ itself, log μ or logit μ. `AbstractLink.curve` is that scale as a function of η. Where
the two are the same function, the link is natural and the curve the straight line.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from scipy.special import expit, log_ndtr, logit, ndtr, ndtri

from mixedeffects.errors import ModelError, suggestion
from mixedeffects.families.jets import Array
from mixedeffects.families.special import log1mexp, log_density_normal, log_normal_cdf

Scale = Literal["identity", "log", "logit"]
Curve = tuple[Array, Array, Array, Array]
"""A function of η with its first three derivatives."""

_ZERO, _ONE = np.asarray(0.0), np.asarray(1.0)
# exp of more than this overflows.
_HIGHEST = 700.0


@dataclass(frozen=True, slots=True)
class AbstractLink(ABC):
    """A link g with g(μ) = η. All methods take and return arrays of any one shape."""

    name: ClassVar[str]
    natural: ClassVar[Scale | None] = None
    """The natural scale that this link is, if any."""

    @abstractmethod
    def forward(self, mu: Array) -> Array:
        """η = g(μ)."""

    @abstractmethod
    def inverse(self, eta: Array) -> Array:
        """μ = g⁻¹(η)."""

    @abstractmethod
    def slopes(self, eta: Array) -> tuple[Array, Array, Array]:
        """The first three derivatives of μ by η."""

    def complement(self, eta: Array) -> Array:
        """1 − μ; for the links of probabilities with all its digits."""
        return 1.0 - self.inverse(eta)

    def curve(self, scale: Scale, eta: Array) -> Curve:
        """μ, log μ or logit μ as a function of η, with three derivatives."""
        mu, slopes = self.inverse(eta), self.slopes(eta)
        if scale == "identity":
            return (mu, *slopes)
        upper = _log_curve(mu, slopes)
        if scale == "log":
            return upper
        first, second, third = slopes
        lower = _log_curve(self.complement(eta), (-first, -second, -third))
        return (
            upper[0] - lower[0],
            upper[1] - lower[1],
            upper[2] - lower[2],
            upper[3] - lower[3],
        )


def _log_curve(x: Array, slopes: tuple[Array, Array, Array]) -> Curve:
    """log x, given x and its derivatives."""
    first, second, third = (slope / x for slope in slopes)
    two = second - first * first
    return np.log(x), first, two, third - 3.0 * first * two - first**3


@dataclass(frozen=True, slots=True)
class Identity(AbstractLink):
    """η = μ."""

    name = "identity"
    natural = "identity"

    def forward(self, mu: Array) -> Array:
        return mu

    def inverse(self, eta: Array) -> Array:
        return eta

    def slopes(self, eta: Array) -> tuple[Array, Array, Array]:
        return _ONE, _ZERO, _ZERO


@dataclass(frozen=True, slots=True)
class Log(AbstractLink):
    """η = log μ."""

    name = "log"
    natural = "log"

    def forward(self, mu: Array) -> Array:
        return np.log(mu)

    def inverse(self, eta: Array) -> Array:
        return np.exp(eta)

    def complement(self, eta: Array) -> Array:
        return -np.expm1(eta)

    def slopes(self, eta: Array) -> tuple[Array, Array, Array]:
        mu = np.exp(eta)
        return mu, mu, mu


@dataclass(frozen=True, slots=True)
class Logit(AbstractLink):
    """η = log(μ/(1 − μ))."""

    name = "logit"
    natural = "logit"

    def forward(self, mu: Array) -> Array:
        eta: Array = logit(mu)
        return eta

    def inverse(self, eta: Array) -> Array:
        mu: Array = expit(eta)
        return mu

    def complement(self, eta: Array) -> Array:
        rest: Array = expit(-eta)
        return rest

    def slopes(self, eta: Array) -> tuple[Array, Array, Array]:
        p, q = expit(eta), expit(-eta)
        pq = p * q
        return pq, pq * (q - p), pq * (1.0 - 6.0 * pq)


@dataclass(frozen=True, slots=True)
class Probit(AbstractLink):
    """μ = Φ(η), the normal distribution function."""

    name = "probit"

    def forward(self, mu: Array) -> Array:
        eta: Array = ndtri(mu)
        return eta

    def inverse(self, eta: Array) -> Array:
        mu: Array = ndtr(eta)
        return mu

    def complement(self, eta: Array) -> Array:
        return self.inverse(-eta)

    def slopes(self, eta: Array) -> tuple[Array, Array, Array]:
        density = np.exp(log_density_normal(eta))
        return density, -eta * density, (eta * eta - 1.0) * density

    def curve(self, scale: Scale, eta: Array) -> Curve:
        if scale != "logit":
            return AbstractLink.curve(self, scale, eta)
        upper, lower = log_normal_cdf(eta, 3), log_normal_cdf(-eta, 3)
        return (
            log_ndtr(eta) - log_ndtr(-eta),
            upper[1] + lower[1],
            upper[2] - lower[2],
            upper[3] + lower[3],
        )


@dataclass(frozen=True, slots=True)
class ComplementaryLogLog(AbstractLink):
    """μ = 1 − exp(−exp(η))."""

    name = "cloglog"

    def forward(self, mu: Array) -> Array:
        return np.log(-np.log1p(-mu))

    def inverse(self, eta: Array) -> Array:
        return -np.expm1(-np.exp(eta))

    def complement(self, eta: Array) -> Array:
        return np.exp(-np.exp(eta))

    def slopes(self, eta: Array) -> tuple[Array, Array, Array]:
        z = np.exp(np.minimum(eta, _HIGHEST))
        density = z * np.exp(-z)
        return density, (1.0 - z) * density, (1.0 - 3.0 * z + z * z) * density

    def curve(self, scale: Scale, eta: Array) -> Curve:
        if scale != "logit":
            return AbstractLink.curve(self, scale, eta)
        # logit μ = log(exp(z) − 1) with z = exp(η); c = 1 − z/(exp(z) − 1) lies in (0, 1)
        z = np.exp(np.minimum(eta, _HIGHEST))
        value = z + log1mexp(-z)[0]
        q = z / np.expm1(np.minimum(z, _HIGHEST))
        c = _one_minus_bernoulli(z, q)
        first = z + q
        second = c * first
        return value, first, second, q * (z - c) * first + c * second


def _one_minus_bernoulli(z: Array, q: Array) -> Array:
    """1 − q, for q = z/(exp(z) − 1) and z ≥ 0."""
    series = np.ones_like(z)
    for k in range(16, 2, -1):
        series = 1.0 + series * z / k
    return np.where(z < 1.0, 0.5 * q * z * series, 1.0 - q)


@dataclass(frozen=True, slots=True)
class LogLog(AbstractLink):
    """μ = exp(−exp(−η)): the complementary log-log link for 1 − μ and −η."""

    name = "loglog"

    def forward(self, mu: Array) -> Array:
        return -np.log(-np.log(mu))

    def inverse(self, eta: Array) -> Array:
        return np.exp(-np.exp(-eta))

    def complement(self, eta: Array) -> Array:
        return -np.expm1(-np.exp(-eta))

    def slopes(self, eta: Array) -> tuple[Array, Array, Array]:
        first, second, third = ComplementaryLogLog().slopes(-eta)
        return first, -second, third

    def curve(self, scale: Scale, eta: Array) -> Curve:
        if scale != "logit":
            return AbstractLink.curve(self, scale, eta)
        value, first, second, third = ComplementaryLogLog().curve(scale, -eta)
        return -value, first, -second, third


@dataclass(frozen=True, slots=True)
class Cauchit(AbstractLink):
    """μ = ½ + arctan(η)/π, the Cauchy distribution function."""

    name = "cauchit"

    def forward(self, mu: Array) -> Array:
        return np.where(mu < 0.25, -1.0 / np.tan(np.pi * mu), np.tan(np.pi * (mu - 0.5)))

    def inverse(self, eta: Array) -> Array:
        return np.arctan2(1.0, -eta) / np.pi

    def complement(self, eta: Array) -> Array:
        return np.arctan2(1.0, eta) / np.pi

    def slopes(self, eta: Array) -> tuple[Array, Array, Array]:
        w = 1.0 / (1.0 + eta * eta)
        first = w / np.pi
        second = -2.0 * eta * w * first
        return first, second, (6.0 * eta * eta - 2.0) * w * w * first


@dataclass(frozen=True, slots=True)
class Inverse(AbstractLink):
    """η = 1/μ."""

    name = "inverse"

    def forward(self, mu: Array) -> Array:
        return 1.0 / mu

    def inverse(self, eta: Array) -> Array:
        return 1.0 / eta

    def slopes(self, eta: Array) -> tuple[Array, Array, Array]:
        r = 1.0 / eta
        return -(r**2), 2.0 * r**3, -6.0 * r**4


@dataclass(frozen=True, slots=True)
class Sqrt(AbstractLink):
    """η = √μ."""

    name = "sqrt"

    def forward(self, mu: Array) -> Array:
        return np.sqrt(mu)

    def inverse(self, eta: Array) -> Array:
        return eta * eta

    def slopes(self, eta: Array) -> tuple[Array, Array, Array]:
        return 2.0 * eta, np.asarray(2.0), _ZERO


@dataclass(frozen=True, slots=True)
class InverseSquare(AbstractLink):
    """η = 1/μ²."""

    name = "1/mu^2"

    def forward(self, mu: Array) -> Array:
        return mu**-2.0

    def inverse(self, eta: Array) -> Array:
        return eta**-0.5

    def slopes(self, eta: Array) -> tuple[Array, Array, Array]:
        return -0.5 * eta**-1.5, 0.75 * eta**-2.5, -1.875 * eta**-3.5


LINKS: dict[str, AbstractLink] = {
    link.name: link
    for link in (
        *(Identity(), Log(), Logit(), Probit(), ComplementaryLogLog(), LogLog()),
        *(Cauchit(), Inverse(), Sqrt(), InverseSquare()),
    )
}


def check_link(link: str, family: str, known: tuple[str, ...]) -> None:
    """Refuse a link that a family does not have.

    Raises
    ------
    ModelError
    """
    if link not in known:
        raise ModelError(
            f"Family {family!r} has no link {link!r}.{suggestion(str(link), known)} "
            f"Its links: {', '.join(known)}."
        )
