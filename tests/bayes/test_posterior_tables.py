"""Tables of a posterior: moments and quantiles of its draws, under the names of a fit."""

from __future__ import annotations

import numpy as np
import pytest

import mixedeffects as me
from drawn_posteriors import as_posterior, drawn, draws_of, modes_of, table
from mixedeffects.bayes.libraries import arviz
from mixedeffects.errors import ModelError


@pytest.fixture(scope="module")
def post():
    return drawn("y ~ x + f + (1 + x | g) + (1 | h)")


def test_coefficients_are_moments_and_quantiles_of_the_draws(post):
    found, draws = post.fixef(level=0.8), draws_of(post)
    columns = "term estimate std_error median conf_low conf_high r_hat ess_bulk ess_tail"
    assert list(found) == columns.split()
    assert list(found["term"]) == ["Intercept", "x", "f[T.b]", "f[T.c]"]
    for i, name in enumerate(found["term"]):
        own = draws[name]
        np.testing.assert_allclose(found["estimate"][i], own.mean())
        np.testing.assert_allclose(found["std_error"][i], own.std(ddof=1))
        low, median, high = np.quantile(own, [0.1, 0.5, 0.9])
        np.testing.assert_allclose(found["conf_low"][i], low)
        np.testing.assert_allclose(found["median"][i], median)
        np.testing.assert_allclose(found["conf_high"][i], high)
    np.testing.assert_allclose(post.beta, found["estimate"])
    own = np.column_stack([draws[name] for name in found["term"]])
    np.testing.assert_allclose(post.vcov(), np.cov(own.T))


def test_covariances_have_the_rows_of_a_fit(post):
    found = post.varcorr()
    fit = me.fit("y ~ x + f + (1 + x | g) + (1 | h)", table(), on_check="ignore").varcorr()
    for column in ("group", "term1", "term2"):
        assert found[column].fillna("").tolist() == fit[column].fillna("").tolist()
    term = post._sampled.terms[0]
    sd = np.sqrt(term.covariances[:, [0, 1], [0, 1]])
    correlation = term.covariances[:, 0, 1] / sd.prod(axis=1)
    np.testing.assert_allclose(found["sd_or_corr"][0], sd[:, 0].mean())
    np.testing.assert_allclose(found["sd_or_corr"][2], correlation.mean())
    np.testing.assert_allclose(found["conf_low"][2], np.quantile(correlation, 0.025))
    np.testing.assert_allclose(found["variance_or_cov"][1], (sd[:, 1] ** 2).mean())
    np.testing.assert_allclose(found["sd_or_corr"].iloc[-1], post.sigma)


def test_random_effects(post):
    found = post.ranef()
    b = modes_of(post)
    assert list(found)[:4] == ["group", "level", "term", "estimate"]
    assert len(found) == 8 * 2 + 4
    np.testing.assert_allclose(found["estimate"][:16], b.mean(axis=0).ravel())
    np.testing.assert_allclose(found["conf_high"][:16], np.quantile(b, 0.975, axis=0).ravel())


def test_methods_leave_the_draws_as_they_are(post):
    before = [np.array(b) for b in (post._sampled.draws.beta, *post._sampled.draws.modes)]
    post.fixef(), post.varcorr(), post.ranef(), post.summary(), post.r2(), as_posterior(post).loo()
    after = (post._sampled.draws.beta, *post._sampled.draws.modes)
    for own, was in zip(after, before, strict=True):
        assert np.array_equal(own, was)


def test_components_of_several_predictors():
    post = drawn(
        "count ~ x + (1 | g)",
        family="nbinom2",
        dispersion="~ x",
        zero_inflation="~ 1 + (1 | h)",
        priors={"b": me.priors.Normal(0, 0.1), "dispersion: b": me.priors.Normal(0, 0.1)},
    )
    found = post.fixef()
    assert list(found["component"]) == ["conditional"] * 2 + ["dispersion"] * 2 + ["zero_inflation"]
    assert list(post.varcorr()["component"]) == ["conditional", "zero_inflation"]
    assert set(post.ranef()["component"]) == {"conditional", "zero_inflation"}
    assert np.isnan(post.sigma)
    posterior = post.inference_data.prior
    assert posterior["beta_dispersion"].dims == ("chain", "draw", "term_dispersion")
    assert posterior["sd_zero_inflation_h"].dims == ("chain", "draw", "term_zero_inflation_h")


