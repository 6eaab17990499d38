"""Predictive accuracy as ArviZ has it; explained variance as fits define it, draw by draw."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import mixedeffects as me
from drawn_posteriors import as_posterior, drawn, table
from mixedeffects.bayes.libraries import arviz
from mixedeffects.bayes.loo import compared, loo_of, relative_efficiency, waic_of
from mixedeffects.effects.explained import icc_of, r2_of
from mixedeffects.effects.link_variance import LATENT
from mixedeffects.effects.variance_parts import VarianceParts
from mixedeffects.errors import DataError, ModelError


def hand_made(n: int = 40, size: int = 500) -> np.ndarray:
    """Log-likelihoods (N, n) of normal rows about drawn means, one of them far off."""
    rng = np.random.default_rng(7)
    y = rng.normal(size=n)
    y[5] = 6.0
    mu = rng.normal(scale=0.3, size=(size, 1)) + rng.normal(scale=0.2, size=(size, n))
    return -0.5 * (y - mu) ** 2 - 0.5 * np.log(2 * np.pi)


def as_data(values: np.ndarray):
    shaped = values.reshape(2, -1, values.shape[1])
    return arviz().from_dict(posterior={"a": shaped[..., 0]}, log_likelihood={"y": shaped})


def test_leave_one_out_as_arviz():
    values = hand_made()
    share, density, k = loo_of([values[:, :15], values[:, 15:]], 0.8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = arviz().loo(as_data(values), pointwise=True, reff=0.8)
    np.testing.assert_allclose(share, expected.loo_i.values, rtol=1e-10)
    np.testing.assert_allclose(k, expected.pareto_k.values, rtol=1e-8)
    np.testing.assert_allclose(density.sum() - share.sum(), expected.p_loo, rtol=1e-8)


def test_waic_as_arviz():
    values = hand_made()
    share, _, variance = waic_of([values[:, :15], values[:, 15:]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = arviz().waic(as_data(values), pointwise=True)
    np.testing.assert_allclose(share, expected.waic_i.values, rtol=1e-10)
    np.testing.assert_allclose(variance.sum(), expected.p_waic, rtol=1e-10)


@pytest.fixture(scope="module")
def post():
    data = table()
    data["y"][5] = 16.0
    priors = {
        "Intercept": me.priors.Normal(3.0, 0.3),
        "b": me.priors.Normal(0.0, 0.1),
        "sd": me.priors.HalfNormal(0.3),
        "sigma": me.priors.Gamma(100.0, 40.0),
    }
    return as_posterior(drawn("y ~ x + (1 | g)", data, draws=200, priors=priors))


def test_of_a_posterior(post):
    found, whole = post.loo(), post.log_likelihood()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        efficiency = relative_efficiency(post._sampled)
        expected = arviz().loo(whole, pointwise=True, reff=efficiency)
        waic = arviz().waic(whole)
    np.testing.assert_allclose(found.elpd, expected.elpd_loo)
    np.testing.assert_allclose(found.std_error, expected.se)
    np.testing.assert_allclose(found.p, expected.p_loo)
    np.testing.assert_allclose(found.diagnostic, expected.pareto_k.values)
    np.testing.assert_allclose(found.limit, expected.good_k)
    np.testing.assert_allclose(post.waic().elpd, waic.elpd_waic)
    np.testing.assert_allclose(post.waic().p, waic.p_waic)
    assert list(found.table["statistic"]) == ["elpd_loo", "p_loo", "loo_ic"]
    assert post.loo() is found  # computed once


def test_rows_not_to_be_trusted_are_named(post):
    found = post.loo()
    bad = found.diagnostic > found.limit
    assert bad[5]
    assert not bad.all()
    assert sorted(found.problems["row"]) == np.flatnonzero(bad).tolist()
    assert np.all(np.diff(found.problems["pareto_k"]) <= 0)
    assert f"in {bad.sum()} of 48 rows" in repr(found)
    assert "use loo()" in post.waic().note


def test_prior_weights_repeat_rows():
    options = {"family": "poisson", "priors": {"b": me.priors.Normal(0, 0.1)}}
    once = drawn("count ~ x + (1 | g)", **options).log_likelihood().log_likelihood["count"]
    twice = drawn("count ~ x + (1 | g)", weights=np.full(48, 2.0), **options)
    np.testing.assert_allclose(twice.log_likelihood().log_likelihood["count"], 2.0 * once)


def test_differences_by_hand():
    one, two = (loo_of([hand_made() + c], 1.0)[0] for c in (0.0, -0.1))
    made = [_accuracy(one), _accuracy(two)]
    found = compared(made)
    np.testing.assert_allclose(found["elpd_diff"], [0.0, -4.0])
    np.testing.assert_allclose(found["diff_std_error"], [0.0, 0.0], atol=1e-10)


def _accuracy(share):
    from mixedeffects.bayes.loo import PredictiveAccuracy
    from mixedeffects.data.frames import FrameKind

    zeros = np.zeros(len(share))
    elpd = float(share.sum())
    return PredictiveAccuracy("loo", elpd, 1.0, 1.0, share, zeros, 0.7, zeros, FrameKind())


def test_posteriors_side_by_side():
    data, options = me.datasets.load("sleepstudy"), {"seed": 1, "draws": 250, "on_check": "ignore"}
    one = me.sample("Reaction ~ Days + (1 | Subject)", data, **options)
    two = me.sample("Reaction ~ Days + (Days | Subject)", data, **options)
    found = me.compare(one, two)
    assert list(found["model"]) == [2, 1]
    own = two.loo().pointwise - one.loo().pointwise
    np.testing.assert_allclose(found["elpd_diff"], [0.0, -own.sum()])
    np.testing.assert_allclose(found["diff_std_error"][1], np.sqrt(180 * own.var()))
    with pytest.raises(ModelError, match="fits and posteriors"):
        me.compare(one, me.fit("Reaction ~ Days + (1 | Subject)", data))
    with pytest.raises(ModelError, match="refit= and method="):
        me.compare(one, two, refit=True)
    with pytest.raises(DataError, match="Posterior 2 uses 179 rows and posterior 1 180"):
        me.compare(one, me.sample("Reaction ~ 1 + (1 | Subject)", data.iloc[1:], **options))
    prior = me.sample("Reaction ~ Days + (1 | Subject)", data, prior_only=True, **options)
    with pytest.raises(ModelError, match="draws of the prior"):
        me.compare(one, prior)
    for method in (prior.loo, prior.waic):
        with pytest.raises(ModelError, match="which no row has moved"):
            method()


# -- explained variance ----------------------------------------------------------------------


def parts_of(post, draw: int) -> VarianceParts:
    """The parts at one draw of a random slope model, by hand."""
    sampled, x = post._sampled, table()["x"]
    beta = sampled.flat_coefficients[draw, :2]
    z = np.column_stack([np.ones(48), x])
    covariance = sampled.terms[0].covariances[draw]
    return VarianceParts(
        fixed=float(np.var(z @ beta, ddof=1)),
        random=(float(np.mean(np.einsum("ri,ij,rj->r", z, covariance, z))),),
        residual=float(sampled.draws.sigma.ravel()[draw] ** 2),
        groups=("g",),
    )


def test_shares_of_a_linear_model():
    post = drawn("y ~ x + (1 + x | g)")
    shares = np.array([r2_of(parts_of(post, i)) for i in range(120)])
    found = post.r2(level=0.9)
    np.testing.assert_allclose([found.marginal, found.conditional], shares.mean(axis=0))
    np.testing.assert_allclose(found.limits, np.quantile(shares, [0.05, 0.95], axis=0).T)
    between = np.array([icc_of(parts_of(post, i)) for i in range(120)])
    icc = post.icc()
    np.testing.assert_allclose([icc.adjusted, icc.unadjusted], between.mean(axis=0))
    assert list(icc.by_group["group"]) == ["g"]
    with pytest.raises(ModelError, match="approximation="):
        post.r2(approximation="delta")


def test_shares_on_the_scale_of_a_link():
    post = drawn("cbind(k, size - k) ~ x + (1 | g)", family="binomial")
    sampled, x = post._sampled, table()["x"]
    fixed = sampled.flat_coefficients[:, 1] ** 2 * np.var(x, ddof=1)
    between = sampled.terms[0].covariances[:, 0, 0]
    total = fixed + between + LATENT["logit"]
    np.testing.assert_allclose(post.r2().marginal, (fixed / total).mean())
    np.testing.assert_allclose(post.icc().unadjusted, (between / total).mean())


def test_the_dispersion_of_each_draw_counts():
    priors = {"b": me.priors.Normal(0, 0.1), "sigma": me.priors.Gamma(20, 10)}
    post = drawn("count ~ x + (1 | g)", family="nbinom2", priors=priors)
    sampled = post._sampled
    mean = table()["count"].mean()
    residual = np.log1p(1.0 / mean + 1.0 / sampled.draws.sigma.ravel())
    between = sampled.terms[0].covariances[:, 0, 0]
    np.testing.assert_allclose(post.icc().adjusted, (between / (between + residual)).mean())


def test_no_shares_where_fits_have_none():
    priors = {"sd": me.priors.HalfNormal(0.4)}
    post = drawn("count ~ 1 + (1 | g)", family="poisson", zero_inflation="~ 1", priors=priors)
    with pytest.raises(ModelError, match="zero-inflated"):
        post.r2()
