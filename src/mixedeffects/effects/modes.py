"""Random effects and residuals drawn from a fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixedeffects.fitting.estimates import Estimates

Floats = NDArray[np.float64]


def draw_modes(
    estimates: Estimates,
    n_levels: Sequence[int],
    relationships: Sequence[Floats | None],
    rng: np.random.Generator,
) -> list[Floats]:
    """b (L, k) of each term from N(0, Σ), or N(0, Σ ⊗ K) where levels are related."""
    drawn = []
    for term, count, relationship in zip(estimates.terms, n_levels, relationships, strict=True):
        b = rng.standard_normal((count, len(term.factor))) @ (estimates.unit * term.factor).T
        if relationship is not None:
            b = np.linalg.cholesky(relationship) @ b
        drawn.append(b)
    return drawn


def draw_noise(n: int, sigma: float, weights: Floats | None, rng: np.random.Generator) -> Floats:
    """Residuals (n,) with variance σ²/w."""
    noise: Floats = sigma * rng.standard_normal(n)
    return noise if weights is None else noise / np.sqrt(weights)
