"""Tables of log-densities and their derivatives, filled by compiled passes over the rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mixedeffects.families.jets import Array, Wanted, wanted_keys

Fill = Callable[[Array, int, int], None]


def table(n: int, wanted: Wanted, n_predictors: int, fill: Fill) -> Array:
    """(1 + K, n): the value, then the derivatives of `wanted_keys`, as ``fill`` makes them.

    ``fill(out, start, stop)`` writes the columns from ``start`` to ``stop`` of ``out``.
    """
    out = np.empty((1 + len(wanted_keys(wanted, n_predictors)), n))
    fill(out, 0, n)
    return out


def flat(predictor: Array) -> Array:
    """A predictor as an array of n, or of one for all rows."""
    return np.ascontiguousarray(predictor).reshape(-1)


@lru_cache
def places(wanted: Wanted) -> NDArray[np.int32]:
    """Rows of a table of two predictors for all of their derivatives; -1 where not wanted."""
    keys = wanted_keys(wanted, 2)
    return np.array(
        [1 + keys.index(k) if k in keys else -1 for k in wanted_keys(Wanted(3, (0, 1)), 2)],
        dtype=np.int32,
    )


@lru_cache
def inflation_recipes(wanted: Wanted, place: int, n_predictors: int) -> NDArray[np.int32]:
    """What `zero_inflated` composes: for each wanted derivative, where in the base's table.

    ζ is the predictor at ``place``, which the base does not have.
    """
    of_base = {(): 0} | {
        tuple(i + (i >= place) for i in key): 1 + row
        for row, key in enumerate(wanted_keys(base_wanted(wanted, place), n_predictors - 1))
    }
    recipes = []
    for key in wanted_keys(wanted, n_predictors):
        parts: list[tuple[int, ...]] = [(i,) for i in key] + [()] * (3 - len(key))
        parts += [key[:2] if len(key) > 1 else (), key[::2] if len(key) == 3 else ()]
        parts += [key[1:] if len(key) == 3 else (), key if len(key) == 3 else ()]
        alone = 4 if set(key) == {place} else 0
        recipes.append([-1 if p == (place,) else of_base.get(p, 0) for p in parts])
        recipes[-1].append(len(key) + alone)
    return np.array(recipes, dtype=np.int32).reshape(-1, 8)


def base_wanted(wanted: Wanted, place: int) -> Wanted:
    """What is wanted of a base that lacks the predictor at ``place``."""
    return Wanted(wanted.order, tuple(i - (i > place) for i in wanted.curved if i != place))
