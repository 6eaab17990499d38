"""Predictions of generalized fits: on the link and the response scale, with what is uncertain."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import make_table
from mixedeffects.effects.general_observations import observation_columns
from mixedeffects.effects.general_predictors import (
    GeneralRequest,
    predictor_covariance,
    predictors_at,
)
from mixedeffects.effects.general_rows import GeneralRows
from mixedeffects.effects.general_targets import Target, delta_variance, target_of
from mixedeffects.errors import ModelError
from mixedeffects.families import AbstractFamily
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.formula.design import Design
from mixedeffects.inference.wald import quantile

Floats = NDArray[np.float64]


def predict(fit: GeneralFit, rows: GeneralRows, request: GeneralRequest) -> dict[str, Floats]:
    """Columns ``estimate`` and, where asked for, ``std_error conf_low conf_high``.

    Each (n,), or (n, K) for the probabilities of K categories.
    """
    if request.interval == "prediction":
        check_observable(fit.family, request)
    target = target_of(fit.family, fit.problem.response, request.component, request.scale)
    rng = np.random.default_rng(request.seed)
    eta = predictors_at(fit, rows, request, rng)
    columns = {"estimate": target.value(eta)}
    if request.interval == "prediction":
        columns |= observation_columns(fit, rows, eta, request, rng)
    elif not request.bare:
        columns |= _uncertainty(target, eta, predictor_covariance(fit, rows, request), request)
    return {name: rows.spread(column) for name, column in columns.items()}


def check_observable(family: AbstractFamily, request: GeneralRequest) -> None:
    """Refuse prediction intervals of what is not observed."""
    if family.response_kind == "ordinal":
        raise ModelError(
            "interval='prediction': the categories' probabilities already say how a new "
            "observation varies; interval='confidence' says how well they are known."
        )
    if request.scale != "response" or request.component != "response":
        raise ModelError(
            "interval='prediction' is of a new observation, and only the response is observed: "
            "use scale='response' and component='response', or interval='confidence'."
        )


def _uncertainty(
    target: Target, eta: tuple[Floats, ...], covariance: Floats, request: GeneralRequest
) -> dict[str, Floats]:
    """Standard errors by the delta method, and confidence limits."""
    slopes = target.slopes(eta)
    columns = {"std_error": np.sqrt(delta_variance(slopes, covariance))}
    if request.interval is not None:
        width = float(quantile(np.inf, request.level))
        low, high = target.limits(eta, slopes, covariance, width)
        columns |= {"conf_low": low, "conf_high": high}
    return columns


def predicted(design: Design, rows: GeneralRows, columns: dict[str, Floats]) -> Any:
    """Estimates alone as an array (n,); with more columns, or of categories, as a table."""
    index = rows.frame.index
    if columns["estimate"].ndim == 2:
        columns, index = _category_columns(design, rows, columns)
    elif len(columns) == 1:
        return columns["estimate"]
    return make_table(columns, rows.frame, index)


def _category_columns(design: Design, rows: GeneralRows, columns: dict[str, Floats]) -> Any:
    """Probabilities (n, K) as columns: one a category, or with their uncertainty one below
    the other, ``row category estimate …``; and the labels of the rows or None.
    """
    names, index = design.categories, rows.frame.index
    if list(columns) == ["estimate"]:
        wide = columns["estimate"]
        return {name: np.ascontiguousarray(wide[:, k]) for k, name in enumerate(names)}, index
    n = len(rows.complete)
    labels = np.arange(n) if index is None else np.asarray(index)
    long: dict[str, Any] = {
        "row": np.repeat(labels, len(names)),
        "category": np.tile(np.array(names, dtype=object), n),
    }
    return long | {name: values.ravel() for name, values in columns.items()}, None
