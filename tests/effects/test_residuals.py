"""Every kind of residual, and the data of Q–Q plots, against their definitions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

import mixedeffects as me
import oracle
from mixedeffects.errors import ModelError


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(12)
    n = 100
    g, h = rng.integers(0, 9, n), rng.integers(0, 6, n)
    x, w, o = rng.normal(size=n), rng.uniform(0.3, 3.0, n), rng.normal(0, 9, n)
    y = 1 + x + rng.normal(size=9)[g] * (1 + x) + rng.normal(size=6)[h] + rng.normal(size=n) + o
    data = pd.DataFrame({"y": y, "x": x, "g": g, "h": h, "w": w, "o": o})
    return data.set_index(pd.Index(rng.permutation(n) + 70, name="row"))


@pytest.fixture(scope="module")
def fit(data):
    return me.fit("y ~ x + (x | g) + (1 | h)", data, weights="w", offset="o")


def dense(fit):
    """Terms of the oracle and V (n, n), in units of the data."""
    design, n = fit.design, fit.nobs
    terms = [
        oracle.Term(r.values, r.codes, t.factor, len(r.levels), r.matrix)
        for r, t in zip(design.random, fit.estimates.terms, strict=True)
    ]
    V = np.diag(1 / (np.ones(n) if design.weights is None else design.weights))
    for term in terms:
        V = V + term.design() @ term.covariance() @ term.design().T
    return terms, fit.sigma**2 * V


def test_kinds(fit, data):
    response = data["y"] - fit.fitted()
    root = np.sqrt(data["w"])
    np.testing.assert_allclose(fit.residuals(), response)
    np.testing.assert_allclose(fit.residuals("pearson"), response * root)
    np.testing.assert_allclose(fit.residuals("scaled"), response * root / fit.sigma)
    standardized = response * root / (fit.sigma * np.sqrt(1 - fit.leverage()))
    np.testing.assert_allclose(fit.residuals("standardized"), standardized)
    for kind in ("response", "pearson", "scaled", "standardized", "quantile"):
        assert fit.residuals(kind).index.equals(data.index)
    with pytest.raises(ModelError, match=r"kind='deviance'.*'standardized'.*'quantile'"):
        fit.residuals("deviance")


def test_standardized_residuals_have_unit_variance_over_new_data():
    """Exactly so at known θ: with every variance known, 400 simulated data sets average to 1."""
    data = me.datasets.load("sleepstudy")
    fit = me.fit("Reaction ~ Days + (Days | Subject)", data)
    _, V = dense(fit)
    rng = np.random.default_rng(3)
    draws = rng.multivariate_normal(np.zeros(180), V, 400)
    X = fit.design.X
    hat = np.eye(180) - fit.sigma**2 * (
        np.linalg.inv(V)
        - np.linalg.solve(V, X)
        @ np.linalg.solve(X.T @ np.linalg.solve(V, X), np.linalg.solve(V, X).T)
    )
    spread = fit.sigma * np.sqrt(1 - fit.leverage().to_numpy())
    squares = ((draws - draws @ hat.T) / spread) ** 2
    # 72,000 squares, nearly independent: standard error 0.006
    assert squares.mean() == pytest.approx(1.0, abs=0.03)
    by_row = squares.mean(axis=0)
    assert np.abs(by_row - 1).max() < 5 * np.sqrt(2 / 400)


def test_quantile_residuals_are_the_marginal_distribution(fit, data):
    _, V = dense(fit)
    expected = fit.predict(random="population")
    law = stats.norm(expected, np.sqrt(np.diagonal(V)))
    np.testing.assert_allclose(fit.residuals("quantile"), law.cdf(data["y"]), rtol=1e-9)


def test_quantile_residuals_of_related_levels(data):
    rng = np.random.default_rng(1)
    root = rng.normal(size=(9, 12))
    K = root @ root.T / 6  # noqa: F841 - named by the formula
    fit = me.fit("y ~ x + known(1 | g, K)", data, offset="o")
    _, V = dense(fit)
    law = stats.norm(fit.predict(random="population"), np.sqrt(np.diagonal(V)))
    np.testing.assert_allclose(fit.residuals("quantile"), law.cdf(data["y"]), rtol=1e-9)


def test_quantile_residuals_lie_where_simulated_responses_say(fit, data):
    draws = fit.simulate(4000, seed=1)
    below = (draws < data["y"].to_numpy()).mean(axis=0)
    # binomial standard error 0.008 at most; the largest of 100
    np.testing.assert_allclose(fit.residuals("quantile"), below, atol=0.03)


# -- Q–Q data ------------------------------------------------------------------------------


def test_qq_of_residuals(fit, data):
    table = fit.qq()
    assert list(table.columns) == ["row", "sample", "theoretical"]
    ordered = fit.residuals("standardized").sort_values()
    np.testing.assert_array_equal(table["row"], ordered.index)
    np.testing.assert_allclose(table["sample"], ordered)
    np.testing.assert_allclose(table["theoretical"], stats.norm.ppf((np.arange(100) + 0.5) / 100))


def test_qq_of_modes_divides_by_their_marginal_deviation(fit):
    """Var(b̂) = GZ'PZG, from the dense matrices."""
    terms, V = dense(fit)
    X = fit.design.X
    VX = np.linalg.solve(V, X)
    P = np.linalg.inv(V) - VX @ np.linalg.solve(X.T @ VX, VX.T)
    table = fit.qq("random")
    assert list(table.columns) == ["group", "level", "term", "sample", "theoretical"]
    assert len(table) == 9 * 2 + 6
    for random, term, dense_term in zip(fit.design.random, fit.estimates.terms, terms, strict=True):
        GZ = fit.sigma**2 * dense_term.covariance() @ dense_term.design().T
        spread = np.sqrt(np.diagonal(GZ @ P @ GZ.T)).reshape(term.modes.shape)
        for j, name in enumerate(random.names):
            own = table[(table["group"] == random.group) & (table["term"] == name)]
            expected = pd.Series(term.modes[:, j] / spread[:, j], index=random.levels)
            assert own["sample"].is_monotonic_increasing
            np.testing.assert_allclose(own["sample"], expected[own["level"]], rtol=1e-7)
            count = len(own)
            np.testing.assert_allclose(
                own["theoretical"], stats.norm.ppf((np.arange(count) + 0.5) / count)
            )


def test_qq_of_what_has_no_variance():
    fit = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff2"))
    table = fit.qq("random")
    assert len(table) == 6
    assert table["sample"].isna().all()
    assert table["theoretical"].isna().all()


def test_qq_keeps_rows_that_are_fitted_exactly(data):
    alone = data.assign(only=(np.arange(100) == 3).astype(float))
    table = me.fit("y ~ x + only + (1 | g)", alone, offset="o").qq()
    assert len(table) == 100
    assert table["row"].iloc[-1] == data.index[3]
    assert table["sample"].isna().sum() == table["theoretical"].isna().sum() == 1


def test_qq_of_polars(data):
    fit = me.fit("y ~ x + (1 | g) + (1 | h)", pl.from_pandas(data))
    assert isinstance(fit.qq(), pl.DataFrame)
    assert set(fit.qq("random")["group"]) == {"g", "h"}
    with pytest.raises(ModelError, match="what='modes'"):
        fit.qq("modes")
