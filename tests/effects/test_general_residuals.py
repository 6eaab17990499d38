"""Residuals of generalized fits: their variances, and their places in the marginal distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import kstest, norm, poisson

import mixedeffects as me
from effects.general_models import TRIALS, drawn, fitted, model
from mixedeffects.effects.general_quantiles import marginal_places
from mixedeffects.errors import ModelError
from mixedeffects.families import Response, ZeroInflated
from mixedeffects.families import build as family_of

NUMERIC = [name for name in me.families.FAMILIES if name != "cumulative"]
INFLATED = ["poisson", "nbinom2", "truncated_poisson", "truncated_nbinom2", "gamma", "beta"]


def divisor(fit):
    return fit.residuals("response") / fit.residuals("pearson")


@pytest.mark.parametrize(
    ("name", "inflated"), [(n, False) for n in NUMERIC] + [(n, True) for n in INFLATED]
)
def test_pearson_residuals_divide_by_the_deviation_of_draws(name, inflated):
    """The mean over the rows of draws' squares: 300 · 400 of them err by about 1 %."""
    fit = model(name, inflated)
    trials = TRIALS if name in ("binomial", "betabinomial") else 1.0
    draws = fit.simulate(300, random="conditional", seed=3) / trials
    squares = ((draws - np.asarray(fit.fitted())) ** 2).mean(axis=0)
    ratio = np.mean(squares / np.asarray(divisor(fit)) ** 2)
    # squares of t with 6 degrees of freedom, and of inverse Gaussians, have heavy tails
    heavy = name in ("student_t", "inverse_gaussian", "lognormal", "tweedie")
    assert ratio == pytest.approx(1.0, abs=0.08 if heavy else 0.03)


def test_response_residuals():
    data, fit = drawn("binomial"), model("binomial")
    np.testing.assert_allclose(fit.residuals(), data["y"] / TRIALS - fit.fitted(), rtol=1e-12)


def test_deviance_residuals_square_to_the_deviance():
    data, fit = drawn("poisson"), model("poisson")
    y, mu = data["y"].to_numpy(), np.asarray(fit.fitted())
    saturated, own = poisson.logpmf(y, np.maximum(y, 1e-300)), poisson.logpmf(y, mu)
    found = np.asarray(fit.residuals("deviance"))
    np.testing.assert_allclose(found**2, 2.0 * (saturated - own), rtol=1e-8, atol=1e-10)
    np.testing.assert_array_equal(np.sign(found), np.sign(y - mu))


def test_deviance_residuals_of_zero_amounts_are_the_limit_of_small_ones():
    fit = model("tweedie")
    y, means = fit.design.y, np.asarray(fit.fitted())
    power = float(fit.fixef().query("component == 'shape'")["estimate"].iloc[0])
    zeros = np.flatnonzero(y == 0.0)
    assert len(zeros) > 50
    expected = -np.sqrt(2.0 * means[zeros] ** (2.0 - power) / (2.0 - power))
    assert np.allclose(np.asarray(fit.residuals("deviance"))[zeros], expected)


def test_deviance_residuals_that_are_not_defined():
    with pytest.raises(ModelError, match="has no deviance residuals"):
        model("poisson", True).residuals("deviance")


def test_weights_count():
    data = drawn("poisson")
    weighted = fitted("poisson", data.assign(w=2.0), weights="w")
    np.testing.assert_allclose(
        weighted.residuals("pearson"),
        np.sqrt(2.0) * weighted.residuals() / np.sqrt(weighted.fitted()),
        rtol=1e-10,
    )


# -- quantile residuals ----------------------------------------------------------------------


def test_places_of_a_gaussian_response_are_known():
    """Φ((y − xβ̂)/√(σ_b² + σ²)), whatever the seed."""
    fit = model("gaussian")
    variance = fit.varcorr()["variance_or_cov"].iloc[0] + fit.predict(component="dispersion") ** 2
    error = drawn("gaussian")["y"] - fit.predict(random="population")
    for seed in (1, 2):
        found = fit.residuals("quantile", seed=seed)
        np.testing.assert_allclose(found, norm.cdf(error / np.sqrt(variance)), atol=1e-6)


