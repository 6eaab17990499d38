"""The data edge: every kind of table and column, and the words of every refusal."""

import datetime as dt
import pickle
import subprocess
import sys
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from mixedeffects.data.frames import (
    Columns,
    FrameKind,
    level_text,
    make_table,
    open_source,
    read_columns,
)
from mixedeffects.errors import ColumnNotFoundError, DataError

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

NAN = float("nan")
DAY1, DAY2 = dt.date(2024, 2, 1), dt.date(2024, 3, 1)


@pytest.fixture(autouse=True)
def _no_warning_from_below():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def column(values):
    return read_columns({"x": values})["x"]


def levels_of(found):
    return None if found.levels is None else found.levels.tolist()


# ---- kinds of columns -----------------------------------------------------------------------

NUMERIC = {
    "floats": (np.array([1.5, np.nan]), [1.5, NAN], "float"),
    "half floats": (np.array([1.5, 2], np.float16), [1.5, 2], "float"),
    "integers": (np.array([3, 1]), [3, 1], "integer"),
    "unsigned bytes": (np.array([3, 255], np.uint8), [3, 255], "integer"),
    "list": ([3, None, 1], [3, NAN, 1], "integer"),
    "list of floats and integers": ([3, 1.5], [3, 1.5], "float"),
    "range": (range(2), [0, 1], "integer"),
    "Decimal": ([Decimal("1.5"), None], [1.5, NAN], "float"),
    "Fraction": ([Fraction(1, 2), 1], [0.5, 1], "float"),
    "objects": (np.array([1.0, 2], object), [1, 2], "float"),
    "masked": (np.ma.array([1, 2], mask=[0, 1]), [1, NAN], "float"),
    "all None": ([None, None], [NAN, NAN], "float"),
    "pandas Int64": (pd.array([1, None], dtype="Int64"), [1, NAN], "integer"),
    "pandas Float64": (pd.Series([1.5, None], dtype="Float64"), [1.5, NAN], "float"),
    "pandas Sparse": (pd.Series(pd.arrays.SparseArray([0.0, 1])), [0, 1], "float"),
    "pandas object": (pd.Series([1, 2.5, None], dtype=object), [1, 2.5, NAN], "float"),
    "pandas arrow int": (pd.Series([1, None], dtype="int64[pyarrow]"), [1, NAN], "integer"),
    "pandas arrow double": (pd.Series([1, None], dtype="double[pyarrow]"), [1, NAN], "float"),
    "pandas arrow decimal": (
        pd.Series([Decimal("1.5"), None], dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
        [1.5, NAN],
        "float",
    ),
    "polars int": (pl.Series([1, None]), [1, NAN], "integer"),
    "polars float": (pl.Series([1.5, NAN, None]), [1.5, NAN, NAN], "float"),
    "polars decimal": (pl.Series([Decimal("1.5"), None]), [1.5, NAN], "float"),
    "polars null": (pl.Series([None, None]), [NAN, NAN], "float"),
    "arrow int": (pa.array([1, None]), [1, NAN], "integer"),
    "arrow null": (pa.chunked_array([pa.nulls(2)]), [NAN, NAN], "float"),
    "infinite": ([1.0, float("inf")], [1, float("inf")], "float"),
}


@pytest.mark.parametrize("kind", NUMERIC)
def test_numeric(kind):
    values, expected, dtype_kind = NUMERIC[kind]
    found = column(values)
    assert (found.kind, found.dtype_kind) == ("numeric", dtype_kind)
    assert found.values.dtype == np.float64
    assert found.levels is None
    np.testing.assert_array_equal(found.values, expected)
    np.testing.assert_array_equal(found.missing, np.isnan(expected))


def dictionary(codes, levels, ordered=False):
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), levels, ordered=ordered)


