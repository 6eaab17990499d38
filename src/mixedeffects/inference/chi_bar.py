"""Chi-bar-squared distributions: likelihood ratios where variances are at their boundary.

The statistic is asymptotically ‖Π_C Z‖² + χ²(linear): Z standard normal in the metric of the
information, Π_C the projection on the cone of the tested covariances (Chernoff 1954, Ann. Math.
Stat. 25, 573; Self and Liang 1987, JASA 82, 605; Shapiro 1985, Biometrika 72, 133).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Directions that are drawn for cones without a closed form, and their fixed seed.
DRAWS = 5000
SEED = 20240607
# Projections stop when no step moves further than this, or after so many.
STEP = 1e-9
STEPS = 3000


class AbstractReference(ABC):
    """What a likelihood ratio statistic is compared with."""

    @abstractmethod
    def upper(self, statistic: float) -> float:
        """P(reference ≥ statistic)."""

    @property
    @abstractmethod
    def text(self) -> str:
        """What it is, for a table."""


@dataclass(frozen=True, slots=True)
class Mixture(AbstractReference):
    """Σ weights[i]·χ²(first + i); ``bound`` where the true distribution is this or smaller."""

    weights: tuple[float, ...]
    first: int = 0
    bound: bool = False

    def upper(self, statistic: float) -> float:
        if statistic <= 0.0:
            return 1.0
        freedoms = self.first + np.arange(len(self.weights))
        return float(np.dot(self.weights, chi_square_upper(statistic, freedoms)))

    @property
    def text(self) -> str:
        freedoms = range(self.first, self.first + len(self.weights))
        if len(self.weights) == 1:
            return f"chi2({self.first})"
        shown = " + ".join(
            f"{w:.3g} chi2({f})" for w, f in zip(self.weights, freedoms, strict=True)
        )
        return f"at most {shown}" if self.bound else shown


@dataclass(frozen=True, slots=True)
class ConeShares(AbstractReference):
    """‖Z‖² of ``freedom`` dimensions times the ``shares`` (N,) of it that the cone takes.

    Length and direction of Z are independent, so each drawn direction's tail is exact.
    """

    shares: Floats
    freedom: int
    cone: str

    def upper(self, statistic: float) -> float:
        if statistic <= 0.0:
            return 1.0
        taken = self.shares[self.shares > 0.0]
        return float(chi_square_upper(statistic / taken, self.freedom).sum() / len(self.shares))

    @property
    def text(self) -> str:
        return f"chi-bar-squared ({self.cone})"


def chi_square_upper(statistic: Floats | float, freedom: NDArray[np.integer] | int) -> Floats:
    """P(χ²(freedom) ≥ statistic); χ²(0) is zero."""
    from scipy.special import chdtrc

    above: Floats = np.asarray(chdtrc(np.maximum(freedom, 1), statistic), dtype=np.float64)
    return np.where(np.asarray(freedom) > 0, above, np.where(np.asarray(statistic) > 0, 0.0, 1.0))


def half_line(linear: int) -> Mixture:
    """One variance, and ``linear`` free parameters that exist with it (Stram and Lee 1994)."""
    return Mixture((0.5, 0.5), linear)


def orthant_weights(information: Floats) -> tuple[float, ...]:
    """Weights of χ²(0), …, χ²(r) for r ≤ 3 variances with this information (r, r).

    Kudo (1963), Biometrika 50, 403; Shapiro (1985).
    """
    r = len(information)
    within = _orthant(np.asarray(np.linalg.inv(information), dtype=np.float64))
    outside = _orthant(information)
    if r == 1:
        return (0.5, 0.5)
    if r == 2:
        return (outside, 0.5, within)
    return (outside, 0.5 - within, 0.5 - outside, within)


def _orthant(covariance: Floats) -> float:
    """P(Z > 0) of up to three normal variables."""
    deviations = np.sqrt(np.diagonal(covariance))
    correlation = np.clip(covariance / np.outer(deviations, deviations), -1.0, 1.0)
    pairs = np.arcsin(correlation[np.triu_indices(len(covariance), 1)]).sum()
    return float(
        {1: 0.5, 2: 0.25 + pairs / (2 * np.pi)}.get(len(covariance), 0.125 + pairs / (4 * np.pi))
    )


def covariance_cone(information: Floats, sizes: Sequence[int], linear: int) -> AbstractReference:
    """Covariance matrices of the given sizes that are zero under the null hypothesis.

    Parameters
    ----------
    information
        (d, d) of their elements, all else profiled out: for each matrix its upper triangle by
        row, off-diagonal directions (E_ab + E_ba)/√2.
    sizes
        m of each matrix; a variance has 1.
    linear
        Free parameters that come with them.
    """
    if all(m == 1 for m in sizes) and len(sizes) <= 3:
        return Mixture(orthant_weights(information), linear)
    drawn, free = _draws(information, linear)
    taken = _projected(information, drawn, sizes)
    names = ", ".join("variance" if m == 1 else f"{m} x {m} covariance" for m in sizes)
    return ConeShares(_shares(taken, information, drawn, free), len(information) + linear, names)


def ray_cone(information: Floats, rays: Floats, linear: int, name: str) -> ConeShares:
    """Covariances that are a variance times one of the ``rays`` (J, d)."""
    drawn, free = _draws(information, linear)
    lengths = np.sqrt(np.einsum("ja,ab,jb->j", rays, information, rays))
    along = np.maximum((drawn @ rays.T / lengths).max(axis=1), 0.0)
    return ConeShares(_shares(along**2, information, drawn, free), len(information) + linear, name)


def _draws(information: Floats, linear: int) -> tuple[Floats, Floats]:
    """Scores (N, d) ~ N(0, information), and the χ²(linear) beside them (N,)."""
    rng = np.random.default_rng(SEED)
    root = np.linalg.cholesky(information)
    scores = rng.standard_normal((DRAWS, len(root))) @ root.T
    free: Floats = (rng.standard_normal((DRAWS, linear)) ** 2).sum(axis=1)
    return scores, free


def _shares(taken: Floats, information: Floats, scores: Floats, free: Floats) -> Floats:
    whole = np.einsum("na,na->n", scores, np.linalg.solve(information, scores.T).T)
    shares: Floats = np.clip((taken + free) / (whole + free), 0.0, 1.0)
    return shares


def _projected(information: Floats, scores: Floats, sizes: Sequence[int]) -> Floats:
    """Largest 2x'v − x'Ix over the cone, for each row v of the scores (Nesterov's method)."""
    scale = 1.0 / np.sqrt(np.diagonal(information))
    for block, m in _blocks(sizes):  # one scale a matrix keeps the cone
        scale[block] = np.exp(np.log(scale[block]).mean()) if m > 1 else scale[block]
    metric, v = information * np.outer(scale, scale), scores * scale
    step = 1.0 / np.linalg.eigvalsh(metric)[-1]
    x = ahead = np.zeros_like(v)
    momentum = 1.0
    for _ in range(STEPS):
        new = _onto_cone(ahead + step * (v - ahead @ metric), sizes)
        moved = new - x
        restart = np.einsum("na,na->n", ahead - new, moved) > 0.0
        following = 0.5 + np.sqrt(0.25 + momentum**2)
        ahead = new + np.where(restart, 0.0, (momentum - 1.0) / following)[:, None] * moved
        x, momentum = new, following
        if np.abs(moved).max() < STEP * (1.0 + np.abs(x).max()):
            break
    taken: Floats = np.maximum(np.einsum("na,na->n", x, 2.0 * v - x @ metric), 0.0)
    return taken


def _blocks(sizes: Sequence[int]) -> list[tuple[slice, int]]:
    ends = np.cumsum([m * (m + 1) // 2 for m in sizes])
    return [(slice(end - m * (m + 1) // 2, end), m) for end, m in zip(ends, sizes, strict=True)]


def _onto_cone(x: Floats, sizes: Sequence[int]) -> Floats:
    """Each matrix (its triangle, off-diagonal times √2) without its negative eigenvalues."""
    result = np.maximum(x, 0.0)
    for block, m in _blocks(sizes):
        if m == 1:
            continue
        rows, columns = np.triu_indices(m)
        weight = np.where(rows == columns, 1.0, np.sqrt(0.5))
        matrices = np.zeros((len(x), m, m))
        matrices[:, rows, columns] = matrices[:, columns, rows] = x[:, block] * weight
        values, vectors = np.linalg.eigh(matrices)
        kept = (vectors * np.maximum(values, 0.0)[:, None, :]) @ vectors.swapaxes(1, 2)
        result[:, block] = kept[:, rows, columns] / weight
    return result
