"""A fitted design is replayed on new data: levels, knots, centres, contrasts."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from mixedeffects.errors import ColumnNotFoundError, DataError, NewLevelError
from mixedeffects.formula import build_design

N = 60


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(11)
    return pd.DataFrame(
        {
            "y": rng.normal(10, 1, N),
            "x": rng.uniform(1, 5, N),
            "f": pd.Categorical(np.resize(list("bca"), N), categories=list("cab")),
            "h": np.resize(["u", "u", "u", "v", "v", "v"], N),
            "year": np.resize([1995, 1996, 1997, 1997], N),
            "flag": np.resize([True, False, False], N),
            "g": np.repeat(np.arange(10), 6),
        }
    )


@pytest.mark.parametrize(
    "terms",
    [
        "x*f",
        "poly(x, 3)*f",
        "poly(log(x), 2)",
        "bs(x, df=4):h",
        "ns(x, df=3)",
        "cs(x, df=4)",
        "cc(x, df=4)",
        "scale(x):f",
        "center(x)",
        "I(scale(x)^2)",
        "log(scale(x, center=FALSE))",
        "C(f, contr.sum)*C(h, contr.helmert)",
        "C(year, contr.poly)",
        "factor(year):x",
        "C(f, contr.treatment('b'))",
        "flag*x",
        "I(f == 'b')",
        "0 + f:h",
    ],
)
def test_new_data_see_what_the_fit_has_learned(terms, data):
    design = build_design(f"y ~ {terms} + offset(log(x)) + ({terms} | g)", data)
    for rows in (np.arange(N), np.array([5]), np.array([40, 3, 17, 3])):
        new = design.spec.apply(data.iloc[rows], need_response=True)
        np.testing.assert_allclose(new.X, design.X[rows], rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(
            new.random[0].values, design.random[0].values[rows], rtol=1e-13, atol=1e-13
        )
        np.testing.assert_array_equal(new.random[0].codes, design.random[0].codes[rows])
        np.testing.assert_array_equal(new.y, design.y[rows])
        np.testing.assert_array_equal(new.offset, design.offset[rows])
        assert new.n_rows == len(rows)
        assert new.complete.all()


def test_replay_leaves_the_design_as_it_was(data):
    design = build_design("y ~ poly(x, 2) + bs(x, df=4) + scale(x) + (1 | g)", data)
    design.spec.apply(data.iloc[:7])
    np.testing.assert_array_equal(design.spec.apply(data).X, design.X)


def test_other_frames_and_types(data):
    design = build_design("y ~ f + h + (x | g)", data)
    frames = [
        pl.from_pandas(data.head(7)),
        {name: data[name].tolist()[:7] for name in data},
        data.head(7).astype({"f": str, "g": str}),
        data.head(7).astype({"g": float}),
        data.head(7).assign(f=data["f"].cat.set_categories(list("zabc"))),
        data.head(7).drop(columns="y"),
    ]
    for frame in frames:
        new = design.spec.apply(frame)
        np.testing.assert_array_equal(new.X, design.X[:7])
        np.testing.assert_array_equal(new.random[0].codes, design.random[0].codes[:7])
    assert design.spec.apply(frames[0]).frame.backend == "polars"


def test_missing_rows_become_nan(data):
    design = build_design("y ~ x + f + (x | g)", data)
    new_data = data.head(6).copy()
    new_data.loc[1, "x"] = np.nan
    new_data.loc[2, "f"] = None
    new_data["g"] = new_data["g"].astype("Int64")
    new_data.loc[4, "g"] = pd.NA
    new = design.spec.apply(new_data)
    assert new.complete.tolist() == [True, False, False, True, False, True]
    np.testing.assert_array_equal(np.isnan(new.X).all(1), ~new.complete)
    np.testing.assert_array_equal(new.X[new.complete], design.X[:6][new.complete])
    assert new.random[0].codes[[1, 2, 4]].tolist() == [-1, -1, -1]
    population = design.spec.apply(new_data, random=False)
    assert population.complete.tolist() == [True, False, False, True, True, True]
    assert population.random == ()


def test_no_complete_row(data):
    design = build_design("y ~ bs(x, df=4) + f + (x | g)", data)
    new = design.spec.apply(data.head(2).assign(x=np.nan))
    assert np.isnan(new.X).all()
    assert new.X.shape == (2, design.X.shape[1])


def test_population_needs_no_columns_of_the_random_part(data):
    design = build_design("y ~ x + (h | g)", data)
    assert design.spec.apply({"x": [1.0, 2.0]}, random=False).X.tolist() == [[1, 1], [1, 2]]
    with pytest.raises(ColumnNotFoundError, match="Column 'h'"):
        design.spec.apply({"x": [1.0, 2.0]})


def test_population_of_an_intercept_counts_rows(data):
    design = build_design("y ~ 1 + (1 | g)", data)
    new = design.spec.apply({"anything": ["a", "b", None]}, random=False)
    assert new.X.tolist() == [[1], [1], [1]]
    assert new.complete.all()


# ---- new levels ------------------------------------------------------------------------------


def test_new_level_of_a_fixed_factor(data):
    design = build_design("y ~ f + factor(year) + (1 | g)", data)
    with pytest.raises(NewLevelError, match=r"'f' has 'q', which.*levels are 'c', 'a', 'b'"):
        design.spec.apply({"f": ["a", "q"], "year": [1995, 1996]}, random=False)
    with pytest.raises(NewLevelError, match="'year' has '2001'"):
        design.spec.apply({"f": ["a", "b"], "year": [1995, 2001]}, random=False)


def test_new_level_of_a_group(data):
    design = build_design("y ~ x + (1 | g) + (1 | g:h)", data)
    new_data = {"x": [1.0, 2.0, 3.0, 4.0], "g": [3, 77, 78, 77], "h": ["u", "u", "v", "u"]}
    with pytest.raises(NewLevelError, match="Group 'g:h' has '77:u', '78:v'"):
        design.spec.apply(new_data)
    for mode in ("population", "sample"):
        crossed, single = design.spec.apply(new_data, new_levels=mode).random
        assert single.label == "1 | g"
        assert single.new_levels.tolist() == [77, 78]
        assert single.codes.tolist() == [3, -1, -1, -1]
        assert single.new_codes.tolist() == [-1, 0, 1, 0]
        assert crossed.new_levels.tolist() == ["77:u", "78:v"]
        assert crossed.codes[0] >= 0
        assert crossed.codes[1:].tolist() == [-1, -1, -1]


def test_new_combination_of_known_levels(data):
    kept = data[~((data["g"] == 3) & (data["h"] == "u"))]
    design = build_design("y ~ x + (1 | g:h)", kept)
    new = design.spec.apply(
        {"x": [1.0, 1.0], "g": [3, 3], "h": ["u", "v"]}, new_levels="population"
    ).random[0]
    assert new.codes.tolist() == [-1, design.random[0].levels.tolist().index("3:v")]
    assert new.new_levels.tolist() == ["3:u"]


def test_new_time_point(data):
    design = build_design("y ~ x + ar1(year | g)", data)
    new = design.spec.apply(data.head(3)).random[0]
    np.testing.assert_array_equal(new.values, design.random[0].values[:3])
    with pytest.raises(NewLevelError, match="Column 'year' has a time point in row 1"):
        design.spec.apply({"x": [1.0, 2.0], "g": [1, 1], "year": [1995, 2020]})


# ---- what does not fit the fit ---------------------------------------------------------------


def test_kind_of_column_has_changed(data):
    design = build_design("y ~ x + (1 | g)", data)
    with pytest.raises(DataError, match="'x' held numbers when the model was fitted"):
        design.spec.apply({"x": ["a", "b"]}, random=False)


def test_categories_of_numbers_may_come_back_as_numbers(data):
    design = build_design("y ~ year + (1 | g)", data.astype({"year": "category"}))
    assert design.x_names == ("Intercept", "year[T.1996]", "year[T.1997]")
    new = design.spec.apply({"year": [1997, 1995]}, random=False)
    assert new.X.tolist() == [[1, 0, 1], [1, 0, 0]]


def test_numbers_as_levels_are_compared_as_numbers(data):
    doses = data.assign(dose=np.resize([0.5, 1.0, 2.0], N))
    design = build_design("y ~ factor(dose) + (1 | g)", doses)
    new = design.spec.apply(pd.DataFrame({"dose": [1, 2]}), random=False)  # whole numbers alone
    np.testing.assert_array_equal(new.X, [[1, 1, 0], [1, 0, 1]])


def test_b_splines_refuse_to_leave_the_fitted_range(data):
    design = build_design("y ~ bs(x, df=4) + (1 | g)", data)
    with pytest.raises(DataError, match=r"outside of the fitted range.*ns\(\)"):
        design.spec.apply({"x": [99.0]}, random=False)
    extended = build_design("y ~ bs(x, df=4, extrapolation='extend') + (1 | g)", data)
    assert np.isfinite(extended.spec.apply({"x": [5.5]}, random=False).X).all()


def test_transformation_not_finite_in_new_data(data):
    design = build_design("y ~ log(x) + (1 | g)", data)
    with pytest.raises(DataError, match=r"Term 'log\(x\)' is not finite in row 1"):
        design.spec.apply({"x": [1.0, -1.0]}, random=False)


def test_offset_argument(data):
    by_name = build_design("y ~ 1 + (1 | g)", data, offset="x")
    np.testing.assert_array_equal(
        by_name.spec.apply({"x": [1.0, 2.0]}, random=False).offset, [1, 2]
    )
    by_value = build_design("y ~ 1 + (1 | g)", data, offset=data["x"])
    with pytest.raises(DataError, match="fitted with an array as offset"):
        by_value.spec.apply(data)
    given = by_value.spec.apply(data, offset=np.arange(N, dtype=float))
    np.testing.assert_array_equal(given.offset, np.arange(N))
    with pytest.raises(DataError, match="offset has shape"):
        by_value.spec.apply(data, offset=[1.0])
