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
from mixedeffects.bayes.collapsed_draws import Points, Progress, log_densities, points_at
from mixedeffects.bayes.draws import Settings
from mixedeffects.bayes.libraries import arviz
from mixedeffects.bayes.normal_approximation import NormalApproximation

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

# Degrees of freedom of the t distribution.
FREEDOM = 6.0
# The fewest points, and how many of the draws may share one on average: the points are so even
# that they tell more of their few dimensions than the draws could.
LEAST, SHARED = 1024, 4
# After an interrupt, fewer points than this are none.
USEFUL = 100


@dataclass(frozen=True, slots=True)
class Weighted:
    """Weighted points of a posterior.

    ``weights`` (D,), smoothed, whose sum is 1; ``pareto_k`` of their tail; ``interrupted``,
    whether the user stopped before all points had one.
    """

    points: Points
    weights: Floats
    pareto_k: float
    interrupted: bool

    @property
    def efficiency(self) -> float:
        """Effective share of the points (Kong, Liu and Wong 1994, JASA 89, 278-288)."""
        return float(1.0 / np.sum(self.weights**2) / len(self.weights))

    def resampled(self, count: int, rng: np.random.Generator) -> Places:
        """The points of ``count`` draws, in order: each by its weight, to within one."""
        at = (rng.random() + np.arange(count)) / count
        rows: Places = np.searchsorted(np.cumsum(self.weights), at)
        return np.minimum(rows, len(self.weights) - 1)


def number_of_points(settings: Settings) -> int:
    """A power of two, as Sobol sequences are even at."""
    wanted = max(LEAST, settings.chains * settings.draws // SHARED)
    return 1 << int(np.ceil(np.log2(wanted)))


def weighted_points(
    posterior: CollapsedPosterior,
    normal: NormalApproximation,
    settings: Settings,
    progress: Progress | None = None,
) -> Weighted:
    """Points about the mode with their weights; ``progress`` is told their share of the draws."""
    count, draws = number_of_points(settings), settings.chains * settings.draws
    z, log_proposal = student_points(posterior.dimension, count, settings.seed)
    points = points_at(posterior, normal.points(z))
    tell = None if progress is None else lambda made: progress(made * draws // count)
    log_density = log_densities(posterior, points, tell)
    done = len(log_density)
    if done < min(USEFUL, count):
        raise KeyboardInterrupt
    log_weights = log_density - log_proposal[:done]
    # Where there is no density there is no weight, which the smoothing must not see as infinite.
    known = np.isfinite(log_weights)
    log_weights[~known] = log_weights[known].min() - 100.0
    smoothed, k = arviz().psislw(log_weights)
    weights = np.exp(smoothed)
    points = points.take(np.arange(done))
    return Weighted(points, weights / weights.sum(), float(k), done < count)


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
