"""Residuals of the rows that a fit used."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.predict import fitted_values
from mixedeffects.fitting.fit import Fit

Floats = NDArray[np.float64]
Kind = Literal["response", "pearson", "scaled"]


def residuals(fit: Fit, kind: Kind) -> Floats:
    """y − fitted (nobs,); ``"pearson"`` times √weight, ``"scaled"`` that over σ."""
    result = fit.design.y - fitted_values(fit)
    if kind != "response" and fit.design.weights is not None:
        result = result * np.sqrt(fit.design.weights)
    return result / fit.estimates.sigma if kind == "scaled" else result
