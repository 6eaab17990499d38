"""Responses drawn from generalized fits, and fits to them."""

from __future__ import annotations

import numpy as np
import pytest

import mixedeffects as me
from effects.general_models import BETA, SD, TRIALS, drawn, fitted, model
from mixedeffects.effects.modes import draw_modes
from mixedeffects.errors import DataError, ModelError

FAMILIES = tuple(me.families.FAMILIES)
INFLATED = ("poisson", "nbinom2", "truncated_nbinom2", "gamma", "beta")
ALL = [(name, False) for name in FAMILIES] + [(name, True) for name in INFLATED]


@pytest.mark.parametrize(("name", "inflated"), ALL)
def test_a_refit_takes_what_simulate_gives(name, inflated):
    fit = model(name, inflated)
    y = fit.simulate(seed=2)
    assert y.shape == (fit.nobs,)
    again = fit.refit(y, on_check="ignore")
    assert np.isfinite(again.loglik)
    assert list(again.fixef()["term"]) == list(fit.fixef()["term"])
    np.testing.assert_array_equal(again.design.y, y)


def test_a_refit_of_the_response_is_the_fit():
    for name in ("poisson", "binomial", "cumulative"):
        fit = model(name)
        again = fit.refit(drawn(name)["y"])
        assert again.loglik == pytest.approx(fit.loglik, abs=1e-8)
        assert again.optimum.evaluations <= 4


def test_draws_follow_the_seed():
    fit = model("nbinom2", True)
    first, again = fit.simulate(3, seed=1), fit.simulate(3, seed=1)
    np.testing.assert_array_equal(first, again)
    assert first.shape == (3, fit.nobs)
    np.testing.assert_array_equal(first[0], fit.simulate(seed=1))
    assert not np.array_equal(first, fit.simulate(3, seed=2))


@pytest.mark.parametrize(("name", "inflated"), ALL)
def test_conditional_draws_have_the_fitted_means(name, inflated):
    if name == "cumulative":
        pytest.skip("see test_drawn_categories")
    fit = model(name, inflated)
    trials = TRIALS if name in ("binomial", "betabinomial") else 1.0
    draws = fit.simulate(400, random="conditional", seed=5) / trials
    sd = np.asarray(fit.residuals() / fit.residuals("pearson"))
    z = (draws.mean(axis=0) - np.asarray(fit.fitted())) / (sd / np.sqrt(400))
    # 400 means: their mean square errs by 7 %, heavy tails aside
    assert np.mean(z**2) == pytest.approx(1.0, abs=0.35)


def test_marginal_draws_hold_the_groups_variance():
    """E y = exp(η + σ²/2) of a log-normal Poisson, and its groups' variance."""
    fit = model("poisson")
    variance = fit.varcorr()["variance_or_cov"].iloc[0]
    expected = fit.predict(random="population") * np.exp(variance / 2)
    draws = fit.simulate(3000, seed=7)
    assert np.mean(draws.mean(axis=0) / expected) == pytest.approx(1.0, abs=0.02)
    g = drawn("poisson")["g"]
    sums = draws[:, (g == "g0").to_numpy()].sum(axis=1)
    mean = expected[(g == "g0").to_numpy()].sum()
    total = mean + mean**2 * np.expm1(variance)
    assert sums.var() == pytest.approx(total, rel=0.12)


@pytest.mark.parametrize("name", ["gamma", "nbinom2", "beta"])
def test_drawn_effects_have_the_fitted_variance_whatever_sigma(name):
    fit = model(name)
    rng = np.random.default_rng(1)
    (b,) = draw_modes(fit.estimates, [20_000], [None], rng)
    variance = fit.varcorr()["variance_or_cov"].iloc[0]
    assert fit.sigma != pytest.approx(1.0, abs=0.1)
    assert b.var() == pytest.approx(variance, rel=0.05)


def test_drawn_categories():
    fit = model("cumulative")
    draws = fit.simulate(500, random="conditional", seed=1)
    assert set(np.unique(draws)) == {0.0, 1.0, 2.0, 3.0}
    shares = np.stack([(draws == k).mean(axis=0) for k in range(4)], axis=1)
    np.testing.assert_allclose(shares, fit.fitted(), atol=0.1)


def test_a_category_that_was_not_drawn_is_named():
    fit = model("cumulative")
    y = np.minimum(drawn("cumulative")["y"], 2.0)
    with pytest.raises(DataError, match="3 categories, codes 0, 1, …; the model has 4"):
        fit.refit(y)


def test_successes_do_not_pass_their_trials():
    data = drawn("binomial").assign(size=lambda d: 1.0 + np.arange(len(d)) % 7)
    data["y"] = np.minimum(data["y"], data["size"])
    fit = fitted("binomial", data)
    draws = fit.simulate(50, seed=1)
    assert (draws <= data["size"].to_numpy()).all()
    assert (draws.max(axis=0) == data["size"]).any()


def test_weighted_rows_have_no_single_response():
    data = drawn("poisson").assign(w=2.0)
    fit = fitted("poisson", data, weights="w")
    with pytest.raises(ModelError, match="repeat the rows"):
        fit.simulate()
    plain = fitted("poisson", data, weights=np.ones(len(data)))
    assert plain.simulate(seed=1).shape == (400,)


def test_a_response_that_the_family_cannot_have_is_refused():
    with pytest.raises(DataError):
        model("poisson").refit(np.full(400, -1.0))
    with pytest.raises(DataError, match="shape"):
        model("poisson").refit(np.zeros(3))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "inflated"), ALL)
def test_parameters_are_recovered(name, inflated):
    """From twelve data sets of 2,000 rows: mean errors within 4 of their standard errors."""
    options = {"zero_inflation": "~ 1"} if inflated else {}
    if name == "gaussian":
        options["dispersion"] = "~ 1"
    fits = [
        fitted(name, drawn(name, inflated=inflated, n=2000, seed=seed), **options)
        for seed in range(12)
    ]
    slopes = np.array(
        [f.fixef().set_index("term").loc["x"][["estimate", "std_error"]] for f in fits]
    )
    z = (slopes[:, 0] - BETA["conditional"][1]) / slopes[:, 1]
    assert abs(z.mean()) < 4 / np.sqrt(12)
    assert np.mean(z**2) < 2.6
    sd = np.array([f.varcorr()["sd_or_corr"].iloc[0] for f in fits])
    # 40 groups: a deviation errs by 11 %, more where rows say little of them
    assert sd.mean() == pytest.approx(SD, abs=0.12)
