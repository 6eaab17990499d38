"""Wald tests and intervals of the fixed effects, given their covariance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError
from mixedeffects.fitting.estimates import Estimates

Floats = NDArray[np.float64]


def degrees_of_freedom(estimates: Estimates, df: str) -> float:
    """Denominator degrees of freedom: infinite, or nobs − p.

    Raises
    ------
    ModelError
        For a method that is not known.
    """
    if df == "asymptotic":
        return float("inf")
    if df == "residual":
        return float(estimates.nobs - len(estimates.beta))
    raise ModelError(
        f"Degrees of freedom {df!r} are not available: use df='asymptotic' (z tests) or "
        "df='residual' (nobs - number of coefficients)."
    )


def coefficient_table(
    estimates: Estimates, df: str = "asymptotic", level: float = 0.95
) -> dict[str, object]:
    """Columns of the table of fixed effects.

    ``term estimate std_error statistic df p_value conf_low conf_high``; the statistic is z
    for infinite degrees of freedom and t otherwise.
    """
    from scipy.special import ndtr, stdtr

    freedom = degrees_of_freedom(estimates, df)
    check_level(level)
    se = np.sqrt(np.diagonal(estimates.vcov))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = estimates.beta / se
    half = quantile(freedom, level) * se
    below = -np.abs(statistic)
    p_value = 2.0 * (ndtr(below) if np.isinf(freedom) else stdtr(freedom, below))
    return {
        "term": list(estimates.x_names),
        "estimate": estimates.beta,
        "std_error": se,
        "statistic": statistic,
        "df": np.full(len(se), freedom),
        "p_value": p_value,
        "conf_low": estimates.beta - half,
        "conf_high": estimates.beta + half,
    }


def quantile(freedom: float, level: float) -> float:
    """Two-sided quantile of Student's t, of the normal for infinite degrees of freedom."""
    from scipy.special import ndtri, stdtrit

    upper = 0.5 + 0.5 * level
    return float(ndtri(upper) if np.isinf(freedom) else stdtrit(freedom, upper))


def check_level(level: float) -> None:
    """Refuse a confidence level outside (0, 1)."""
    if not isinstance(level, int | float | np.number) or not 0.0 < level < 1.0:
        raise ModelError(f"level={level!r} is not between 0 and 1: a 95% interval is level=0.95.")
