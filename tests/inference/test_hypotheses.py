"""Linear hypotheses by matrix, term and equation; what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

import mixedeffects as me
from mixedeffects.errors import FormulaError, ModelError
from mixedeffects.inference.expressions import equations


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(8)
    n = 120
    f, g, x = rng.integers(0, 3, n), rng.integers(0, 10, n), rng.normal(size=n)
    y = f + x + rng.normal(size=10)[g] + rng.normal(size=n)
    return pd.DataFrame({"y": y, "f": np.array(list("abc"))[f], "x": x, "g": g, "z": x * 3})


@pytest.fixture(scope="module")
def fit(data):
    return me.fit("y ~ f*x + poly(x, 2) + I(x**3) + (1 | g)", data)


NAMES = ["Intercept", "x", "x2", "f[T.a b]", "f[T.a b]:x", "poly(x, 2)[1]", "I(x ** 3)", "log(x)"]


@pytest.mark.parametrize(
    ("text", "row", "value"),
    [
        ("x = 0", {"x": 1}, 0),
        ("x", {"x": 1}, 0),
        ("x == 2", {"x": 1}, 2),
        ("2*x - 3 = Intercept", {"x": 2, "Intercept": -1}, 3),
        ("-x2 + .5e1 = -(x)", {"x2": -1, "x": 1}, -5),
        ("f[T.a b]:x - f[T.a b]", {"f[T.a b]:x": 1, "f[T.a b]": -1}, 0),
        (" f[ T.a  b ] : x = 1", {"f[T.a b]:x": 1}, 1),
        ("poly(x,2)[1]/4 + 1", {"poly(x, 2)[1]": 0.25}, -1),
        ("I(x**3) = log( x )", {"I(x ** 3)": 1, "log(x)": -1}, 0),
        ("2*(x - 3*(x2 - 1))/2 = x*0 + 1", {"x": 1, "x2": -3}, -2),
        ("(x + x2)*2/4", {"x": 0.5, "x2": 0.5}, 0),
    ],
)
def test_equations(text, row, value):
    (found,) = equations(text, NAMES)
    expected = np.zeros(len(NAMES))
    for name, number in row.items():
        expected[NAMES.index(name)] = number
    np.testing.assert_allclose(found.row, expected)
    assert found.value == pytest.approx(value)


def test_several_equations():
    found = equations("x = 1, x2 = f[T.a b] = poly(x, 2)[1], log(x)", NAMES)
    assert [e.text for e in found] == [
        "x = 1",
        "x2 = f[T.a b]",
        "f[T.a b] = poly(x, 2)[1]",
        "log(x) = 0",
    ]


@pytest.mark.parametrize(
    ("text", "reason", "position"),
    [
        ("x3 = 0", "'x3' is not a coefficient. Did you mean", 0),
        ("x = y", "'y' is not a coefficient", 4),
        ("x*x2", "a product of coefficients is not linear", 1),
        ("1/x", "only numbers but zero can divide", 1),
        ("x/0", "only numbers but zero can divide", 1),
        ("x x2", "an operator, '=' or ',' is expected here", 2),
        ("x, ", "a coefficient or a number is expected here", 3),
        ("(x + 1", "unclosed '('", 0),
        ("1 = 1", "this equation holds no coefficient", 0),
        ("x2 = 0, x - x", "this equation holds no coefficient", 8),
        ("x:x2", "'x:x2' is not a coefficient", 0),
        ("f[T.c]", "'f[T.c]' is not a coefficient", 0),
        ("", "a coefficient or a number is expected here", 0),
        ("__import__('os')", "is not a coefficient", 0),
        ("2x", "'2x' is not a coefficient", 0),
        ("(" * 500 + "x", "nested too deeply", 100),
    ],
)
def test_what_is_no_equation(text, reason, position):
    with pytest.raises(FormulaError) as caught:
        equations(text, NAMES)
    assert reason in caught.value.reason
    assert caught.value.position == position


def test_rows_are_t_tests(fit):
    L = np.array([[0, 1, -1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0.5, 0.5]])
    L = L[:, : len(fit.beta)]
    table = fit.test(L, rhs=[0.5, 1], df="residual", level=0.9).table
    se = np.sqrt(np.diagonal(L @ fit.vcov() @ L.T))
    t = (L @ fit.beta - [0.5, 1]) / se
    freedom = fit.nobs - len(fit.beta)
    assert list(table.columns) == [
        *("hypothesis", "estimate", "std_error", "statistic"),
        *("df", "p_value", "conf_low", "conf_high"),
    ]
    np.testing.assert_allclose(table["estimate"], L @ fit.beta)
    np.testing.assert_allclose(table["statistic"], t)
    np.testing.assert_allclose(table["p_value"], 2 * stats.t.sf(np.abs(t), freedom), rtol=1e-9)
    half = stats.t.ppf(0.95, freedom) * se
    np.testing.assert_allclose(table["conf_high"], L @ fit.beta + half)
    assert table["hypothesis"][0] == "f[T.b] - f[T.c] = 0.5"


def test_ways_to_say_the_same(fit):
    names = list(fit.estimates.x_names)
    columns = [i for i, n in enumerate(names) if n.startswith("f[") and ":" not in n]
    by_matrix = fit.test(np.eye(len(names))[columns]).joint
    by_term = fit.test("f").joint
    by_equations = fit.test("f[T.b] = 0, f[T.c] = 0").joint
    assert by_matrix == by_term == by_equations
    assert fit.test(" x : f").joint == fit.test("f:x").joint
    one = fit.test("x = 2").joint
    assert one == fit.test("x", rhs=2).joint
    assert fit.test("x = 2").hypotheses.labels == fit.test("x", rhs=2).hypotheses.labels
    assert fit.test("f[T.b] - 1", rhs=2).joint == fit.test("f[T.b] = 3").joint


def test_redundant_rows_count_once(fit):
    twice = fit.test("f[T.b] = 0, f[T.c] = 0, f[T.b] - f[T.c] = 0")
    assert twice.joint.num_df == 2
    assert twice.joint.statistic == pytest.approx(fit.test("f").joint.statistic, rel=1e-9)
    assert len(twice.table) == 3
    for df in ("kenward-roger", "asymptotic", "residual"):
        again = fit.test("f[T.b] = 0, 2*f[T.b] = 0", df=df).joint
        assert again.num_df == 1
        single = fit.test("f[T.b] = 0", df=df).joint
        assert again.statistic == pytest.approx(single.statistic, rel=1e-9)
        assert again.den_df == pytest.approx(single.den_df, rel=1e-9)


def test_units_of_rows_do_not_hide_a_row(data):
    """A slope in units of 1e9 beside an intercept counts."""
    fit = me.fit("y ~ big + (1 | g)", data.assign(big=data["x"] * 1e9))
    joint = fit.test(np.eye(2)).joint
    assert joint.num_df == 2
    plain = me.fit("y ~ x + (1 | g)", data).test(np.eye(2)).joint
    assert joint.statistic == pytest.approx(plain.statistic, rel=1e-6)


def test_joint_of_one_row_is_the_square_of_its_t(fit):
    for df in ("satterthwaite", "kenward-roger", "residual", "asymptotic"):
        test = fit.test("f[T.b] - f[T.c]", df=df)
        assert test.joint.statistic == pytest.approx(test.table["statistic"][0] ** 2, rel=1e-9)
        assert test.joint.p_value == pytest.approx(test.table["p_value"][0], rel=1e-7)
        assert test.joint.den_df == pytest.approx(test.table["df"][0], rel=1e-9)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda f: f.test("x = 0, x = 1"), "contradict one another: x = 0; x = 1"),
        (lambda f: f.test("x = 0, 2*x - 1"), "contradict"),
        (lambda f: f.test([1.0, 2.0]), r"shape \(2,\).*columns are needed.*Intercept"),
        (lambda f: f.test(np.zeros((0, len(f.beta)))), "shape"),
        (lambda f: f.test(np.zeros(len(f.beta))), "Row 0 of L is all zero"),
        (lambda f: f.test([["a"]]), "not a matrix of numbers"),
        (lambda f: f.test(np.full(len(f.beta), np.nan)), "not finite"),
        (lambda f: f.test("x", rhs=[1, 2]), "not a number, nor one for each of 1 rows"),
        (lambda f: f.test("x", rhs=np.inf), "rhs=inf is not finite"),
        (lambda f: f.test("x = 1", rhs=2), "leave rhs=2 out"),
        (lambda f: f.test("x", df="t"), "df='t' is not one of"),
        (lambda f: f.test("x", level=95), "level=95 is not between"),
        (lambda f: f.test("poly(x, 2)[1] = 0"), "left out of the fit"),
    ],
)
def test_what_is_refused(fit, ask, words):
    with pytest.raises(ModelError, match=words):
        ask(fit)


def test_unknown_names_are_shown_with_what_there_is(fit):
    with pytest.raises(FormulaError, match=r"(?s)'ff' is not a coefficient.*the terms: f, x"):
        fit.test("ff")


def test_terms_left_out_of_the_fit(data):
    fit = me.fit("y ~ x + z + (1 | g)", data)
    with pytest.raises(ModelError, match=r"Term 'z' was left out"):
        fit.test("z")


def test_tables_come_in_the_frame_of_the_data(data):
    test = me.fit("y ~ f + x + (1 | g)", pl.DataFrame(data)).test("f")
    assert isinstance(test.table, pl.DataFrame)
    assert "jointly: F(2, " in repr(test)
    assert test.df == "satterthwaite"
