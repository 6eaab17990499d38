"""New responses drawn from a generalized fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.general_rows import linear_predictors, own_general_rows
from mixedeffects.effects.modes import draw_modes
from mixedeffects.errors import ModelError
from mixedeffects.fitting.general_estimates import designs_of
from mixedeffects.fitting.general_fit import GeneralFit

Floats = NDArray[np.float64]


def simulate_general(
    fit: GeneralFit, n: int, random: Literal["marginal", "conditional"], rng: np.random.Generator
) -> Floats:
    """n responses (n, nobs) as ``refit_general`` takes them, see ``simulated_responses``."""
    responses = simulated_responses(fit, random, rng)
    return np.stack([next(responses) for _ in range(n)])


def simulated_responses(
    fit: GeneralFit, random: Literal["marginal", "conditional"], rng: np.random.Generator
) -> Iterator[Floats]:
    """Responses (nobs,) without end; ``"marginal"`` draws new random effects for each.

    Raises
    ------
    ModelError
        If rows have prior weights, which count them and say nothing of one response.
    """
    weights = fit.problem.weights
    if weights is not None and not (weights == 1.0).all():
        raise ModelError(
            "The weights of this model multiply the rows' log-likelihoods, and a row that counts "
            "several times has no single response to simulate: repeat the rows instead."
        )
    estimates, rows = fit.estimates, own_general_rows(fit)
    counts = [len(term.levels) for term in estimates.terms]
    designs = designs_of(fit.design, fit.family)
    matrices = [r.matrix for _, own in designs if own is not None for r in own.random]
    modes = [term.modes for term in estimates.terms]
    while True:
        if random == "marginal":
            modes = draw_modes(estimates, counts, matrices, rng)
        yield fit.family.draw(rng, fit.problem.response, linear_predictors(fit, rows, modes))
