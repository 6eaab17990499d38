"""Residuals of the rows that a generalized fit used."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.general_quantiles import general_quantile_residuals
from mixedeffects.effects.general_rows import linear_predictors, own_general_rows
from mixedeffects.effects.predict import Seed
from mixedeffects.errors import ModelError
from mixedeffects.families import AbstractFamily
from mixedeffects.fitting.general_fit import GeneralFit

Floats = NDArray[np.float64]
GeneralKind = Literal["response", "pearson", "deviance", "quantile"]


def general_residuals(fit: GeneralFit, kind: GeneralKind, seed: Seed = None) -> Floats:
    """Residuals (nobs,): ``"response"``, y − mean; ``"pearson"``, over its standard deviation.

    ``"deviance"``, the signed root of a row's share of the deviance; ``"quantile"``, see
    ``general_quantile_residuals``.

    Raises
    ------
    ModelError
        If the family does not define them.
    """
    family, response = fit.family, fit.problem.response
    if kind == "quantile":
        return general_quantile_residuals(fit, np.random.default_rng(seed))
    refuse_ordinal(family, kind)
    eta = linear_predictors(fit, own_general_rows(fit), [t.modes for t in fit.estimates.terms])
    difference: Floats = response.observed - family.mean(eta)
    if kind == "response":
        return difference
    weights = np.ones(len(difference)) if fit.problem.weights is None else fit.problem.weights
    if kind == "pearson":
        return difference * np.sqrt(weights / family.variance(response, eta))
    deviance = family.deviance(response, eta)
    if deviance is None:
        raise ModelError(
            f"Family {family.name!r} has no deviance residuals, its likelihood having no one "
            "saturated model: use kind='quantile' or 'pearson'."
        )
    return np.sign(difference) * np.sqrt(weights * np.maximum(deviance, 0.0))


def refuse_ordinal(family: AbstractFamily, kind: str) -> None:
    """Refuse residuals that are differences, of a response that has none.

    Raises
    ------
    ModelError
    """
    if family.response_kind == "ordinal":
        raise ModelError(
            f"Ordered categories have no differences, so no {kind} residuals: use "
            "kind='quantile', the place of a row's category among those that it could have had."
        )
