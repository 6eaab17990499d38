"""Draws of a collapsed posterior by importance sampling from a t distribution about its mode.

Its points are a randomly shifted Sobol sequence, which covers few dimensions far more evenly than
as many independent points (Cranley and Patterson 1976, SIAM J. Numer. Anal. 13, 904-914); weights
are smoothed and judged as by Vehtari, Simpson, Gelman, Yao and Gabry (2024), JMLR 25(72).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtri

from mixedeffects.bayes.collapsed import CollapsedPosterior
from mixedeffects.bayes.collapsed_draws import (
    Points,
    Progress,
    joined,
    log_densities,
    points_at,
)
from mixedeffects.bayes.draws import Settings
from mixedeffects.bayes.libraries import arviz
from mixedeffects.bayes.normal_approximation import NormalApproximation

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

# Degrees of freedom of the t distribution.
FREEDOM = 6.0
# The fewest points.
LEAST = 1024
# In so few dimensions points are so even that several draws may share each: means, deviations and
# quantiles are then no farther off than those of as many independent draws (tests/bayes).
FEW, SHARED = 3, 4
# More points are taken until the draws are worth this share of independent ones, or so many
# times the points.
WORTH, MOST = 0.5, 4
# Weights with a heavier tail than this cannot be trusted.
PARETO_K = 0.7
# After an interrupt, fewer points than this are none.
USEFUL = 100


@dataclass(frozen=True, slots=True)
class Weighted:
    """Weighted points of a posterior.

    ``weights`` (D,), smoothed, whose sum is 1; ``pareto_k`` of their tail; ``shared``, draws that
    a point stands for; ``interrupted``, whether the user stopped before all points had a weight.
    """

    points: Points
    weights: Floats
    pareto_k: float
    shared: int
    interrupted: bool

    def efficiency(self, count: int) -> float:
        """What ``count`` draws are worth beside independent ones.

        The effective size of weights is that of Kong, Liu and Wong (1994, JASA 89, 278-288).
        """
        return min(1.0, self.shared / float(np.sum(self.weights**2)) / count)

    def resampled(self, count: int, rng: np.random.Generator) -> Places:
        """The points of ``count`` draws, in order: each by its weight, to within one."""
        at = (rng.random() + np.arange(count)) / count
        rows: Places = np.searchsorted(np.cumsum(self.weights), at)
        return np.minimum(rows, len(self.weights) - 1)


def weighted_points(
    posterior: CollapsedPosterior,
    normal: NormalApproximation,
    settings: Settings,
    progress: Progress | None = None,
) -> Weighted:
    """Points about the mode with their weights; ``progress`` is told their share of the draws."""
    draws, shared = settings.chains * settings.draws, SHARED if posterior.dimension <= FEW else 1
    # A power of two, at which Sobol sequences are even.
    count = 1 << int(np.ceil(np.log2(max(LEAST, draws / shared))))
    z, log_proposal = student_points(posterior.dimension, MOST * count, settings.seed)
    parts, log_weights, end = [], np.empty(0), count
    while True:
        points = points_at(posterior, normal.points(z[len(log_weights) : end]))
        tell = _told(progress, len(log_weights), end, draws)
        log_density = log_densities(posterior, points, tell)
        first, done = len(log_weights), len(log_weights) + len(log_density)
        log_weights = np.append(log_weights, log_density - log_proposal[first:done])
        parts.append(points.take(np.arange(done - first)))
        found = _weighted(joined(parts), log_weights, shared, done < end)
        enough = found.efficiency(draws) >= WORTH or end == len(z)
        if enough or found.interrupted or found.pareto_k > PARETO_K:
            return found
        end *= 2


def _weighted(points: Points, log_weights: Floats, shared: int, interrupted: bool) -> Weighted:
    if interrupted and len(log_weights) < USEFUL:
        raise KeyboardInterrupt
    # Where there is no density there is no weight, which the smoothing must not see as infinite.
    known = np.isfinite(log_weights)
    least = np.min(log_weights, where=known, initial=np.inf) - 100.0
    smoothed, k = arviz().psislw(np.where(known, log_weights, least))
    weights = np.exp(smoothed)
    return Weighted(points, weights / weights.sum(), float(k), shared, interrupted)


def _told(progress: Progress | None, first: int, end: int, draws: int) -> Progress | None:
    if progress is None:
        return None
    return lambda made: progress((first + made) * draws // end)


def student_points(dimension: int, count: int, seed: int) -> tuple[Floats, Floats]:
    """z (count, d) of a standard t distribution, and its log-density (count,) up to a constant."""
    from scipy.stats.qmc import Sobol

    shift = np.random.default_rng(seed).random(dimension + 1)
    uniform = (Sobol(dimension + 1, scramble=False).random(count) + shift) % 1.0
    uniform = np.clip(uniform, 1e-12, 1.0 - 1e-12)
    chi_square = 2.0 * gammaincinv(0.5 * FREEDOM, uniform[:, -1])
    z = ndtri(uniform[:, :-1]) * np.sqrt(FREEDOM / chi_square)[:, None]
    power = 0.5 * (FREEDOM + dimension)
    return z, -power * np.log1p((z**2).sum(axis=1) / FREEDOM)
