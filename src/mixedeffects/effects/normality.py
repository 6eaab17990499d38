"""Quantile–quantile data: standardized residuals or modes against the normal distribution.

No test comes with them: modes are shrunken and share β̂, so the tables of normality tests,
which are for independent values, do not apply.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.random import stacked
from mixedeffects.effects.residuals import residuals
from mixedeffects.effects.rows import row_labels
from mixedeffects.fitting.fit import Fit

Floats = NDArray[np.float64]

# A mode whose variance is this small a share of its effect's has none.
FLAT = 1e-10


def residual_quantiles(fit: Fit) -> dict[str, NDArray[Any]]:
    """Columns ``row sample theoretical``: standardized residuals in increasing order.

    Rows that are fitted exactly have no standardized residual: NaN, at the end.
    """
    sample = residuals(fit, "standardized")
    order = np.argsort(sample, kind="stable")
    return {
        "row": row_labels(fit)[order],
        "sample": sample[order],
        "theoretical": normal_quantiles(sample[order]),
    }


def mode_quantiles(fit: Fit) -> dict[str, NDArray[Any]]:
    """Columns ``group level term sample theoretical``: modes over their standard deviations.

    Var(b̂) = Var(b) − Var(b̂ − b), because a best linear unbiased prediction is uncorrelated
    with its error. In increasing order within each term; NaN where the variance is zero.
    """
    parts = []
    for number, term in enumerate(fit.estimates.terms):
        sample = _standardized_modes(fit, number)
        for j, name in enumerate(term.names):
            order = np.argsort(sample[:, j], kind="stable")
            own = sample[order, j]
            group, column = (np.full(len(own), text, dtype=object) for text in (term.group, name))
            parts.append((group, term.levels[order], column, own, normal_quantiles(own)))
    return {
        name: stacked([part[i] for part in parts], as_text=name == "level")
        for i, name in enumerate(("group", "level", "term", "sample", "theoretical"))
    }


def _standardized_modes(fit: Fit, number: int) -> Floats:
    """b̂ over its standard deviation, (L, k)."""
    term, relationship = fit.estimates.terms[number], fit.design.random[number].matrix
    prior = np.broadcast_to(np.diagonal(term.covariance), term.modes.shape)
    if relationship is not None:
        prior = prior * np.diagonal(relationship)[:, None]
    error = np.diagonal(fit.factor.level_covariances(number, fixed=True), axis1=1, axis2=2)
    variance = prior - fit.estimates.sigma**2 * error
    known = variance > FLAT * prior
    deviation = np.sqrt(np.where(known, variance, np.nan))
    standardized: Floats = term.modes / deviation
    return standardized


def normal_quantiles(ordered: Floats) -> Floats:
    """Normal quantiles at (i − ½)/n of the n known values; NaN for the NaN at the end."""
    from scipy.special import ndtri

    n = np.count_nonzero(np.isfinite(ordered))
    quantiles = np.full(len(ordered), np.nan)
    quantiles[:n] = ndtri((np.arange(n) + 0.5) / n)
    return quantiles