def test_places_of_counts_are_in_the_steps_of_their_distribution():
    fit, y = model("poisson"), drawn("poisson")["y"].to_numpy()
    eta = np.asarray(fit.predict(random="population", scale="link"))
    sd = np.sqrt(fit.varcorr()["variance_or_cov"].iloc[0])
    at = np.linspace(-7, 7, 4001)
    weights = norm.pdf(at) / norm.pdf(at).sum()
    rates = np.exp(eta[:, None] + sd * at)
    low, high = (poisson.cdf(v[:, None], rates) @ weights for v in (y - 1, y))
    response = fit._fit.problem.response
    below, mass = marginal_places(fit._fit.family, response, (eta,), {0: np.full(len(y), sd**2)})
    # the rule leaves out what is beyond five deviations, 6e-7
    np.testing.assert_allclose(below, low, atol=1e-6)
    np.testing.assert_allclose(below + mass, high, atol=1e-6)
    found = np.array([fit.residuals("quantile", seed=s) for s in range(200)])
    assert (found >= low - 1e-6).all()
    assert (found <= high + 1e-6).all()
    # uniform within the step: the mean of 200 errs by 2 % of its height
    np.testing.assert_allclose(found.mean(axis=0), (low + high) / 2, atol=0.09 * (high - low).max())


def test_places_with_random_effects_in_two_predictors():
    """Against draws of both effects."""
    family, y = ZeroInflated(family_of("poisson")), np.arange(6.0)
    eta = (np.full(6, 0.7), np.full(6, -0.4))
    variances = {0: np.full(6, 0.5), 1: np.full(6, 0.8)}
    below, mass = marginal_places(family, family.response(y), eta, variances)
    rng = np.random.default_rng(1)
    rate = np.exp(0.7 + np.sqrt(0.5) * rng.normal(size=400_000))
    extra = expit(-0.4 + np.sqrt(0.8) * rng.normal(size=400_000))
    expected = [np.mean((1 - extra) * poisson.pmf(k, rate) + extra * (k == 0)) for k in y]
    # 400,000 draws err by less than 1e-3
    np.testing.assert_allclose(mass, expected, atol=2e-3)
    np.testing.assert_allclose(below, np.cumsum([0.0, *expected[:-1]]), atol=4e-3)


@pytest.mark.parametrize("rate", [30.0, 3000.0, 300_000.0])
def test_places_among_large_counts(rate):
    """Log-normal Poisson: of large counts the logarithm is normal, in a step of one count."""
    family, sd = family_of("poisson"), 1.2
    y = np.floor(rate * np.exp(sd * np.array([-2.0, -0.3, 0.0, 1.0, 2.5])))
    eta = (np.full(5, np.log(rate)),)
    below, mass = marginal_places(family, family.response(y), eta, {0: np.full(5, sd**2)})
    at = np.linspace(-8, 8, 40_001)
    weights = norm.pdf(at) / norm.pdf(at).sum()
    expected = poisson.cdf(y[:, None], rate * np.exp(sd * at)) @ weights
    # half the finest distance of nodes, times the normal density
    np.testing.assert_allclose(below + mass, expected, atol=2.1e-3)


@pytest.mark.parametrize(
    ("name", "value", "has_mass"),
    [
        ("tweedie", 0.0, True),
        ("tweedie", 0.3, False),
        ("ordbeta", 0.0, True),
        ("ordbeta", 1.0, True),
        ("ordbeta", 0.4, False),
        ("gamma", 0.3, False),
    ],
)
def test_values_with_a_positive_probability(name, value, has_mass):
    family = family_of(name)
    response = Response(np.array([value]))
    assert bool(family.atoms(response)[0]) is has_mass


def test_extra_zeros_have_a_positive_probability():
    family = ZeroInflated(family_of("gamma"))
    atoms = family.atoms(Response(np.array([0.0, 0.5])))
    np.testing.assert_array_equal(atoms, [True, False])


@pytest.mark.parametrize(
    ("name", "inflated"), [(n, False) for n in me.families.FAMILIES] + [(n, True) for n in INFLATED]
)
def test_places_under_the_model_are_uniform(name, inflated):
    """Of 400 rows in 40 groups that the family has drawn, with the parameters estimated.

    Rows of a group share their effect, so the distance is judged as that of 150 rows.
    """
    found = np.asarray(model(name, inflated).residuals("quantile", seed=1))
    assert ((found >= 0.0) & (found <= 1.0)).all()
    assert kstest(found, "uniform").statistic < 1.63 / np.sqrt(150)


def test_places_of_ordered_categories():
    fit = model("cumulative")
    with pytest.raises(ModelError, match="no response residuals: use kind='quantile'"):
        fit.residuals()
    with pytest.raises(ModelError, match="no pearson residuals"):
        fit.residuals("pearson")
    first, again = (fit.residuals("quantile", seed=4) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, fit.residuals("quantile", seed=5))


def test_a_kind_that_is_none_is_refused():
    with pytest.raises(ModelError, match="kind='working' is not one of"):
        model("poisson").residuals("working")
