"""Functions of one array that keep their digits where the textbook forms lose them.

Each takes the order of the highest derivative wanted and returns the value with its derivatives,
so that a jet composes with it.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, gammaln, log_ndtr, polygamma, psi

from mixedeffects.families._rows import rising_table
from mixedeffects.families.jets import Array

HALF_LOG_2PI = 0.5 * float(np.log(2.0 * np.pi))
# Bernoulli numbers over 2m(2m − 1): with these Stirling's series has 15 digits at x ≥ LARGE, and
# so have its first three derivatives.
_STIRLING = (
    *(1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156),
    *(-3617 / 122400, 43867 / 244188, -174611 / 125400),
)
LARGE = 8
# Counts below this are looked up where x is the same for all.
_TABLE = 2000
# The continued fraction of Mills' ratio from here on, to this depth, has 15 digits.
_TAIL, _DEPTH = -4.0, 20


def logistic(x: Array) -> tuple[Array, Array, Array]:
    """1/(1 + e⁻ˣ), 1/(1 + eˣ) and log(1 + exp(−|x|)), without branches and with all digits."""
    e = np.exp(-np.abs(x))
    u = 1.0 + e
    larger = 1.0 / u
    p, q = np.exp(np.minimum(x, 0.0)) * larger, np.exp(-np.maximum(x, 0.0)) * larger
    # Of log(1 + e) what the rounding of 1 + e took: log1p at a fifth of its cost.
    return p, q, np.log(u) - ((u - 1.0) - e) * larger


def softplus(x: Array, order: int = 0) -> tuple[Array, ...]:
    """log(1 + eˣ)."""
    p, q, rest = logistic(x)
    pq = p * q
    return (rest + np.maximum(x, 0.0), p, pq, pq * (q - p))[: order + 1]


def log_expit(x: Array, order: int = 0) -> tuple[Array, ...]:
    """log(1/(1 + e⁻ˣ))."""
    p, q, rest = logistic(x)
    pq = p * q
    return (np.minimum(x, 0.0) - rest, q, -pq, -pq * (q - p))[: order + 1]


def log1mexp(x: Array, order: int = 0) -> tuple[Array, ...]:
    """log(1 − eˣ) for x < 0."""
    value = np.where(x > -0.7, np.log(-np.expm1(x)), np.log1p(-np.exp(np.minimum(x, -0.7))))
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
    for k in range(15, 1, -2):
        series = (series + 1.0 / k) * square
    return np.where(np.abs(x) < 0.1, r * (2.0 * series - x), np.log1p(x) - x)


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
    if len(log_x) > 1 and (log_x == log_x[0]).all():
        log_x = log_x[:1]
    x = np.exp(log_x)
    found = _stirling_series(np.maximum(x, LARGE), order)
    small = x < LARGE
    if small.any():
        exactly = _stirling_shifted(x[small], log_x[small], order)
        for value, exact in zip(found, exactly, strict=True):
            value[small] = exact
    if len(log_x) == 1:
        return tuple(np.broadcast_to(value[0], shape) for value in found)
    return tuple(value.reshape(shape) for value in found)


def _stirling_series(x: Array, order: int) -> list[Array]:
    inverse = 1.0 / x
    square = inverse * inverse
    found = []
    for k in range(order + 1):
        series = np.zeros_like(x)
        for m in range(len(_STIRLING) - 1, -1, -1):
            series = series * square + _STIRLING[m] * (-(2.0 * m + 1.0)) ** k
        found.append(series * inverse)
    return found


def _stirling_shifted(x: Array, log_x: Array, order: int) -> list[Array]:
    """By the recurrence of the gamma function, from x + LARGE down to x."""
    product = np.ones_like(x)  # of x + k, k > 0: x itself may be too small for a number
    powers = [np.ones_like(x) for _ in range(order)]  # Σ (x/(x + k))ⁱ
    for k in range(1, LARGE):
        product *= x + k
        ratio = x / (x + k)
        power = ratio
        for i in range(order):
            powers[i] += power
            power = power * ratio
    m = x + LARGE
    log_m = np.log(m)
    rest = _stirling_series(m, order)
    c = x / m
    found = [(m - 0.5) * log_m - LARGE + rest[0] - np.log(product) - (x + 0.5) * log_x]
    if order >= 1:
        digamma = x * log_m - 0.5 * c + c * rest[1] - powers[0]  # xψ(x)
        found.append(digamma - x * log_x + 0.5)
    if order >= 2:
        second = c * c * (m + 0.5 + rest[2] - rest[1]) + powers[1]  # x²ψ'(x)
        found.append(digamma + second - x * log_x - x)
    if order >= 3:
        third = c**3 * (rest[3] - 3.0 * rest[2] + 2.0 * rest[1] - m - 1.0) - 2.0 * powers[2]
        found.append(digamma + 3.0 * second + third - x * log_x - 2.0 * x)
    return found


def log_rising(y: Array, log_x: Array, order: int = 0) -> tuple[Array, ...]:
    """log Γ(x + y) − log Γ(x) − y log x, for y ≥ 0: what x is short of infinity.

    A function of log x, and so are its derivatives. All of them vanish like y²/x, without
    cancellation.
    """
    log_x = np.asarray(log_x, dtype=float)
    y = np.asarray(y, dtype=float)
    if not y.any():
        return tuple(np.zeros(np.broadcast_shapes(y.shape, log_x.shape)) for _ in range(order + 1))
    first = log_x.flat[0]
    if y.max() < _TABLE and (log_x.ndim == 0 or (log_x == first).all()):
        counts = y.astype(np.intp)
        if (counts == y).all():
            table = np.empty((order + 1, int(y.max()) + 1))
            rising_table(float(np.exp(min(first, 709.0))), table)
            return tuple(values[counts] for values in table)
    return _log_rising(y, log_x, order)


def _log_rising(y: Array, log_x: Array, order: int) -> tuple[Array, ...]:
    x = np.exp(log_x)
    v = y / x
    log_y = np.log(np.maximum(y, 1e-300))
    log_ratio = np.where(v < 1e300, np.log1p(v), log_y - log_x)
    above = stirling(log_x + log_ratio, order)
    below = stirling(log_x, order)
    found = [(x + y - 0.5) * log_ratio - y + above[0] - below[0]]
    if order >= 1:
        c, d = expit(log_x - log_y), expit(log_y - log_x)  # x/(x + y), y/(x + y)
        gap = np.where(v < 0.1, x * log1pmx(v), x * log_ratio - y)
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


def first_and_log_distances(values: Array) -> Array:
    """The first of increasing values (..., e), and the logarithms of their distances."""
    return np.concatenate([values[..., :1], np.log(np.diff(values, axis=-1))], axis=-1)
