"""Functions of one array that keep their digits where the textbook forms lose them.

Each takes the order of the highest derivative wanted and returns the value with its derivatives,
so that a jet composes with it.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, gammaln, log_ndtr, polygamma, psi

from mixedeffects.families.jets import Array

HALF_LOG_2PI = 0.5 * float(np.log(2.0 * np.pi))
# Bernoulli numbers over 2m(2m − 1): Stirling's series at x ≥ LARGE has 16 digits with these.
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
LARGE = 12.0
# The continued fraction of Mills' ratio from here on, to this depth, has 15 digits.
_TAIL, _DEPTH = -4.0, 20


def softplus(x: Array, order: int = 0) -> tuple[Array, ...]:
    """log(1 + eˣ)."""
    value = np.logaddexp(0.0, x)
    if order == 0:
        return (value,)
    p, q = expit(x), expit(-x)
    pq = p * q
    return (value, p, pq, pq * (q - p))[: order + 1]


def log_expit(x: Array, order: int = 0) -> tuple[Array, ...]:
    """log(1/(1 + e⁻ˣ))."""
    value = -np.logaddexp(0.0, -x)
    if order == 0:
        return (value,)
    p, q = expit(x), expit(-x)
    pq = p * q
    return (value, q, -pq, -pq * (q - p))[: order + 1]


def log1mexp(x: Array, order: int = 0) -> tuple[Array, ...]:
    """log(1 − eˣ) for x < 0."""
    value = np.where(x > -0.7, np.log(-np.expm1(x)), np.log1p(-np.exp(x)))
    if order == 0:
        return (value,)
    odds = 1.0 / np.expm1(-x)  # eˣ/(1 − eˣ)
    second = odds * (1.0 + odds)
    return (value, -odds, -second, -second * (1.0 + 2.0 * odds))[: order + 1]


def log1pmx(x: Array) -> Array:
    """log(1 + x) − x, by the series of the inverse hyperbolic tangent near zero."""
    r = x / (2.0 + x)
    square = r * r
    series = np.zeros_like(r)
    for k in range(29, 1, -2):
        series = (series + 1.0 / k) * square
    near = 2.0 * r * series - x * r
    return np.where(np.abs(x) < 0.5, near, np.log1p(x) - x)


def log_normal_cdf(x: Array, order: int = 0) -> tuple[Array, ...]:
    """log Φ(x).

    The derivatives are polynomials in the inverse Mills ratio λ = φ/Φ and d = λ + x; deep in the
    lower tail d and 1 − λd come from the continued fraction of Mills' ratio (Laplace 1805), as
    differences would lose all digits.
    """
    value = log_ndtr(x)
    if order == 0:
        return (value,)
    ratio, excess, rest = _mills(x)
    third = ratio * (excess * excess - rest)
    return (value, ratio, -ratio * excess, third)[: order + 1]


def _mills(x: Array) -> tuple[Array, Array, Array]:
    """λ(x) = φ/Φ, d = λ + x, and d' = 1 − λd."""
    x = np.atleast_1d(x)
    ratio = np.exp(log_density_normal(x) - log_ndtr(x))
    excess = ratio + x
    rest = 1.0 - ratio * excess
    deep = x < _TAIL
    if deep.any():
        z = -x[deep]
        tail = np.zeros_like(z)
        for k in range(_DEPTH, 1, -1):
            tail = k / (z + tail)
        fraction = 1.0 / (z + tail)  # d, from λ = z + 1/(z + 2/(z + 3/(…)))
        ratio[deep], excess[deep], rest[deep] = z + fraction, fraction, fraction * (tail - fraction)
    return ratio, excess, rest


def log_density_normal(x: Array) -> Array:
    value: Array = -0.5 * x * x - HALF_LOG_2PI
    return value


def stirling(log_x: Array, order: int = 0) -> tuple[Array, ...]:
    """What Stirling's formula leaves out: log Γ(x) − (x − ½) log x + x − ½ log 2π.

    A function of log x, and so are its derivatives.
    """
    shape = np.shape(log_x)
    log_x = np.ravel(log_x)
    x = np.exp(log_x)
    inverse = 1.0 / np.maximum(x, LARGE)
    square = inverse * inverse
    found = []
    for k in range(order + 1):
        series = np.zeros_like(x)
        for m in range(len(_STIRLING) - 1, -1, -1):
            series = series * square + _STIRLING[m] * (-(2.0 * m + 1.0)) ** k
        found.append(series * inverse)
    small = x < LARGE
    if small.any():
        exactly = _stirling_exactly(x[small], log_x[small], order)
        for value, exact in zip(found, exactly, strict=True):
            value[small] = exact
    return tuple(value.reshape(shape) for value in found)


def _stirling_exactly(x: Array, log_x: Array, order: int) -> list[Array]:
    found = [gammaln(x) - (x - 0.5) * log_x + x - HALF_LOG_2PI]
    if order >= 1:
        digamma = x * psi(x)
        found.append(digamma - x * log_x + 0.5)
    if order >= 2:
        trigamma = x * x * polygamma(1, x)
        found.append(digamma + trigamma - x * log_x - x)
    if order >= 3:
        cubic = x**3 * polygamma(2, x)
        found.append(digamma + 3.0 * trigamma + cubic - x * log_x - 2.0 * x)
    return found


def log_rising(y: Array, log_x: Array, order: int = 0) -> tuple[Array, ...]:
    """log Γ(x + y) − log Γ(x) − y log x, for y ≥ 0: what x is short of infinity.

    A function of log x, and so are its derivatives. All of them vanish like y²/x, without
    cancellation.
    """
    log_x = np.asarray(log_x, dtype=float)
    x = np.exp(log_x)
    v = y / x
    log_y = np.log(np.maximum(y, 1e-300))
    log_ratio = np.where(v < 1e300, np.log1p(v), log_y - log_x)
    above = stirling(log_x + log_ratio, order)
    below = stirling(log_x, order)
    found = [(x + y - 0.5) * log_ratio - y + above[0] - below[0]]
    if order >= 1:
        c, d = expit(log_x - log_y), expit(log_y - log_x)  # x/(x + y), y/(x + y)
        gap = x * log1pmx(v)
        found.append(gap + 0.5 * d + c * above[1] - below[1])
    if order >= 2:
        square = y * d
        found.append(gap + square - 0.5 * c * d + c * (c * above[2] + d * above[1]) - below[2])
    if order >= 3:
        found.append(
            gap
            + square * d
            - 0.5 * c * d * (d - c)
            + c * (c * c * above[3] + d * (3.0 * c * above[2] + (d - c) * above[1]))
            - below[3]
        )
    return tuple(found)


def log1p(x: Array, order: int = 0) -> tuple[Array, ...]:
    """log(1 + x)."""
    r = 1.0 / (1.0 + x)
    return (np.log1p(x), r, -r * r, 2.0 * r**3)[: order + 1]


def log_gamma(x: Array, order: int = 0) -> tuple[Array, ...]:
    """log Γ(x) for x > 0."""
    found = [gammaln(x)]
    if order >= 1:
        found.append(psi(x))
    found.extend(polygamma(k, x) for k in range(1, order))
    return tuple(found)


def expm1(x: Array, order: int = 0) -> tuple[Array, ...]:
    """eˣ − 1."""
    return (np.expm1(x), *(np.exp(x),) * order)
