"""Values carried together with their exact first and second derivatives.

A correlation structure writes its factor once, as a formula; arithmetic on jets differentiates it
by the chain rule (second-order forward mode), so that no derivative is written by hand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from mixedeffects.covariance.base import Array


@dataclass(frozen=True, slots=True, eq=False)
class Jet:
    """A matrix-valued function of m variables at a point.

    Attributes
    ----------
    value : array (a, b)
    first : array (m, a, b)
    second : array (m, m, a, b)
        Shapes broadcast as usual; a scalar has a = b = 1.
    """

    __array_ufunc__ = None  # leaves array * Jet to Jet.__rmul__

    value: Array
    first: Array
    second: Array

    def compose(self, value: Array, first: Array, second: Array) -> Jet:
        """f(self) element by element, given f and its first two derivatives at self.value."""
        squares = self.first[:, None] * self.first[None]
        return Jet(value, first * self.first, first * self.second + second * squares)

    def __add__(self, other: Jet | ArrayLike) -> Jet:
        if isinstance(other, Jet):
            return Jet(
                self.value + other.value, self.first + other.first, self.second + other.second
            )
        value = self.value + np.asarray(other, dtype=float)
        shape = value.shape
        m = len(self.first)
        return Jet(
            value,
            np.broadcast_to(self.first, (m, *shape)),
            np.broadcast_to(self.second, (m, m, *shape)),
        )

    __radd__ = __add__

    def __mul__(self, other: Jet | ArrayLike) -> Jet:
        if not isinstance(other, Jet):
            c = np.asarray(other, dtype=float)
            return Jet(self.value * c, self.first * c, self.second * c)
        cross = self.first[:, None] * other.first[None]
        return Jet(
            self.value * other.value,
            self.first * other.value + self.value * other.first,
            self.second * other.value + self.value * other.second + cross + cross.swapaxes(0, 1),
        )

    __rmul__ = __mul__

    def __matmul__(self, other: Jet) -> Jet:
        a, b = self.first, other.first
        cross = a[:, None] @ b[None]
        return Jet(
            self.value @ other.value,
            a @ other.value + self.value @ b,
            self.second @ other.value + self.value @ other.second + cross + cross.swapaxes(0, 1),
        )


def variables(values: Array) -> tuple[Jet, ...]:
    """The m independent variables themselves, as scalar jets."""
    m = len(values)
    unit = np.eye(m)[:, :, None, None]
    return tuple(
        Jet(np.full((1, 1), value), unit[i], np.zeros((m, m, 1, 1)))
        for i, value in enumerate(values)
    )


def constants(values: Array) -> tuple[Jet, ...]:
    """Scalar jets of no variable: the same formula then yields its value alone."""
    return tuple(
        Jet(np.full((1, 1), value), np.zeros((0, 1, 1)), np.zeros((0, 0, 1, 1))) for value in values
    )


def constant_matrix(value: Array, m: int) -> Jet:
    """A matrix that depends on none of m variables."""
    return Jet(value, np.zeros((m, *value.shape)), np.zeros((m, m, *value.shape)))


def sin(x: Jet) -> Jet:
    s, c = np.sin(x.value), np.cos(x.value)
    return x.compose(s, c, -s)


def cos(x: Jet) -> Jet:
    s, c = np.sin(x.value), np.cos(x.value)
    return x.compose(c, -s, -c)


def power(x: Jet, exponent: ArrayLike) -> Jet:
    """x ** exponent for x > 0; whole, non-negative exponents take any x."""
    p = np.asarray(exponent, dtype=float)
    return x.compose(*(falling_power(x.value, p, order) for order in range(3)))


def falling_power(x: Array, p: Array, order: int) -> Array:
    """The derivative of x ** p of the given order."""
    coefficient = np.ones_like(p)
    for i in range(order):
        coefficient = coefficient * (p - i)
    # where the coefficient is zero the power must not be an infinity at x = 0
    derivative: Array = coefficient * x ** np.where(coefficient == 0, 0.0, p - order)
    return derivative


def exp(x: Jet) -> Jet:
    e = np.exp(x.value)
    return x.compose(e, e, e)


def lapse(x: Jet) -> Jet:
    """(1 - e⁻ˣ)/x for x ≥ 0."""
    v = x.value
    far = np.maximum(v, 1.0)  # below, the series of the exponential has 16 digits
    e = np.exp(-far)
    closed = (
        (1.0 - e) / far,
        (e * (1.0 + far) - 1.0) / far**2,
        (2.0 - e * (far * (far + 2.0) + 2.0)) / far**3,
    )
    near = np.minimum(v, 1.0)
    return x.compose(
        *(
            np.where(v < 1.0, _lapse_series(near, order), exact)
            for order, exact in enumerate(closed)
        )
    )


def _lapse_series(x: Array, order: int) -> Array:
    """The derivative of the given order of Σ (-x)^n / (n + 1)!."""
    total = np.zeros_like(x)
    for n in range(20 + order, order - 1, -1):
        total = total * x + (-1) ** n * math.perm(n, order) / math.factorial(n + 1)
    return total


def cholesky(x: Jet) -> Jet:
    """The lower-triangular root of a positive-definite matrix.

    L⁻¹dL is the lower triangle of L⁻¹ dA L⁻ᵀ with half of its diagonal (Murray 2016,
    arXiv:1602.07527).
    """
    root = cast(Array, np.linalg.cholesky(x.value))
    inverse = np.linalg.solve(root, np.eye(len(root)))

    def halved(change: Array) -> Array:
        scaled = inverse @ change @ inverse.T
        half: Array = root @ (np.tril(scaled, -1) + 0.5 * scaled * np.eye(len(root)))
        return half

    first = halved(x.first)
    outer = first[:, None] @ first[None].swapaxes(-1, -2)
    return Jet(root, first, halved(x.second - outer - outer.swapaxes(-1, -2)))


def stack_rows(rows: Sequence[Jet]) -> Jet:
    """One matrix of the given (1, b) rows."""
    return Jet(
        np.concatenate([row.value for row in rows], axis=-2),
        np.concatenate([row.first for row in rows], axis=-2),
        np.concatenate([row.second for row in rows], axis=-2),
    )
