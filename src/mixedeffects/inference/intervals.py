"""Tables of confidence intervals of everything that a fit estimates."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance import AbstractSpatial
from mixedeffects.errors import ConvergenceWarning, MixedEffectsWarning
from mixedeffects.fitting.boundary import SINGULAR
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.fitting.uncertainty import uncertainty
from mixedeffects.inference.coefficients import coefficients
from mixedeffects.inference.freedom import AbstractFreedom
from mixedeffects.inference.parameters import (
    AnyFit,
    Parameter,
    component_of,
    identification,
    natural_value,
    variance_parameter,
)
from mixedeffects.inference.profile import along_paths, profile_limits
from mixedeffects.inference.wald import check_level, linear_functions, quantile

Floats = NDArray[np.float64]


def interval_table(
    fit: AnyFit, parameters: Sequence[Parameter], limits: Sequence[tuple[float, float]]
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
    fit: AnyFit, parameters: Sequence[Parameter], level: float
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
    fit: AnyFit, parameters: Sequence[Parameter], level: float, freedom: AbstractFreedom
) -> list[tuple[float, float]]:
    """Wald limits: t for coefficients, normal on the log or Fisher's z scale for the others.

    The covariance of the variance parameters gives the latter by the delta method.  NaN, with a
    warning, for what is at its boundary.
    """
    check_level(level)
    known = _spread(fit) if any(p.kind != "fixed" for p in parameters) else None
    limits = [
        _coefficient(fit, p, level, freedom)
        if known is None or p.kind == "fixed"
        else _variance(fit, p, level, known)
        for p in parameters
    ]
    _warn(parameters, limits)
    return limits


def _coefficient(
    fit: AnyFit, parameter: Parameter, level: float, freedom: AbstractFreedom
) -> tuple[float, float]:
    own = coefficients(fit, parameter.component)
    L = np.eye(len(own.estimate.beta))[[parameter.number]]
    table = linear_functions(own.freedom(freedom), L, np.zeros(1), level)
    return float(table["conf_low"][0]), float(table["conf_high"][0])


def _warn(parameters: Sequence[Parameter], limits: Sequence[tuple[float, float]]) -> None:
    lost = [p.name for p, pair in zip(parameters, limits, strict=True) if np.isnan(pair).any()]
    if lost:
        warnings.warn(
            f"No Wald limits (NaN) of {', '.join(lost)}: estimated at a boundary, where the "
            "curvature says nothing of the uncertainty. Use method='profile'.",
            MixedEffectsWarning,
            stacklevel=4,
        )


@dataclass(frozen=True, slots=True)
class Spread:
    """What is known of the uncertainty of variance parameters.

    ``covariance`` (m, m) of θ̂; a deviation's logarithm has besides its own slopes by θ the
    ``common`` ones (m,), and the ``residual`` variance that θ̂ has no part in: those of log σ̂.
    """

    covariance: Floats
    common: Floats
    residual: float


def _spread(fit: AnyFit) -> Spread:
    m = fit.problem.n_parameters
    if isinstance(fit, Fit):
        known = uncertainty(fit)
        return Spread(known.theta_covariance, 0.5 * known.log_variance_slopes, 0.5 / known.dof)
    return Spread(fit.solution.covariance[:m, :m], np.zeros(m), 0.0)


def _variance(
    fit: AnyFit, parameter: Parameter, level: float, known: Spread
) -> tuple[float, float]:
    z = float(quantile(np.inf, level))
    if parameter.kind == "sigma" and not isinstance(fit, Fit):
        return _dispersion(fit, z)
    value, slopes = variance_parameter(fit, parameter)
    if parameter.kind == "corr":
        if not 1.0 - value**2 > SINGULAR**2:
            return float("nan"), float("nan")
        if isinstance(fit.problem.terms[parameter.number].covariance, AbstractSpatial):
            return _spatial(value, slopes, z, known.covariance)
        slopes = slopes / (1.0 - value**2)
        half = z * np.sqrt(slopes @ known.covariance @ slopes)
        centre = np.arctanh(value)
        return float(np.tanh(centre - half)), float(np.tanh(centre + half))
    if not _varies(fit, parameter, value):
        return float("nan"), float("nan")
    slopes = slopes + known.common
    half = z * np.sqrt(slopes @ known.covariance @ slopes + known.residual)
    return float(value * np.exp(-half)), float(value * np.exp(half))


def _spatial(
    correlation: float, slopes: Floats, z: float, covariance: Floats
) -> tuple[float, float]:
    """Limits of a correlation between 0 and 1, as those of the logarithm of its range."""
    if not correlation > 0.0:
        return float("nan"), float("nan")
    lost = -np.log(correlation)
    slopes = slopes / (correlation * lost)
    factor = np.exp(z * np.sqrt(slopes @ covariance @ slopes))
    return float(np.exp(-lost * factor)), float(np.exp(-lost / factor))


def _dispersion(fit: GeneralFit, z: float) -> tuple[float, float]:
    """Limits of the dispersion's one coefficient, as σ."""
    own = component_of(fit, "dispersion")
    place = next(p.first for p in fit.problem.predictors if p.name == "dispersion")
    if np.any(np.abs(fit.solution.drifting[place]) > SINGULAR):
        return float("nan"), float("nan")
    half = z * float(np.sqrt(own.vcov[0, 0]))
    ends = [float(fit.family.sigma(own.beta[0] + side)) for side in (-half, half)]
    return min(ends), max(ends)


def _varies(fit: AnyFit, parameter: Parameter, deviation: float) -> bool:
    """Whether a standard deviation, of a column of unit size, is more than nothing."""
    if parameter.kind == "sigma":
        return True
    mapping = fit.problem.terms[parameter.number].map
    size = np.linalg.norm(np.linalg.inv(mapping)[parameter.columns[0]])
    return deviation > SINGULAR * fit.estimates.unit * float(size)
