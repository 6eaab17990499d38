"""Distribution functions and draws of families of counts by sums over their support."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mixedeffects.families.base import AbstractFamily, Predictors
from mixedeffects.families.jets import Array
from mixedeffects.families.response import Response

# No sum over a support is longer.
LONGEST = 100_000


def cdf_by_sum(family: AbstractFamily, response: Response, predictors: Predictors) -> Array:
    """Distribution function (n,) of a family of counts, by adding its probabilities.

    The values from 0 to y of as many rows at a time as `LONGEST` of them allow are one response.
    """
    ends = np.cumsum(response.y + 1.0)
    pieces = np.searchsorted(ends, np.arange(LONGEST, ends[-1] if len(ends) else 0.0, LONGEST))
    edges = np.unique([0, *pieces, len(ends)])
    parts = [
        _summed_below(family, response, predictors, np.arange(first, last))
        for first, last in pairwise(edges)
    ]
    below: Array = np.minimum(np.concatenate([np.empty(0), *parts]), 1.0)
    return below


def _summed_below(
    family: AbstractFamily, response: Response, predictors: Predictors, rows: NDArray[np.intp]
) -> Array:
    """Sums of the probabilities of 0 … y of the given rows."""
    counts = response.y[rows].astype(np.intp) + 1
    starts = np.cumsum(counts) - counts
    repeated = np.repeat(rows, counts)
    values = (np.arange(len(repeated)) - np.repeat(starts, counts)).astype(float)
    trials = None if response.trials is None else response.trials[repeated]
    points = tuple(p[repeated] if np.ndim(p) else p for p in predictors)
    density = np.exp(family.log_density(family.response(values, trials), points))
    summed: Array = np.add.reduceat(density, starts)
    return summed


def draw_by_sum(
    family: AbstractFamily,
    rng: np.random.Generator,
    response: Response,
    predictors: Predictors,
    least: int = 0,
) -> Array:
    """Draws (n,) from a family of counts, by inversion of its distribution function."""
    u = rng.random(response.y.shape)
    drawn = np.full(response.y.shape, float(least))
    for k in range(least, LONGEST):
        at_k = family.response(np.full(u.shape, float(k)), response.trials)
        u -= np.exp(family.log_density(at_k, predictors))
        above = u > 0
        if not above.any():
            break
        drawn += above
    return drawn
