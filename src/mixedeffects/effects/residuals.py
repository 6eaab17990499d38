"""Residuals of the rows that a fit used."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.leverage import left_over
from mixedeffects.effects.predict import fitted_values
from mixedeffects.fitting.fit import Fit

Floats = NDArray[np.float64]
Kind = Literal["response", "pearson", "scaled", "standardized", "quantile"]


def residuals(
    fit: Fit, kind: Literal["response", "pearson", "scaled", "standardized"] = "response"
) -> Floats:
    """y − fitted (nobs,); ``"pearson"`` times √weight, ``"scaled"`` that over σ.

    ``"standardized"`` over their own standard deviation: Cov(e) = σ²(I − H)W⁻¹ for the hat
    matrix H, exactly, so the Pearson residual's is σ√(1 − h).
    """
    result = fit.design.y - fitted_values(fit)
    if kind != "response" and fit.design.weights is not None:
        result = result * np.sqrt(fit.design.weights)
    if kind in ("scaled", "standardized"):
        result = result / fit.estimates.sigma
    return result / np.sqrt(left_over(fit)) if kind == "standardized" else result
