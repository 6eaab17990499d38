"""The fitted marginal distribution of each row, and where its response lies in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.predict import mean
from mixedeffects.effects.rows import own_rows
from mixedeffects.fitting.fit import Fit
from mixedeffects.formula.design import Design

Floats = NDArray[np.float64]


def marginal_deviations(design: Design, covariances: Sequence[Floats], sigma: float) -> Floats:
    """√(z'Σz + σ²/w) (nobs,): standard deviations of the rows over new random effects.

    ``covariances`` (k, k) of the terms; z'Σz times the level's own relationship where known.
    """
    variance = np.full(len(design.y), sigma**2)
    if design.weights is not None:
        variance /= design.weights
    for term, covariance in zip(design.random, covariances, strict=True):
        own = np.einsum("ij,jk,ik->i", term.values, covariance, term.values)
        variance += own if term.matrix is None else own * np.diagonal(term.matrix)[term.codes]
    deviations: Floats = np.sqrt(variance)
    return deviations


def quantile_residuals(fit: Fit) -> Floats:
    """Φ((y − xβ̂ − o)/sd), (nobs,): the share of new responses that would lie below.

    Quantile residuals of Dunn and Smyth (1996), J. Comput. Graph. Stat. 5, 236-244, on the
    uniform scale. A Gaussian response is continuous, so nothing is randomized.
    """
    from scipy.special import ndtr

    estimates = fit.estimates
    error = fit.design.y - mean(own_rows(fit), estimates.beta, [])
    covariances = [term.covariance for term in estimates.terms]
    return np.asarray(ndtr(error / marginal_deviations(fit.design, covariances, estimates.sigma)))
