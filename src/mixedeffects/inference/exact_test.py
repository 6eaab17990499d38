"""Exact finite-sample (restricted) likelihood ratio test of one variance.

Crainiceanu and Ruppert (2004), JRSS B 66, 165: with μ_s, ξ_s the eigenvalues of Z'P₀Z and Z'Z
(weighted) and w standard normal, the statistic is distributed as the supremum over λ ≥ 0 of
ν log(1 + N/D) − Σ log(1 + λ·spectrum), N = Σ λμw²/(1 + λμ), D = Σ w²/(1 + λμ) + χ²(n − p − K).
Other random effects are treated as known (Greven, Crainiceanu, Küchenhoff and Peters 2008,
JCGS 17, 870).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.fitting.problem import Problem

Floats = NDArray[np.float64]

DRAWS = 10_000
# λ in units of 1/μ, and how many draws' profiles are held at once.
GRID = np.concatenate([[0.0], np.geomspace(1e-3, 1e12, 225)])
BATCH = 2_000
# Variances from which draws are proposed, one of them zero.
PROPOSALS = 8
# Eigenvalues that differ by less than this share are one.
EQUAL = 1e-9


@dataclass(frozen=True, slots=True)
class Spectrum:
    """What the exact distribution depends on.

    ``mu`` (K,) distinct eigenvalues of Z'P₀Z with their ``counts``; ``xi`` eigenvalues of Z'Z;
    ``dof`` n − p; ``factor`` ν, n for maximum likelihood and n − p for REML.
    """

    mu: Floats
    counts: Floats
    xi: Floats
    dof: int
    factor: int


def spectrum(problem: Problem, number: int, columns: slice) -> Spectrum:
    """The spectrum of a term's effects that share one variance.

    ``columns`` are those among the term's own (k_tested of them).
    """
    term = problem.terms[number]
    own = range(term.column + columns.start, term.column + columns.stop)
    blocks = problem.products.diagonal[term.grouping][:, own][:, :, own]
    border = problem.products.border[term.grouping][:, own, :-1]
    levels, k, p = border.shape
    C = border.reshape(levels * k, p)
    B = -C @ np.linalg.solve(problem.products.corner[:p, :p], C.T)
    diagonal = B.reshape(levels, k, levels, k)[np.arange(levels), :, np.arange(levels), :]
    B.reshape(levels, k, levels, k)[np.arange(levels), :, np.arange(levels), :] = diagonal + blocks
    xi = np.linalg.eigvalsh(blocks).ravel()
    relationship = problem.groupings[term.grouping].relationship
    if relationship is not None:
        root = np.kron(np.linalg.cholesky(relationship), np.eye(k))
        products = blocks @ root.reshape(levels, k, levels * k)
        B = root.T @ B @ root
        xi = np.linalg.eigvalsh(root.T @ products.reshape(levels * k, levels * k))
    mu = np.linalg.eigvalsh(B)
    mu = mu[mu > EQUAL * mu[-1]]
    starts = np.flatnonzero(np.diff(mu, prepend=-1.0) > EQUAL * mu[-1])
    return Spectrum(
        mu[starts],
        np.diff(starts, append=len(mu)).astype(np.float64),
        np.maximum(xi, 0.0),
        problem.n_rows - p,
        problem.dof,
    )


def exact_p_value(known: Spectrum, statistic: float, seed: int = 1) -> tuple[float, float]:
    """P(statistic or more) under no variance, and its Monte Carlo standard error.

    Drawn from a mixture over λ of the alternative: the ratio of the densities of w/‖w‖ under λ
    and under zero is the restricted likelihood ratio exp(f(λ)/2) itself, so that the estimate has
    a small relative error however small the probability.
    """
    if statistic <= 0.0:
        return 1.0, 0.0
    rng = np.random.default_rng(seed)
    grid = GRID / known.mu[-1]
    shrink = 1.0 / (1.0 + np.outer(known.mu, grid))
    restricted_shift = known.counts @ np.log(shrink)
    shift = -np.log1p(np.outer(grid, known.xi)).sum(axis=1)
    proposals = _proposals(known, shrink, restricted_shift, statistic)
    terms = []
    for _ in range(DRAWS // BATCH):
        which = proposals[np.arange(BATCH) % PROPOSALS]
        squares, rest = _draws(known, shrink[:, which].T, rng)
        whole = squares.sum(axis=1) + rest
        gain = np.log(whole[:, None] / (squares @ shrink + rest[:, None]))
        restricted = known.dof * gain + restricted_shift
        profile = restricted if known.factor == known.dof else known.factor * gain + shift
        densities = 0.5 * restricted[:, proposals]
        top = densities.max(axis=1)
        density = np.exp(densities - top[:, None]).mean(axis=1)
        terms.append(np.where(_maxima(profile) >= statistic, np.exp(-top) / density, 0.0))
    drawn = np.concatenate(terms)
    return float(min(drawn.mean(), 1.0)), float(drawn.std() / np.sqrt(len(drawn)))


def _draws(known: Spectrum, shrink: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Squares (N, K) along the eigenvectors, where 1/``shrink`` is their scale; the rest (N,)."""
    squares = rng.chisquare(known.counts, shrink.shape) / shrink
    freedom = known.dof - int(known.counts.sum())
    rest = rng.chisquare(freedom, len(squares)) if freedom > 0 else np.zeros(len(squares))
    return squares, rest


def _proposals(
    known: Spectrum, shrink: Floats, shift: Floats, statistic: float
) -> NDArray[np.intp]:
    """Places on the grid: zero, and variances that would give statistics of about this size."""
    expected = known.counts @ (1.0 / shrink - 1.0)
    typical = known.dof * np.log1p(expected / known.dof) + shift
    low = int(np.searchsorted(typical, 0.2 * statistic))
    high = int(np.searchsorted(typical, 2.0 * statistic + 3.0))
    last = len(typical) - 1
    places = np.linspace(max(min(low, last - 1), 1), min(high, last), PROPOSALS - 1)
    return np.concatenate([[0], places.astype(np.intp)])


def _maxima(profile: Floats) -> Floats:
    """Maxima of rows on the grid, each lifted by the parabola through its neighbours."""
    at = profile.argmax(axis=1)
    rows, inner = np.arange(len(profile)), np.clip(at, 2, profile.shape[1] - 2)
    low, top, high = (profile[rows, inner + i] for i in (-1, 0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        lifted = top - (high - low) ** 2 / (8.0 * (high - 2.0 * top + low))
    best: Floats = profile[rows, at]
    return np.where((at == inner) & np.isfinite(lifted), lifted, best)
