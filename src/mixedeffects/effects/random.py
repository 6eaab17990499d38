"""Tables of the random effects: their covariance and their conditional modes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance import AbstractSpatial
from mixedeffects.fitting.conditional import ConditionalFactor
from mixedeffects.fitting.estimates import Estimates, RandomTermEstimate
from mixedeffects.fitting.general_conditional import GeneralConditional

Floats = NDArray[np.float64]


def covariance_table(estimates: Estimates, residual_sd: float | None) -> dict[str, Any]:
    """Columns ``group term1 term2 sd_or_corr variance_or_cov``.

    One row per standard deviation (``term2`` None), one per correlation where the structure
    has any, and the residual standard deviation, if there is one, under the group
    ``Residual``. ``component`` comes first where others than the conditional have terms.
    """
    names = ("component", "group", "term1", "term2", "sd_or_corr", "variance_or_cov")
    rows = [
        (term.component, term.group, *row)
        for term in estimates.terms
        for row in (*_deviations(term), *_correlations(term))
    ]
    if residual_sd is not None:
        rows.append(("conditional", "Residual", None, None, residual_sd, residual_sd**2))
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return _with_components(columns, estimates)


def _with_components(columns: dict[str, Any], estimates: Estimates) -> dict[str, Any]:
    """The columns, without ``component`` where all terms are of the conditional predictor."""
    if all(term.component == "conditional" for term in estimates.terms):
        del columns["component"]
    return columns


Row = tuple[str | None, str | None, float, float]


def _deviations(term: RandomTermEstimate) -> list[Row]:
    variances = np.diagonal(term.covariance)
    if isinstance(term.kind, AbstractSpatial) and len(variances) > 1:
        return [("all", None, float(np.sqrt(variances[0])), float(variances[0]))]
    return [
        (name, None, float(np.sqrt(v)), float(v))
        for name, v in zip(term.names, variances, strict=True)
    ]


def _correlations(term: RandomTermEstimate) -> list[Row]:
    if not term.correlated:
        return []
    if isinstance(term.kind, AbstractSpatial):
        alike = float(term.kind.unit_correlation(term.theta[1])[0])
        return [("all", term.kind.unit_name, alike, alike * float(term.covariance[0, 0]))]
    correlation = correlations(term.covariance)
    return [
        (a, b, float(correlation[j, i]), float(term.covariance[j, i]))
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
    """Columns ``group level term estimate std_error``: conditional modes and their SDs.

    ``component`` comes first where others than the conditional have terms.
    """
    parts: list[tuple[NDArray[Any], ...]] = []
    for number, term in enumerate(estimates.terms):
        n_levels, k = term.modes.shape
        covariances = factor.level_covariances(number)
        variances = np.maximum(np.diagonal(covariances, axis1=1, axis2=2), 0.0)
        parts.append(
            (
                np.full(n_levels * k, term.component, dtype=object),
                np.full(n_levels * k, term.group, dtype=object),
                np.repeat(term.levels, k),
                np.tile(np.array(term.names, dtype=object), n_levels),
                term.modes.ravel(),
                (estimates.unit * np.sqrt(variances)).ravel(),
            )
        )
    names = ("component", "group", "level", "term", "estimate", "std_error")
    columns = {
        name: stacked([part[i] for part in parts], as_text=name == "level")
        for i, name in enumerate(names)
    }
    return _with_components(columns, estimates)


def stacked(arrays: list[NDArray[Any]], as_text: bool) -> NDArray[Any]:
    """Arrays end to end; ``as_text`` where they hold different kinds of values."""
    if as_text and len({a.dtype.kind for a in arrays}) > 1:
        arrays = [a.astype(str).astype(object) for a in arrays]
    return np.concatenate(arrays)
