"""Statements about parameters and their posterior probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

import mixedeffects as me
from drawn_posteriors import drawn, draws_of, table
from mixedeffects.bayes.hypotheses import statements
from mixedeffects.bayes.savage_dickey import density_at_zero
from mixedeffects.errors import FormulaError, ModelError


@pytest.fixture(scope="module")
def post():
    return drawn("y ~ x + f + (1 + x | g)")


def test_probabilities_are_shares_of_the_draws(post):
    draws = draws_of(post)
    found = post.hypothesis("x > 0.1, f[T.b] - 2*x < f[T.c] + 1, x >= 0, x <= 0", level=0.8)
    one = draws["f[T.b]"] - 2 * draws["x"] - draws["f[T.c]"] - 1
    expected = [np.mean(draws["x"] > 0.1), np.mean(one < 0), *2 * [np.mean(draws["x"] > 0)]]
    expected[3] = 1 - expected[3]
    np.testing.assert_allclose(found.probability, expected)
    np.testing.assert_allclose(found.odds, np.array(expected) / (1 - np.array(expected)))
    np.testing.assert_allclose(found.table["estimate"][1], one.mean())
    np.testing.assert_allclose(found.table["conf_low"][1], np.quantile(one, 0.1))
    p = expected[0]  # independent draws
    np.testing.assert_allclose(found.table["mc_error"][0], np.sqrt(p * (1 - p) / 120), rtol=0.35)


def test_standard_deviations_and_correlations(post):
    draws = draws_of(post)
    found = post.hypothesis("sd(x | g) > sigma, cor(Intercept, x | g) < 0.2")
    expected = [
        np.mean(draws["sd(x | g)"] > draws["sigma"]),
        np.mean(draws["cor(Intercept, x | g)"] < 0.2),
    ]
    np.testing.assert_allclose(found.probability, expected)


def test_names_with_relations_and_commas():
    names = ["Intercept", "f[T.>50, high]"]
    (stated,) = statements("f[T.>50, high] >= Intercept", names)
    assert stated.sign == 1
    assert stated.row.tolist() == [-1.0, 1.0]


def test_a_column_called_sigma_is_not_the_residual():
    data = {**table(), "sigma": table()["x"]}
    options = {"seed": 1, "draws": 50, "tune": 60, "chains": 2, "on_check": "ignore"}
    post = me.sample("y ~ sigma + (1 | g)", data, **options)
    found = post.hypothesis("sigma > 0, dispersion: sigma > 0").table
    means = [post.fixef()["estimate"][1], post.sigma]
    np.testing.assert_allclose(found["estimate"], means, rtol=1e-12)


def test_an_equation_is_the_ratio_of_densities():
    """A normal prior updated by nearly nothing but one observation, in closed form."""
    rng = np.random.default_rng(2)
    n = 400
    data = {"y": rng.normal(0.05, 1.0, n), "g": np.arange(n) % 20}
    priors = {
        "Intercept": me.priors.Normal(0.0, 0.5),
        "sd": me.priors.HalfNormal(0.001),
        "sigma": me.priors.HalfNormal(2.0),
    }
    post = me.sample("y ~ 1 + (1 | g)", data, priors=priors, seed=1, on_check="ignore")
    found = post.hypothesis("Intercept = 0")
    variance = 1.0 / (1.0 / 0.25 + n / data["y"].var(ddof=1))
    mean = variance * n / data["y"].var(ddof=1) * data["y"].mean()
    expected = norm.pdf(0.0, mean, np.sqrt(variance)) / norm.pdf(0.0, 0.0, 0.5)
    # density estimated from 4,000 draws
    np.testing.assert_allclose(found.odds[0], expected, rtol=0.12)
    np.testing.assert_allclose(found.probability, found.odds / (1 + found.odds))
    assert 0.0 < found.table["mc_error"][0] < 0.02


def test_densities_in_a_tail_are_neither_too_high_nor_said_to_be_exact():
    """Plain kernels of 4,000 draws are 14% too high 2.7 deviations out."""
    rng = np.random.default_rng(3)
    found = [density_at_zero(rng.normal(2.7, 1.0, (4, 1000))) for _ in range(60)]
    values, errors = np.array(found).T
    expected = norm.pdf(2.7)
    # mean of 60, each with an error of some 6%
    assert abs(values.mean() / expected - 1.0) < 0.03
    np.testing.assert_allclose(errors.mean(), values.std(ddof=1), rtol=0.35)


@pytest.fixture(scope="module")
def sampled():
    data = table()
    options = {"seed": 1, "draws": 200, "tune": 200, "chains": 2, "on_check": "ignore"}
    given = {"x": me.priors.StudentT(3, 0, 2), "f[T.b]": me.priors.Normal(0, 2)}
    return me.sample("y ~ x + f + (1 | g)", data, priors=given, **options)


def test_priors_of_one_coefficient_or_normal(sampled):
    assert sampled.hypothesis("2*x = 0").odds[0] > 0
    np.testing.assert_allclose(
        sampled.hypothesis("2*x = 0").odds, sampled.hypothesis("x = 0").odds, rtol=1e-10
    )
    assert sampled.hypothesis("f[T.b] = f[T.c]").odds[0] > 0
    with pytest.raises(ModelError, match="normal priors only"):
        sampled.hypothesis("x = f[T.b]")


def test_equations_without_an_answer(post, sampled):
    with pytest.raises(ModelError, match="draws are of the prior"):
        post.hypothesis("x = 0")
    with pytest.raises(ModelError, match="is no coefficient"):
        sampled.hypothesis("sigma = 2")
    with pytest.raises(ModelError, match="so few draws"):
        sampled.hypothesis("x = 50")
    flat = drawn_flat()
    with pytest.raises(ModelError, match="Flat"):
        flat.hypothesis("x = 0")
    assert 0 <= flat.hypothesis("x > 0").probability[0] <= 1


def drawn_flat():
    return me.sample(
        "y ~ x + (1 | g)",
        table(),
        priors={"b": me.priors.Flat()},
        draws=50,
        tune=100,
        chains=2,
        seed=1,
        on_check="ignore",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "has one '>', '<' or '='"),
        ("x > 0 > 1", "has one '>', '<' or '='"),
        ("z > 0", "'z' is not a coefficient"),
        ("x * f[T.b] > 0", "not linear"),
        ("1 > 0", "no coefficient"),
        ("x > ", "is expected here"),
        (3, "a hypothesis is a text"),
    ],
)
def test_texts_that_are_no_statements(post, text, message):
    with pytest.raises(FormulaError, match=message):
        post.hypothesis(text)


def test_the_dispersion_is_sigma_for_every_family():
    priors = {"sigma": me.priors.Gamma(20, 10)}
    post = drawn("count ~ 1 + (1 | g)", family="nbinom2", priors=priors)
    sigma = post._sampled.draws.sigma
    found = post.hypothesis("sigma > 2")
    np.testing.assert_allclose(found.probability, np.mean(sigma > 2))


def test_components():
    priors = {"b": me.priors.Normal(0, 0.3), "zero_inflation: b": me.priors.Normal(0, 0.3)}
    post = drawn("count ~ x + (1 | g)", family="poisson", zero_inflation="~ x", priors=priors)
    found = post.hypothesis("x > 0", component="zero_inflation")
    np.testing.assert_allclose(found.probability, np.mean(draws_of(post)["zero_inflation: x"] > 0))
    with pytest.raises(ModelError, match="component='dispersion' is not one of"):
        post.hypothesis("x > 0", component="dispersion")
