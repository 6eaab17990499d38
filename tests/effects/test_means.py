"""Marginal means: their definition, weights, codings, scales, and what is refused."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixedeffects as me
from mixedeffects.errors import DataError, ModelError


def make_data(seed=7, n=240):
    """Unbalanced: cells of different sizes, a covariate related to the factors."""
    rng = np.random.default_rng(seed)
    a = rng.choice(["u", "v", "w"], n, p=[0.5, 0.3, 0.2])
    b = rng.choice(["no", "yes"], n, p=[0.65, 0.35])
    x = rng.normal(3.0 + (a == "v"), 1.0)
    g = rng.integers(0, 15, n)
    effect = pd.Series(a).map({"u": 0.0, "v": 0.5, "w": 1.5}).to_numpy()
    y = 4 + effect * (1 + (b == "yes")) + 0.4 * x + rng.normal(size=15)[g] + rng.normal(size=n)
    return pd.DataFrame(
        {
            "y": y,
            "z": np.exp(0.3 * y),
            "a": a,
            "b": b,
            "x": x,
            "g": g,
            "dose": rng.choice([0.5, 1.0, 2.0], n),
            "flag": rng.random(n) < 0.4,
            "day": rng.choice(np.array(["2024-03-01", "2024-03-05"], "datetime64[ns]"), n),
            "o": rng.normal(2.0, 0.5, n),
            "w": rng.integers(1, 4, n).astype(float),
        }
    )


@pytest.fixture(scope="module")
def data():
    return make_data()


@pytest.fixture(scope="module")
def fit(data):
    return me.fit("y ~ a*b + x*b + (1 | g)", data)


def grid_average(fit, data, by, weights=None, **values):
    """Population predictions over all combinations, averaged by hand."""
    axes = {"a": ["u", "v", "w"], "b": ["no", "yes"], "x": [data["x"].mean()], **values}
    grid = pd.DataFrame(list(itertools.product(*axes.values())), columns=list(axes))
    grid["o"] = 0.0
    grid["estimate"] = fit.predict(grid, random="population")
    grid["weight"] = 1.0 if weights is None else weights(grid)
    return grid.groupby(by, sort=False).apply(
        lambda d: np.average(d["estimate"], weights=d["weight"]), include_groups=False
    )


# -- definition ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "terms", ["a*b + x", "a*b*x", "a + b + poly(x, 2):b", "b + a:bs(x, df=4)", "0 + a:b + log(x)"]
)
@pytest.mark.parametrize("by", [["a"], ["b"], ["b", "a"]])
def test_averages_of_predictions_over_the_grid(terms, by, data):
    data = data.assign(x=np.abs(data["x"]) + 0.1)
    fit = me.fit(f"y ~ {terms} + (1 | g)", data)
    table = fit.emmeans(by, df="asymptotic").table
    expected = grid_average(fit, data, by)
    assert len(table) == len(expected)
    for row in table.itertuples():
        key = tuple(getattr(row, name) for name in by)
        np.testing.assert_allclose(row.estimate, expected[key if len(by) > 1 else key[0]])


def test_weights(fit, data):
    counts = data.groupby(["a", "b"]).size()
    margin = data.groupby("b").size()
    by_hand = {
        "proportional": lambda grid: margin[grid["b"]].to_numpy(),
        "cells": lambda grid: counts[pd.MultiIndex.from_frame(grid[["a", "b"]])].to_numpy(),
    }
    for weights, of_grid in by_hand.items():
        table = fit.emmeans("a", weights=weights, df="asymptotic").table
        expected = grid_average(fit, data, "a", of_grid)
        np.testing.assert_allclose(table["estimate"], expected[table["a"]])


def test_proportional_weights_count_the_combinations_averaged_over(data):
    fit = me.fit("y ~ a + b*flag + x + (1 | g)", data)
    joint = data.groupby(["b", "flag"]).size() / len(data)
    beta = dict(zip(fit.estimates.x_names, fit.beta, strict=True))
    expected = beta["Intercept"] + beta["x"] * data["x"].mean()
    for (b, flag), share in joint.items():
        expected += share * (beta["b[T.yes]"] * (b == "yes") + beta["flag[T.True]"] * flag)
        expected += share * beta["b[T.yes]:flag[T.True]"] * (b == "yes") * flag
    table = fit.emmeans("a", weights="proportional", df="asymptotic").table
    np.testing.assert_allclose(table["estimate"][0], expected)


def test_a_weight_of_two_counts_as_two_rows(data):
    twice = data.loc[np.repeat(data.index, data["w"].astype(int))]
    weighted = me.fit("y ~ a*b + (1 | g)", data, weights="w", reml=False)
    repeated = me.fit("y ~ a*b + (1 | g)", twice, reml=False)
    for weights in ("equal", "proportional", "cells"):
        own = weighted.emmeans("a", weights=weights, df="asymptotic")
        other = repeated.emmeans("a", weights=weights, df="asymptotic")
        np.testing.assert_allclose(own.L, other.L, atol=1e-12)


def test_overall_mean(fit, data):
    means = fit.emmeans([], df="asymptotic")
    expected = grid_average(fit, data, "a").mean()
    assert list(means.table.columns) == ["estimate", "std_error", "df", "conf_low", "conf_high"]
    np.testing.assert_allclose(means.estimate, expected)


def test_standard_errors_are_of_the_combination(fit):
    means = fit.emmeans("a", df="residual")
    variances = np.diagonal(means.L @ fit.vcov() @ means.L.T)
    np.testing.assert_allclose(means.std_error**2, variances)
    np.testing.assert_allclose(means.vcov(), means.L @ fit.vcov() @ means.L.T)
    assert set(means.df) == {float(fit.nobs - len(fit.beta))}


# -- invariance ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ C(a, contr.sum)*b + x*b + (1 | g)",
        "y ~ C(a, contr.helmert)*C(b, contr.sum) + x*b + (1 | g)",
        "y ~ C(a, contr.treatment('w'))*b + b*center(x) + (1 | g)",
        "y ~ 0 + a:b + b:x + (1 | g)",
    ],
)
def test_coding_does_not_matter(formula, fit, data):
    other = me.fit(formula, data)
    for specs, at in (("a", None), (["a", "b"], {"x": [1.0, 2.0]})):
        own, recoded = (m.emmeans(specs, at=at).table for m in (fit, other))
        for name in ("estimate", "std_error", "df"):
            np.testing.assert_allclose(recoded[name], own[name], rtol=1e-5)


def test_order_of_rows_and_levels_does_not_matter(fit, data):
    shuffled = data.sample(frac=1.0, random_state=1)
    levels = pd.Categorical(shuffled["a"], categories=["w", "u", "v"])
    other = me.fit(fit.formula, shuffled.assign(a=levels)).emmeans("a").table.set_index("a")
    own = fit.emmeans("a").table.set_index("a")
    assert list(other.index) == ["w", "u", "v"]
    np.testing.assert_allclose(other.loc[own.index], own, rtol=1e-6)


def test_aliased_columns_change_nothing(data):
    extra = data.assign(again=2.0 * data["x"] - 1.0)
    own = me.fit("y ~ a + x + (1 | g)", data).emmeans("a").table
    redundant = me.fit("y ~ a + x + again + (1 | g)", extra)
    assert redundant.estimates.aliased
    table = redundant.emmeans("a").table
    np.testing.assert_allclose(table.iloc[:, 1:], own.iloc[:, 1:], rtol=1e-6)
    with pytest.raises(ModelError, match=r"Not estimable.*a=u"):  # off the line again = 2x − 1
        redundant.emmeans("a", at={"x": 2.0, "again": 4.0})


# -- the grid --------------------------------------------------------------------------------


def test_at_chooses_levels_and_values_in_order(fit, data):
    table = fit.emmeans(["x", "a"], at={"x": [4, 2], "a": ["w", "u"], "b": "yes"}).table
    assert table["x"].tolist() == [4.0, 4.0, 2.0, 2.0]
    assert table["a"].tolist() == ["w", "u", "w", "u"]
    expected = grid_average(fit, data, ["x", "a"], x=[4.0, 2.0], b=["yes"])
    np.testing.assert_allclose(
        table["estimate"], [expected[2 * (i < 2) + 2, "wu"[i % 2]] for i in range(4)]
    )


def test_several_values_of_a_covariate_are_averaged(fit):
    both = fit.emmeans("a", at={"x": [1.0, 5.0]}).estimate
    each = [fit.emmeans("a", at={"x": value}).estimate for value in (1.0, 5.0)]
    np.testing.assert_allclose(both, np.mean(each, axis=0))


def test_numbers_and_booleans_and_dates_as_factors(data):
    fit = me.fit("y ~ factor(dose) + flag + day + I(flag * x) + (1 | g)", data)
    doses = fit.emmeans("dose", at={"dose": [2, 1]}).table
    assert doses["dose"].tolist() == [2.0, 1.0]
    means = fit.emmeans("dose")
    assert means.contrast().table["contrast"][0] == "dose0.5 - dose1"
    by_number = means.contrast({"c": {1: 1.0, 0.5: -1.0}}).estimate
    np.testing.assert_allclose(by_number, means.estimate[1] - means.estimate[0])
    assert means.contrast("treatment", ref=2).table["contrast"][0] == "dose0.5 - dose2"
    flags = fit.emmeans("flag", at={"flag": True})
    assert flags.table["flag"].tolist() == [True]
    np.testing.assert_allclose(flags.estimate, fit.emmeans("flag").estimate[1])
    days = fit.emmeans("day", at={"day": "2024-03-05"})
    np.testing.assert_allclose(days.estimate, fit.emmeans("day").estimate[1])


def test_a_number_that_is_also_a_factor(data):
    fit = me.fit("y ~ dose + I(dose^2) + (1 | g)", data)
    saturated = me.fit("y ~ factor(dose) + (1 | g)", data)
    curve = fit.emmeans("dose", at={"dose": [0.5, 1, 2]}).estimate
    np.testing.assert_allclose(curve, saturated.emmeans("dose").estimate, rtol=1e-6)


def test_the_offset_counts_with_its_mean(data):
    for fit in (
        me.fit("y ~ a + x + offset(o) + (1 | g)", data),
        me.fit("y ~ a + x + (1 | g)", data, offset="o"),
        me.fit("y ~ a + x + (1 | g)", data, offset=data["o"].to_numpy()),
    ):
        means = fit.emmeans("a", df="asymptotic")
        np.testing.assert_allclose(means.estimate, means.L @ fit.beta + data["o"].mean())
        assert "With the mean offset" in " ".join(means.notes)
        contrasts = means.contrast("pairwise")
        np.testing.assert_allclose(contrasts.constant, 0.0, atol=1e-15)
        joint = fit.emmeans("a").joint_test(null=100.0)["p_value"][0]
        assert joint < 1e-6


def test_missing_rows_do_not_count(fit, data):
    holes = pd.concat([data, data.assign(y=np.nan, x=1e6)], ignore_index=True)
    other = me.fit(fit.formula, holes)
    np.testing.assert_allclose(other.emmeans("a").estimate, fit.emmeans("a").estimate, rtol=1e-6)


# -- the response's scale ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "inverse"),
    [
        ("log(z)", np.exp),
        ("log2(z)", np.exp2),
        ("log10(z)", lambda v: 10.0**v),
        ("log1p(z)", np.expm1),
        ("log(z + 1)", lambda v: np.exp(v) - 1),
        ("log(z / 100)", lambda v: 100 * np.exp(v)),
        ("sqrt(z)", np.square),
        ("sqrt(2 * z + 3)", lambda v: (v**2 - 3) / 2),
        ("I(z^3)", np.cbrt),
        ("I(1/z)", lambda v: 1 / v),
        ("I(z^(-1))", lambda v: 1 / v),
        ("I(z^(1/3))", lambda v: v**3),
        ("exp(y / 10)", lambda v: 10 * np.log(v)),
        ("log(sqrt(z))", lambda v: np.exp(v) ** 2),
    ],
)
def test_back_transformed(response, inverse, data):
    fit = me.fit(f"{response} ~ a + x + (1 | g)", data)
    link = fit.emmeans("a").table
    table = fit.emmeans("a", scale="response").table
    np.testing.assert_allclose(table["estimate"], inverse(link["estimate"]))
    ends = np.sort([inverse(link["conf_low"]), inverse(link["conf_high"])], axis=0)
    np.testing.assert_allclose(table[["conf_low", "conf_high"]].T, ends)
    h = 1e-6
    slope = (inverse(link["estimate"] + h) - inverse(link["estimate"] - h)) / (2 * h)
    np.testing.assert_allclose(table["std_error"], np.abs(slope) * link["std_error"], rtol=1e-6)
    np.testing.assert_allclose(table["df"], link["df"])


def test_differences_of_logarithms_are_ratios(data):
    fit = me.fit("log10(z) ~ a + x + (1 | g)", data)
    link = fit.emmeans("a").contrast().table
    ratios = fit.emmeans("a", scale="response").contrast()
    table = ratios.table
    assert table["contrast"].tolist() == ["u / v", "u / w", "v / w"]
    np.testing.assert_allclose(table["estimate"], 10 ** link["estimate"])
    np.testing.assert_allclose(table["conf_high"], 10 ** link["conf_high"])
    np.testing.assert_allclose(table["p_value"], link["p_value"])
    assert "ratios" in " ".join(ratios.notes)


def test_differences_of_roots_stay_as_they_are(data):
    fit = me.fit("sqrt(z) ~ a + x + (1 | g)", data)
    contrasts = fit.emmeans("a", scale="response").contrast()
    pd.testing.assert_frame_equal(contrasts.table, fit.emmeans("a").contrast().table)
    assert "model's scale" in " ".join(contrasts.notes)
    assert "On the scale of sqrt(z)" in " ".join(fit.emmeans("a").notes)


def test_a_response_as_it_stands_has_one_scale(fit):
    pd.testing.assert_frame_equal(fit.emmeans("a", scale="response").table, fit.emmeans("a").table)


def test_a_transformation_without_a_way_back(data):
    fit = me.fit("cos(z) ~ a + (1 | g)", data)
    with pytest.raises(ModelError, match="no way back from 'cos"):
        fit.emmeans("a", scale="response")
    even = me.fit("I(y0^2) ~ a + (1 | g)", data.assign(y0=data["y"] - data["y"].mean()))
    with pytest.raises(ModelError, match="no way back"):  # of both signs
        even.emmeans("a", scale="response")


# -- what the data do not determine ----------------------------------------------------------------


@pytest.fixture(scope="module")
def holed(data):
    rows = ~((data["a"] == "w") & (data["b"] == "yes"))
    return me.fit("y ~ a*b + x + (1 | g)", data[rows])


def test_empty_cells_are_named(holed):
    with pytest.raises(ModelError, match=r"not determine it: a=w, b=yes\. Choose"):
        holed.emmeans(["a", "b"])
    with pytest.raises(ModelError, match=r"it: a=w\."):
        holed.emmeans("a")
    with pytest.raises(ModelError, match=r"it: b=yes\."):
        holed.emmeans("b")
    with pytest.raises(ModelError, match="the overall mean"):
        holed.emmeans([])


def test_ways_out_of_empty_cells(holed):
    cells = holed.emmeans(["a", "b"], not_estimable="drop")
    assert len(cells.table) == 5
    assert "Left out as not estimable: a=w, b=yes" in " ".join(cells.notes)
    assert len(cells.contrast().table) == 10
    assert len(holed.emmeans("a", by="b", not_estimable="drop").contrast().table) == 3 + 1
    alone = holed.emmeans("b", by="a", not_estimable="drop")
    within = alone.contrast()
    assert within.table["a"].tolist() == ["u", "v"]
    assert "nothing to compare in its family, left out: w no" in " ".join(within.notes)
    assert alone.letters()["letters"].iloc[-1] == "a"
    assert holed.emmeans("a", at={"b": "no"}).table["a"].tolist() == ["u", "v", "w"]
    weighted = holed.emmeans("a", weights="cells")
    only = holed.emmeans(["a", "b"], at={"a": "w", "b": "no"})
    np.testing.assert_allclose(weighted.estimate[2], only.estimate[0])


def test_nothing_estimable_is_refused_even_if_it_may_be_dropped(holed):
    with pytest.raises(ModelError, match="Not estimable"):
        holed.emmeans("b", at={"b": "yes"}, not_estimable="drop")
    with pytest.raises(ModelError, match="no rows of the data are in some"):
        holed.emmeans(["a", "b"], weights="cells", at={"a": "w"}, not_estimable="drop")


def test_a_covariate_far_from_zero(data):
    own = me.fit("y ~ a + x + (1 | g)", data).emmeans("a").table
    for shift in (1e4, 1e8):
        far = me.fit("y ~ a + x + (1 | g)", data.assign(x=data["x"] + shift))
        np.testing.assert_allclose(far.emmeans("a").table.iloc[:, 1:], own.iloc[:, 1:], rtol=1e-6)


def test_a_covariate_too_far_from_zero(data):
    # 1e-16 of an intercept of some 1e11 shows beside a standard error of one
    far = data.assign(x=data["x"] + 1e11)
    with pytest.raises(ModelError, match=r"values of 'x'.*center"):
        me.fit("y ~ a + x + (1 | g)", far).emmeans("a")


# -- results and refusals --------------------------------------------------------------------------


def test_columns_of_the_table_by_name():
    means = me.fit("yield ~ nitroF + (1 | Block)", me.datasets.load("oats")).emmeans("nitroF")
    assert means["estimate"].tolist() == means.table["estimate"].tolist()
    assert means.contrast("pairwise")["p_value"].shape == (6,)


def test_tables_come_back_in_the_callers_library(data):
    fit = me.fit("y ~ a*b + (1 | g)", pl.from_pandas(data))
    means = fit.emmeans("a", by="b")
    for table in (means.table, means.contrast().table, means.letters(), means.joint_test()):
        assert isinstance(table, pl.DataFrame)
    assert "P values" in repr(means.contrast())


def test_pickled_and_shown(fit):
    means = fit.emmeans("a", by="b")
    again = pickle.loads(pickle.dumps(means))
    pd.testing.assert_frame_equal(again.table, means.table)
    text = repr(fit.emmeans("a").contrast())
    for words in ("u - v", "conf_high", "Averaged over b", "At x = ", "satterthwaite", "Tukey"):
        assert words in text
    assert "<table" in means._repr_html_()
    assert "<li>At x" in means._repr_html_()


def test_interval_level(fit):
    wide, narrow = fit.emmeans("a", level=0.99).table, fit.emmeans("a", level=0.5).table
    assert (wide["conf_high"] > narrow["conf_high"]).all()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"specs": "A"}, ModelError, "'A' is not a variable.*factors 'a', 'b'.*Did you mean 'a'"),
        ({"specs": "g"}, ModelError, "'g' is not a variable of the fixed part"),
        ({"specs": "x"}, ModelError, r"Column 'x' holds numbers.*at=\{'x': \[.*factor\(x\)"),
        ({"specs": "a", "by": "a"}, ModelError, "both in specs and in by"),
        ({"specs": ["a", "a"]}, ModelError, "'a' stands twice"),
        ({"specs": [3]}, ModelError, "give a variable's name"),
        ({"specs": "a", "by": "nobody"}, ModelError, "'nobody' is not a variable"),
        ({"specs": "a", "at": {"B": "no"}}, ModelError, "'B' is not.*Did you mean 'b'"),
        ({"specs": "a", "at": {"b": "yess"}}, DataError, "'yess' is not a level of 'b'.*'yes'"),
        ({"specs": "a", "at": {"x": "much"}}, DataError, "takes finite numbers"),
        ({"specs": "a", "at": {"x": np.inf}}, DataError, "takes finite numbers"),
        ({"specs": "a", "at": {"x": []}}, DataError, "takes finite numbers"),
        ({"specs": "a", "at": {"a": []}}, DataError, "names no level"),
        ({"specs": "a", "at": {"a": ["u", "u"]}}, DataError, "given twice"),
        ({"specs": "a", "at": ["u"]}, ModelError, "is not a dict"),
        ({"specs": "a", "weights": "outer"}, ModelError, "weights='outer' is not one of"),
        ({"specs": "a", "scale": "log"}, ModelError, "scale='log'"),
        ({"specs": "a", "df": "kr"}, ModelError, "df='kr'"),
        ({"specs": "a", "level": 95}, ModelError, "level=95"),
        ({"specs": "a", "not_estimable": "nan"}, ModelError, "not_estimable='nan'"),
    ],
)
def test_bad_input(arguments, error, words, fit):
    with pytest.raises(error, match=words):
        fit.emmeans(**arguments)


def test_grids_that_are_too_large(data):
    rng = np.random.default_rng(0)
    many = data.assign(**{f"f{i}": rng.integers(0, 40, len(data)).astype(str) for i in range(4)})
    fit = me.fit("y ~ a + f0 + f1 + f2 + f3 + (1 | g)", many)
    with pytest.raises(ModelError, match=r"combinations, of a \(3\), f0 .*at="):
        fit.emmeans("a")
    assert len(fit.emmeans("a", at={"f1": "0", "f2": "1", "f3": "2"}).table) == 3


def test_a_fixed_part_without_variables(data):
    fit = me.fit("y ~ 1 + (1 | g)", data)
    np.testing.assert_allclose(fit.emmeans([]).estimate, fit.beta)
    with pytest.raises(ModelError, match="which has none"):
        fit.emmeans("a")
