"""Tables of variance against lmerTest and car, and what must not change them."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import golden
import mixedeffects as me
from golden import assert_close
from mixedeffects.errors import ModelError

BLOCKS = {
    "anova_satterthwaite": "satterthwaite",
    "anova_kenward_roger": "kenward-roger",
    "wald_chisq_anova": "asymptotic",
}
TYPES = {"I": 1, "II": 2, "III": 3}
CASES = [
    (id_, block)
    for id_ in golden.cases("lmm")
    for block in BLOCKS
    if block in golden.load_case(id_).results
]


def fitted(case):
    return me.fit(case.formula, case.data, reml=case.reml, weights=case.weights, offset=case.offset)


def plain(term):
    """A term without its contrasts and blanks, whatever the order of its factors."""
    term = re.sub(r"C\((\w+), contr\.\w+\)", r"\1", term).replace("^", "**")
    return ":".join(sorted(term.replace(" ", "").split(":")))


@pytest.mark.parametrize(("id_", "block"), CASES)
def test_reference(id_, block):
    case, df = golden.load_case(id_), BLOCKS[block]
    fit = fitted(case)
    for kind, rows in case.results[block].items():
        if kind == "III" and df == "asymptotic":
            continue  # car tests coefficients as they are coded: test_car_type_three
        table = fit.anova(type=TYPES[kind], df=df)
        assert [plain(t) for t in table["term"]] == [plain(r["term"]) for r in rows]
        check(table, {key: [row[key] for row in rows] for key in rows[0]}, case.tolerances, df)


def check(table, reference, tolerance, df):
    statistic = reference["chisq" if df == "asymptotic" else "F"]
    key = "chisq" if df == "asymptotic" else "F"
    assert_close(table["statistic"], statistic, tolerance[key], what=key)
    assert_close(table["p_value"], reference["p"], tolerance["p"], what="p")
    assert list(table["num_df"]) == reference["df" if df == "asymptotic" else "num_df"]
    if df == "asymptotic":
        assert np.isinf(table["den_df"]).all()
        assert list(table.columns) == ["term", "num_df", "den_df", "statistic", "p_value"]
    else:
        assert_close(table["den_df"], reference["den_df"], tolerance["ddf"], what="den_df")
        # a sum of squares has the relative error of F and of σ²
        assert_close(table["sum_sq"], reference["sum_sq"], tolerance["F"], what="sum_sq")
        np.testing.assert_allclose(table["mean_sq"] * table["num_df"], table["sum_sq"])


@pytest.mark.parametrize("id_", [i for i, block in CASES if block == "wald_chisq_anova"])
def test_car_type_three(id_):
    """car's hypothesis, all coefficients of a term as coded, is that of test(term)."""
    case = golden.load_case(id_)
    fit = fitted(case)
    names = {plain(t): t for t in fit.design.spec.fixed.terms}
    for row in case.results["wald_chisq_anova"]["III"]:
        term = "Intercept" if row["term"] == "(Intercept)" else names[plain(row["term"])]
        joint = fit.test(term, df="asymptotic").joint
        assert joint.num_df == row["df"]
        assert_close(joint.statistic * joint.num_df, row["chisq"], case.tolerances["chisq"])
        assert_close(joint.p_value, row["p"], case.tolerances["p"])


# Where lmerTest's hypothesis depends on the contrasts, or takes poly(x, 2) for a factor.
OTHERWISE = {
    ("interaction_without_main", "2"),
    ("interaction_without_main", "3"),
    ("no_intercept", "3"),
    ("polynomial", "2"),
}


@pytest.mark.parametrize("block", ["satterthwaite", "kenward_roger", "car_chisq"])
@pytest.mark.parametrize("id_", golden.r_cases("anova"))
def test_unbalanced_designs(id_, block):
    """lme4's own optimum limits the agreement to some 1e-4."""
    case = golden.r_cases("anova")[id_]
    if block not in case.results:
        pytest.skip("R has no such table")
    fit = fitted(case)
    for kind, reference in case.results[block].items():
        if (id_, kind) in OTHERWISE or (block == "car_chisq" and kind == "3"):
            continue
        df = "asymptotic" if block == "car_chisq" else block.replace("_", "-")
        table = fit.anova(type=int(kind), df=df)
        assert [plain(t) for t in table["term"]] == [plain(t) for t in reference["term"]]
        for column in ("statistic", "sum_sq", "p_value", "den_df"):
            if column in reference:
                close = {"rtol": 1e-2 if column == "p_value" else 2e-3, "atol": 1e-12}
                assert_close(table[column], reference[column], close, what=f"{kind} {column}")
        assert list(table["num_df"]) == reference["df" if block == "car_chisq" else "num_df"]


