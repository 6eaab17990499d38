"""Leverages, standardized residuals and Cook's distance against R and the dense hat matrix."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

import golden
import mixedeffects as me
import oracle
from golden import assert_close
from mixedeffects.effects.leverage import coefficient_gains
from mixedeffects.effects.rows import own_rows
from mixedeffects.errors import ModelError
from mixedeffects.fitting.conditional import ConditionalFactor

LEVERAGE = tuple(i for i in golden.cases("lmm") if "leverage" in golden.load_case(i).results)


@pytest.mark.parametrize("id_", LEVERAGE)
def test_leverage_and_cooks_distance_of_lme4(id_):
    case = golden.load_case(id_)
    fit = me.fit(case.formula, case.data, reml=case.reml, weights=case.weights)
    reference, allowed = case.results["leverage"], case.tolerances
    h = np.asarray(fit.leverage())
    assert_close(h[:20], reference["hatvalues_first20"], allowed["hat"], what="leverage")
    assert h.sum() == pytest.approx(reference["sum_hatvalues"], rel=1e-4)
    assert_close(
        np.asarray(fit.cooks_distance())[:20],
        reference["cooks_distance_first20"],
        allowed["cooks"],
        what="Cook's distance",
    )


@pytest.mark.parametrize("id_", golden.r_cases("influence"))
def test_rows_of_lme4(id_):
    case = golden.r_cases("influence")[id_]
    fit = me.fit(case.formula, case.data, reml=case.reml, weights=case.weights)
    rows = case.results["rows"]
    # optima agree to some 1e-6 of θ
    np.testing.assert_allclose(fit.leverage(), rows["hat"], rtol=1e-5)
    np.testing.assert_allclose(
        fit.cooks_distance(), rows["cooks_approximate"], rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(fit.residuals("scaled"), rows["pearson"], atol=1e-4)
    # lme4's rstudent is our standardized residual: it does not delete the row
    np.testing.assert_allclose(fit.residuals("standardized"), rows["rstudent"], atol=1e-4)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(8)
    n = 90
    g, h = rng.integers(0, 8, n), rng.integers(0, 5, n)
    x, w = rng.normal(2.0, 1.0, n), rng.uniform(0.3, 3.0, n)
    y = 1 + x + rng.normal(size=8)[g] * x + rng.normal(size=5)[h] + rng.normal(size=n) / np.sqrt(w)
    data = pd.DataFrame({"y": y, "x": x, "g": g, "h": h, "w": w, "c": 10 * g + h % 2})
    return data.set_index(pd.Index(rng.permutation(n) + 1000, name="row"))


def dense(fit):
    """V/σ², its GLS projection P, and the hat matrix I − W⁻¹P, all n × n."""
    design, n = fit.design, fit.nobs
    terms = [
        oracle.Term(r.values, r.codes, t.factor, len(r.levels), r.matrix)
        for r, t in zip(design.random, fit.estimates.terms, strict=True)
    ]
    W_inverse = np.eye(n) if design.weights is None else np.diag(1 / design.weights)
    V = W_inverse + sum(t.design() @ t.covariance() @ t.design().T for t in terms)
    X = design.X[:, fit.estimates.kept]
    VX = np.linalg.solve(V, X)
    P = np.linalg.inv(V) - VX @ np.linalg.solve(X.T @ VX, VX.T)
    return V, P, np.eye(n) - W_inverse @ P


MODELS = [
    ("y ~ x + (x | g)", {}),
    ("y ~ x + (x | g) + (1 | h)", {"weights": "w"}),
    ("y ~ x + I(2 * x) + (x || g)", {"weights": "w"}),
    ("y ~ x + (1 | g) + (1 | c)", {"reml": False}),
    ("y ~ 1 + (1 | g)", {"offset": "x"}),
]


@pytest.mark.parametrize(("formula", "options"), MODELS)
def test_dense_formulas(data, formula, options):
    fit = me.fit(formula, data, on_check="ignore", **options)
    V, P, H = dense(fit)
    w = np.ones(90) if fit.design.weights is None else fit.design.weights
    h = np.diagonal(H)
    np.testing.assert_allclose(fit.leverage(), h, atol=1e-9)
    # Cov(e) = σ² W⁻¹ P V P W⁻¹, from which nothing of the short formula is assumed
    spread = fit.sigma * np.sqrt(np.diagonal(P @ V @ P) / w**2)
    np.testing.assert_allclose(fit.residuals("standardized"), fit.residuals() / spread, rtol=1e-8)
    standardized = np.asarray(fit.residuals("standardized"))
    expected = standardized**2 * h / (1 - h) / len(fit.beta)
    np.testing.assert_allclose(fit.cooks_distance(), expected, rtol=1e-7)
    X = fit.design.X[:, fit.estimates.kept]
    gains = np.linalg.solve(X.T @ np.linalg.solve(V, X), np.linalg.solve(V, X).T).T / w[:, None]
    np.testing.assert_allclose(coefficient_gains(fit._fit), gains, atol=1e-9)


def test_far_away_columns_lose_few_digits(data):
    near = me.fit("y ~ x + (1 | g)", data)
    far = me.fit("y ~ x + (1 | g)", data.assign(x=data["x"] + 1e6))
    np.testing.assert_allclose(near.leverage(), far.leverage(), rtol=1e-6)
    near_slopes, far_slopes = (coefficient_gains(f._fit)[:, 1] for f in (near, far))
    np.testing.assert_allclose(near_slopes, far_slopes, atol=1e-6 * np.abs(near_slopes).max())


def test_a_zero_variance_leaves_the_fixed_effects(data):
    zero = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff2"))
    np.testing.assert_allclose(zero.leverage(), 1 / 30, rtol=1e-6)


def test_rows_fitted_exactly_have_no_standardized_residual(data):
    alone = data.assign(only=(np.arange(90) == 17).astype(float))
    fit = me.fit("y ~ x + only + (1 | g)", alone)
    assert fit.leverage().iloc[17] == pytest.approx(1.0)
    standardized = fit.residuals("standardized")
    assert list(np.flatnonzero(standardized.isna())) == [17]
    assert list(np.flatnonzero(fit.cooks_distance().isna())) == [17]


def test_labels_of_the_rows_used(data):
    holed = data.assign(x=data["x"].where(np.arange(90) % 9 != 4))
    fit = me.fit("y ~ x + (1 | g)", holed)
    for values in (fit.leverage(), fit.cooks_distance(), fit.residuals("standardized")):
        assert values.index.equals(holed.dropna().index)
    from_polars = me.fit("y ~ x + (1 | g)", pl.from_pandas(holed))
    assert isinstance(from_polars.leverage(), np.ndarray)
    np.testing.assert_allclose(from_polars.leverage(), fit.leverage(), rtol=1e-9)


def test_weight_two_is_a_row_twice(data):
    twice = pd.concat([data, data.iloc[:30]])
    weighted = data.assign(w=np.where(np.arange(90) < 30, 2.0, 1.0))
    one = me.fit("y ~ x + (1 | g)", twice)
    two = me.fit("y ~ x + (1 | g)", weighted, weights="w")
    # estimates differ (120 rows or 90), so compare at one θ
    rows = own_rows(two._fit)
    factor = ConditionalFactor(two._fit.problem, one.theta)
    h = weighted["w"].to_numpy() * factor.variances(rows.X, rows.values, rows.codes)
    copies = one.leverage().to_numpy()
    np.testing.assert_allclose(h[:30], copies[:30] + copies[90:], rtol=1e-9)
    np.testing.assert_allclose(h[30:], copies[30:90], rtol=1e-9)


def test_no_fixed_effects(data):
    fit = me.fit("y ~ 0 + (1 | g)", data)
    assert 0 < fit.leverage().sum() < 8
    with pytest.raises(ModelError, match="this model has none"):
        fit.cooks_distance()