def test_a_constant_dispersion_is_a_component_as_of_a_fit():
    post = drawn("count ~ x + (1 | g)", family="nbinom2", priors={"sigma": me.priors.Gamma(9, 3)})
    found = post.fixef()
    assert list(found["component"]) == ["conditional", "conditional", "dispersion"]
    sigma = post._sampled.draws.sigma.ravel()
    np.testing.assert_allclose(found["estimate"][2], np.log(sigma).mean())
    np.testing.assert_allclose(post.sigma, sigma.mean())


def test_thresholds_are_named_by_the_categories():
    data = table()
    data["grade"] = np.unique(data["grade"], return_inverse=True)[1]
    post = drawn("grade ~ x + (1 | g)", data, family="cumulative")
    assert list(post.fixef()["term"]) == ["x", "0|1", "1|2"]
    assert list(post.fixef()["component"]) == ["conditional", "threshold", "threshold"]


def test_dimensions_in_arviz(post):
    posterior = post.inference_data.prior
    assert posterior["beta"].dims == ("chain", "draw", "term")
    assert posterior["b_g"].dims == ("chain", "draw", "level_g", "term_g")
    assert posterior["cor_g"].coords["pair_g"].values.tolist() == ["Intercept, x"]
    assert posterior["b_h"].coords["level_h"].values.tolist() == ["0", "1", "2", "3"]
    own = posterior["b_g"].sel(level_g="g3", term_g="x").values.ravel()
    np.testing.assert_array_equal(own, modes_of(post)[:, 3, 1])
    np.testing.assert_array_equal(post.inference_data.observed_data["y"].values, table()["y"])
    told = arviz().summary(post.inference_data, var_names=["sd_g"], group="prior", kind="stats")
    assert list(told.index) == ["sd_g[Intercept]", "sd_g[x]"]


def test_terms_of_one_group_share_its_variables():
    post = drawn("y ~ x + (1 | g) + (0 + x | g)")
    posterior = post.inference_data.prior
    assert posterior["sd_g"].coords["term_g"].values.tolist() == ["Intercept", "x"]
    assert posterior["b_g"].shape == (2, 60, 8, 2)
    assert "cor_g" not in posterior


def test_log_likelihoods_on_request(post):
    data = post.log_likelihood()
    assert data.log_likelihood["y"].dims == ("chain", "draw", "obs_id")
    draws, rows = draws_of(post), table()
    b = modes_of(post)
    g = np.unique(rows["g"], return_inverse=True)[1]
    mu = draws["Intercept"] + draws["x"] * rows["x"][0] + b[:, g[0]] @ [1.0, rows["x"][0]]
    mu = mu + modes_of(post, 1)[:, rows["h"][0], 0]  # row 0 is of level "a"
    z = (rows["y"][0] - mu) / draws["sigma"]
    expected = -0.5 * z**2 - np.log(draws["sigma"]) - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(data.log_likelihood["y"].values[..., 0].ravel(), expected)


def test_the_users_frame_library_comes_back():
    polars = pytest.importorskip("polars")
    post = drawn("y ~ x + (1 | g)", polars.DataFrame(table()))
    for found in (post.fixef(), post.varcorr(), post.ranef(), post.priors):
        assert isinstance(found, polars.DataFrame)


@pytest.mark.parametrize("level", [0.0, 1.0, 95, "0.9"])
def test_levels_that_are_none(post, level):
    for method in (post.fixef, post.varcorr, post.ranef, post.r2, post.summary):
        with pytest.raises(ModelError, match="level="):
            method(level=level)
