"""Simulated responses have the moments of the model; refits are fits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedeffects as me
import oracle
from mixedeffects.errors import DataError, ModelError

DRAWS = 4000


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    n = 48
    g, h, x = np.arange(n) // 6, np.arange(n) % 5, rng.normal(size=n)
    b = rng.normal(size=(8, 2)) @ [[1.5, 0.5], [0.0, 0.7]]
    y = 3 + x + b[g, 0] + b[g, 1] * x + rng.normal(size=5)[h] + rng.normal(size=n)
    w, o = rng.uniform(0.3, 3.0, n), rng.normal(10, 1, n)
    return pd.DataFrame({"y": y + o, "x": x, "g": g, "h": h, "w": w, "o": o})


@pytest.fixture(scope="module")
def fit(data):
    return me.fit("y ~ x + offset(o) + (x | g) + (1 | h)", data, weights="w")


def dense_covariance(fit, data, known=None):
    """σ²(W⁻¹ + ZΣZ') of the fit's rows."""
    n = len(data)
    V = np.diag(1.0 / (np.ones(n) if fit.design.weights is None else data["w"]))
    for random, term in zip(fit.design.random, fit.estimates.terms, strict=True):
        own = oracle.Term(random.values, random.codes, term.factor, len(random.levels), known)
        V = V + own.design() @ own.covariance() @ own.design().T
    return fit.sigma**2 * V


def assert_moments(draws, mean, covariance):
    """Mean and covariance of many draws, within five standard errors."""
    n = len(draws)
    error = (draws.mean(axis=0) - mean) / np.sqrt(np.diagonal(covariance) / n)
    assert np.abs(error).max() < 5
    deviations = np.sqrt(np.diagonal(covariance))
    scale = np.outer(deviations, deviations)
    found, expected = np.cov(draws.T) / scale, covariance / scale
    assert np.abs((found - expected) / np.sqrt((1 + expected**2) / n)).max() < 5.5


def test_marginal_draws(fit, data):
    draws = fit.simulate(DRAWS, seed=1)
    assert draws.shape == (DRAWS, 48)
    mean = fit.design.X @ fit.beta + data["o"].to_numpy()
    assert_moments(draws, mean, dense_covariance(fit, data))


def test_conditional_draws(fit, data):
    draws = fit.simulate(DRAWS, random="conditional", seed=2)
    covariance = np.diag(fit.sigma**2 / data["w"].to_numpy())
    assert_moments(draws, fit.fitted().to_numpy(), covariance)


def test_draws_of_a_relationship():
    rng = np.random.default_rng(5)
    L, n = 6, 30
    root = rng.normal(size=(L, L))
    K = root @ root.T / L + np.eye(L)
    g, x = np.arange(n) % L, rng.normal(size=n)
    b = np.linalg.cholesky(K) @ rng.normal(size=(L, 2))
    y = b[g, 0] + b[g, 1] * x + 0.5 * rng.normal(size=n)
    data = pd.DataFrame({"y": y, "g": g, "x": x})
    fit = me.fit("y ~ 1 + known(x | g, K)", data, on_check="ignore")
    draws = fit.simulate(DRAWS, seed=3)
    assert_moments(draws, np.full(n, fit.beta[0]), dense_covariance(fit, data, K))


def test_seeds(fit):
    one = fit.simulate(seed=4)
    assert one.shape == (48,)
    np.testing.assert_array_equal(one, fit.simulate(seed=4))
    np.testing.assert_array_equal(one, fit.simulate(seed=np.random.default_rng(4)))
    np.testing.assert_array_equal(one, fit.simulate(3, seed=4)[0])
    assert not np.array_equal(one, fit.simulate(seed=5))
    assert not np.array_equal(fit.simulate(), fit.simulate())
    assert fit.simulate(1, seed=4).shape == (1, 48)


def test_unknown_kind_of_draws(fit):
    with pytest.raises(ModelError, match=r"random='both'.*'marginal', 'conditional'"):
        fit.simulate(random="both")


def test_parameters_come_back():
    """The mean of the estimates of simulated responses is near what they were made from."""
    data = me.datasets.load("sleepstudy")
    fit = me.fit("Reaction ~ Days + (Days | Subject)", data)
    refits = [fit.refit(y, on_check="ignore") for y in fit.simulate(150, seed=6)]
    beta = np.array([r.beta for r in refits])
    error = (beta.mean(axis=0) - fit.beta) / np.sqrt(np.diagonal(fit.vcov()) / 150)
    assert np.abs(error).max() < 4
    np.testing.assert_allclose(np.cov(beta.T), fit.vcov(), rtol=0.5, atol=3)
    sigma = np.array([r.sigma for r in refits])
    assert sigma.mean() == pytest.approx(fit.sigma, rel=0.03)


# -- refit ------------------------------------------------------------------------------------


def assert_same(one, other):
    assert one.objective == pytest.approx(other.objective, abs=1e-7)
    np.testing.assert_allclose(one.theta, other.theta, atol=2e-5)
    np.testing.assert_allclose(one.beta, other.beta, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(one.vcov(), other.vcov(), rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(one.fitted(), other.fitted(), atol=1e-4)
    np.testing.assert_allclose(one.residuals(), other.residuals(), atol=1e-4)
    np.testing.assert_allclose(one.ranef()["estimate"], other.ranef()["estimate"], atol=1e-4)
    np.testing.assert_allclose(one.ranef()["std_error"], other.ranef()["std_error"], atol=1e-4)
    assert one.converged == other.converged


@pytest.mark.parametrize("seed", range(8))
def test_refit_is_a_fresh_fit(fit, data, seed):
    y = fit.simulate(seed=seed)
    fresh = me.fit(fit.formula, data.assign(y=y), weights="w")
    assert_same(fit.refit(y), fresh)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_refit_of_another_scale(fit, data, scale):
    y = scale * fit.simulate(seed=1) + scale
    again = fit.refit(y)
    fresh = me.fit(fit.formula, data.assign(y=y), weights="w")
    assert again.objective == pytest.approx(fresh.objective, abs=1e-7)
    np.testing.assert_allclose(again.beta, fresh.beta, rtol=1e-5)


def test_refit_of_the_same_response(fit, data):
    again = fit.refit(data["y"])
    assert_same(again, fit)


def test_refit_leaves_the_fit_alone(fit):
    before = fit.objective, fit.beta.copy(), fit.fitted().copy()
    fit.refit(fit.simulate(seed=0)).ranef()
    assert fit.objective == before[0]
    np.testing.assert_array_equal(fit.beta, before[1])
    np.testing.assert_array_equal(fit.fitted(), before[2])


def test_refit_from_a_singular_fit():
    """θ = 0 is a stationary point of every other response too."""
    data = me.datasets.load("dyestuff2")
    singular = me.fit("Yield ~ 1 + (1 | Batch)", data)
    assert singular.is_singular
    other = me.datasets.load("dyestuff")["Yield"].to_numpy(float)
    expected = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff"))
    again = singular.refit(other)
    assert not again.is_singular
    assert again.converged
    assert again.objective == pytest.approx(expected.objective, abs=1e-7)


def test_refits_from_singular_slopes():
    """From a correlation of one to responses that have none."""
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(20), 5), np.tile(np.arange(5.0), 20)
    b = rng.normal(size=20)
    data = pd.DataFrame({"g": g, "x": x, "y": b[g] * (1 + x) + rng.normal(size=100)})
    singular = me.fit("y ~ x + (x | g)", data)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        b = rng.normal(size=(20, 2))
        y = b[g, 0] + b[g, 1] * x + rng.normal(size=100)
        expected = me.fit("y ~ x + (x | g)", data.assign(y=y))
        assert singular.refit(y).objective == pytest.approx(expected.objective, abs=1e-7)


def test_refit_with_dropped_rows(data):
    holed = data.assign(x=data["x"].where(np.arange(48) % 7 != 3))
    fit = me.fit("y ~ x + (1 | g)", holed)
    y = np.random.default_rng(0).normal(size=48)
    used = ~holed["x"].isna().to_numpy()
    fresh = me.fit("y ~ x + (1 | g)", holed.assign(y=y))
    assert_same(fit.refit(y), fresh)
    assert_same(fit.refit(y[used]), fresh)
    y[~used] = np.nan  # rows that are not used may lack a response
    assert_same(fit.refit(y), fresh)


def test_refit_of_a_series_goes_by_position(fit, data):
    y = pd.Series(fit.simulate(seed=1), index=np.arange(48)[::-1])
    assert_same(fit.refit(y), fit.refit(y.to_numpy()))


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.ones(47), r"shape \(47,\); 48 values"),
        (np.ones((48, 1)), r"shape \(48, 1\)"),
        (np.full(48, np.nan), "not finite"),
        (np.where(np.arange(48) == 5, np.inf, 1.0), "not finite at position 5"),
        (["a"] * 48, "numbers"),
        (np.ones(48) + 1j, "numbers"),
        (None, "numbers|shape"),
    ],
)
def test_refit_refuses(fit, y, words):
    with pytest.raises(DataError, match=words):
        fit.refit(y)


def test_refit_refuses_a_constant(fit, data):
    with pytest.raises(ModelError, match="constant"):
        fit.refit(data["o"] + 3.0)
