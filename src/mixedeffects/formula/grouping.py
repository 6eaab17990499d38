"""Grouping factors: codes of the levels that occur, alone or as combinations of columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import Column, Columns, level_text
from mixedeffects.formula.values import match_levels

__all__ = ["Grouping", "build_grouping", "new_labels"]

Codes = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Grouping:
    """Levels of one grouping factor.

    Attributes
    ----------
    columns : tuple of str
        Columns that are crossed.
    column_levels : tuple of ndarray
        Levels of each column.
    keys : tuple of ndarray of int64
        Sorted codes that occur after each column joins: the code so far times
        the column's number of levels, plus the column's code.
    levels : ndarray, shape (L,)
        The user's own values; text such as ``"A:a"`` for combinations.
    """

    columns: tuple[str, ...]
    column_levels: tuple[NDArray[np.generic], ...]
    keys: tuple[NDArray[np.int64], ...]
    levels: NDArray[np.generic]

    @property
    def name(self) -> str:
        return ":".join(self.columns)

    def match(self, columns: Columns) -> Codes:
        """Codes (n,) of other rows, -1 where the level is not known."""
        codes = np.zeros(columns.n_rows, np.int64)
        for name, levels, keys in zip(self.columns, self.column_levels, self.keys, strict=True):
            own = match_levels(columns[name], levels)
            joined = codes * len(levels) + own
            found = np.minimum(np.searchsorted(keys, joined), len(keys) - 1)
            codes = np.where((codes >= 0) & (own >= 0) & (keys[found] == joined), found, -1)
        return codes.astype(np.int32)


def build_grouping(names: tuple[str, ...], columns: Columns) -> tuple[Codes, Grouping]:
    """Codes (n,) into the levels that occur, and the grouping.

    Levels are in the order of the first column's levels, then the second's.
    """
    parts = [columns[name].as_group() for name in names]
    codes, keys = _compress(parts[0].values, _n_levels(parts[0]))
    steps = [keys]
    for part in parts[1:]:
        joined = codes.astype(np.int64) * _n_levels(part) + part.values
        codes, keys = _compress(joined, len(steps[-1]) * _n_levels(part))
        steps.append(keys)
    levels = tuple(np.asarray(part.levels) for part in parts)
    return codes, Grouping(names, levels, tuple(steps), _labels(levels, steps))


def _n_levels(column: Column) -> int:
    assert column.levels is not None
    return len(column.levels)


def _compress(codes: NDArray[np.integer], size: int) -> tuple[Codes, NDArray[np.int64]]:
    """Codes renumbered to those that occur, and the sorted ones that do."""
    if size > 8 * len(codes) + 1024:
        keys, renumbered = np.unique(codes, return_inverse=True)
        return renumbered.astype(np.int32), keys.astype(np.int64)
    # a table of the range is several times faster than sorting
    occurs = np.zeros(size, bool)
    occurs[codes] = True
    keys = np.flatnonzero(occurs).astype(np.int64)
    if len(keys) == size:
        return codes.astype(np.int32, copy=False), keys
    rank = np.cumsum(occurs, dtype=np.int32) - np.int32(1)
    return rank[codes], keys


def _labels(
    levels: tuple[NDArray[np.generic], ...], keys: list[NDArray[np.int64]]
) -> NDArray[np.generic]:
    if len(levels) == 1:
        return levels[0][keys[0]]
    labels = level_text(levels[0])[keys[0]]
    for own, joined in zip(levels[1:], keys[1:], strict=True):
        before, after = np.divmod(joined, len(own))
        labels = labels[before] + ":" + level_text(own)[after]
    return labels


def new_labels(
    names: tuple[str, ...], columns: Columns, codes: Codes
) -> tuple[NDArray[np.generic], Codes]:
    """Labels of the levels that are not known, and each row's code among them, else -1."""
    own = np.full(columns.n_rows, -1, np.int32)
    unknown = np.flatnonzero(codes < 0)
    if not unknown.size:
        return np.empty(0, object), own
    own[unknown], grouping = build_grouping(names, columns.take(unknown))
    return grouping.levels, own
