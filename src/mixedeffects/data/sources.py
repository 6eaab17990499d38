"""What the user hands over as data, as named columns to be read when needed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mixedeffects.data.text_files import SEPARATORS, read_header, read_table
from mixedeffects.errors import ColumnNotFoundError, DataError

__all__ = ["FrameKind", "Source", "open_source"]

Backend = Literal["pandas", "polars", "pyarrow"]

_ACCEPTED = (
    "a pandas, polars or pyarrow table, anything else that narwhals reads, a dict of columns,"
    " or the path of a CSV, TSV, Parquet or Arrow/Feather file"
)


@dataclass(frozen=True, slots=True)
class FrameKind:
    """The library in which results go back, and the rows' labels.

    Attributes
    ----------
    backend : {"pandas", "polars", "pyarrow"}
    index : pandas.Index of length n, or None
        The index of a pandas frame.
    """

    backend: Backend = "pandas"
    index: Any = None


@dataclass(frozen=True, slots=True)
class Source:
    """Data whose column names are known and whose values are read on demand.

    Attributes
    ----------
    names : tuple of str
        All columns.
    frame : FrameKind
    read : callable
        From column names to their native series or arrays by name.
    """

    names: tuple[str, ...]
    frame: FrameKind
    read: Callable[[Sequence[str]], Mapping[str, Any]]

    def __post_init__(self) -> None:
        if len(set(self.names)) < len(self.names):
            twice = next(n for i, n in enumerate(self.names) if n in self.names[:i])
            raise DataError(
                f"Column {twice!r} occurs more than once in the data. Rename or drop one of them."
            )

    def require(self, names: Iterable[str]) -> tuple[str, ...]:
        """The names without repeats, all of them known.

        Raises
        ------
        ColumnNotFoundError
        """
        wanted = tuple(dict.fromkeys(names))
        for name in wanted:
            if name not in self.names:
                raise ColumnNotFoundError(name, self.names)
        return wanted


def open_source(data: Any) -> Source:
    """Recognise what the data are, reading no more than the column names.

    Raises
    ------
    DataError
        If the data are of no kind that can be read, or the file is missing or
        malformed.
    """
    if isinstance(data, (str, Path)):
        return _open_path(data)
    if isinstance(data, Mapping):
        return _open_mapping(data)
    import narwhals as nw

    if isinstance(data, (nw.DataFrame, nw.LazyFrame)):
        data = data.to_native()
    if nw.dependencies.is_pandas_dataframe(data):
        return _open_pandas(data)
    frame = nw.from_native(data, pass_through=True, allow_series=True)
    if frame is data and hasattr(data, "__arrow_c_stream__"):
        frame = _from_arrow_stream(data)
    if isinstance(frame, nw.DataFrame):
        return _open_eager(frame)
    if isinstance(frame, nw.LazyFrame):
        return _open_lazy(frame)
    raise _refusal(data)


def _refusal(data: Any) -> DataError:
    kind = type(data).__name__
    if data is None:
        return DataError(f"There are no data (None). Give {_ACCEPTED}.")
    hint = ""
    if isinstance(data, (list, tuple)) and data and isinstance(data[0], Mapping):
        hint = " Turn the list of records into a table, as pandas.DataFrame(records) does."
    elif isinstance(data, np.ndarray):
        hint = " Give the columns names, as in {'y': array[:, 0], 'x': array[:, 1]}."
    elif kind in ("Series", "ChunkedArray"):
        hint = " Give a table that holds the column, as in {'y': series}."
    return DataError(f"Data of type {kind} cannot be read; give {_ACCEPTED}.{hint}")


def _from_arrow_stream(data: Any) -> Any:
    """Record batches and whatever else speaks Arrow."""
    import narwhals as nw

    return nw.from_arrow(data, backend="pyarrow" if find_spec("pyarrow") else "polars")


def _open_pandas(data: Any) -> Source:
    own = data.columns.tolist()
    names = tuple(map(str, own))
    labels = dict(zip(names, own, strict=True))
    return Source(
        names,
        FrameKind("pandas", data.index),
        lambda wanted: {name: data[labels[name]] for name in wanted},
    )


def _open_eager(frame: Any) -> Source:
    implementation = frame.implementation
    backend: Backend = "pandas"
    if implementation.is_polars():
        backend = "polars"
    elif implementation.is_pyarrow():
        backend = "pyarrow"
    return Source(
        tuple(frame.columns),
        FrameKind(backend),
        lambda wanted: {name: frame.get_column(name).to_native() for name in wanted},
    )


def _open_lazy(frame: Any) -> Source:
    backend: Backend = "polars" if frame.implementation.is_polars() else "pandas"

    def read(wanted: Sequence[str]) -> Mapping[str, Any]:
        collected = frame.select(*wanted).collect()
        return {name: collected.get_column(name).to_native() for name in wanted}

    return Source(tuple(frame.collect_schema().names()), FrameKind(backend), read)


def _open_mapping(data: Mapping[Any, Any]) -> Source:
    columns = dict(zip(map(str, data), data.values(), strict=True))
    if len(columns) < len(data):
        raise DataError("The names of the data's columns are not distinct when read as text.")
    if not columns:
        raise DataError("The data have no columns.")
    lengths = {name: _length(name, values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name!r} has {n}" for name, n in list(lengths.items())[:8])
        raise DataError(f"The columns differ in length: {shown}.")
    return Source(
        tuple(columns),
        FrameKind(),
        lambda wanted: {name: _plain(columns[name]) for name in wanted},
    )


def _length(name: str, values: Any) -> int:
    if isinstance(values, (str, bytes)) or getattr(values, "shape", None) == ():
        raise DataError(f"Column {name!r} is a single value; give one value for each row.")
    if isinstance(values, (Mapping, Set)) or not hasattr(values, "__len__"):
        kind = type(values).__name__
        raise DataError(f"Column {name!r} is of type {kind}; give an array, a list or a series.")
    return len(values)


def _plain(values: Any) -> Any:
    """A dict's column as an array or a native series."""
    if isinstance(values, np.ndarray):
        return values
    import narwhals as nw

    if isinstance(nw.from_native(values, pass_through=True, allow_series=True), nw.Series):
        return values
    if hasattr(values, "__arrow_c_array__"):
        return nw.from_dict({"": values}, backend="pyarrow").get_column("").to_native()
    if type(values).__module__.split(".")[0] == "pandas":
        import pandas as pd

        return pd.Series(values)
    return np.fromiter(values, dtype=object, count=len(values))


