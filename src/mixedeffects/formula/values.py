"""Columns of complete rows, with the levels that a fit knows, as expressions need them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.columns import stray_labels
from mixedeffects.data.frames import Column, Columns, level_text
from mixedeffects.errors import DataError, FormulaError, MixedEffectsError, NewLevelError
from mixedeffects.formula.tree import Constant, Name, Node, column_names

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NotFiniteError", "Values", "kind_of", "listed", "match_levels", "row_numbers"]

Array = NDArray[np.float64]
Levels = dict[str, NDArray[Any]]

_KINDS = {"string": "text", "category": "categories", "boolean": "booleans", "temporal": "dates"}


class NotFiniteError(ValueError):
    """Values that no transform takes, the first of them in the given row."""

    def __init__(self, row: int) -> None:
        super().__init__(f"not finite in row {row}")
        self.row = row


def kind_of(column: Column) -> str:
    """What a categorical column holds, for messages."""
    return _KINDS.get(column.dtype_kind, column.dtype_kind)


class Values:
    """Columns of one set of rows.

    Parameters
    ----------
    columns : Columns
        Rows without missing values.
    text : str
        The formula, for messages.
    levels : dict of str to ndarray
        Levels of the categorical columns, filled unless `fitted`.
    rows : ndarray, shape (n,), optional
        Positions of the rows in the user's data, for messages.
    fitted : bool
        Whether `levels` are those of a fit: then others are errors.
    """

    def __init__(
        self,
        columns: Columns,
        text: str,
        levels: Levels,
        *,
        rows: NDArray[np.intp] | None = None,
        fitted: bool = False,
    ) -> None:
        self.columns = columns
        self.text = text
        self.levels = levels
        self.rows = rows
        self.fitted = fitted
        self.notes: dict[str, str] = {}
        self._coded: dict[str, pd.Categorical] = {}

    def column(self, name: str) -> Any:
        """A column as a factor of a term: numbers (n,) or a pandas Categorical."""
        column = self.columns[name]
        if self._is_categorical(column):
            if not self.fitted:
                self._note_misread(column)
            return self.categorical(name, name)
        if column.kind == "categorical":
            raise DataError(
                f"Column {name!r} held numbers when the model was fitted, but now holds"
                f" {kind_of(column)}."
            )
        return column.values

    def number(self, node: Name) -> NDArray[np.float64]:
        """A column inside of arithmetic, shape (n,)."""
        column = self.columns[node.value]
        if column.dtype_kind == "boolean" and column.kind == "categorical":
            return column.values.astype(np.float64)  # its levels are False, True
        if self._is_categorical(column):
            raise FormulaError(
                f"column {node.value!r} holds {kind_of(column)}, so nothing can be computed"
                " from it",
                self.text,
                node.position,
            )
        values: NDArray[np.float64] = self.column(node.value)
        return values

    def compared(self, node: Name, level: Constant) -> Any:
        """A column that is compared with a constant: numbers (n,), or a pandas Categorical."""
        column = self.columns[node.value]
        if column.dtype_kind == "boolean" or not self._is_categorical(column):
            return self.number(node)
        if not self.fitted and level.value not in column.labels().tolist():
            raise FormulaError(
                f"{level.value!r} is not a level of {node.value!r}, which has"
                f" {listed(column.labels())}",
                self.text,
                level.position,
            )
        return self.categorical(node.value, node.value)

    def categorical(self, name: str, key: str) -> pd.Categorical:
        """A column as levels, those of the fit being known by the key."""
        if key not in self._coded:
            import pandas as pd

            codes, levels = self._codes(self.columns[name].as_group(), key)
            # as objects, which pandas does not convert to text of its own
            labels = pd.Index(level_text(levels), dtype=object)
            self._coded[key] = pd.Categorical.from_codes(codes, categories=labels)
        return self._coded[key]

    def source_row(self, row: int) -> int:
        """Position of a row in the user's data."""
        return row if self.rows is None else int(self.rows[row])

    def check_finite(self, name: str) -> None:
        """Refuse an infinite value in a column, naming its row."""
        column = self.columns[name]
        infinite = np.isinf(column.values) if column.kind == "numeric" else np.zeros(0, bool)
        if infinite.any():
            row = self.source_row(int(infinite.argmax()))
            raise DataError(
                f"Column {name!r} is infinite in row {row}. Change that value, or drop the row."
            )

    def note_unused(self, name: str) -> None:
        """Note the declared levels of a column that do not occur."""
        column = self.columns[name]
        if column.dtype_kind == "category":
            self._used_levels(column)

    def _note_misread(self, column: Column) -> None:
        """Note a factor that may have been meant as numbers."""
        stray, count = stray_labels(column), len(column.labels())
        each = f"Column {column.name!r} holds {kind_of(column)}, so that each value is a level"
        if stray:
            self.notes[f"numbers: {column.name}"] = (
                f"{each}, though all but {listed(stray)} are numbers. If it should have a slope,"
                " leave such cells empty, or write NA."
            )
        elif column.dtype_kind in ("string", "temporal") and count > max(10, len(column) / 5):
            self.notes[f"numbers: {column.name}"] = (
                f"{each}: {count} in {len(column)} rows. For a trend make numbers of it, such as"
                " days since the first."
            )

    def not_finite(self, subject: str, columns: Iterable[str], row: int) -> DataError:
        """The error for a value that is not finite: a column's fault, or the expression's."""
        for name in columns:
            self.check_finite(name)
        return DataError(
            f"{subject} is not finite in row {self.source_row(row)}. Change or drop that row, or"
            " the transformation."
        )

    def explain(self, name: str, node: Node, error: Exception) -> MixedEffectsError:
        """The error for an expression that cannot be evaluated."""
        if isinstance(error, MixedEffectsError):
            return error
        if isinstance(error, NotFiniteError):
            return self.not_finite(f"Term {name!r}", column_names(node), error.row)
        # a type error would tell of numpy and pandas, not of the formula
        mismatch = isinstance(error, TypeError)
        reason = f"{name}: {'arguments that do not fit the function' if mismatch else error}"
        if self.fitted:
            return DataError(reason)
        return FormulaError(reason, self.text, node.position)

    def _is_categorical(self, column: Column) -> bool:
        # categories such as years may come back as numbers in new data
        return column.name in self.levels if self.fitted else column.kind == "categorical"

    def _codes(self, column: Column, key: str) -> tuple[NDArray[np.int32], NDArray[Any]]:
        if self.fitted:
            codes = match_levels(column, self.levels[key])
            if codes.size and codes.min() < 0:
                raise _unseen(column, codes, self.levels[key])
            return codes, self.levels[key]
        codes, levels = self._used_levels(column)
        if len(levels) < 2:
            raise DataError(
                f"Column {column.name!r} has a single level, {level_text(levels)[0]!r}, in the"
                f" {len(codes)} rows used, so it has no effect to estimate. Leave it out."
            )
        self.levels[key] = levels
        return codes, levels

    def _used_levels(self, column: Column) -> tuple[NDArray[np.int32], NDArray[Any]]:
        assert column.levels is not None
        used = np.bincount(column.values, minlength=len(column.levels)) > 0
        if used.all():
            return column.values, column.levels
        rank = np.cumsum(used, dtype=np.int32) - np.int32(1)
        self.notes[column.name] = (
            f"Column {column.name!r}: {listed(column.labels()[~used])} not among the rows used"
            " and left out of its levels."
        )
        return rank[column.values], column.levels[used]


