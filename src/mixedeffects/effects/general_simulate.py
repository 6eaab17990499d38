"""New responses drawn from a generalized fit."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.general_rows import linear_predictors, own_general_rows
from mixedeffects.effects.modes import draw_modes
from mixedeffects.fitting.general_estimates import designs_of
from mixedeffects.fitting.general_fit import GeneralFit

Floats = NDArray[np.float64]


def simulate_general(
    fit: GeneralFit, n: int, random: Literal["marginal", "conditional"], rng: np.random.Generator
) -> Floats:
    """n responses (n, nobs); ``"marginal"`` draws new random effects for each."""
    estimates, rows = fit.estimates, own_general_rows(fit)
    counts = [len(term.levels) for term in estimates.terms]
    designs = designs_of(fit.design, fit.family)
    matrices = [r.matrix for _, own in designs if own is not None for r in own.random]
    modes = [term.modes for term in estimates.terms]
    draws = np.empty((n, estimates.nobs))
    for i in range(n):
        if random == "marginal":
            modes = draw_modes(estimates, counts, matrices, rng)
        eta = linear_predictors(fit, rows, modes)
        draws[i] = fit.family.draw(rng, fit.problem.response, eta)
    return draws