CATEGORICAL = {
    "booleans": (np.array([True, False]), [1, 0], [False, True], "boolean"),
    "boolean list": ([True, None], [1, -1], [False, True], "boolean"),
    "pandas boolean": (
        pd.array([True, None, False], dtype="boolean"),
        [1, -1, 0],
        [False, True],
        "boolean",
    ),
    "pandas arrow bool": (
        pd.Series([True, None], dtype="bool[pyarrow]"),
        [1, -1],
        [False, True],
        "boolean",
    ),
    "polars bool": (pl.Series([True, None]), [1, -1], [False, True], "boolean"),
    "arrow bool": (pa.array([True, None]), [1, -1], [False, True], "boolean"),
    "strings": (["b", "a", "b"], [1, 0, 1], ["a", "b"], "string"),
    "strings that look like numbers": (["10", "9", "10"], [0, 1, 0], ["10", "9"], "string"),
    "strings with None": (["b", None, ""], [1, -1, 0], ["", "b"], "string"),
    "strings with NaN": (["b", NAN], [0, -1], ["b"], "string"),
    "strings with pandas.NA": (["b", pd.NA], [0, -1], ["b"], "string"),
    "NumPy strings": (np.array(["b", "a"]), [1, 0], ["a", "b"], "string"),
    "masked strings": (np.ma.array(["b", "a"], mask=[1, 0]), [-1, 0], ["a"], "string"),
    "pandas str": (pd.Series(["b", "a", None]), [1, 0, -1], ["a", "b"], "string"),
    "pandas string": (pd.array(["b", None], dtype="string"), [0, -1], ["b"], "string"),
    "pandas object strings": (
        pd.Series(["b", NAN, "a"], dtype=object),
        [1, -1, 0],
        ["a", "b"],
        "string",
    ),
    "pandas index": (pd.Index(["b", "a"]), [1, 0], ["a", "b"], "string"),
    "pandas arrow string": (
        pd.Series(["b", None, "a"], dtype="string[pyarrow]"),
        [1, -1, 0],
        ["a", "b"],
        "string",
    ),
    "polars string": (pl.Series(["b", None, "a"]), [1, -1, 0], ["a", "b"], "string"),
    "arrow string": (pa.array(["b", None, "a"]), [1, -1, 0], ["a", "b"], "string"),
    "arrow chunks": (pa.chunked_array([["b"], ["a", None]]), [1, 0, -1], ["a", "b"], "string"),
    "arrow large string": (pa.array(["b", "a"], pa.large_string()), [1, 0], ["a", "b"], "string"),
    "category": (
        pd.Categorical(["b", None, "a"], categories=["b", "unused", "a"]),
        [0, -1, 2],
        ["b", "unused", "a"],
        "category",
    ),
    "numeric category": (
        pd.Categorical([3, 1, None], categories=[3, 2, 1]),
        [0, 2, -1],
        [3, 2, 1],
        "category",
    ),
    "boolean category": (
        pd.Categorical([True, None], categories=[True, False]),
        [0, -1],
        [True, False],
        "category",
    ),
    "interval category": (pd.cut([0.5, 1.5], [0, 1, 2]), [0, 1], ["(0, 1]", "(1, 2]"], "category"),
    "pandas arrow dictionary": (
        pd.Series(["z", None, "a"], dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))),
        [0, -1, 1],
        ["z", "a"],
        "category",
    ),
    "polars Enum": (
        pl.Series(["z", None, "a"], dtype=pl.Enum(["z", "unused", "a"])),
        [0, -1, 2],
        ["z", "unused", "a"],
        "category",
    ),
    "polars Categorical": (
        pl.Series(["z", None, "a"], dtype=pl.Categorical),
        [1, -1, 0],
        ["a", "z"],
        "category",
    ),
    "arrow dictionary": (
        dictionary([0, None, 2], ["z", "unused", "a"]),
        [0, -1, 2],
        ["z", "unused", "a"],
        "category",
    ),
    "arrow dictionary in chunks": (
        pa.chunked_array([dictionary([0, None], ["z"]), dictionary([0, 1], ["a", "z"])]),
        [0, -1, 1, 0],
        ["z", "a"],
        "category",
    ),
    "times of day": ([dt.time(9), dt.time(8), None], [1, 0, -1], ["08:00:00", "09:00:00"], None),
}


@pytest.mark.parametrize("kind", CATEGORICAL)
def test_categorical(kind):
    values, codes, levels, dtype_kind = CATEGORICAL[kind]
    found = column(values)
    assert (found.kind, found.dtype_kind) == ("categorical", dtype_kind or "temporal")
    assert found.values.dtype == np.int32
    assert found.values.tolist() == codes
    assert levels_of(found) == levels
    assert found.ordered == (kind == "interval category")  # as pandas.cut declares them
    assert found.missing.tolist() == [c < 0 for c in codes]
    assert found.as_group() is found


