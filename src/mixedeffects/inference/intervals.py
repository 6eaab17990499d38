"""Tables of confidence intervals of everything that a fit estimates."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ConvergenceWarning, MixedEffectsWarning
from mixedeffects.fitting.boundary import SINGULAR
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.uncertainty import Uncertainty, uncertainty
from mixedeffects.inference.freedom import AbstractFreedom
from mixedeffects.inference.parameters import (
    Parameter,
    identification,
    natural_value,
    variance_parameter,
)
from mixedeffects.inference.profile import along_paths, profile_limits
from mixedeffects.inference.wald import check_level, linear_functions, quantile

Floats = NDArray[np.float64]


def interval_table(
    fit: Fit, parameters: Sequence[Parameter], limits: Sequence[tuple[float, float]]
) -> dict[str, Any]:
    """Columns ``term kind group term1 term2 estimate conf_low conf_high``."""
    low, high = np.array(limits, dtype=np.float64).reshape(-1, 2).T
    estimates = np.array([natural_value(fit, p) for p in parameters])
    return {
        **identification(parameters),
        "estimate": estimates,
        "conf_low": low,
        "conf_high": high,
    }


def profile_intervals(
    fit: Fit, parameters: Sequence[Parameter], level: float
) -> list[tuple[float, float]]:
    """Profile likelihood limits; NaN, with a warning, where one cannot be found."""
    check_level(level)
    z = float(quantile(np.inf, level))
    limits = along_paths(fit, parameters, lambda way: profile_limits(way, z))
    lost = [p.name for p, pair in zip(parameters, limits, strict=True) if np.isnan(pair).any()]
    if lost:
        warnings.warn(
            f"A profile limit of {', '.join(lost)} was not found (NaN): the likelihood could "
            "not be followed that far; simplify the random effects.",
            ConvergenceWarning,
            stacklevel=3,
        )
    return limits


def wald_intervals(
    fit: Fit, parameters: Sequence[Parameter], level: float, freedom: AbstractFreedom
) -> list[tuple[float, float]]:
    """Wald limits: t for coefficients, normal on the log or Fisher's z scale for the others.

    The covariance of (θ̂, log σ̂) gives the latter by the delta method.  NaN, with a warning,
    for what is at its boundary.
    """
    check_level(level)
    fixed = np.array([p.number for p in parameters if p.kind == "fixed"], dtype=np.intp)
    L = np.eye(len(freedom.beta))[fixed]
    table = linear_functions(freedom, L, np.zeros(len(L)), level)
    ends = [np.asarray(table[end], dtype=np.float64) for end in ("conf_low", "conf_high")]
    coefficients = zip(*ends, strict=True)
    known = uncertainty(fit) if len(fixed) < len(parameters) else None
    limits = [
        next(coefficients)
        if known is None or p.kind == "fixed"
        else _variance(fit, p, level, known)
        for p in parameters
    ]
    _warn(parameters, limits)
    return limits


def _warn(parameters: Sequence[Parameter], limits: Sequence[tuple[float, float]]) -> None:
    lost = [p.name for p, pair in zip(parameters, limits, strict=True) if np.isnan(pair).any()]
    if lost:
        warnings.warn(
            f"No Wald limits (NaN) of {', '.join(lost)}: estimated at a boundary, where the "
            "curvature says nothing of the uncertainty. Use method='profile'.",
            MixedEffectsWarning,
            stacklevel=4,
        )


def _variance(
    fit: Fit, parameter: Parameter, level: float, known: Uncertainty
) -> tuple[float, float]:
    value, slopes = variance_parameter(fit, parameter)
    z = float(quantile(np.inf, level))
    if parameter.kind == "corr":
        if not 1.0 - value**2 > SINGULAR**2:
            return float("nan"), float("nan")
        slopes = slopes / (1.0 - value**2)
        half = z * np.sqrt(slopes @ known.theta_covariance @ slopes)
        centre = np.arctanh(value)
        return float(np.tanh(centre - half)), float(np.tanh(centre + half))
    if not _varies(fit, parameter, value):
        return float("nan"), float("nan")
    slopes = slopes + 0.5 * known.log_variance_slopes
    half = z * np.sqrt(slopes @ known.theta_covariance @ slopes + 0.5 / known.dof)
    return float(value * np.exp(-half)), float(value * np.exp(half))


def _varies(fit: Fit, parameter: Parameter, deviation: float) -> bool:
    """Whether a standard deviation, of a column of unit size, is more than nothing."""
    if parameter.kind == "sigma":
        return True
    mapping = fit.problem.terms[parameter.number].map
    size = np.linalg.norm(np.linalg.inv(mapping)[parameter.columns[0]])
    return deviation > SINGULAR * fit.estimates.sigma * float(size)
