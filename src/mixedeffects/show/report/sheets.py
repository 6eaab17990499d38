"""Columns of values as the tables of a page, each number with the digits it deserves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from mixedeffects.show import formats
from mixedeffects.show.tables import Table

# Numbers with the decimal places of their standard errors.
_ESTIMATES = ("estimate", "std_error", "median", "conf_low", "conf_high")
_NUMBERS = {
    "estimate": "Estimate",
    "std_error": "Std. error",
    "median": "Median",
    "conf_low": "Lower",
    "conf_high": "Upper",
    "statistic": "Statistic",
    "df": "df",
    "num_df": "Num. df",
    "den_df": "Den. df",
    "p_value": "p value",
    "p_naive": "p value of χ²",
    "simulation_error": "Simulation error",
    "sum_sq": "Sum of squares",
    "mean_sq": "Mean square",
    "n_parameters": "Parameters",
    "loglik": "Log-likelihood",
    "objective": "−2 log-likelihood",
    "aic": "AIC",
    "aicc": "AICc",
    "bic": "BIC",
    "elpd": "elpd",
    "elpd_diff": "Difference",
    "diff_std_error": "Its std. error",
    "p_loo": "p (loo)",
    "looic": "LOOIC",
    "n_high_k": "High k",
    "r_hat": "R-hat",
    "ess_bulk": "ESS bulk",
    "ess_tail": "ESS tail",
}
_PROBABILITIES = ("p_value", "p_naive")
_SQUARES = ("sum_sq", "mean_sq")
_LIKELIHOODS = ("loglik", "objective", "aic", "aicc", "bic", "elpd", "looic", "elpd_diff")


def sheet(
    caption: str,
    columns: Mapping[str, Sequence[Any]],
    notes: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
) -> Table:
    """A table of named columns; words first, then numbers, all-missing columns left out.

    Parameters
    ----------
    caption : str
    columns : mapping of str to sequence
        Names as the methods of a fit give them; None or NaN where there is no value.
    notes : sequence of str
        What stands below.
    headers : mapping of str to str
        Heads of columns in place of the usual ones.
    """
    used = {
        n: list(v)
        for n, v in columns.items()
        if not all(_absent(n, value) for value in v) or not len(v)
    }
    words = [n for n, v in used.items() if n not in _NUMBERS or any(isinstance(x, str) for x in v)]
    numbers = [name for name in used if name not in words]
    decimals = formats.places(list(map(_float, used.get("std_error", used.get("estimate", ())))))
    cells = [list(map(_word, used[name])) for name in words]
    cells += [_number_column(name, used[name], decimals) for name in numbers]
    heads = {**_NUMBERS, **(headers or {})}
    header = tuple(heads.get(n, n.replace("_", " ").capitalize()) for n in (*words, *numbers))
    return Table(caption, header, tuple(zip(*cells, strict=True)), len(words), tuple(notes))


def _number_column(name: str, values: Sequence[Any], decimals: int | None) -> list[str]:
    if all(isinstance(v, Integral) for v in values):
        return [f"{v:,}" for v in values]
    floats = list(map(_float, values))
    if name in _PROBABILITIES:
        return list(map(formats.p_value, floats))
    if name in _SQUARES:
        return formats.sizes(floats)
    if name in _ESTIMATES:
        return formats.column(floats, decimals)
    if name in _LIKELIHOODS:
        return formats.column(floats, 2)
    if name.endswith("df"):
        return formats.column(floats, 0 if all(_whole(v) for v in floats) else 1)
    return [formats.general(v) for v in floats]


def _word(value: Any) -> str:
    if _missing(value):
        return formats.NONE
    return formats.general(float(value)) if isinstance(value, float) else str(value)


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, Real) and math.isnan(float(value)))


def _absent(name: str, value: Any) -> bool:
    """Whether there is nothing to show: no value, or the degrees of freedom of a z test."""
    return _missing(value) or (name.endswith("df") and math.isinf(_float(value)))


def _whole(value: float) -> bool:
    return not math.isfinite(value) or value == round(value)