TEMPORAL = {
    "dates": [DAY2, None, DAY1],
    "NumPy days": np.array(["2024-03-01", "NaT", "2024-02-01"], "datetime64[D]"),
    "NumPy nanoseconds": np.array(["2024-03-01", "NaT", "2024-02-01"], "datetime64[ns]"),
    "pandas": pd.to_datetime(pd.Series(["2024-03-01", None, "2024-02-01"])),
    "pandas in UTC": pd.to_datetime(pd.Series(["2024-03-01", None, "2024-02-01"]), utc=True),
    "Timestamps": [pd.Timestamp("2024-03-01"), pd.NaT, pd.Timestamp("2024-02-01")],
    "aware datetimes": [
        dt.datetime(2024, 3, 1, tzinfo=dt.UTC),
        None,
        dt.datetime(2024, 2, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))),
    ],
    "pandas arrow date": pd.Series([DAY2, None, DAY1], dtype=pd.ArrowDtype(pa.date32())),
    "polars Date": pl.Series([DAY2, None, DAY1]),
    "polars Datetime": pl.Series([DAY2, None, DAY1]).cast(pl.Datetime),
    "arrow": pa.array([DAY2, None, DAY1]),
}


@pytest.mark.parametrize("kind", TEMPORAL)
def test_dates_are_groups_in_order_and_read_as_iso(kind):
    found = column(TEMPORAL[kind])
    assert (found.kind, found.dtype_kind) == ("categorical", "temporal")
    assert found.values.tolist() == [1, -1, 0]
    assert found.levels.dtype.kind == "M"
    assert found.labels().tolist() == ["2024-02-01", "2024-03-01"]


def test_durations_are_groups():
    lists = column([dt.timedelta(days=2), None, dt.timedelta(days=1)])
    series = column(pd.to_timedelta(pd.Series([2, None, 1]), unit="D"))
    for found in (lists, series):
        assert found.dtype_kind == "temporal"
        assert found.values.tolist() == [1, -1, 0]
        assert found.levels.dtype.kind == "m"


def test_level_text_shows_time_only_where_there_is_one():
    times = np.array(["2024-02-01T00:00", "2024-02-01T12:30:00.250"], "datetime64[ns]")
    assert level_text(times).tolist() == ["2024-02-01T00:00:00", "2024-02-01T12:30:00.25"]
    assert level_text(np.array([False, True])).tolist() == ["False", "True"]
    assert level_text(np.array([0.1, 2.0])).tolist() == ["0.1", "2.0"]


@pytest.mark.parametrize(
    "values",
    [
        pd.Categorical(["b"], categories=["b", "a"], ordered=True),
        dictionary([0], ["b", "a"], ordered=True),
    ],
)
def test_declared_order_is_kept(values):
    assert column(values).ordered


