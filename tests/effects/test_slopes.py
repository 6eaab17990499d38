"""Slopes: derivatives of the fixed part."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedeffects as me
from mixedeffects.errors import ModelError


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(4)
    n = 200
    x, g = rng.uniform(1.0, 9.0, n), rng.integers(0, 12, n)
    a = rng.choice(list("uvw"), n)
    y = np.sin(x) + 0.3 * x * (a == "v") + rng.normal(size=12)[g] + 0.5 * rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "z": rng.normal(size=n), "a": a, "g": g})


def predicted_slope(fit, x, h=1e-4, **values):
    """By prediction a little to both sides."""
    rows = pd.DataFrame({"x": [x - h, x + h], **{k: [v, v] for k, v in values.items()}})
    low, high = fit.predict(rows, random="population")
    return (high - low) / (2 * h)


@pytest.mark.parametrize(
    "terms",
    ["x*a + z", "poly(x, 3)*a + z", "log(x):a + z*x", "a*bs(x, df=6) + z", "ns(x, df=4) + a + z"],
)
def test_derivatives_of_predictions(terms, data):
    fit = me.fit(f"y ~ {terms} + (1 | g)", data)
    points = [1.5, 4.0, 8.0]
    table = fit.slopes("x", by="a", at={"x": points}, df="asymptotic").table
    assert list(table.columns)[:2] == ["a", "x"]
    z = data["z"].mean()
    for row in table.itertuples():
        # the comparison errs by h² times a third derivative, and by rounding over h
        expected = predicted_slope(fit, row.x, a=row.a, z=z)
        np.testing.assert_allclose(row.estimate, expected, rtol=1e-5, atol=1e-6)


def test_slopes_of_a_line_are_its_coefficients(data):
    fit = me.fit("y ~ x*a + (1 | g)", data)
    slopes = fit.slopes("x", by="a")
    names = list(fit.estimates.x_names)
    expected = np.zeros((3, len(names)))
    expected[:, names.index("x")] = 1.0
    for row, level in enumerate("vw", start=1):
        expected[row, names.index(f"x:a[T.{level}]")] = 1.0
    np.testing.assert_allclose(slopes.L, expected, atol=1e-11)
    table, coefficients = slopes.table, fit.fixef().set_index("term")
    own = coefficients.loc["x"]
    for name in ("estimate", "std_error", "statistic", "df", "p_value", "conf_low", "conf_high"):
        np.testing.assert_allclose(table[name][0], own[name], rtol=1e-6)
    differences = slopes.contrast("treatment", adjust="none").table.set_index("contrast")
    np.testing.assert_allclose(
        differences["estimate"], coefficients.loc[["x:a[T.v]", "x:a[T.w]"], "estimate"]
    )
    np.testing.assert_allclose(fit.slopes("x").estimate, slopes.estimate.mean())


def test_cubics_are_exact(data):
    fit = me.fit("y ~ x + I(x^2) + I(x^3) + (1 | g)", data)
    x = np.array([-3.0, 0.0, 2.0, 40.0])
    slopes = fit.slopes("x", at={"x": x})
    np.testing.assert_allclose(
        slopes.L[:, 1:], np.stack([x**0, 2 * x, 3 * x**2], axis=1), rtol=1e-8, atol=1e-8
    )


def test_at_the_ends_of_the_data_from_inside(data):
    fit = me.fit("y ~ bs(x, df=5) + (1 | g)", data)
    low, high = data["x"].min(), data["x"].max()
    ends = fit.slopes("x", at={"x": [low, high]}).estimate
    near = fit.slopes("x", at={"x": [low + 1e-5, high - 1e-5]}).estimate
    np.testing.assert_allclose(ends, near, rtol=1e-3)


def test_the_unit_of_the_covariate_does_not_matter(data):
    own = me.fit("y ~ poly(x, 2)*a + (1 | g)", data).slopes("x", by="a").table
    fine = me.fit("y ~ poly(x, 2)*a + (1 | g)", data.assign(x=1e6 * data["x"])).slopes("x", by="a")
    np.testing.assert_allclose(1e6 * fine.estimate, own["estimate"], rtol=1e-6)
    np.testing.assert_allclose(fine.table["p_value"], own["p_value"], rtol=1e-5)


def test_far_from_zero(data):
    far = me.fit("y ~ x*a + (1 | g)", data.assign(x=data["x"] + 1e7)).slopes("x", by="a").table
    own = me.fit("y ~ x*a + (1 | g)", data).slopes("x", by="a").table
    np.testing.assert_allclose(far.iloc[:, 1:], own.iloc[:, 1:], rtol=1e-4)


def test_weights_average_over_factors(data):
    fit = me.fit("y ~ x*a + (1 | g)", data)
    shares = data["a"].value_counts(normalize=True)[["u", "v", "w"]]
    each = fit.slopes("x", by="a").estimate
    np.testing.assert_allclose(fit.slopes("x", weights="proportional").estimate, each @ shares)


def test_the_offset_has_no_part(data):
    fit = me.fit("y ~ x + offset(z) + (1 | g)", data)
    np.testing.assert_allclose(fit.slopes("x").estimate, fit.beta[1:])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"variable": "a"}, "'a' is a factor, so it has no slope"),
        ({"variable": "X"}, "'X' is not a variable.*Did you mean 'x'"),
        ({"variable": "g"}, "covariates 'x', 'z'"),
        ({"variable": ["x"]}, "give one covariate's name"),
        ({"variable": "x", "by": "z"}, "Column 'z' holds numbers"),
        ({"variable": "x", "weights": "some"}, "weights='some'"),
    ],
)
def test_bad_input(arguments, words, data):
    fit = me.fit("y ~ x*a + z + (1 | g)", data)
    with pytest.raises(ModelError, match=words):
        fit.slopes(**arguments)


def test_slopes_that_are_not_estimable(data):
    rows = (data["a"] != "w") | (data["x"] < 1.0)
    only = data[rows].assign(a=pd.Categorical(data["a"][rows], categories=list("uvw")))
    single = pd.concat([only, data[data["a"] == "w"].assign(x=2.0)])
    fit = me.fit("y ~ x*a + (1 | g)", single)  # of w there is one x
    with pytest.raises(ModelError, match=r"it: a=w\."):
        fit.slopes("x", by="a")
    assert fit.slopes("x", by="a", not_estimable="drop").table["a"].tolist() == ["u", "v"]
