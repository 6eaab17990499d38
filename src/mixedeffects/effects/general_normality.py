"""Modes of a generalized fit over their standard deviations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.normality import FLAT
from mixedeffects.fitting.general_estimates import designs_of
from mixedeffects.fitting.general_fit import GeneralFit

Floats = NDArray[np.float64]


def general_mode_scores(fit: GeneralFit, number: int) -> Floats:
    """b̂ of a term over its standard deviation, (L, k), NaN where the variance is zero.

    Var(b̂) = Var(b) − E Var(b | y), with each level's own conditional variance at the mode, the
    parameters taken as known, in place of the expectation: an approximation, as b̂ is a mode.
    """
    term = fit.estimates.terms[number]
    designs = designs_of(fit.design, fit.family)
    matrix = [r for _, own in designs if own is not None for r in own.random][number].matrix
    prior = np.broadcast_to(np.diagonal(term.covariance), term.modes.shape)
    if matrix is not None:
        prior = prior * np.diagonal(matrix)[:, None]
    left = prior - np.diagonal(fit.factor.level_covariances(number), axis1=1, axis2=2)
    deviation = np.sqrt(np.where(left > FLAT * prior, left, np.nan))
    scores: Floats = term.modes / deviation
    return scores