# -- invariance ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data():
    """Unbalanced, every cell present."""
    rng = np.random.default_rng(11)
    n = 150
    a, b = rng.choice(3, n, p=[0.5, 0.3, 0.2]), rng.choice(2, n, p=[0.7, 0.3])
    g, x = rng.integers(0, 12, n), rng.normal(2.0, 1.0, n)
    y = 1.0 + a * 0.7 - b + 0.4 * a * b + x * (0.5 + 0.2 * b) + rng.normal(size=12)[g]
    return pd.DataFrame(
        {
            "y": y + rng.normal(size=n),
            "a": pd.Categorical(np.array(["lo", "mid", "hi"])[a], ["lo", "mid", "hi"]),
            "b": np.array(["no", "yes"])[b],
            "x": x,
            "g": g,
        }
    )


def rows(table, *columns):
    """Columns by term, its contrasts and order taken off."""
    table = table.assign(term=[plain(t) for t in table["term"]]).set_index("term").sort_index()
    return table[list(columns)].to_numpy(dtype=float)


CODINGS = [
    "y ~ C(a, contr.sum)*C(b, contr.sum) + C(b, contr.sum)*x + (1 | g)",
    "y ~ C(a, contr.helmert)*b + b*x + (1 | g)",
    "y ~ C(a, contr.poly)*C(b, contr.sum) + C(b, contr.sum)*x + (1 | g)",
    "y ~ C(a, contr.treatment('mid'))*b + b*x + (1 | g)",
]


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger", "asymptotic", "residual"])
@pytest.mark.parametrize("formula", CODINGS)
@pytest.mark.parametrize("kind", [1, 2, 3])
def test_contrasts_do_not_matter(data, kind, formula, df):
    one = me.fit("y ~ a*b + b*x + (1 | g)", data).anova(type=kind, df=df)
    other = me.fit(formula, data).anova(type=kind, df=df)
    exact = ("num_df", "statistic") + (("den_df",) if kind == 3 else ())
    np.testing.assert_allclose(rows(other, *exact), rows(one, *exact), rtol=1e-5)
    if df != "asymptotic" and kind != 3:
        # Fai and Cornelius's df of several rows depend a little on how these are written
        np.testing.assert_allclose(rows(other, "den_df"), rows(one, "den_df"), rtol=1e-2)


@pytest.mark.parametrize("kind", [2, 3])
def test_the_order_of_factors_does_not_matter(data, kind):
    one = me.fit("y ~ a*b + b*x + (1 | g)", data).anova(type=kind)
    other = me.fit("y ~ x*b + b*a + (1 | g)", data).anova(type=kind)
    columns = ("sum_sq", "num_df", "statistic", "p_value")
    np.testing.assert_allclose(rows(other, *columns), rows(one, *columns), rtol=1e-5)


def test_type_one_is_sequential(data):
    """The last term of type I is that of type II; the first ignores all others."""
    fit = me.fit("y ~ a + b + x + (1 | g)", data)
    first, second = fit.anova(type=1), fit.anova(type=2)
    assert first["statistic"].iloc[-1] == pytest.approx(second["statistic"].iloc[-1], rel=1e-8)
    turned = me.fit("y ~ x + b + a + (1 | g)", data).anova(type=1)
    assert turned["statistic"].iloc[-1] == pytest.approx(second["statistic"].iloc[0], rel=1e-5)


def test_type_three_compares_equally_weighted_cells(data):
    """The hypothesis written out by hand over cell means."""
    fit = me.fit("y ~ a*b + (1 | g)", data)
    table = fit.anova(type=3).set_index("term")
    by_hand = fit.test("a[T.mid] + 0.5*a[T.mid]:b[T.yes], a[T.hi] + 0.5*a[T.hi]:b[T.yes]").joint
    assert table.loc["a", "statistic"] == pytest.approx(by_hand.statistic, rel=1e-8)
    assert table.loc["a", "den_df"] == pytest.approx(by_hand.den_df, rel=1e-6)
    by_hand = fit.test("b[T.yes] + (a[T.mid]:b[T.yes] + a[T.hi]:b[T.yes])/3").joint
    assert table.loc["b", "statistic"] == pytest.approx(by_hand.statistic, rel=1e-8)


