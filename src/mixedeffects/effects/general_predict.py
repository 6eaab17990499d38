"""Predictions of generalized fits: on the link and the response scale, with what is uncertain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.general_rows import GeneralRows, linear_predictors
from mixedeffects.effects.general_targets import Component, Target, delta_variance, target_of
from mixedeffects.effects.modes import draw_modes
from mixedeffects.effects.predict import Interval, Random, Seed
from mixedeffects.effects.rows import NewLevels
from mixedeffects.errors import ModelError
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.inference.wald import quantile

Floats = NDArray[np.float64]
Scale = Literal["response", "link"]


@dataclass(frozen=True, slots=True)
class GeneralRequest:
    """What to predict: see ``GeneralizedFit.predict``."""

    random: Random
    interval: Interval | None
    std_error: bool
    new_levels: NewLevels
    scale: Scale
    component: Component
    level: float
    seed: Seed

    @property
    def needs_random(self) -> bool:
        """Whether the rows' groups matter."""
        return self.random == "conditional" or self.interval == "prediction"

    @property
    def bare(self) -> bool:
        """Whether the estimates alone are wanted."""
        return self.interval is None and not self.std_error


def predict(fit: GeneralFit, rows: GeneralRows, request: GeneralRequest) -> dict[str, Floats]:
    """Columns ``estimate`` and, where asked for, ``std_error conf_low conf_high``.

    Each (n,), or (n, K) for the probabilities of K categories.
    """
    if request.interval == "prediction":
        check_observable(fit, request)
    target = target_of(fit.problem, request.component, request.scale)
    rng = np.random.default_rng(request.seed)
    eta = predictors_at(fit, rows, request, rng)
    columns = {"estimate": target.value(eta)}
    if request.interval == "prediction":
        from mixedeffects.effects.general_observations import observation_columns

        columns |= observation_columns(fit, rows, eta, request, rng)
    elif not request.bare:
        columns |= _uncertainty(target, eta, predictor_covariance(fit, rows, request), request)
    return {name: rows.spread(column) for name, column in columns.items()}


def check_observable(fit: GeneralFit, request: GeneralRequest) -> None:
    """Refuse prediction intervals of what is not observed."""
    if fit.family.response_kind == "ordinal":
        raise ModelError(
            "interval='prediction': the categories' probabilities already say how a new "
            "observation varies; interval='confidence' says how well they are known."
        )
    if request.scale != "response" or request.component != "response":
        raise ModelError(
            "interval='prediction' is of a new observation, and only the response is observed: "
            "use scale='response' and component='response', or interval='confidence'."
        )


def predictors_at(
    fit: GeneralFit, rows: GeneralRows, request: GeneralRequest, rng: np.random.Generator
) -> tuple[Floats, ...]:
    """All linear predictors (n,) of rows, as the request wants their random effects."""
    if request.random == "population":
        return linear_predictors(fit, rows, [])
    modes, drawn = [term.modes for term in fit.estimates.terms], None
    if request.new_levels == "sample":
        counts = [int(codes.max(initial=-1)) + 1 for codes in rows.new_codes]
        drawn = draw_modes(fit.estimates, counts, [None] * len(counts), rng)
    return linear_predictors(fit, rows, modes, drawn)


def predictor_covariance(fit: GeneralFit, rows: GeneralRows, request: GeneralRequest) -> Floats:
    """Cov(η̂ − η) of the rows' predictors, (n, A, A), parameters' uncertainty included.

    Conditional: unseen levels' effects vary by their fitted covariance. Population: of the fixed
    parts alone, to which a new observation adds the effects of a new group.
    """
    conditional = request.random == "conditional"
    codes = rows.codes if conditional else [np.full_like(c, -1) for c in rows.codes]
    covariance = fit.factor.covariances(rows.X, rows.values, codes)
    if not request.needs_random:
        return covariance
    problem = fit.problem
    for given, term, z, levels in zip(
        problem.terms, fit.estimates.terms, rows.values, codes, strict=True
    ):
        a = problem.predictor[given.grouping]
        spread = np.einsum("ij,jk,ik->i", z, term.covariance, z)
        covariance[:, a, a] += np.where(levels < 0, spread, 0.0)
    return covariance


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


def category_columns(fit: GeneralFit, rows: GeneralRows, columns: dict[str, Floats]) -> Any:
    """Probabilities (n, K) as columns: one a category, or with their uncertainty one below
    the other, ``row category estimate …``; and the labels of the rows or None.
    """
    names, index = fit.design.categories, rows.frame.index
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
