"""The log-likelihood of each row at each draw, given its random effects."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.predictive import with_weights
from mixedeffects.bayes.predictors import EVERY, own_effects, per_draw, predictors
from mixedeffects.bayes.rows import own_rows, some_rows
from mixedeffects.bayes.sampled import Sampled, row_blocks

Floats = NDArray[np.float64]


def log_likelihoods(sampled: Sampled) -> Iterator[Floats]:
    """Of blocks of rows one after the other, (N, rows): never of all rows at once.

    Rows that prior weights count several times count so here.
    """
    rows = own_rows(sampled)
    effects, weights = own_effects(sampled, EVERY), sampled.design.weights
    for block in row_blocks(rows.n, sampled.size):
        response = sampled.response.take(block)
        eta = predictors(sampled, some_rows(rows, block), EVERY, effects)
        eta = with_weights(sampled, eta, block)
        values = per_draw(partial(sampled.family.log_density, response), eta)
        if weights is not None and not sampled.is_linear:
            values = values * weights[block]
        yield values
