"""Degrees of freedom and standard errors where covariates are far from zero."""

from __future__ import annotations

import numpy as np
import pytest

import mixedeffects as me
from mixedeffects.data import datasets

SHIFT = 1e7
# Rounding of the shifted values is some 1e-9 of their spread, and differences by theta multiply
# what it does by 1e4.
RTOL = 1e-6


@pytest.fixture(scope="module")
def near():
    return datasets.load("sleepstudy").assign(late=lambda d: (d["Days"] > 4).astype(float))


@pytest.fixture(scope="module")
def far(near):
    return near.assign(Days=near["Days"] + SHIFT)


FORMULA = "Reaction ~ Days*late + (Days | Subject)"
ROWS = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [1, 5, 0, 0], [1, 2, 1, 2], [0, 0, 0, 1]])


def moved(rows):
    """The same functions where Days, and so its interaction, is shifted."""
    change = np.eye(4)
    change[0, 1] = change[2, 3] = SHIFT
    return rows @ change


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger", "residual", "asymptotic"])
def test_a_shift_changes_no_test(near, far, df):
    one, two = me.fit(FORMULA, near), me.fit(FORMULA, far)
    own, other = one.test(ROWS, df=df), two.test(moved(ROWS), df=df)
    np.testing.assert_allclose(other.table.iloc[:, 1:], own.table.iloc[:, 1:], rtol=RTOL, atol=1e-9)
    for some in ([0, 1], [1, 2, 4], [0, 1, 2, 3, 4]):
        a, b = one.test(ROWS[some], df=df).joint, two.test(moved(ROWS[some]), df=df).joint
        assert a.num_df == b.num_df
        # which directions are principal depends on the rows' sizes, not on the shift
        np.testing.assert_allclose([b.statistic, b.den_df], [a.statistic, a.den_df], rtol=RTOL)


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger"])
def test_a_shift_changes_no_slope_and_no_mean(near, far, df):
    one, two = me.fit(FORMULA, near), me.fit(FORMULA, far)
    slope = ["Days", "Days:late"]
    own, other = (fit.fixef(df=df).set_index("term").loc[slope] for fit in (one, two))
    np.testing.assert_allclose(other, own, rtol=RTOL)
    for at in (0.0, 4.5, 20.0):
        a = one.emmeans("Days", at={"Days": [at], "late": [0.0]}, df=df).table
        b = two.emmeans("Days", at={"Days": [at + SHIFT], "late": [0.0]}, df=df).table
        np.testing.assert_allclose(b.iloc[:, 1:], a.iloc[:, 1:], rtol=RTOL)


def test_the_intercept_at_the_origin_is_the_slope_again(near, far):
    """10^7 days before the data an intercept is known as well as the slope, with its df."""
    table = me.fit("Reaction ~ Days + (Days | Subject)", far).fixef().set_index("term")
    intercept, slope = table.loc["Intercept"], table.loc["Days"]
    assert intercept["std_error"] == pytest.approx(SHIFT * slope["std_error"], rel=1e-5)
    assert intercept["df"] == pytest.approx(slope["df"], rel=1e-5)


def test_generalized_fits(near, far):
    counts = np.random.default_rng(0).poisson(np.exp(1.0 + 0.1 * near["Days"]))
    fits = [
        me.fit("n ~ Days + (1 | Subject)", data.assign(n=counts), family="poisson")
        for data in (near, far)
    ]
    own, other = (fit._freedom(None) for fit in fits)
    L = np.array([[1.0, 0.0], [1.0, 4.5], [0.0, 1.0]])
    M = L + np.outer(L[:, 0], [0.0, SHIFT])
    np.testing.assert_allclose(other.std_errors(M), own.std_errors(L), rtol=1e-4)
    np.testing.assert_allclose(other.covariance_of(M), own.covariance_of(L), rtol=1e-3)


def test_the_covariance_is_that_of_the_fit(near):
    fit = me.fit(FORMULA, near)
    for df in ("satterthwaite", "residual", "asymptotic"):
        np.testing.assert_allclose(fit._freedom(df).covariance, fit.vcov(), rtol=1e-10)
