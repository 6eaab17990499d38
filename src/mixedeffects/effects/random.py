"""Tables of the random effects: their covariance and their conditional modes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.fitting.conditional import ConditionalFactor
from mixedeffects.fitting.estimates import Estimates, RandomTermEstimate
from mixedeffects.fitting.general_conditional import GeneralConditional

Floats = NDArray[np.float64]


def covariance_table(estimates: Estimates) -> dict[str, list[Any]]:
    """Columns ``group term1 term2 sd_or_corr variance_or_cov``.

    One row per standard deviation (``term2`` None), one per correlation where the structure
    has any, and the residual standard deviation under the group ``Residual``.
    """
    rows: list[tuple[str, str | None, str | None, float, float]] = []
    for term in estimates.terms:
        rows += _deviations(term) + (_correlations(term) if term.correlated else [])
    if estimates.unit == estimates.sigma:
        rows.append(("Residual", None, None, estimates.sigma, estimates.sigma**2))
    names = ("group", "term1", "term2", "sd_or_corr", "variance_or_cov")
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _deviations(
    term: RandomTermEstimate,
) -> list[tuple[str, str | None, str | None, float, float]]:
    variances = np.diagonal(term.covariance)
    return [
        (term.group, name, None, float(np.sqrt(v)), float(v))
        for name, v in zip(term.names, variances, strict=True)
    ]


def _correlations(
    term: RandomTermEstimate,
) -> list[tuple[str, str | None, str | None, float, float]]:
    correlation = correlations(term.covariance)
    return [
        (term.group, a, b, float(correlation[j, i]), float(term.covariance[j, i]))
        for i, a in enumerate(term.names)
        for j, b in enumerate(term.names)
        if i < j
    ]


def correlations(covariance: Floats) -> Floats:
    """Correlations (k, k); NaN where a variance is zero."""
    sd = np.sqrt(np.diagonal(covariance))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = covariance / np.outer(sd, sd)
    clipped: Floats = np.clip(correlation, -1.0, 1.0)
    return clipped


def modes_table(
    estimates: Estimates, factor: ConditionalFactor | GeneralConditional
) -> dict[str, NDArray[Any]]:
    """Columns ``group level term estimate std_error``: conditional modes and their SDs."""
    parts: list[tuple[NDArray[Any], ...]] = []
    for number, term in enumerate(estimates.terms):
        n_levels, k = term.modes.shape
        covariances = factor.level_covariances(number)
        variances = np.maximum(np.diagonal(covariances, axis1=1, axis2=2), 0.0)
        parts.append(
            (
                np.full(n_levels * k, term.group, dtype=object),
                np.repeat(term.levels, k),
                np.tile(np.array(term.names, dtype=object), n_levels),
                term.modes.ravel(),
                (estimates.unit * np.sqrt(variances)).ravel(),
            )
        )
    names = ("group", "level", "term", "estimate", "std_error")
    return {
        name: stacked([part[i] for part in parts], as_text=name == "level")
        for i, name in enumerate(names)
    }


def stacked(arrays: list[NDArray[Any]], as_text: bool) -> NDArray[Any]:
    """Arrays end to end; ``as_text`` where they hold different kinds of values."""
    if as_text and len({a.dtype.kind for a in arrays}) > 1:
        arrays = [a.astype(str).astype(object) for a in arrays]
    return np.concatenate(arrays)