def match_levels(column: Column, levels: NDArray[Any]) -> NDArray[np.int32]:
    """Codes (n,) of a column's values among known levels, -1 for others.

    Numbers are compared as numbers, all else as text.
    """
    column = column.as_group()
    assert column.levels is not None
    if len(column.levels) == len(levels) and bool(np.all(column.levels == levels)):
        return column.values
    fitted, own = levels, column.levels
    if not {fitted.dtype.kind, own.dtype.kind} <= set("iuf"):  # 1.0 of a fit is 1 of new data
        fitted, own = level_text(fitted), level_text(own)
    known = {key: code for code, key in enumerate(fitted.tolist())}
    codes = np.array([*(known.get(key, -1) for key in own.tolist()), -1], np.int32)
    matched: NDArray[np.int32] = codes[column.values]
    return matched


def _unseen(column: Column, codes: NDArray[np.int32], levels: NDArray[Any]) -> NewLevelError:
    found = column.labels()[np.unique(column.values[codes < 0])]
    return NewLevelError(
        f"Column {column.name!r} has {listed(found)}, which the fit has not seen; known levels"
        f" are {listed(level_text(levels))}."
    )


def listed(labels: Iterable[object]) -> str:
    """The first ten labels, and how many there are beyond."""
    shown = [repr(str(label)) for label in labels]
    return ", ".join(shown[:10]) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "")


def row_numbers(name: str, values: Any, n_rows: int) -> Array:
    """An argument as real numbers (n_rows,).

    Raises
    ------
    DataError
        If it is not one number a row.
    """
    try:
        if np.iscomplexobj(values):
            raise TypeError
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name} must be a column's name or real numbers, one a row.") from None
    if array.shape != (n_rows,):
        raise DataError(
            f"{name} has shape {array.shape}, but the data have {n_rows} rows: give one number a"
            " row of the data, also of rows with missing values."
        )
    return array
