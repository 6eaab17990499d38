"""Columns, labels and row indexes as plain arrays."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.columns import Column, object_array
from mixedeffects.errors import DataWarning

__all__ = [
    "Arrays",
    "pack_column",
    "pack_index",
    "pack_labels",
    "unpack_column",
    "unpack_index",
    "unpack_labels",
]

Arrays = dict[str, NDArray[Any]]


# -- labels --------------------------------------------------------------------------------


def pack_labels(name: str, labels: NDArray[Any], arrays: Arrays) -> dict[str, str]:
    """Numbers, booleans and times as an array; text as UTF-8 and where each label ends."""
    if labels.dtype.kind not in "OUT":
        arrays[f"{name}.npy"] = labels
        return {"array": f"{name}.npy"}
    encoded = [str(label).encode("utf-8", "surrogatepass") for label in labels]
    ends = np.cumsum([len(e) for e in encoded], dtype=np.int64)
    arrays[f"{name}.utf8.npy"] = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    arrays[f"{name}.ends.npy"] = ends
    return {"utf8": f"{name}.utf8.npy", "ends": f"{name}.ends.npy"}


def unpack_labels(where: Mapping[str, str], arrays: Arrays) -> NDArray[Any]:
    """Labels (L,), text as Python strings."""
    if "array" in where:
        return arrays[where["array"]]
    content = arrays[where["utf8"]].tobytes()
    ends = arrays[where["ends"]].tolist()
    starts = [0, *ends[:-1]]
    return object_array(
        content[start:end].decode("utf-8", "surrogatepass")
        for start, end in zip(starts, ends, strict=True)
    )


# -- columns -------------------------------------------------------------------------------


def pack_column(number: int, column: Column, arrays: Arrays) -> dict[str, Any]:
    """Put a column's arrays among the others; what tells them apart, for the manifest."""
    stem = f"columns/{number}"
    levels = integers = None
    arrays[f"{stem}.values.npy"] = column.values
    if column.levels is not None:
        levels = pack_labels(f"{stem}.levels", column.levels, arrays)
    if column.integers is not None:
        integers = f"{stem}.integers.npy"
        arrays[integers] = column.integers
    return {
        "name": column.name,
        "kind": column.kind,
        "dtype_kind": column.dtype_kind,
        "ordered": column.ordered,
        "values": f"{stem}.values.npy",
        "levels": levels,
        "integers": integers,
    }


def unpack_column(about: Mapping[str, Any], arrays: Arrays) -> Column:
    """The column that ``pack_column`` described."""
    values, levels = arrays[about["values"]], about["levels"]
    integers = about["integers"]
    column = Column(
        about["name"],
        about["kind"],
        values,
        None if levels is None else unpack_labels(levels, arrays),
        bool(about["ordered"]),
        about["dtype_kind"],
        None if integers is None else arrays[integers],
    )
    _check_column(column)
    return column


def _check_column(column: Column) -> None:
    wanted = np.dtype(np.float64 if column.levels is None else np.int32)
    kind = "numeric" if column.levels is None else "categorical"
    if column.values.ndim != 1 or column.values.dtype != wanted or column.kind != kind:
        raise ValueError(f"column {column.name!r} is not of its kind")
    codes, levels = column.values, column.levels
    if levels is not None and codes.size and not -1 <= codes.min() <= codes.max() < len(levels):
        raise ValueError(f"column {column.name!r} has codes without a level")


# -- row labels ----------------------------------------------------------------------------


def pack_index(index: Any, arrays: Arrays) -> dict[str, Any] | None:
    """A pandas index of numbers, text, booleans or times, or of several such levels."""
    if index is None:
        return None
    if hasattr(index, "step"):
        return {"names": [_name(index.name)], "range": [index.start, index.stop, index.step]}
    several = index.nlevels > 1
    parts = [index.get_level_values(i) for i in range(index.nlevels)] if several else [index]
    if not all(_is_plain(part) for part in parts):
        warnings.warn(
            f"Row labels of type {index.dtype} are not saved: the loaded fit numbers its rows.",
            DataWarning,
            stacklevel=5,
        )
        return {"names": [None], "range": [0, len(index), 1]}
    labels = [pack_labels(f"index/{i}", part.to_numpy(), arrays) for i, part in enumerate(parts)]
    dtypes = [str(part.dtype) for part in parts]
    return {"names": list(map(_name, index.names)), "labels": labels, "dtypes": dtypes}


def unpack_index(about: Mapping[str, Any] | None, arrays: Arrays) -> Any:
    """The pandas index that ``pack_index`` described."""
    if about is None:
        return None
    import pandas as pd

    names = about["names"]
    if "range" in about:
        return pd.RangeIndex(*about["range"], name=names[0])
    parts = [
        pd.Index(unpack_labels(labels, arrays), dtype=dtype)
        for labels, dtype in zip(about["labels"], about["dtypes"], strict=True)
    ]
    if len(parts) == 1:
        return parts[0].rename(names[0])
    return pd.MultiIndex.from_arrays(parts, names=names)


def _is_plain(part: Any) -> bool:
    values = part.to_numpy()
    if values.dtype.kind == "O":
        return str(part.dtype) in ("object", "str", "string") and all(
            isinstance(value, str) for value in values
        )
    return isinstance(part.dtype, np.dtype) and values.dtype.kind in "iufbMm"


def _name(name: Any) -> str | None:
    return None if name is None else str(name)
