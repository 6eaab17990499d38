"""The fitted marginal distribution of each row, and where its response lies in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.predict import mean
from mixedeffects.effects.rows import own_rows
from mixedeffects.fitting.fit import Fit

Floats = NDArray[np.float64]


def marginal_deviations(fit: Fit) -> Floats:
    """√(z'Σz + σ²/w) (nobs,): standard deviations of the rows over new random effects."""
    design, sigma = fit.design, fit.estimates.sigma
    ones = np.ones(len(design.y))
    variance = sigma**2 * (ones if design.weights is None else 1.0 / design.weights)
    for random, term in zip(design.random, fit.estimates.terms, strict=True):
        own = 1.0 if random.matrix is None else np.diagonal(random.matrix)[random.codes]
        variance = variance + own * np.einsum(
            "ij,jk,ik->i", random.values, term.covariance, random.values
        )
    result: Floats = np.sqrt(variance)
    return result


def quantile_residuals(fit: Fit) -> Floats:
    """Φ((y − xβ̂ − o)/sd), (nobs,): the share of new responses that would lie below.

    Quantile residuals of Dunn and Smyth (1996), J. Comput. Graph. Stat. 5, 236-244, on the
    uniform scale. A Gaussian response is continuous, so nothing is randomized.
    """
    from scipy.special import ndtr

    expected = mean(own_rows(fit), fit.estimates.beta, [])
    result: Floats = ndtr((fit.design.y - expected) / marginal_deviations(fit))
    return result
