"""New responses drawn from a fit."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.modes import draw_modes, draw_noise
from mixedeffects.effects.predict import fitted_values, mean
from mixedeffects.effects.rows import own_rows
from mixedeffects.fitting.fit import Fit

Floats = NDArray[np.float64]


def simulate(
    fit: Fit, n: int, random: Literal["marginal", "conditional"], rng: np.random.Generator
) -> Floats:
    """n responses (n, nobs); ``"marginal"`` draws new random effects for each."""
    estimates, design, rows = fit.estimates, fit.design, own_rows(fit)
    counts = [len(term.levels) for term in estimates.terms]
    matrices = [term.matrix for term in design.random]
    draws = np.empty((n, estimates.nobs))
    for i in range(n):
        expected = (
            mean(rows, estimates.beta, draw_modes(estimates, counts, matrices, rng))
            if random == "marginal"
            else fitted_values(fit)
        )
        draws[i] = expected + draw_noise(estimates.nobs, estimates.sigma, design.weights, rng)
    return draws
