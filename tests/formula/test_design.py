"""Rows, response, weights, offsets, groups and random terms of a design."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mixedeffects.errors import (
    ColumnNotFoundError,
    DataError,
    FormulaError,
    MissingValueError,
)
from mixedeffects.formula import build_design

N = 24


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "y": rng.normal(10, 1, N),
            "x": rng.uniform(1, 5, N),
            "w": rng.uniform(1, 2, N),
            "f": np.resize(["a", "b", "c"], N),
            "g": np.repeat([30, 10, 20, 40], 6),
            "h": np.resize(["u", "v"], N),
            "t": np.resize([1, 2, 3, 5, 8, 9], N),
            "flag": np.resize([True, False, False], N),
        },
        index=pd.Index(range(100, 100 + N)),
    )


def test_plain(data):
    design = build_design("y ~ x + (x | g)", data)
    np.testing.assert_array_equal(design.y, data["y"])
    np.testing.assert_array_equal(design.X, np.column_stack([np.ones(N), data["x"]]))
    assert design.has_intercept
    assert design.weights is None
    assert design.offset is None
    assert design.formula == "y ~ x + (x | g)"
    assert design.response == "y"
    (random,) = design.random
    assert (random.label, random.group, random.structure) == ("x | g", "g", "us")
    assert random.names == ("Intercept", "x")
    assert random.matrix is None
    assert random.values.flags.c_contiguous
    assert random.codes.dtype == np.int32
    np.testing.assert_array_equal(random.levels, [10, 20, 30, 40])
    np.testing.assert_array_equal(random.levels[random.codes], data["g"])


@pytest.mark.parametrize("missing_in", [None, ("y", 2), ("f", 5), ("x", 0)])
def test_frames_of_all_kinds_give_the_same_arrays(missing_in, data):
    if missing_in is not None:
        data.iloc[missing_in[1], data.columns.get_loc(missing_in[0])] = None
    formula = "log(y) ~ x*f + flag + (x || g) + (1 | g:h) + (0 + f | h)"
    frames = [
        data,
        pl.from_pandas(data),
        pa.Table.from_pandas(data, preserve_index=False),
        {name: data[name].to_numpy() for name in data},
        {name: data[name].tolist() for name in data},
    ]
    designs = [build_design(formula, frame) for frame in frames]
    for other in designs[1:]:
        np.testing.assert_array_equal(other.X, designs[0].X)
        np.testing.assert_array_equal(other.y, designs[0].y)
        assert other.x_names == designs[0].x_names
        assert other.dropped == designs[0].dropped
        for a, b in zip(other.random, designs[0].random, strict=True):
            np.testing.assert_array_equal(a.values, b.values)
            np.testing.assert_array_equal(a.codes, b.codes)
            assert [str(v) for v in a.levels] == [str(v) for v in b.levels]


def test_missing_rows_are_dropped_together_and_counted(data):
    data.loc[101, "y"] = np.nan
    data.loc[[101, 105], "x"] = np.nan
    data.loc[110, "f"] = None
    data["g"] = data["g"].astype("Int64")
    data.loc[112, "g"] = pd.NA
    design = build_design("y ~ x + (f | g)", data)
    assert design.dropped == {"y": 1, "x": 2, "f": 1, "g": 1}
    assert design.n_rows == N
    assert len(design.y) == N - 4
    np.testing.assert_array_equal(design.rows, np.setdiff1d(np.arange(N), [1, 5, 10, 12]))
    np.testing.assert_array_equal(design.y, data["y"].to_numpy()[design.rows])
    with pytest.raises(MissingValueError, match=r"'y' \(1\), 'x' \(2\).*first in row 1"):
        build_design("y ~ x + (f | g)", data, missing="error")
    with pytest.raises(ValueError, match="'drop' or 'error'"):
        build_design("y ~ x + (1 | g)", data, missing="ignore")


def test_columns_not_used_may_be_missing(data):
    data["other"] = np.nan
    assert build_design("y ~ x + (1 | g)", data).dropped == {}


def test_no_row_left(data):
    with pytest.raises(DataError, match=r"No row is without missing values.*'x' \(24\)"):
        build_design("y ~ x + (1 | g)", data.assign(x=np.nan))


# ---- response --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("log(y)", lambda d: np.log(d["y"])),
        ("y/100", lambda d: d["y"] / 100),
        ("I(y^2)", lambda d: d["y"] ** 2),
        ("`y`", lambda d: d["y"]),
        ("y - x", lambda d: d["y"] - d["x"]),
        ("t", lambda d: d["t"]),
    ],
)
def test_response(response, expected, data):
    y = build_design(f"{response} ~ w + (1 | g)", data).y
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, expected(data))


@pytest.mark.parametrize(
    ("formula", "error", "words"),
    [
        ("f ~ x + (1 | g)", DataError, "response column 'f' holds text"),
        ("flag ~ x + (1 | g)", DataError, "holds booleans.*convert it to numbers"),
        ("log(f) ~ x + (1 | g)", DataError, "response column 'f' holds text"),
        ("log(x - 3) ~ w + (1 | g)", DataError, "response 'log(x - 3)' is not finite in row"),
        ("cbind(t, x) ~ w + (1 | g)", FormulaError, "family 'binomial'"),
        ("y ~ x", FormulaError, "add one, such as (1 | group)"),
        ("y ~ x + (1 | y)", FormulaError, "the response 'y' is also in the random term"),
        ("y ~ x + (y | g)", FormulaError, "the response 'y' is also in the random term"),
        ("y ~ y + (1 | g)", FormulaError, "the response 'y' is also on the right side"),
        ("y ~ X + (1 | g)", ColumnNotFoundError, "Did you mean 'x'?"),
        ("y ~ x + (1 | gg)", ColumnNotFoundError, "Did you mean 'g'?"),
        ("y ~ x + (slope | g)", ColumnNotFoundError, "The data have: y, x"),
        ("Y2 ~ x + (1 | g)", ColumnNotFoundError, "Column 'Y2'"),
    ],
)
def test_refusals(formula, error, words, data):
    with pytest.raises(error) as caught:
        build_design(formula, data)
    if ".*" in words:
        assert all(part in str(caught.value) for part in words.split(".*"))
    else:
        assert words in str(caught.value)


def test_infinite_response(data):
    data.loc[103, "y"] = -np.inf
    with pytest.raises(DataError, match="Column 'y' is infinite in row 3"):
        build_design("y ~ x + (1 | g)", data)


def test_without_random_terms_on_request(data):
    assert build_design("y ~ x", data, require_random=False).random == ()


# ---- weights and offsets ---------------------------------------------------------------------


def test_weights(data):
    by_name = build_design("y ~ x + (1 | g)", data, weights="w").weights
    for given in (data["w"], data["w"].to_numpy(), data["w"].tolist()):
        by_value = build_design("y ~ x + (1 | g)", data, weights=given).weights
        np.testing.assert_array_equal(by_value, by_name)


def test_missing_weights_drop_rows(data):
    weights = data["w"].to_numpy(copy=True)
    weights[4] = np.nan
    design = build_design("y ~ x + (1 | g)", data, weights=weights)
    assert design.dropped == {"weights": 1}
    assert len(design.weights) == N - 1
    assert 4 not in design.rows


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (np.r_[1.0, 0.0, np.ones(N - 2)], "weights is zero in row 1"),
        (np.r_[1.0, -2.0, np.ones(N - 2)], "weights is negative in row 1"),
        (np.r_[np.ones(N - 1), np.inf], "weights is infinite in row 23"),
        (np.ones(3), "weights has shape (3,), but the data have 24 rows"),
        (2.0, "weights has shape ()"),
        (["a"] * N, "weights must be a column's name or real numbers"),
        ("f", "weights: column 'f' holds text"),
        ("W", "Did you mean 'w'?"),
    ],
)
def test_bad_weights(weights, words, data):
    with pytest.raises(DataError) as caught:
        build_design("y ~ x + (1 | g)", data, weights=weights)
    assert words in str(caught.value)


def test_zero_weight_in_a_column_names_it(data):
    data.loc[102, "w"] = 0
    with pytest.raises(DataError, match=r"weights: column 'w' is zero in row 2.*drop it"):
        build_design("y ~ x + (1 | g)", data, weights="w")


def test_offsets_add_up(data):
    design = build_design("y ~ x + offset(log(w)) + offset(t) + (1 | g)", data, offset="x")
    np.testing.assert_allclose(design.offset, np.log(data["w"]) + data["t"] + data["x"])
    assert design.x_names == ("Intercept", "x")
    constant = build_design("y ~ x + offset(I(2)) + (1 | g)", data)
    np.testing.assert_array_equal(constant.offset, np.full(N, 2.0))


def test_offset_that_is_not_finite(data):
    with pytest.raises(DataError, match=r"offset\(log\(x - 3\)\) is not finite in row"):
        build_design("y ~ x + offset(log(x - 3)) + (1 | g)", data)


# ---- random terms ----------------------------------------------------------------------------


def test_terms_are_ordered_by_levels(data):
    design = build_design("y ~ x + (1 | h) + (1 | g/f) + (0 + x | h)", data)
    assert [r.label for r in design.random] == ["1 | g:f", "1 | g", "1 | h", "0 + x | h"]
    assert [len(r.levels) for r in design.random] == [12, 4, 2, 2]


def test_interactions_of_groups_have_the_levels_that_occur(data):
    data = data[~((data["g"] == 10) & (data["h"] == "u"))]
    random = build_design("y ~ x + (1 | g:h)", data).random[0]
    assert random.group == "g:h"
    assert random.levels.tolist() == ["10:v", "20:u", "20:v", "30:u", "30:v", "40:u", "40:v"]
    labels = data["g"].astype(str) + ":" + data["h"]
    assert random.levels[random.codes].tolist() == labels.tolist()


def test_deep_nesting_and_many_levels():
    rng = np.random.default_rng(0)
    n = 500
    data = {name: rng.integers(0, 10**6, n) for name in "abcde"} | {"y": rng.normal(size=n)}
    random = build_design("y ~ 1 + (1 | a/b/c/d/e)", data).random
    for term in random:
        columns = term.group.split(":")
        labels = [":".join(str(data[c][i]) for c in columns) for i in range(n)]
        assert term.levels[term.codes].astype(str).tolist() == labels


@pytest.mark.parametrize(
    "group",
    [
        np.repeat([1.5, 0.5, 2.5, 9.5], 6),
        np.repeat(["b", "a", "d", "c"], 6),
        np.repeat(np.array(["2024-02-02", "2024-01-01", "2024-03-01", "2025-01-01"], "M8[D]"), 6),
        np.repeat([True, False], 12),
        pd.Categorical(
            np.repeat(["b", "a", "d", "c"], 6), categories=["d", "unused", "c", "b", "a"]
        ),
    ],
)
def test_groups_of_any_kind(group, data):
    random = build_design("y ~ x + (1 | g)", data.assign(g=group)).random[0]
    assert [str(v) for v in random.levels[random.codes]] == [
        str(v) for v in pd.Series(group).tolist()
    ] or np.array_equal(random.levels[random.codes], np.asarray(group))
    if isinstance(group, pd.Categorical):
        assert random.levels.tolist() == ["d", "c", "b", "a"]


def test_unused_level_of_a_group_is_noted(data):
    group = pd.Categorical(np.repeat(["b", "a", "d", "c"], 6), categories=list("abcdef"))
    notes = build_design("y ~ x + (1 | g)", data.assign(g=group)).notes
    assert notes == ("Column 'g': 'e', 'f' not among the rows used and left out of its levels.",)


def test_group_of_a_single_level(data):
    with pytest.raises(DataError, match="Group 'g' has a single level, '1'"):
        build_design("y ~ x + (1 | g)", data.assign(g=1))


@pytest.mark.parametrize(
    "terms",
    [
        "(1 | g) + (1 | g)",
        "(1 | g) + (x | g)",
        "(x || g) + (0 + x | g)",
        "(1 | g:h) + (1 | h:g)",
        "(1 | g) + (1 | g/h)",
        "ar1(f | g) + (0 + f | g)",
        "cs(0 + f | g) + cs(0 + f | g)",
    ],
)
def test_the_same_effect_twice(terms, data):
    with pytest.raises(FormulaError, match="in two terms"):
        build_design(f"y ~ x + {terms}", data)


@pytest.mark.parametrize(
    "terms",
    [
        "(1 | g) + (0 + x | g)",
        "(1 | g) + diag(0 + f | g)",
        "(1 | g) + ar1(f | g)",
        "ar1(f | g) + id(0 + f | g)",
        "(1 | g) + (1 | g:h)",
    ],
)
def test_different_effects_of_one_group(terms, data):
    assert len(build_design(f"y ~ x + {terms}", data).random) == 2


# ---- time structures -------------------------------------------------------------------------


@pytest.mark.parametrize("effects", ["t", "0 + t", "t + 0", "t - 1"])
@pytest.mark.parametrize("structure", ["ar1", "toep"])
def test_time_points_of_numbers(effects, structure, data):
    random = build_design(f"y ~ x + {structure}({effects} | g)", data).random[0]
    assert random.names == ("t[1]", "t[2]", "t[3]", "t[5]", "t[8]", "t[9]")
    np.testing.assert_array_equal(random.positions, [1, 2, 3, 5, 8, 9])
    np.testing.assert_array_equal(random.positions[random.values.argmax(1)], data["t"])
    np.testing.assert_array_equal(random.values.sum(1), 1)


def test_time_points_of_a_factor_keep_gaps(data):
    times = pd.Categorical(data["f"], categories=["a", "gap", "b", "c"])
    random = build_design("y ~ x + ar1(f | g)", data.assign(f=times)).random[0]
    assert random.names == ("f[a]", "f[b]", "f[c]")
    np.testing.assert_array_equal(random.positions, [0, 2, 3])


@pytest.mark.parametrize(
    ("term", "error", "words"),
    [
        ("ar1(1 | g)", FormulaError, "one column of time points"),
        ("ar1(t + f | g)", FormulaError, "one column of time points"),
        ("ar1(log(t) | g)", FormulaError, "one column of time points"),
        ("ar1(x | g)", DataError, "whole time points, but column 'x' is"),
        ("ar1(one | g)", DataError, "single time point"),
    ],
)
def test_time_points_refused(term, error, words, data):
    with pytest.raises(error) as caught:
        build_design(f"y ~ x + {term}", data.assign(one=1))
    assert words in str(caught.value)


def test_pickles(data):
    design = build_design("y ~ poly(x, 2)*f + C(h, contr.sum) + (x | g) + (1 | g:h)", data)
    again = pickle.loads(pickle.dumps(design))
    np.testing.assert_array_equal(again.X, design.X)
    np.testing.assert_array_equal(again.spec.apply(data).X, design.X)


def numbers_as_text(values, rows=12):
    return {"y": np.arange(rows) / 3, "x": values, "g": np.arange(rows) % 3}


def test_a_factor_that_may_have_been_numbers_is_noted():
    ages = [str(40 + i % 4) for i in range(11)]
    (note,) = build_design("y ~ x + (1 | g)", numbers_as_text([*ages, "?"])).notes
    assert "'x' holds text" in note
    assert "all but '?' are numbers" in note
    # declared so, as people do who want levels
    assert build_design("y ~ x + (1 | g)", numbers_as_text([*ages, "43"])).notes == ()
    assert build_design("y ~ 1 + (1 | x)", numbers_as_text([*ages, "?"])).notes == ()


@pytest.mark.parametrize("of_type", [str, np.datetime64])
def test_dates_as_levels_are_noted(of_type):
    days = np.array([of_type(f"2024-03-{day:02}") for day in range(1, 13)])
    (note,) = build_design("y ~ x + (1 | g)", numbers_as_text(days)).notes
    assert "12 in 12 rows" in note
    assert "days since the first" in note


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([*map(str, range(11)), "n.d."], "All but 'n.d.' are numbers: leave such cells empty"),
        ([f"{i},5" for i in range(12)], "numbers are written as text.*decimal=','"),
    ],
)
def test_a_response_that_was_read_as_text(values, says):
    with pytest.raises(DataError, match=says):
        build_design("x ~ y + (1 | g)", numbers_as_text(values))


def test_groups_that_are_the_same_are_noted():
    data = {
        "y": np.arange(12.0),
        "child": np.repeat([1, 2, 3, 4], 3),
        "school": np.repeat(["a", "a", "b", "b"], 3),
        "parent": np.repeat(["w", "z", "x", "y"], 3),
    }
    (note,) = build_design("y ~ 1 + (1 | child/school)", data).notes
    assert note.startswith("'child' and 'child:school' group the rows in the same way")
    assert len(build_design("y ~ 1 + (1 | child) + (1 | parent)", data).notes) == 1
    assert build_design("y ~ 1 + (1 | school/child)", data).notes == ()
    known = {"K": pd.DataFrame(np.eye(4), list("wzxy"), list("wzxy"))}
    terms = "known(1 | parent, K) + (1 | child)"
    assert build_design(f"y ~ 1 + {terms}", data, known=known).notes == ()
