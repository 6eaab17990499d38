"""Any data frame, dict or file as plain columns; results back in the user's own library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.columns import Column, level_text
from mixedeffects.data.encoding import encode
from mixedeffects.data.sources import FrameKind, Source, open_source
from mixedeffects.errors import ColumnNotFoundError, DataError

__all__ = [
    "Column",
    "Columns",
    "FrameKind",
    "Source",
    "level_text",
    "make_table",
    "open_source",
    "read_columns",
    "table_columns",
]


@dataclass(frozen=True, slots=True)
class Columns:
    """Named columns of equal length.

    Attributes
    ----------
    columns : mapping of str to Column
        The columns that were read.
    n_rows : int
    frame : FrameKind
        The library in which results go back.
    available : tuple of str
        The names of all columns of the source, read or not.
    """

    columns: Mapping[str, Column]
    n_rows: int
    frame: FrameKind
    available: tuple[str, ...]

    def __getitem__(self, name: str) -> Column:
        try:
            return self.columns[name]
        except KeyError:
            raise ColumnNotFoundError(name, self.available) from None

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __reduce__(self) -> tuple[Any, ...]:
        return Columns, (dict(self.columns), self.n_rows, self.frame, self.available)

    def select(self, names: Iterable[str]) -> Columns:
        """Only the named columns.

        Raises
        ------
        ColumnNotFoundError
        """
        return replace(self, columns=MappingProxyType({n: self[n] for n in names}))

    def take(self, rows: NDArray[Any]) -> Columns:
        """The rows at the given positions, or where a mask of length n holds."""
        positions = np.flatnonzero(rows) if rows.dtype == bool else rows
        index = self.frame.index
        return Columns(
            MappingProxyType({n: c.take(positions) for n, c in self.columns.items()}),
            len(positions),
            replace(self.frame, index=None if index is None else index[positions]),
            self.available,
        )


def read_columns(data: Any, names: Iterable[str] | None = None) -> Columns:
    """Read columns from a data frame, a dict or a file.

    Parameters
    ----------
    data : table, dict, path, Source or Columns
        A pandas, polars or pyarrow table, anything else that narwhals reads
        (lazy ones are collected), a dict of one-dimensional columns, or the
        path of a CSV, TSV, Parquet or Arrow/Feather file.
    names : iterable of str, optional
        The columns to read; all of them by default.

    Returns
    -------
    Columns
        Numbers as float64; booleans, text, categories and dates as codes and
        levels. None, NaN, NaT and ``pandas.NA`` are missing; in a CSV file
        empty fields, ``NA``, ``NaN``, ``null`` and their like (not ``None``,
        which is the name of a level more often).

    Raises
    ------
    ColumnNotFoundError
        If a name is not in the data.
    DataError
        If the data cannot be read, hold no rows, or a column is of a kind
        that cannot be used.

    Examples
    --------
    >>> columns = read_columns({"y": [1.5, 2.0, None], "g": ["b", "a", "b"]})
    >>> columns["y"].values
    array([1.5, 2. , nan])
    >>> columns["g"].values, columns["g"].levels
    (array([1, 0, 1], dtype=int32), array(['a', 'b'], dtype=object))
    """
    if isinstance(data, Columns):
        return data if names is None else data.select(names)
    source = data if isinstance(data, Source) else open_source(data)
    wanted = source.require(source.names if names is None else names)
    columns = {name: encode(name, values) for name, values in source.read(wanted).items()}
    n_rows = len(next(iter(columns.values()))) if columns else 0
    if not n_rows:
        raise DataError("The data have no rows." if source.names else "The data have no columns.")
    return Columns(MappingProxyType(columns), n_rows, source.frame, source.names)


def make_table(
    columns: Mapping[str, NDArray[Any] | Sequence[Any]], frame: FrameKind, index: Any = None
) -> Any:
    """A table in the library of the given frame.

    Parameters
    ----------
    columns : mapping of str to arrays or lists of equal length
        None stands for a value that does not apply.
    frame : FrameKind
    index : pandas.Index, optional
        The labels of the rows; used with pandas only.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table

    Examples
    --------
    >>> make_table({"term": ["Intercept", "Days"], "estimate": [251.4, 10.47]}, FrameKind())
            term  estimate
    0  Intercept    251.40
    1       Days     10.47
    """
    import narwhals as nw

    plain = {name: _plain(values) for name, values in columns.items()}
    table = nw.from_dict(plain, backend=frame.backend).to_native()
    if index is not None and frame.backend == "pandas":
        table.index = index
    return table


def table_columns(table: Any) -> dict[str, list[Any]]:
    """The columns of such a table, their values as Python's own, None where text is missing.

    Examples
    --------
    >>> table_columns(make_table({"term": ["Days"], "estimate": [10.5]}, FrameKind()))
    {'term': ['Days'], 'estimate': [10.5]}
    """
    import narwhals as nw

    columns: dict[str, list[Any]] = nw.from_native(table, eager_only=True).to_dict(as_series=False)
    return {name: _without_nan(values) for name, values in columns.items()}


def _without_nan(values: list[Any]) -> list[Any]:
    """The same with None for the NaN that pandas has in place of missing text."""
    if not any(isinstance(v, str) for v in values):
        return values
    return [v if isinstance(v, str) else None for v in values]


def _plain(values: NDArray[Any] | Sequence[Any]) -> Any:
    """Objects as lists that every library types alike: all numbers, or all text."""
    if isinstance(values, np.ndarray) and values.dtype.kind not in "OU":
        return values
    items = values.tolist() if isinstance(values, np.ndarray) else list(values)
    kinds = {type(v) for v in items if v is not None}
    if len(kinds) <= 1:
        return items
    numbers = bool not in kinds and all(issubclass(k, Real) for k in kinds)
    return [None if v is None else float(v) if numbers else str(v) for v in items]
