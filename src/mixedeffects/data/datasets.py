"""Small real data sets, shipped with the package.

Each is a compressed CSV file under ``files``; titles, columns, factor levels
and sources stand in ``files/datasets.json``.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from mixedeffects.data.columns import Column, object_array
from mixedeffects.data.encoding import encode
from mixedeffects.data.frames import Columns, FrameKind
from mixedeffects.errors import DataError, suggestion

__all__ = ["Dataset", "describe", "load", "names", "read", "resolve"]

_FILES = Path(__file__).parent / "files"


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a data set is and where it comes from; prints as text.

    Attributes
    ----------
    name, title, description : str
    n_rows : int
    columns : mapping of str to str
        What each column holds.
    source : str
        The publication.
    origin : str
        How the values reached this package, and on what terms.
    """

    name: str
    title: str
    description: str
    n_rows: int
    columns: Mapping[str, str]
    source: str
    origin: str

    def __str__(self) -> str:
        width = max(map(len, self.columns))
        columns = "\n".join(f"  {c:<{width}}  {text}" for c, text in self.columns.items())
        return (
            f"{self.name}: {self.title} ({self.n_rows} rows)\n{self.description}\n\n"
            f"{columns}\n\nSource: {self.source}\n{self.origin}"
        )


def names() -> tuple[str, ...]:
    """The names of all data sets, sorted."""
    return tuple(_catalogue())


def describe(name: str) -> Dataset:
    """Title, columns and source of a data set.

    Raises
    ------
    DataError
        If there is no data set of this name.

    Examples
    --------
    >>> describe("sleepstudy").columns["Reaction"]
    'average reaction time (milliseconds)'
    """
    entry = _entry(name)
    texts = {column: about["description"] for column, about in entry["columns"].items()}
    rest = {key: entry[key] for key in ("title", "description", "n_rows", "source", "origin")}
    return Dataset(name=name, columns=MappingProxyType(texts), **rest)


def load(name: str, frame: Literal["pandas", "polars", "pyarrow"] = "pandas") -> Any:
    """A data set as a data frame, its factors with their levels in order.

    Parameters
    ----------
    name : str
        One of `names`.
    frame : {"pandas", "polars", "pyarrow"}
        The library of the result.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table

    Raises
    ------
    DataError
        If there is no data set, or no library, of this name.

    Examples
    --------
    >>> load("dyestuff").head(2)
      Batch  Yield
    0     A   1545
    1     A   1440
    """
    tables = {"pandas": _pandas_table, "polars": _polars_table, "pyarrow": _arrow_table}
    if frame not in tables:
        raise DataError(f"frame must be one of {', '.join(tables)}, not {frame!r}.")
    return tables[frame](read(name))


def read(name: str) -> Columns:
    """A data set as columns, without any data frame library.

    Raises
    ------
    DataError
        If there is no data set of this name.
    """
    about = _entry(name)["columns"]
    with gzip.open(_FILES / f"{name}.csv.gz", "rb") as file:
        rows = list(csv.reader(io.TextIOWrapper(file, encoding="utf-8", newline="")))
    texts = dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))
    columns = {column: _column(column, texts[column], about[column]) for column in rows[0]}
    return Columns(MappingProxyType(columns), len(rows) - 1, FrameKind(), tuple(columns))


def resolve(text: str) -> Columns | str:
    """The data set that the text names, or the text as it is: the path of a file.

    A file of the same name takes precedence.
    """
    return read(text) if text in names() and not Path(text).exists() else text


@cache
def _catalogue() -> dict[str, Any]:
    entries: dict[str, Any] = json.loads((_FILES / "datasets.json").read_text(encoding="utf-8"))
    return entries


def _entry(name: str) -> dict[str, Any]:
    if name not in names():
        raise DataError(
            f"There is no data set {name!r}.{suggestion(str(name), names())}"
            f" The data sets are: {', '.join(names())}."
        )
    entry: dict[str, Any] = _catalogue()[name]
    return entry


def _column(name: str, texts: Sequence[str], about: Mapping[str, Any]) -> Column:
    if "levels" not in about:
        return encode(name, _numbers(texts))
    levels = about["levels"]
    if levels == "sorted":
        levels = sorted(set(texts) - {""}, key=_as_number_first)
    lookup = {level: code for code, level in enumerate(levels)} | {"": -1}
    codes = np.fromiter(map(lookup.__getitem__, texts), np.int32, len(texts))
    ordered = bool(about.get("ordered", False))
    return Column(name, "categorical", codes, object_array(levels), ordered, "category")


def _numbers(texts: Sequence[str]) -> np.ndarray[Any, Any]:
    try:
        return np.array([int(t) for t in texts])
    except ValueError:
        return np.array([float(t or "nan") for t in texts])


def _as_number_first(text: str) -> tuple[bool, float, str]:
    return (False, float(text), "") if text.isdecimal() else (True, 0.0, text)


def _plain(column: Column) -> np.ndarray[Any, Any]:
    whole = column.dtype_kind == "integer"
    return column.values.astype(np.int64) if whole else column.values


def _pandas_table(columns: Columns) -> Any:
    import pandas as pd

    return pd.DataFrame(
        {
            name: _plain(column)
            if column.levels is None
            else pd.Categorical.from_codes(column.values, column.levels, ordered=column.ordered)
            for name, column in columns.columns.items()
        }
    )


def _polars_table(columns: Columns) -> Any:
    import polars as pl

    return pl.DataFrame(
        {
            name: pl.Series(_plain(column), nan_to_null=True)
            if column.levels is None
            else pl.Series(_values(column), dtype=pl.Enum(column.levels.tolist()))
            for name, column in columns.columns.items()
        }
    )


def _arrow_table(columns: Columns) -> Any:
    import pyarrow as pa

    return pa.table(
        {
            name: pa.array(_plain(column), from_pandas=True)
            if column.levels is None
            else pa.DictionaryArray.from_arrays(
                pa.array(column.values, mask=column.missing), column.levels, ordered=column.ordered
            )
            for name, column in columns.columns.items()
        }
    )


def _values(column: Column) -> list[str | None]:
    # the code -1 of a missing value takes the last entry
    texts = [*column.labels(), None]
    return [texts[code] for code in column.values]
