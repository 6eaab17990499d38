"""Wald tests and intervals of fixed effects and of linear functions of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedeffects.errors import ModelError
from mixedeffects.fitting.estimates import Estimates
from mixedeffects.inference.freedom import AbstractFreedom

Floats = NDArray[np.float64]


def coefficient_table(
    estimates: Estimates, freedom: AbstractFreedom, level: float = 0.95
) -> dict[str, object]:
    """Columns of the table of fixed effects.

    ``term estimate std_error statistic df p_value conf_low conf_high``; the statistic is z
    for infinite degrees of freedom and t otherwise.

    Raises
    ------
    ModelError
        For a level outside (0, 1).
    """
    p = len(estimates.beta)
    columns = linear_functions(freedom, np.eye(p), np.zeros(p), level)
    return {"term": list(estimates.x_names), **columns}


def component_table(estimates: Estimates, df: str, level: float) -> dict[str, object]:
    """Coefficients of all linear predictors; ``component`` where there are several."""
    parts = []
    for own in estimates.components:
        freedom = _plain(replace(estimates, beta=own.beta, vcov=own.vcov), df)
        columns = linear_functions(freedom, np.eye(len(own.beta)), np.zeros(len(own.beta)), level)
        parts.append(
            {"component": [own.name] * len(own.beta), "term": list(own.x_names), **columns}
        )
    table: dict[str, object] = {
        name: np.concatenate(
            [
                np.asarray(part[name], dtype=object if name in ("component", "term") else float)
                for part in parts
            ]
        )
        for name in parts[0]
    }
    if len(parts) == 1:
        del table["component"]
    return table


def linear_functions(
    freedom: AbstractFreedom, L: Floats, rhs: Floats, level: float
) -> dict[str, object]:
    """Tests of each row of Lβ = rhs, L (r, p), with intervals of Lβ."""
    check_level(level)
    estimate = L @ freedom.beta
    se = np.sqrt(np.einsum("ri,ij,rj->r", L, freedom.covariance, L))
    df = freedom.rows(L)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = (estimate - rhs) / se
    half = quantile(df, level) * se
    return {
        "estimate": estimate,
        "std_error": se,
        "statistic": statistic,
        "df": df,
        "p_value": two_sided(statistic, df),
        "conf_low": estimate - half,
        "conf_high": estimate + half,
    }


def two_sided(statistic: Floats, df: Floats) -> Floats:
    """p values of t statistics, of z where the degrees of freedom are infinite."""
    from scipy.special import ndtr, stdtr

    below = -np.abs(statistic)
    p_value: Floats = 2.0 * np.where(np.isinf(df), ndtr(below), stdtr(df, below))
    return p_value


def quantile(df: ArrayLike, level: float) -> Floats:
    """Two-sided quantiles of Student's t, of the normal for infinite degrees of freedom."""
    from scipy.special import ndtri, stdtrit

    upper = 0.5 + 0.5 * level
    quantiles: Floats = np.where(np.isinf(df), ndtri(upper), stdtrit(df, upper))
    return quantiles


def check_level(level: float) -> None:
    """Refuse a confidence level outside (0, 1)."""
    if not isinstance(level, int | float | np.number) or not 0.0 < level < 1.0:
        raise ModelError(f"level={level!r} is not between 0 and 1: a 95% interval is level=0.95.")