REFUSED = {
    "matrix": (np.zeros((2, 3)), r"'x' must be one-dimensional, but has shape \(2, 3\)"),
    "one-column matrix": (np.zeros((2, 1)), r"shape \(2, 1\)"),
    "nested lists": ([[1], [2]], "'x' holds values of type list"),
    "ragged lists": ([[1], [2, 3]], "'x' holds values of type list"),
    "arrays": (np.array([np.zeros(2), np.zeros(3)], object), "'x' holds values of type ndarray"),
    "records": ([{}, {}], "'x' holds values of type dict"),
    "polars lists": (pl.Series([[1], [2]]), r"'x' holds nested values \(List"),
    "polars structs": (pl.Series([{"a": 1}, {"a": 2}]), r"'x' holds nested values \(Struct"),
    "arrow lists": (pa.array([[1], [2]]), r"'x' holds nested values \(List"),
    "complex": (np.array([1j, 2]), "'x' holds values of type complex128"),
    "complex objects": ([1j, 2j], "'x' holds values of type complex"),
    "pandas complex": (pd.Series([1j, 2]), "'x' holds values of type complex128"),
    "bytes": ([b"a", b"b"], "'x' holds values of type bytes"),
    "NumPy bytes": (np.array([b"a", b"b"]), r"'x' holds values of type \|S1"),
    "structured": (np.zeros(2, [("a", int)]), "'x' holds values of type"),
    "objects": ([object(), object()], "'x' holds values of type object"),
    "periods": (pd.period_range("2024", periods=2, freq="M"), "'x' holds values of type Period"),
    "mixture": (["a", 1], r"'x' mixes types: 'a' \(str\) in row 0, but 1 \(int\) in row 1"),
    "late mixture": ([None, 1.5, "a"], r"1.5 \(float\) in row 1, but 'a' \(str\) in row 2"),
    "pandas mixture": (pd.Series([1, "a"], dtype=object), "'x' mixes types"),
    "booleans and numbers": ([True, 2], "'x' mixes types: True"),
    "huge integers": ([10**20, 1], "'x' holds integers of more than 64 bits"),
    "scalar": (1, "'x' is of type int"),
    "string": ("ab", "'x' is a single value"),
    "array of no dimension": (np.array(1.0), "'x' is a single value"),
    "set": ({1, 2}, "'x' is of type set"),
    "generator": ((i for i in range(2)), "'x' is of type generator"),
    "ambiguous categories": (pd.Categorical(["1", 1]), "'x' has categories that read the same"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_columns_are_named(kind):
    values, words = REFUSED[kind]
    with pytest.raises(DataError, match=words):
        column(values)


def test_only_the_columns_asked_for_are_looked_at():
    found = read_columns({"x": [1], "bad": [[1]]}, ["x"])
    assert list(found.columns) == ["x"]
    assert found.available == ("x", "bad")


# ---- groups ---------------------------------------------------------------------------------

GROUPS = {
    "integers": ([5, 3, 5], [1, 0, 1], [3, 5]),
    "negative": ([-5, 3, None], [0, 1, -1], [-5, 3]),
    "sparse integers": ([10**12, 3, 10**12], [1, 0, 1], [3, 10**12]),
    "whole floats": ([308.0, NAN, 10.0], [1, -1, 0], [10, 308]),
    "floats": ([0.5, NAN, 0.25], [1, -1, 0], [0.25, 0.5]),
    "nothing but missing": ([NAN, NAN], [-1, -1], []),
    "keys of 64 bits": ([2**60 + 1, 2**60, 2**60 + 1], [1, 0, 1], [2**60, 2**60 + 1]),
    "keys of 64 bits, missing": ([2**60 + 1, None, 2**60], [1, -1, 0], [2**60, 2**60 + 1]),
    "unsigned keys": (np.array([2**64 - 1, 2**64 - 2], np.uint64), [1, 0], [2**64 - 2, 2**64 - 1]),
    "polars keys": (pl.Series([2**60 + 1, None, 2**60]), [1, -1, 0], [2**60, 2**60 + 1]),
    "pandas keys": (pd.array([2**60 + 1, None, 2**60]), [1, -1, 0], [2**60, 2**60 + 1]),
}


@pytest.mark.parametrize("kind", GROUPS)
def test_numbers_as_groups(kind):
    values, codes, levels = GROUPS[kind]
    found = column(values).as_group()
    assert found.kind == "categorical"
    assert found.values.dtype == np.int32
    assert found.values.tolist() == codes
    assert levels_of(found) == levels


def test_group_coding_agrees_with_sorting():
    rng = np.random.default_rng(1)
    for low, high in ((-3, 4), (-(10**6), 10**6), (0, 10**15)):
        values = rng.integers(low, high, 500)
        levels, codes = np.unique(values, return_inverse=True)
        found = column(values).as_group()
        np.testing.assert_array_equal(found.levels, levels)
        np.testing.assert_array_equal(found.values, codes)


def test_infinite_group_is_refused():
    with pytest.raises(DataError, match="'x' is infinite in row 1"):
        column([1.0, float("inf")]).as_group()


# ---- kinds of tables ------------------------------------------------------------------------

PLAIN = {"y": [1.5, 2.5, None], "n": [3, 1, 2], "g": ["b", None, "a"], "t": [True, False, True]}
TABLES = {
    "dict": lambda: PLAIN,
    "pandas": lambda: pd.DataFrame(PLAIN),
    "polars": lambda: pl.DataFrame(PLAIN),
    "lazy": lambda: pl.DataFrame(PLAIN).lazy(),
    "pyarrow": lambda: pa.table(PLAIN),
    "record batch": lambda: pa.RecordBatch.from_pydict(PLAIN),
    "chunks": lambda: pa.concat_tables([pa.table(PLAIN).slice(0, 1), pa.table(PLAIN).slice(1)]),
}


def check_plain(found):
    np.testing.assert_array_equal(found["y"].values, [1.5, 2.5, NAN])
    np.testing.assert_array_equal(found["n"].values, [3, 1, 2])
    assert found["n"].dtype_kind == "integer"
    assert found["g"].values.tolist() == [1, -1, 0]
    assert levels_of(found["g"]) == ["a", "b"]
    assert found["t"].values.tolist() == [1, 0, 1]
    assert found["t"].dtype_kind == "boolean"
    assert found.n_rows == 3
    assert found.available == ("y", "n", "g", "t")


@pytest.mark.parametrize("kind", TABLES)
def test_tables(kind):
    check_plain(read_columns(TABLES[kind]()))
    assert list(read_columns(TABLES[kind](), ["g", "y", "g"]).columns) == ["g", "y"]


def test_narwhals_tables():
    import narwhals as nw

    check_plain(read_columns(nw.from_native(pl.DataFrame(PLAIN))))
    check_plain(read_columns(nw.from_native(pl.DataFrame(PLAIN).lazy())))


def test_duckdb_relation():
    duckdb = pytest.importorskip("duckdb")
    found = read_columns(duckdb.sql("select 1.5 as y, 'a' as g, 2 as other"), ["y", "g"])
    assert found["y"].values.tolist() == [1.5]
    assert levels_of(found["g"]) == ["a"]


@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        (".csv", lambda t, p: t.to_csv(p, index=False)),
        (".csv.gz", lambda t, p: t.to_csv(p, index=False)),
        (".tsv", lambda t, p: t.to_csv(p, index=False, sep="\t")),
        (".parquet", lambda t, p: t.to_parquet(p)),
        (".feather", lambda t, p: t.to_feather(p)),
        (".arrow", lambda t, p: pl.from_pandas(t).write_ipc(p)),
        (".ipc", lambda t, p: pl.from_pandas(t).write_ipc_stream(p)),
    ],
)
@pytest.mark.parametrize("as_text", [True, False])
def test_files(tmp_path, suffix, write, as_text):
    path = tmp_path / f"data{suffix}"
    write(pd.DataFrame(PLAIN), path)
    found = read_columns(str(path) if as_text else path)
    check_plain(found)
    assert found.frame == FrameKind("pandas")
    assert list(read_columns(path, ["g"]).columns) == ["g"]


