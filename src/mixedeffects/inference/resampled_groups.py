"""Groups of rows drawn with replacement: each copy is a group of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError
from mixedeffects.formula.design import Design
from mixedeffects.formula.effects import RandomDesign

Integers = NDArray[np.int64]


def resampling_unit(design: Design, group: str | None) -> Integers:
    """The level (n,) of each row in the grouping factor whose levels are independent.

    Raises
    ------
    ModelError
        If there is no grouping factor, or none of that name, in which all others are nested.
    """
    for random in design.random:
        if random.matrix is not None:
            raise ModelError(
                f"The levels of {random.group!r} are related through a known matrix: none can be "
                "resampled on its own. Use method='parametric' or 'residual'."
            )
    names = list(dict.fromkeys(random.group for random in design.random))
    if group is not None and group not in names:
        raise ModelError(f"group={group!r} is not a grouping factor: {', '.join(names)}.")
    codes = {random.group: random.codes for random in design.random}
    for name in names[::-1] if group is None else [group]:
        crossed = [other for other in names if not _nested(codes[other], codes[name])]
        if not crossed:
            return codes[name].astype(np.int64)
    raise ModelError(
        f"{', '.join(crossed)} is not nested in {name}: its levels belong to several of them, so "
        "whole groups cannot be resampled independently. Use method='parametric' or 'residual'."
    )


def _nested(inner: NDArray[Any], outer: NDArray[Any]) -> bool:
    pairs = np.unique(np.column_stack([inner, outer]), axis=0)
    return len(pairs) == len(np.unique(inner))


def rows_of_groups(unit: Integers) -> list[NDArray[np.intp]]:
    """The rows of each level."""
    order = np.argsort(unit, kind="stable")
    return np.split(order, np.cumsum(np.bincount(unit))[:-1])


def resampled_design(
    design: Design, rows: list[NDArray[np.intp]], chosen: NDArray[np.int64]
) -> Design:
    """The design of the chosen groups, one after another."""
    taken = np.concatenate([rows[g] for g in chosen])
    copy = np.repeat(np.arange(len(chosen)), [len(rows[g]) for g in chosen])
    return replace(
        design,
        y=design.y[taken],
        X=design.X[taken],
        weights=None if design.weights is None else design.weights[taken],
        offset=None if design.offset is None else design.offset[taken],
        random=tuple(_copied(random, taken, copy) for random in design.random),
        rows=design.rows[taken],
    )


def _copied(random: RandomDesign, taken: NDArray[np.intp], copy: Integers) -> RandomDesign:
    """A term whose levels in different copies are different."""
    n_levels = len(random.levels)
    keys, codes = np.unique(copy * n_levels + random.codes[taken], return_inverse=True)
    labels = [f"{random.levels[k % n_levels]} (copy {k // n_levels + 1})" for k in keys]
    return replace(
        random,
        values=random.values[taken],
        codes=codes.astype(np.int32),
        levels=np.array(labels, dtype=object),
    )
