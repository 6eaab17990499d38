"""A known matrix among levels, such as kinship: checked and put in the levels' order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import level_text
from mixedeffects.errors import DataError, suggestion
from mixedeffects.formula.values import listed

__all__ = ["known_matrix"]

Array = NDArray[np.float64]


def known_matrix(
    name: str, known: Mapping[str, Any] | None, group: str, levels: NDArray[Any]
) -> Array:
    """The named matrix, shape (L, L), for the levels that occur.

    Parameters
    ----------
    name : str
        As written in the formula.
    known : mapping of str to matrix
        pandas tables with labels in index and columns, which may hold more
        than the levels that occur, or (L, L) arrays in the order of `levels`.
    group : str
        Name of the grouping factor, for messages.
    levels : ndarray, shape (L,)

    Raises
    ------
    DataError
        If there is no such matrix, a level is not in it, or it is not a
        covariance: square, finite, symmetric, positive definite.
    """
    if known is None or name not in known:
        given = ", ".join(known) if known else "none"
        raise DataError(
            f"The formula names the known matrix {name!r}, which was not given (given: {given})."
            f"{suggestion(name, known or ())} Pass known={{{name!r}: matrix}}."
        )
    value = known[name]
    labelled = hasattr(value, "index") and hasattr(value, "columns")
    matrix = _by_label(name, value, group, levels) if labelled else _by_order(name, value, levels)
    _check_covariance(name, matrix, levels)
    return matrix


def _by_order(name: str, value: Any, levels: NDArray[Any]) -> Array:
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"The known matrix {name!r} is not a matrix of numbers.") from None
    if matrix.shape != (len(levels), len(levels)):
        raise DataError(
            f"The known matrix {name!r} has shape {matrix.shape}, but {len(levels)} levels occur"
            f" in the data. Give a pandas table with the levels as index and columns: it is"
            " aligned by label and may hold more levels."
        )
    return matrix


def _by_label(name: str, value: Any, group: str, levels: NDArray[Any]) -> Array:
    table = _numbers(name, value)
    rows, columns = (_positions(name, axis) for axis in (value.index, value.columns))
    wanted = level_text(levels)
    missing = [label for label in wanted if label not in rows or label not in columns]
    if missing:
        raise DataError(
            f"The known matrix {name!r} has no row or column for {listed(missing)}, found in"
            f" {group!r}. Add them to the matrix, or drop their rows of the data."
        )
    return np.ascontiguousarray(
        table[np.ix_([rows[w] for w in wanted], [columns[w] for w in wanted])]
    )


def _numbers(name: str, value: Any) -> Array:
    try:
        return np.asarray(value.to_numpy(), dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"The known matrix {name!r} holds something other than numbers.") from None


def _positions(name: str, axis: Any) -> dict[str, int]:
    labels = level_text(np.asarray(axis))
    positions = {label: i for i, label in enumerate(labels)}
    if len(positions) < len(labels):
        twice = next(label for i, label in enumerate(labels) if positions[label] != i)
        raise DataError(f"The known matrix {name!r} has the label {twice!r} more than once.")
    return positions


def _check_covariance(name: str, matrix: Array, levels: NDArray[Any]) -> None:
    if not np.isfinite(matrix).all():
        i, j = (str(levels[k]) for k in np.argwhere(~np.isfinite(matrix))[0])
        raise DataError(f"The known matrix {name!r} is not finite at ({i!r}, {j!r}).")
    skew = np.abs(matrix - matrix.T)
    if skew.max() > 1e-8 * np.abs(matrix).max():
        i, j = (str(levels[k]) for k in np.unravel_index(skew.argmax(), skew.shape))
        raise DataError(
            f"The known matrix {name!r} is not symmetric: its entries at ({i!r}, {j!r}) and"
            f" ({j!r}, {i!r}) differ. Use (K + K.T) / 2 if that is rounding."
        )
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise DataError(
            f"The known matrix {name!r} is not positive definite among the {len(levels)} levels"
            " that occur. Duplicates or clones make it singular: merge them, or add a small"
            f" constant to the diagonal, such as {name} + 1e-6 * np.eye(len({name}))."
        ) from None
