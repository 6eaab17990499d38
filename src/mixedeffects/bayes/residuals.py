"""Residuals of the rows that a posterior was drawn from."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.predictive import places, with_weights
from mixedeffects.bayes.predictors import EVERY, own_effects, per_draw, predictors
from mixedeffects.bayes.rows import own_rows, some_rows
from mixedeffects.bayes.sampled import Sampled, row_blocks
from mixedeffects.effects.general_residuals import refuse_ordinal
from mixedeffects.effects.predict import Seed

Floats = NDArray[np.float64]
Kind = Literal["response", "pearson", "quantile"]


def residuals(sampled: Sampled, kind: Kind, seed: Seed = None) -> Floats:
    """Residuals (nobs,): see ``Posterior.residuals``.

    Raises
    ------
    ModelError
        If the family does not define them.
    """
    if kind == "quantile":
        return places(sampled, np.random.default_rng(seed))
    refuse_ordinal(sampled.family, kind)
    mean, inner = moments(sampled)
    difference = sampled.response.observed - mean
    if kind == "response":
        return difference
    counts = sampled.design.weights
    repeated = counts if counts is not None and not sampled.is_linear else 1.0
    return np.asarray(difference * np.sqrt(repeated / inner))


def moments(sampled: Sampled) -> tuple[Floats, Floats]:
    """Mean (nobs,) of each row's expectation, and of its variance about that, over the draws."""
    rows, family = own_rows(sampled), sampled.family
    effects = own_effects(sampled, EVERY)
    means, variances = [], []
    for block in row_blocks(rows.n, sampled.size):
        response = sampled.response.take(block)
        eta = predictors(sampled, some_rows(rows, block), EVERY, effects)
        means.append(per_draw(family.mean, eta).mean(axis=0))
        weighted = with_weights(sampled, eta, block)
        inner = per_draw(partial(family.variance, response), weighted)
        variances.append(inner.mean(axis=0))
    return np.concatenate(means), np.concatenate(variances)
