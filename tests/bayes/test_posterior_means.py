"""Means, slopes and contrasts of a posterior: a fit's linear functions, at each draw."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

import mixedeffects as me
from drawn_posteriors import drawn, draws_of, table
from mixedeffects.errors import ModelError


@pytest.fixture(scope="module")
def linear():
    return drawn("y ~ f * x + (1 | g)")


@pytest.fixture(scope="module")
def fitted():
    return me.fit("y ~ f * x + (1 | g)", table(), on_check="ignore")


def test_means_are_a_fits_functions_of_the_draws(linear, fitted):
    beta = linear._sampled.flat_coefficients[:, :6]
    for options in ({"specs": "f"}, {"specs": "f", "at": {"x": 1.0}, "weights": "proportional"}):
        own, theirs = linear.emmeans(**options), fitted.emmeans(**options)
        np.testing.assert_allclose(own.draws, theirs.L @ beta.T, rtol=1e-10)
        assert list(own.table["f"]) == list(theirs.table["f"])
        np.testing.assert_allclose(own.table["estimate"], own.draws.mean(axis=1))
        np.testing.assert_allclose(own.table["conf_low"], np.quantile(own.draws, 0.025, axis=1))


@pytest.mark.parametrize("method", ["pairwise", "treatment", "consecutive", "sum"])
def test_contrasts_and_the_probability_that_they_are_positive(linear, fitted, method):
    beta = linear._sampled.flat_coefficients[:, :6]
    own = linear.emmeans("f").contrast(method, level=0.5)
    theirs = fitted.emmeans("f").contrast(method)
    np.testing.assert_allclose(own.draws, theirs.L @ beta.T, atol=1e-12)
    assert list(own.table["contrast"]) == list(theirs.table["contrast"])
    np.testing.assert_allclose(own.table["probability"], np.mean(own.draws > 0, axis=1))
    np.testing.assert_allclose(own.table["conf_high"], np.quantile(own.draws, 0.75, axis=1))
    assert not any("adjusted" in note for note in own.notes)


def test_contrasts_within_families(linear, fitted):
    options = {"specs": "f", "by": "x", "at": {"x": [0.0, 1.0]}}
    own, theirs = linear.emmeans(**options).contrast(), fitted.emmeans(**options).contrast()
    assert own.table[["x", "contrast"]].equals(theirs.table[["x", "contrast"]])
    beta = linear._sampled.flat_coefficients[:, :6]
    np.testing.assert_allclose(own.draws, theirs.L @ beta.T, atol=1e-12)


def test_slopes(linear):
    draws = draws_of(linear)
    own = linear.slopes("x", by="f")
    expected = np.stack(
        [draws["x"], draws["x"] + draws["f[T.b]:x"], draws["x"] + draws["f[T.c]:x"]]
    )
    np.testing.assert_allclose(own.draws, expected, atol=1e-8)  # derivatives by differences
    np.testing.assert_allclose(own.table["probability"], np.mean(expected > 0, axis=1))
    np.testing.assert_allclose(own.probability(above=0.1), np.mean(expected > 0.1, axis=1))


def test_the_responses_scale_is_reached_draw_by_draw():
    post = drawn("cbind(k, size - k) ~ f + (1 | g)", family="binomial")
    draws = draws_of(post)
    eta = np.stack([draws["Intercept"] + draws.get(n, 0.0) for n in ("", "f[T.b]", "f[T.c]")])
    means = post.emmeans("f", scale="response")
    np.testing.assert_allclose(means.draws, expit(eta))
    np.testing.assert_allclose(post.emmeans("f").draws, eta)
    ratios = means.contrast("treatment")
    np.testing.assert_allclose(ratios.draws, np.exp(eta[1:] - eta[0]))
    np.testing.assert_allclose(ratios.table["probability"], np.mean(eta[1:] > eta[0], axis=1))
    assert any("odds ratios" in note for note in ratios.notes)


def test_what_depends_on_several_predictors():
    priors = {"b": me.priors.Normal(0, 0.3), "zero_inflation: b": me.priors.Normal(0, 0.3)}
    post = drawn("count ~ f + (1 | g)", family="poisson", zero_inflation="~ f", priors=priors)
    draws = draws_of(post)
    names = ("", "f[T.b]", "f[T.c]")
    eta = np.stack([draws["Intercept"] + draws.get(n, 0.0) for n in names])
    prefix = "zero_inflation: "
    zeta = np.stack([draws[f"{prefix}Intercept"] + draws.get(prefix + n, 0.0) for n in names])
    means = post.emmeans("f", component="response", scale="response")
    np.testing.assert_allclose(means.draws, expit(-zeta) * np.exp(eta))
    differences = means.contrast("pairwise")
    np.testing.assert_allclose(differences.draws[0], means.draws[0] - means.draws[1])
    extra = post.emmeans("f", component="zero_inflation")
    np.testing.assert_allclose(extra.draws, zeta)
    with pytest.raises(ModelError, match="depends on several predictors"):
        post.emmeans("f", component="response")


def test_ordered_categories():
    data = table()
    data["grade"] = np.unique(data["grade"], return_inverse=True)[1]
    post = drawn("grade ~ f + (1 | g)", data, family="cumulative")
    draws = draws_of(post)
    tau = np.stack([draws["threshold: 0|1"], draws["threshold: 1|2"]])
    latent = np.stack([draws.get(n, np.zeros(120)) for n in ("", "f[T.b]", "f[T.c]")])
    np.testing.assert_allclose(post.emmeans("f").draws, latent - tau.mean(axis=0))
    means = post.emmeans("f", scale="response")
    below = expit(tau[None] - latent[:, None])
    expected = np.diff(below, axis=1, prepend=0.0, append=1.0).reshape(9, -1)
    np.testing.assert_allclose(means.draws, expected, atol=1e-14)
    assert list(means.table["category"][:3]) == ["0", "1", "2"]


def test_offsets_count_with_their_mean():
    data = {**table(), "o": np.linspace(0.0, 1.0, 48)}
    post = drawn("y ~ f + offset(o) + (1 | g)", data)
    draws = draws_of(post)
    np.testing.assert_allclose(post.emmeans("f").draws[0], draws["Intercept"] + 0.5)


def test_what_the_data_do_not_determine():
    data = table()
    data["e"] = np.where(data["f"] == "a", "u", data["g"])  # no row of "a" is of a group
    post = drawn("y ~ f * e + (1 | h)", data)
    with pytest.raises(ModelError, match="Not estimable"):
        post.emmeans(["f", "e"])
    kept = post.emmeans(["f", "e"], not_estimable="drop")
    assert any("Left out as not estimable" in note for note in kept.notes)


def test_bad_questions(linear):
    with pytest.raises(ModelError, match="one linear predictor"):
        linear.emmeans("f", component="dispersion")
    with pytest.raises(ModelError, match="leave scale='response' out"):
        linear.slopes("x", scale="response")
    with pytest.raises(ModelError, match="'nothing'"):
        linear.emmeans("nothing")
    with pytest.raises(ModelError, match="is a factor"):
        linear.slopes("f")
    with pytest.raises(ModelError, match="above="):
        linear.emmeans("f").probability(np.nan)
    assert "PosteriorMeans" in repr(linear.emmeans("f"))
    assert "<table" in linear.emmeans("f")._repr_html_()