def test_covariates_test_the_mean_slope(data):
    """And a factor is compared where the covariate is zero: moving it matters to that only."""
    fit = me.fit("y ~ a*x + (1 | g)", data)
    table = fit.anova().set_index("term")
    slope = fit.test("x + (a[T.mid]:x + a[T.hi]:x)/3").joint
    assert table.loc["x", "statistic"] == pytest.approx(slope.statistic, rel=1e-8)
    joint = fit.test("a").joint
    assert table.loc["a", "statistic"] == pytest.approx(joint.statistic, rel=1e-8)
    moved = me.fit("y ~ a*x + (1 | g)", data.assign(x=data["x"] + 1e5)).anova().set_index("term")
    assert moved.loc["x", "statistic"] == pytest.approx(table.loc["x", "statistic"], rel=1e-5)
    assert moved.loc["a:x", "statistic"] == pytest.approx(table.loc["a:x", "statistic"], rel=1e-5)


def test_terms_that_stand_for_their_margins(data):
    """0 + a is tested with the constant, a:b without b with b."""
    without = me.fit("y ~ 0 + a + b + (1 | g)", data).anova().set_index("term")
    fit = me.fit("y ~ a + b + (1 | g)", data)
    by_hand = fit.test("Intercept + 0.5*b[T.yes], a[T.mid], a[T.hi]").joint
    assert without.loc["a", "num_df"] == 3
    assert without.loc["a", "statistic"] == pytest.approx(by_hand.statistic, rel=1e-5)
    assert without.loc["b", "statistic"] == pytest.approx(fit.test("b").joint.statistic, rel=1e-5)
    nested = me.fit("y ~ a + a:b + (1 | g)", data).anova().set_index("term")
    whole = me.fit("y ~ a*b + (1 | g)", data)
    joint = whole.test("b[T.yes], a[T.mid]:b[T.yes], a[T.hi]:b[T.yes]").joint
    assert nested.loc["a:b", "statistic"] == pytest.approx(joint.statistic, rel=1e-5)
    a = whole.anova().set_index("term").loc["a", "statistic"]
    assert nested.loc["a", "statistic"] == pytest.approx(a, rel=1e-5)


def test_empty_cells_do_not_depend_on_the_contrasts(data):
    data = data[~((data["a"] == "hi") & (data["b"] == "yes"))]
    one = me.fit("y ~ a*b + (1 | g)", data).anova()
    other = me.fit("y ~ C(b, contr.sum)*C(a, contr.sum) + (1 | g)", data).anova()
    columns = ("num_df", "statistic", "den_df")
    np.testing.assert_allclose(rows(other, *columns), rows(one, *columns), rtol=1e-5)
    assert list(one["num_df"]) == [2, 1, 1]


def test_aliased_terms_are_named(data):
    fit = me.fit("y ~ x + z + a + (1 | g)", data.assign(z=2 * data["x"] - 1))
    for kind in (1, 2, 3):
        table = fit.anova(type=kind).set_index("term")
        assert list(table.index) == ["x", "z", "a"]
        assert table.loc["z", "num_df"] == 0
        assert np.isnan(
            table.loc["z", ["sum_sq", "statistic", "den_df", "p_value"]].astype(float)
        ).all()
        alone = me.fit("y ~ x + a + (1 | g)", data).anova(type=kind).set_index("term")
        assert table.loc["x", "statistic"] == pytest.approx(alone.loc["x", "statistic"], rel=1e-5)


def test_scaled_y_has_the_same_tests(data):
    one = me.fit("y ~ a*b + (1 | g)", data).anova()
    other = me.fit("y ~ a*b + (1 | g)", data.assign(y=1e3 * data["y"])).anova()
    np.testing.assert_allclose(other["statistic"], one["statistic"], rtol=1e-5)
    np.testing.assert_allclose(other["sum_sq"], 1e6 * one["sum_sq"], rtol=1e-5)


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger"])
@pytest.mark.parametrize("formula", ["y ~ 1 + (1 | g)", "y ~ 0 + (1 | g)"])
def test_an_intercept_or_nothing_has_an_empty_table(data, formula, df):
    for kind in (1, 2, 3):
        table = me.fit(formula, data).anova(type=kind, df=df)
        assert len(table) == 0
        assert list(table.columns)[:2] == ["term", "sum_sq"]


@pytest.mark.parametrize("kind", [4, "III", 0])
def test_unknown_types(data, kind):
    with pytest.raises(ModelError, match=r"type=.*is not one of 1, 2, 3"):
        me.fit("y ~ a + (1 | g)", data).anova(type=kind)
