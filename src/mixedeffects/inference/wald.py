"""Wald tests and intervals of fixed effects and of linear functions of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedeffects.errors import ModelError
from mixedeffects.fitting.estimates import ComponentEstimate, Estimates
from mixedeffects.inference.freedom import AbstractFreedom

Floats = NDArray[np.float64]


def coefficient_table(
    estimates: Estimates, freedom: AbstractFreedom, level: float = 0.95
) -> dict[str, Any]:
    """Columns of the table of coefficients of all linear predictors.

    ``term estimate std_error statistic df p_value conf_low conf_high``, after ``component``
    where there are several predictors; the statistic is z for infinite degrees of freedom and
    t otherwise.

    Raises
    ------
    ModelError
        For a level outside (0, 1).
    """
    parts = [component_table(own, freedom, level) for own in estimates.components]
    if len(parts) == 1:
        return parts[0]
    sizes = [len(own.beta) for own in estimates.components]
    names = np.array([own.name for own in estimates.components], dtype=object)
    joined: dict[str, Any] = {
        name: np.concatenate([np.asarray(p[name]) for p in parts]) for name in parts[0]
    }
    joined["term"] = [term for part in parts for term in part["term"]]
    return {"component": list(np.repeat(names, sizes)), **joined}


def component_table(
    component: ComponentEstimate, freedom: AbstractFreedom, level: float
) -> dict[str, Any]:
    """The same columns of one predictor; ``freedom`` is that of the conditional one."""
    p = len(component.beta)
    if component.name != "conditional":
        freedom = replace(freedom, beta=component.beta, map=component.map, root=component.root)
    columns = linear_functions(freedom, np.eye(p), np.zeros(p), level)
    if component.name == "shape":  # of which zero is no hypothesis
        columns |= {name: np.full(p, np.nan) for name in ("statistic", "p_value")}
    return {"term": list(component.x_names), **columns}


def linear_functions(
    freedom: AbstractFreedom, L: Floats, rhs: Floats, level: float
) -> dict[str, Any]:
    """Tests of each row of Lβ = rhs, L (r, p), with intervals of Lβ."""
    check_level(level)
    estimate = L @ freedom.beta
    se = freedom.std_errors(L)
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
