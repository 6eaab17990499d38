"""Distributions of the largest of several t statistics with a common denominator.

All statistics are z/s with z normal, s² = χ²_ν/ν independent of z; ν may be infinite.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Differences of a normal distribution function beyond this are below 1e-16.
_FAR = 8.5
_NODES = 160
_ANGLES = 1 << 16
_BLOCK = 1 << 14
_GROUPS = 2048


def range_tail(q: Floats, count: int, df: Floats) -> Floats:
    """P(range of ``count`` standard normals / s > q), elementwise for q and df (m,).

    The studentized range, by Gauss–Legendre quadrature over s and over the largest normal
    (Hochberg and Tamhane 1987, Multiple Comparison Procedures, appendix 2).
    """
    from scipy.special import ndtr

    z, weight = _normal_nodes()
    s, density = _scale_nodes(df)
    width = q[:, None] * s
    inside = np.zeros_like(width)
    for node, w in zip(z, weight, strict=True):
        inside += w * (ndtr(node) - ndtr(node - width)) ** (count - 1)
    tail: Floats = 1.0 - (density * count * inside).sum(axis=1)
    return tail


def product_tail(c: Floats, loadings: Floats, df: Floats, two_sided: bool) -> Floats:
    """P(max |t_i| > c), or P(max t_i > c), where z has correlations λ_iλ_j; c and df (m,).

    Given one common normal the z_i are independent (Dunnett 1955, JASA 50: 1096).
    """
    from scipy.special import ndtr

    z, weight = _normal_nodes()
    s, density = _scale_nodes(df)
    bound = c[:, None] * s
    own = np.sqrt(1.0 - loadings**2)
    inside = np.zeros_like(bound)
    for node, w in zip(z, weight, strict=True):
        together = np.full_like(bound, w)
        for loading, spread in zip(loadings, own, strict=True):
            together *= ndtr((bound - loading * node) / spread) - (
                ndtr((-bound - loading * node) / spread) if two_sided else 0.0
            )
        inside += together
    tail: Floats = 1.0 - (density * inside).sum(axis=1)
    return tail


def product_loadings(correlation: Floats) -> Floats | None:
    """λ (m,) with λ_iλ_j = ρ_ij for i ≠ j and all |λ| < 1, or None where there is no such."""
    m = len(correlation)
    off = correlation - np.diag(np.diagonal(correlation))
    if m == 1 or np.abs(off).max() < 1e-12:
        return np.zeros(m)
    if m == 2:
        rho = float(correlation[0, 1])
        loadings = np.sqrt(abs(rho)) * np.array([1.0, np.sign(rho)])
    else:
        j, k = np.roll(np.arange(m), -1), np.roll(np.arange(m), -2)
        own = np.arange(m)
        with np.errstate(divide="ignore", invalid="ignore"):
            squares = off[own, j] * off[own, k] / off[j, k]
            loadings = np.sqrt(squares) * np.where(own == 0, 1.0, np.sign(off[0]))
    if not np.all(np.abs(loadings) < 1.0 - 1e-12):
        return None
    found = np.outer(loadings, loadings)
    np.fill_diagonal(found, 0.0)
    result: Floats = loadings
    return result if np.allclose(found, off, atol=1e-10) else None


class LargestT:
    """Tail of max |t_i|, or max t_i, for any correlations of z (m, m), singular ones too.

    With z = Au and u = R·direction on the sphere of the rank r, R²/(r·s²) is F(r, ν) whatever
    the direction, so P(max t_i > c) = E P(F > c²/(r·M²)), M the largest of A·direction: one
    quasi-random sample of M serves every c and ν, small tails too (Deák 1980, Numer. Math.
    35: 83).
    """

    def __init__(self, correlation: Floats, two_sided: bool) -> None:
        values, vectors = np.linalg.eigh(correlation)
        kept = values > 1e-10 * values.max()
        A = vectors[:, kept] * np.sqrt(values[kept])
        self.rank = int(kept.sum())
        largest = np.concatenate(
            [
                (np.abs(A @ u.T) if two_sided else A @ u.T).max(axis=0)
                for u in _directions(self.rank)
            ]
        )
        # neighbours in order are nearly equal: their means serve as well
        groups = np.array_split(np.sort(largest), min(_GROUPS, len(largest)))
        self.largest = np.array([group.mean() for group in groups])
        self.share = np.array([len(group) for group in groups]) / len(largest)

    def tail(self, c: Floats, df: Floats) -> Floats:
        """P(max > c), elementwise for c and df (m,)."""
        return np.array([self._tail(*pair) for pair in zip(c, df, strict=True)])

    def _tail(self, c: float, df: float) -> float:
        from scipy.special import chdtrc, fdtrc

        # with a negative bound only directions that are wholly below it stay inside
        beyond = self.largest > 0.0 if c >= 0.0 else self.largest < 0.0
        squares = (c / self.largest[beyond]) ** 2
        outside = (
            chdtrc(self.rank, squares)
            if np.isinf(df)
            else fdtrc(self.rank, df, squares / self.rank)
        )
        probability = float(self.share[beyond] @ outside)
        return probability if c >= 0.0 else 1.0 - probability


def _directions(rank: int) -> Iterator[Floats]:
    """Blocks (·, r) of directions spread evenly over the sphere, always the same.

    As many as keep the error of a probability below 1e-4 or so: beyond a few dimensions it
    falls with the root of their number.
    """
    if rank == 1:
        yield np.array([[1.0], [-1.0]])
    elif rank == 2:
        angle = (np.arange(_ANGLES) + 0.5) * (2.0 * np.pi / _ANGLES)
        yield np.column_stack([np.cos(angle), np.sin(angle)])
    else:
        from scipy.special import ndtri
        from scipy.stats.qmc import Sobol

        sequence = Sobol(rank, seed=20_240)
        for _ in range(16 if rank < 8 else 64):
            points = ndtri(sequence.random(_BLOCK))
            yield points / np.linalg.norm(points, axis=1, keepdims=True)


@lru_cache(maxsize=2)
def _legendre(count: int) -> tuple[Floats, Floats]:
    """Nodes and weights on (-1, 1); they take longer to find than to use."""
    return np.polynomial.legendre.leggauss(count)


@lru_cache(maxsize=1)
def _normal_nodes() -> tuple[Floats, Floats]:
    """Nodes and weights for the standard normal."""
    x, w = _legendre(_NODES)
    z = _FAR * x
    return z, _FAR * w * np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)


def _scale_nodes(df: Floats) -> tuple[Floats, Floats]:
    """Nodes and weights (m, J) for s with each df (m,), spread over log s."""
    from scipy.special import gammainccinv, gammaincinv

    if np.isinf(df).all():
        return np.ones((len(df), 1)), np.ones((len(df), 1))
    half = 0.5 * np.minimum(df, 1e8)  # beyond, s is 1 to rounding
    # few degrees of freedom spread s over many orders of magnitude
    x, w = _legendre(_NODES if df.min() > 3.0 else 4 * _NODES)
    high = 0.5 * np.log(gammainccinv(half, 1e-17) / half)
    low = 0.5 * np.log(np.maximum(gammaincinv(half, 1e-13), np.finfo(float).tiny) / half)
    middle, reach = 0.5 * (high + low), 0.5 * (high - low)
    v = middle[:, None] + reach[:, None] * x
    # density of v = log s, ∝ exp(−½ν(e^{2v} − 2v))
    weights = w * np.exp(-half[:, None] * (np.expm1(2.0 * v) - 2.0 * v))
    return np.exp(v), weights / weights.sum(axis=1, keepdims=True)
