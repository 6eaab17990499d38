"""Arrays, lists and series of any library as a `Column`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.columns import (
    EXACT,
    Column,
    DtypeKind,
    object_array,
    unique_codes,
)
from mixedeffects.errors import DataError

if TYPE_CHECKING:
    import narwhals as nw

__all__ = ["encode"]


def encode(name: str, values: Any) -> Column:
    """A NumPy array or a native series of any library as a `Column`.

    Raises
    ------
    DataError
        If the values are neither numbers, booleans, text, categories nor
        dates, or a mixture of these.
    """
    if isinstance(values, np.ndarray):
        return _from_array(name, values)
    # the commonest kinds of pandas series, without the detour
    dtype = getattr(values, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "fiub":
        return _from_array(name, values.to_numpy())
    if hasattr(dtype, "categories") and hasattr(dtype, "ordered"):
        return _from_pandas_category(name, values)
    if str(dtype) == "str":
        return _sorted_levels(name, *_pandas_codes(values))
    import narwhals as nw

    return _from_series(name, nw.from_native(values, series_only=True))


# ---- arrays ---------------------------------------------------------------------------------


def _from_array(name: str, values: NDArray[Any]) -> Column:
    if values.ndim != 1:
        raise DataError(
            f"Column {name!r} must be one-dimensional, but has shape {values.shape}."
            " Give each of its columns a name of its own."
        )
    if isinstance(values, np.ma.MaskedArray):
        return _from_masked(name, values)
    kind = values.dtype.kind
    if kind == "f":
        return _numeric(name, np.ascontiguousarray(values, dtype=np.float64), "float")
    if kind in "iu":
        return _from_integers(name, values)
    if kind == "b":
        return _boolean(name, values.astype(np.int32))
    if kind in "Mm":
        return _from_times(name, values)
    if kind in "UT":
        return _from_objects(name, values.astype(object))
    if kind == "O":
        return _from_objects(name, values)
    raise _refusal(name, f"values of type {values.dtype}")


def _from_masked(name: str, values: NDArray[Any]) -> Column:
    if values.dtype.kind in "fiu":
        return _from_array(name, np.ma.filled(values.astype(np.float64), np.nan))
    objects = np.ma.getdata(values).astype(object)
    objects[np.ma.getmaskarray(values)] = None
    return _from_array(name, objects)


def _numeric(name: str, values: NDArray[Any], dtype_kind: DtypeKind) -> Column:
    return Column(name, "numeric", values, None, False, dtype_kind)


def _from_integers(
    name: str, values: NDArray[Any], missing: NDArray[np.bool_] | None = None
) -> Column:
    """Integers, with any value where they are missing."""
    floats = values.astype(np.float64)
    if missing is not None:
        floats[missing] = np.nan
    column = _numeric(name, floats, "integer")
    wide = values.dtype.itemsize == 8 and len(values) and _beyond_exact(values)
    return replace(column, integers=values) if wide else column


def _beyond_exact(values: NDArray[Any]) -> bool:
    return int(values.max()) > EXACT or int(values.min()) < -EXACT


def _boolean(name: str, codes: NDArray[np.int32]) -> Column:
    return Column(name, "categorical", codes, np.array([False, True]), False, "boolean")


def _categorical(
    name: str, codes: NDArray[Any], levels: NDArray[Any], dtype_kind: DtypeKind, ordered: bool
) -> Column:
    return Column(
        name, "categorical", codes.astype(np.int32, copy=False), levels, ordered, dtype_kind
    )


def _from_times(name: str, values: NDArray[Any]) -> Column:
    native = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    codes, levels = unique_codes(native.view(np.int64), np.isnat(native))
    return _categorical(name, codes, levels.view(native.dtype), "temporal", False)


# ---- Python objects -------------------------------------------------------------------------

_NUMBERS = (int, float, np.integer, np.floating, Decimal, Fraction)
_BOOLEANS = (bool, np.bool_)


def _kind_of(kind: type) -> str:
    if issubclass(kind, _BOOLEANS):
        return "boolean"
    if issubclass(kind, (int, np.integer)):
        return "integer"
    if issubclass(kind, _NUMBERS):
        return "float"
    if issubclass(kind, str):
        return "string"
    if issubclass(kind, (date, np.datetime64)):
        return "temporal"
    if issubclass(kind, (timedelta, np.timedelta64)):
        return "duration"
    if issubclass(kind, time):
        return "time"
    return kind.__name__


def _is_missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    if not any(map(_can_be_missing, set(map(type, values)))):
        return np.zeros(len(values), bool)
    return np.fromiter(map(_missing_object, values), bool, len(values))


def _can_be_missing(kind: type) -> bool:
    # pandas.NA and NaT by name, for pandas need not be there
    return kind.__name__ in ("NoneType", "NAType", "NaTType") or issubclass(
        kind, (float, np.floating, np.datetime64, Decimal)
    )


def _missing_object(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (float, np.floating, np.datetime64, Decimal)) and bool(value != value)


def _from_objects(name: str, values: NDArray[Any]) -> Column:
    missing = _is_missing(values)
    present = values[~missing]
    kinds = {_kind_of(kind) for kind in set(map(type, present))}
    if kinds <= {"integer", "float"}:
        return _from_number_objects(name, values, missing, kinds == {"integer"})
    if len(kinds) > 1:
        raise _mixture(name, values, missing)
    convert = _OBJECT_KINDS.get(kinds.pop())
    if convert is None:
        raise _refusal(name, f"values of type {type(present[0]).__name__}")
    return convert(name, values, missing)


def _from_number_objects(
    name: str, values: NDArray[Any], missing: NDArray[np.bool_], integer: bool
) -> Column:
    filled = np.where(missing, 0, values)
    if integer:
        try:
            return _from_integers(name, filled.astype(np.int64), missing)
        except OverflowError:
            raise DataError(
                f"Column {name!r} holds integers of more than 64 bits. Convert them to text."
            ) from None
    floats = filled.astype(np.float64)
    floats[missing] = np.nan
    return _numeric(name, floats, "float")


def _from_text_objects(name: str, values: NDArray[Any], missing: NDArray[np.bool_]) -> Column:
    levels = sorted(set(values[~missing]))
    lookup = {level: code for code, level in enumerate(levels)}
    codes = np.full(len(values), -1, np.int32)
    codes[~missing] = np.fromiter(map(lookup.__getitem__, values[~missing]), np.int32)
    return _categorical(name, codes, object_array(map(str, levels)), "string", False)


def _from_boolean_objects(name: str, values: NDArray[Any], missing: NDArray[np.bool_]) -> Column:
    return _boolean(name, np.where(missing, -1, values).astype(np.int32))


def _from_date_objects(name: str, values: NDArray[Any], missing: NDArray[np.bool_]) -> Column:
    times = np.full(len(values), "NaT", "datetime64[us]")
    times[~missing] = np.array([_utc(v) for v in values[~missing]], "datetime64[us]")
    return _from_times(name, times)


def _from_duration_objects(name: str, values: NDArray[Any], missing: NDArray[np.bool_]) -> Column:
    times = np.full(len(values), "NaT", "timedelta64[us]")
    times[~missing] = values[~missing].astype("timedelta64[us]")
    return _from_times(name, times)


def _utc(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def _from_clock_objects(name: str, values: NDArray[Any], missing: NDArray[np.bool_]) -> Column:
    texts = object_array(
        None if gone else v.isoformat() for v, gone in zip(values, missing, strict=True)
    )
    return replace(_from_text_objects(name, texts, missing), dtype_kind="temporal")


_OBJECT_KINDS: dict[str, Callable[[str, NDArray[Any], NDArray[np.bool_]], Column]] = {
    "string": _from_text_objects,
    "boolean": _from_boolean_objects,
    "temporal": _from_date_objects,
    "duration": _from_duration_objects,
    "time": _from_clock_objects,
}


def _mixture(name: str, values: NDArray[Any], missing: NDArray[np.bool_]) -> DataError:
    rows = np.flatnonzero(~missing)
    first = values[rows[0]]
    odd = next(r for r in rows if _kind_of(type(values[r])) != _kind_of(type(first)))
    return DataError(
        f"Column {name!r} mixes types: {first!r} ({type(first).__name__}) in row {rows[0]},"
        f" but {values[odd]!r} ({type(values[odd]).__name__}) in row {odd}."
        " Convert it to numbers or to text."
    )


def _refusal(name: str, what: str) -> DataError:
    return DataError(
        f"Column {name!r} holds {what}; a column must hold numbers, booleans, text,"
        " categories or dates."
    )


# ---- series of data frame libraries ---------------------------------------------------------


def _from_series(name: str, series: nw.Series[Any]) -> Column:
    import narwhals as nw

    dtype = series.dtype
    if dtype.is_float() or dtype.is_decimal():
        floats = series.cast(nw.Float64) if dtype.is_decimal() else series
        return _from_array(name, floats.to_numpy())
    if dtype.is_integer():
        return _from_integer_series(name, series)
    if dtype == nw.Boolean:
        return _from_boolean_series(name, series)
    if dtype == nw.String:
        return _from_text_series(name, series)
    if isinstance(dtype, (nw.Categorical, nw.Enum)):
        return _from_category_series(name, series)
    if isinstance(dtype, (nw.List, nw.Array, nw.Struct)):
        raise _refusal(name, f"nested values ({dtype})")
    return _from_array(name, series.to_numpy())


def _from_integer_series(name: str, series: nw.Series[Any]) -> Column:
    if not series.null_count():
        return _from_array(name, series.to_numpy())
    return _from_integers(
        name, series.fill_null(0).to_numpy(), series.is_null().to_numpy().astype(bool)
    )


def _from_boolean_series(name: str, series: nw.Series[Any]) -> Column:
    codes = series.to_numpy()
    if series.null_count():
        codes = np.where(series.is_null().to_numpy(), -1, codes)
    return _boolean(name, codes.astype(np.int32))


def _from_text_series(name: str, series: nw.Series[Any]) -> Column:
    if series.implementation.is_polars():
        return replace(_from_polars_text(name, series), dtype_kind="string")
    if series.implementation.is_pyarrow():
        codes, levels = _arrow_codes(series.to_native().dictionary_encode())
    else:
        codes, levels = _pandas_codes(series.to_native())
    return _sorted_levels(name, codes, levels)


def _pandas_codes(values: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    codes, found = values.factorize()
    return codes, np.asarray(found, dtype=object)


def _sorted_levels(name: str, codes: NDArray[Any], levels: NDArray[Any]) -> Column:
    """Codes into distinct but unsorted levels, renumbered in sorted order."""
    order = np.array(sorted(range(len(levels)), key=levels.__getitem__), dtype=np.intp)
    rank = np.empty(len(levels) + 1, np.int32)
    rank[order] = np.arange(len(levels), dtype=np.int32)
    rank[-1] = -1  # where the code of a missing value, -1, lands
    return _categorical(name, rank[codes], levels[order], "string", False)


def _from_polars_text(name: str, series: nw.Series[Any]) -> Column:
    """Text, or categories that declare no order, which polars takes to be lexical."""
    import narwhals as nw

    texts = series.cast(nw.String)
    levels = texts.drop_nulls().unique().sort().to_list()
    codes = texts.cast(nw.Enum(levels)).to_native().to_physical()
    return _categorical(
        name, codes.fill_null(-1).to_numpy(), object_array(levels), "category", False
    )


def _from_category_series(name: str, series: nw.Series[Any]) -> Column:
    import narwhals as nw

    native = series.to_native()
    if series.implementation.is_polars():
        if isinstance(series.dtype, nw.Categorical):
            return _from_polars_text(name, series)
        codes = native.to_physical().cast(int).fill_null(-1).to_numpy()
        return _declared(name, codes, object_array(native.dtype.categories), False)
    arrow = native if series.implementation.is_pyarrow() else series.to_arrow()
    codes, levels = _arrow_codes(arrow)
    return _declared(name, codes, levels, bool(arrow.type.ordered))


def _from_pandas_category(name: str, values: Any) -> Column:
    accessor = values.cat
    codes, categories = np.asarray(accessor.codes), np.asarray(accessor.categories)
    return _declared(name, codes, categories, bool(accessor.ordered))


def _arrow_codes(dictionary: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    # not through to_numpy of the whole: there a null takes the value of another row
    whole = dictionary
    if hasattr(dictionary, "chunks"):
        whole = dictionary.unify_dictionaries().combine_chunks()
    codes = whole.indices.cast("int64").fill_null(-1).to_numpy()
    return codes, whole.dictionary.to_numpy(zero_copy_only=False)


def _declared(name: str, codes: NDArray[Any], categories: NDArray[Any], ordered: bool) -> Column:
    levels = _plain_levels(categories)
    if len(set(levels.tolist())) < len(levels):
        raise DataError(f"Column {name!r} has categories that read the same as text.")
    return _categorical(name, codes, levels, "category", ordered)


def _plain_levels(categories: NDArray[Any]) -> NDArray[Any]:
    """Categories as text, numbers, booleans or dates; all others (intervals) as text."""
    if categories.dtype.kind != "O":
        return categories
    kinds = {_kind_of(type(c)) for c in categories}
    if kinds <= {"integer", "float"}:
        return np.array(categories.tolist())
    if kinds in ({"boolean"}, {"temporal"}):
        return np.array(categories.tolist(), bool if kinds == {"boolean"} else "datetime64[us]")
    return object_array(map(str, categories))