# ---- files ----------------------------------------------------------------------------------

_COMPRESSED = (".gz", ".bz2", ".xz", ".zip", ".zst")


def _open_path(path: str | Path) -> Source:
    file = Path(path).expanduser()
    if not file.exists():
        raise _no_file(path)
    suffixes = [s.lower() for s in file.suffixes if s.lower() not in _COMPRESSED]
    suffix = suffixes[-1] if suffixes else ""
    try:
        if suffix in SEPARATORS:
            return _open_text(file, SEPARATORS[suffix])
        if suffix in (".parquet", ".pq"):
            return _open_parquet(file)
        if suffix in (".arrow", ".feather", ".ipc"):
            return _open_arrow(file)
    except DataError:
        raise
    except Exception as error:
        raise _unreadable(file, error) from error
    raise DataError(
        f"Files of the kind {suffix or 'without an ending'!r} are not read: {file}."
        " Give a .csv, .csv.gz, .tsv, .parquet, .feather or .arrow file."
    )


def _no_file(path: str | Path) -> DataError:
    from mixedeffects.data import datasets

    text = str(path)
    if "~" in text and not text.startswith("~"):
        return DataError(f"The data are a formula ({text!r}); the formula comes before the data.")
    name = Path(text).name.split(".")[0].lower()
    close = difflib.get_close_matches(name, datasets.names(), n=1, cutoff=0.7)
    hint = ""
    if close:
        hint = (
            f" There is a data set of the name {close[0]!r}:"
            f" mixedeffects.datasets.load({close[0]!r})."
        )
    return DataError(f"There is no file {text!r}.{hint}")


def _unreadable(file: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split()) or type(error).__name__
    hint = ""
    if isinstance(error, UnicodeDecodeError):
        hint = (
            ". Save it as UTF-8 ('CSV UTF-8' in Excel), or give"
            " pandas.read_csv(..., encoding='cp1252')."
        )
    return DataError(f"{file} cannot be read: {reason[:300]}{hint}")


def _reading(file: Path, read: Callable[[Sequence[str]], Any]) -> Callable[..., Mapping[str, Any]]:
    """A reader of columns that names the file when it fails."""

    def guarded(wanted: Sequence[str]) -> Mapping[str, Any]:
        import narwhals as nw

        try:
            frame = nw.from_native(read(wanted), eager_only=True)
        except Exception as error:
            raise _unreadable(file, error) from error
        return {name: frame.get_column(name).to_native() for name in wanted}

    return guarded


def _open_text(file: Path, expected: str) -> Source:
    names, separator = read_header(file, expected)

    def read(wanted: Sequence[str]) -> Any:
        return read_table(file, separator, names)[list(wanted)]

    return Source(names, FrameKind(), _reading(file, read))


def _open_parquet(file: Path) -> Source:
    if find_spec("pyarrow"):
        from pyarrow import parquet

        names = tuple(parquet.read_schema(file).names)
        read = _reading(file, lambda wanted: parquet.read_table(file, columns=list(wanted)))
        return Source(names, FrameKind(), read)
    return _open_with_polars(file, "scan_parquet", "Parquet")


def _open_arrow(file: Path) -> Source:
    if find_spec("pyarrow"):
        from pyarrow import ipc, memory_map

        mapped = memory_map(str(file))
        is_file = mapped.read(6) == b"ARROW1"
        mapped.seek(0)
        table = (ipc.open_file if is_file else ipc.open_stream)(mapped).read_all()
        return Source(tuple(table.column_names), FrameKind(), _reading(file, lambda wanted: table))
    return _open_with_polars(file, "scan_ipc", "Arrow")


def _open_with_polars(file: Path, scan: str, format_name: str) -> Source:
    if not find_spec("polars"):
        raise DataError(
            f"{file} is a {format_name} file, which needs pyarrow:"
            " pip install 'mixedeffects[files]'."
        )
    import narwhals as nw
    import polars as pl

    frame = _open_lazy(nw.from_native(getattr(pl, scan)(file)))
    return Source(frame.names, FrameKind(), frame.read)
