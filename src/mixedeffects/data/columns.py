"""One column of data as plain arrays, whatever library it came from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import DataError

__all__ = ["Column", "DtypeKind", "level_text", "object_array", "stray_labels", "unique_codes"]

DtypeKind = Literal["float", "integer", "boolean", "string", "category", "temporal"]

# largest range in which every integer is a float64
EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the rest of the package sees it.

    Attributes
    ----------
    name : str
    kind : {"numeric", "categorical"}
    values : ndarray, shape (n,)
        Numeric: float64, NaN where missing. Categorical: int32 codes into
        `levels`, -1 where missing.
    levels : ndarray, shape (L,), or None
        Categorical: the labels as the user's own values, in the declared
        order (unused levels included) or else sorted.
    ordered : bool
        Whether the column declares its levels to be ordered.
    dtype_kind : {"float", "integer", "boolean", "string", "category", "temporal"}
        What the column held before. Temporal values are categorical, in UTC
        where they have a time zone.
    integers : ndarray, shape (n,), or None
        Integers too large for float64, such as 64-bit keys, as they were.
    """

    name: str
    kind: Literal["numeric", "categorical"]
    values: NDArray[Any]
    levels: NDArray[Any] | None
    ordered: bool
    dtype_kind: DtypeKind
    integers: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Rows without a value, shape (n,)."""
        mask: NDArray[np.bool_] = (
            np.isnan(self.values) if self.kind == "numeric" else self.values < 0
        )
        return mask

    def labels(self) -> NDArray[Any]:
        """The levels as text, shape (L,); empty for a numeric column."""
        return level_text(self.levels) if self.levels is not None else np.empty(0, object)

    def as_group(self) -> Column:
        """The column as a grouping factor.

        A categorical column is one already. Numbers become one level for each
        distinct value, sorted; whole numbers become integer levels even where
        missing values had turned the column into floats.

        Raises
        ------
        DataError
            If a value is infinite.
        """
        if self.kind == "categorical":
            return self
        codes, levels = _number_levels(self)
        return replace(self, kind="categorical", values=codes, levels=levels, integers=None)

    def take(self, rows: NDArray[Any]) -> Column:
        """The column at the given row positions or where a mask holds."""
        whole = None if self.integers is None else self.integers[rows]
        return replace(self, values=self.values[rows], integers=whole)


def level_text(levels: NDArray[Any]) -> NDArray[Any]:
    """Levels as text, shape (L,) of str: dates in ISO form, without a midnight.

    Examples
    --------
    >>> level_text(np.array(["2024-02-01", "2024-03-01"], "datetime64[ns]")).tolist()
    ['2024-02-01', '2024-03-01']
    >>> level_text(np.array([308, 309])).tolist()
    ['308', '309']
    """
    levels = np.asarray(levels)
    if levels.dtype.kind == "M":
        days = levels.astype("datetime64[D]")
        texts = np.datetime_as_string(days if (days == levels).all() else levels).tolist()
        if (days != levels).any():
            texts = [t.rstrip("0").rstrip(".") if "." in t else t for t in texts]
    else:
        texts = [str(v) for v in levels.tolist()] if levels.dtype.kind != "m" else map(str, levels)
    return object_array(texts)


def stray_labels(column: Column) -> list[str] | None:
    """The labels of a column of text that are not numbers, or None unless most rows hold numbers.

    Examples
    --------
    >>> codes = np.array([0, 1, 2, 0], np.int32)
    >>> ages = Column("age", "categorical", codes, np.array(["41", "52", "?"]), False, "string")
    >>> stray_labels(ages)
    ['?']
    """
    if column.dtype_kind != "string" or not len(column):
        return None
    labels = column.labels()
    stray = np.array([not _reads_as_number(text) for text in labels], dtype=bool)
    rows = np.bincount(column.values[~column.missing], minlength=len(labels))
    return labels[stray].tolist() if rows[~stray].sum() > rows.sum() / 2 else None


def _reads_as_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _number_levels(column: Column) -> tuple[NDArray[np.int32], NDArray[Any]]:
    values, missing = column.values, column.missing
    if np.isinf(values).any():
        row = int(np.isinf(values).argmax())
        raise DataError(f"Grouping column {column.name!r} is infinite in row {row}.")
    if column.integers is not None:
        return unique_codes(column.integers, missing)
    present = values[~missing] if missing.any() else values
    whole = not present.size or (np.abs(present).max() <= EXACT and _all_whole(present))
    return unique_codes(np.where(missing, 0, values).astype(np.int64) if whole else values, missing)


def _all_whole(values: NDArray[Any]) -> bool:
    return bool((values.astype(np.int64) == values).all())


def unique_codes(
    values: NDArray[Any], missing: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Codes (n,), -1 where missing, and the sorted distinct values (L,)."""
    if missing.any():
        codes = np.full(len(values), -1, np.int32)
        codes[~missing], levels = _unique_present(values[~missing])
        return codes, levels
    return _unique_present(values)


def _unique_present(values: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[Any]]:
    if values.dtype.kind in "iu" and values.size:
        low, high = int(values.min()), int(values.max())
        # a table of the range is several times faster than sorting
        if high - low < 4 * values.size + 1024:
            return _unique_by_table(values - values.dtype.type(low), values.dtype.type(low))
    levels, codes = np.unique(values, return_inverse=True)
    return codes.astype(np.int32), levels


def _unique_by_table(
    shifted: NDArray[Any], low: np.integer[Any]
) -> tuple[NDArray[np.int32], NDArray[Any]]:
    occurs = np.zeros(int(shifted.max()) + 1, bool)
    occurs[shifted] = True
    rank = np.cumsum(occurs, dtype=np.int32) - np.int32(1)
    return rank[shifted], np.flatnonzero(occurs).astype(low.dtype) + low


def object_array(items: Any) -> NDArray[Any]:
    """A one-dimensional object array, whatever the items are."""
    found = list(items)
    out = np.empty(len(found), object)
    out[:] = found
    return out
