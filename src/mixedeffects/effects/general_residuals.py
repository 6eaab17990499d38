"""Residuals of the rows that a generalized fit used."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.general_rows import linear_predictors, own_general_rows
from mixedeffects.errors import ModelError
from mixedeffects.fitting.general_fit import GeneralFit

Floats = NDArray[np.float64]
GeneralKind = Literal["response", "pearson", "deviance"]


def general_residuals(fit: GeneralFit, kind: GeneralKind) -> Floats:
    """Residuals (nobs,): ``"response"``, y − mean; ``"pearson"``, over its standard deviation.

    ``"deviance"``, the signed root of a row's share of the deviance.
    """
    family, response = fit.family, fit.problem.response
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
            f"Family {family.name!r} has no deviance residuals: use kind='pearson' or 'response'."
        )
    return np.sign(difference) * np.sqrt(weights * np.maximum(deviance, 0.0))