def test_parquet_keeps_declared_levels(tmp_path):
    table = pd.DataFrame({"g": pd.Categorical(["b", None], categories=["b", "unused", "a"])})
    table.to_parquet(tmp_path / "g.parquet")
    found = read_columns(tmp_path / "g.parquet")["g"]
    assert found.values.tolist() == [0, -1]
    assert levels_of(found) == ["b", "unused", "a"]


def test_csv_missing_values_and_the_level_none(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\ufeffa,b,c\nNA,None,x\n4,high,\n")
    found = read_columns(path)
    np.testing.assert_array_equal(found["a"].values, [NAN, 4])
    assert levels_of(found["b"]) == ["None", "high"]
    assert found["c"].values.tolist() == [0, -1]


def test_csv_numbers_read_back_exactly(tmp_path):
    values = np.random.default_rng(1).normal(size=200) * 10.0 ** np.arange(-100, 100)
    (tmp_path / "x.csv").write_text("x\n" + "\n".join(map(repr, values.tolist())))
    np.testing.assert_array_equal(read_columns(tmp_path / "x.csv")["x"].values, values)


def test_csv_of_a_spreadsheet_with_decimal_commas(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\ufeffHöhe (m);Käfer;Ort\n1730,9;6;a,b\n;0;c\n-2;1;3,5\n", encoding="utf-8")
    found = read_columns(path)
    np.testing.assert_array_equal(found["Höhe (m)"].values, [1730.9, NAN, -2])
    np.testing.assert_array_equal(found["Käfer"].values, [6, 0, 1])
    assert levels_of(found["Ort"]) == ["3,5", "a,b", "c"]


def test_text_file_is_cut_where_its_header_can_be(tmp_path):
    (tmp_path / "a.txt").write_text("a,b\n1,2\n")
    assert read_columns(tmp_path / "a.txt")["b"].values.tolist() == [2]
    (tmp_path / "a.csv").write_text("a;b,c\n1,2\n")
    assert list(read_columns(tmp_path / "a.csv").columns) == ["a;b", "c"]


BAD_FILES = {
    "longer row": ("a.csv", b"a,b\n1,2\n1,2,3\n", "line 3"),
    "longer rows": ("a.csv", b"a,b\n1,2,3\n1,2,3\n", r"more fields than the header \(2\)"),
    "empty": ("a.csv", b"", "cannot be read"),
    "header only": ("a.csv", b"a,b\n", "no rows"),
    "names twice": ("a.csv", b"a,a\n1,2\n", "'a' occurs more than once"),
    "not UTF-8": ("a.csv", b"a\n\xff\xfe\n", "a.csv cannot be read: 'utf-8'.*cp1252"),
    "not gzip": ("a.csv.gz", b"a,b\n1,2\n", "a.csv.gz cannot be read"),
    "not Parquet": ("a.parquet", b"a,b\n1,2\n", "a.parquet cannot be read"),
    "not Arrow": ("a.arrow", b"a,b\n1,2\n", "a.arrow cannot be read"),
    "spreadsheet": ("a.xlsx", b"", "'.xlsx' are not read"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files(tmp_path, kind):
    name, content, words = BAD_FILES[kind]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_columns(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("pyarrow", None),
        ("pyarrow polars", r"needs pyarrow: pip install 'mixedeffects\[files\]'"),
    ],
)
def test_parquet_without_pyarrow(tmp_path, monkeypatch, module, words):
    from mixedeffects.data import sources

    pl.DataFrame(PLAIN).write_parquet(tmp_path / "a.parquet")
    monkeypatch.setattr(sources, "find_spec", lambda name: None if name in module else name)
    if words is None:
        check_plain(read_columns(tmp_path / "a.parquet"))
    else:
        with pytest.raises(DataError, match=words):
            read_columns(tmp_path / "a.parquet")


BAD_DATA = {
    "None": (None, "no data"),
    "integer": (5, "type int cannot be read; give a pandas"),
    "list": ([1, 2], "type list"),
    "records": ([{"a": 1}], "list of records"),
    "matrix": (np.zeros((2, 2)), "Give the columns names"),
    "pandas series": (pd.Series([1]), "as in {'y': series}"),
    "polars series": (pl.Series([1]), "as in {'y': series}"),
    "arrow column": (pa.chunked_array([[1]]), "as in {'y': series}"),
    "formula": ("y ~ x", "are a formula"),
    "missing file": ("nowhere/data.csv", "no file 'nowhere/data.csv'"),
    "name of a data set": ("sleepstdy", r"mixedeffects.datasets.load\('sleepstudy'\)"),
    "no columns": ({}, "no columns"),
    "no rows": ({"a": []}, "no rows"),
    "empty pandas": (pd.DataFrame(), "no columns"),
    "pandas without rows": (pd.DataFrame({"a": []}), "no rows"),
    "polars without rows": (pl.DataFrame({"a": []}), "no rows"),
    "arrow without rows": (pa.table({"a": pa.array([], pa.string())}), "no rows"),
    "unequal lengths": ({"a": [1], "b": [1, 2]}, "differ in length: 'a' has 1, 'b' has 2"),
    "names twice": (pd.DataFrame([[1, 2]], columns=["a", "a"]), "'a' occurs more than once"),
    "names twice as text": (pd.DataFrame([[1, 2]], columns=[1, "1"]), "'1' occurs more than once"),
    "keys twice as text": ({1: [1], "1": [2]}, "not distinct"),
}


@pytest.mark.parametrize("kind", BAD_DATA)
def test_bad_data(kind):
    data, words = BAD_DATA[kind]
    with pytest.raises(DataError, match=words):
        read_columns(data)


def test_unknown_column_is_suggested():
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'Subject'") as caught:
        read_columns({"Subject": [1], "Days": [2]}, ["Subjct"])
    assert caught.value.column == "Subjct"
    assert caught.value.available == ("Subject", "Days")
    with pytest.raises(ColumnNotFoundError, match="The data have: Subject, Days"):
        read_columns({"Subject": [1], "Days": [2]}, ["Days"])["Reaction"]


def test_names_that_are_not_text():
    found = read_columns(pd.DataFrame({1: [1.5], ("a", "b"): [2]}), ["1"])
    assert found["1"].values.tolist() == [1.5]
    assert read_columns({7: [1]})["7"].values.tolist() == [1]


# ---- Columns --------------------------------------------------------------------------------


def test_pandas_index_is_carried():
    index = pd.Index(["a", "a", "b"])
    found = read_columns(pd.DataFrame({"x": [1, 2, 3]}, index=index))
    assert found.frame.index is index
    assert found["x"].values.tolist() == [1, 2, 3]
    assert found.take(np.array([2, 0])).frame.index.tolist() == ["b", "a"]


def test_take_and_select():
    found = read_columns({"y": [1.5, 2.5, 3.5], "k": [2**60, 2**60 + 1, 2**60 + 1]})
    for rows in (np.array([2, 0]), np.array([True, False, True])):
        part = found.take(rows)
        assert part.n_rows == 2
        assert part["y"].values.tolist() == found["y"].values[rows].tolist()
        assert levels_of(part["k"].as_group()) == [2**60, 2**60 + 1]
    assert list(found.select(["k"]).columns) == ["k"]
    assert "k" in found
    assert "y" not in found.select(["k"])
    assert read_columns(found) is found
    assert list(read_columns(found, ["y"]).columns) == ["y"]


def test_source_reads_on_demand():
    source = open_source({"y": [1.5], "x": [2]})
    assert source.names == ("y", "x")
    assert list(read_columns(source, ["x"]).columns) == ["x"]


def test_pickle():
    found = pickle.loads(pickle.dumps(read_columns(pd.DataFrame(PLAIN))))
    assert isinstance(found, Columns)
    check_plain(found)


def test_floats_are_not_copied():
    values = np.arange(4.0)
    assert np.shares_memory(column(values).values, values)
    frame = pd.DataFrame({"x": values})
    assert np.shares_memory(read_columns(frame)["x"].values, frame["x"].to_numpy())
    series = pl.Series(values)
    assert np.shares_memory(column(series).values, series.to_numpy())


def test_nothing_heavy_is_imported():
    code = (
        "import sys, mixedeffects.data.frames, mixedeffects.data.datasets as d; d.read('oats');"
        "print([m for m in ('pandas', 'polars', 'pyarrow', 'narwhals') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


# ---- tables back ----------------------------------------------------------------------------

RESULT = {
    "term": ["Intercept", "Days"],
    "level": np.array(["308", None], object),
    "estimate": np.array([251.4, np.nan]),
    "df": np.array([17, 18]),
    "singular": np.array([True, False]),
    "partial": [1.5, None],
}


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_tables_go_back_in_the_users_library(backend):
    table = make_table(RESULT, FrameKind(backend))
    types = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.Table}
    assert type(table) is types[backend]
    found = read_columns(table)
    assert found.available == tuple(RESULT)
    assert found.frame.backend == backend
    assert levels_of(found["term"]) == ["Days", "Intercept"]
    assert found["level"].values.tolist() == [0, -1]
    np.testing.assert_array_equal(found["estimate"].values, [251.4, NAN])
    assert found["df"].dtype_kind == "integer"
    assert found["singular"].dtype_kind == "boolean"
    np.testing.assert_array_equal(found["partial"].values, [1.5, NAN])


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_levels_of_several_types_become_text(backend):
    found = read_columns(make_table({"level": [308, "A", np.int64(3)]}, FrameKind(backend)))
    assert levels_of(found["level"]) == ["3", "308", "A"]
    found = read_columns(make_table({"x": [1, np.float64(2.5)]}, FrameKind(backend)))
    assert found["x"].values.tolist() == [1, 2.5]


def test_table_with_the_index_of_the_data():
    frame = pd.DataFrame({"x": [1, 2]}, index=["p", "q"])
    kind = read_columns(frame).frame
    table = make_table({"fitted": np.array([1.0, 2.0])}, kind, index=kind.index)
    assert table.index.tolist() == ["p", "q"]
    assert make_table({"fitted": np.array([1.0])}, kind).index.tolist() == [0]
