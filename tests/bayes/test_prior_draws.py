"""Draws of the prior alone."""

import numpy as np
import pytest
from scipy import stats

import mixedeffects as me
from mixedeffects.bayes.draws import Draws, Settings
from mixedeffects.bayes.prior_draws import draw_prior
from mixedeffects.bayes.prior_model import PriorModel, build_priors
from mixedeffects.bayes.priors import (
    LKJ,
    Exponential,
    Flat,
    Gamma,
    HalfNormal,
    Normal,
)
from mixedeffects.errors import ModelError
from mixedeffects.families import ZeroInflated, build
from mixedeffects.formula.design import Design, build_design

# Draws are those of fixed seeds: 1 of 1000 of right distributions would fail, a wrong one does.
RARE = 1e-3
SETTINGS = Settings(2, 400, 0, 3)


def some_data() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "g": np.arange(60) % 5,
        "x": rng.normal(4.0, 1.0, 60),
        "y": rng.normal(size=60),
        "count": rng.poisson(2.0, 60).astype(float),
        "rating": np.arange(60) % 4,
    }


def drawn(
    formula: str, family="gaussian", priors=None, settings: Settings = SETTINGS, **options
) -> tuple[PriorModel, Draws]:
    kind = build(family)
    design = build_design(formula, some_data(), kind=kind.response_kind, **options)
    if "zero_inflation" in options.get("others", {}):
        kind = ZeroInflated(kind)
    model = build_priors(design, kind, priors)
    return model, draw_prior(design, kind, model, settings)


def test_a_linear_model() -> None:
    given = {
        "x": Normal(1, 2),
        "sd(Intercept | g)": Exponential(0.5),
        "sd(x | g)": HalfNormal(3),
        "cor": LKJ(2),
        "sigma": Gamma(2, 1),
    }
    model, draws = drawn("y ~ x + (x | g)", priors=given)
    assert draws.beta.shape == (2, 400, 2)
    assert draws.modes[0].shape == (2, 400, 5, 2)
    assert draws.covariances[0].shape == (2, 400, 2, 2)
    assert draws.extras.shape == (2, 400, 0)
    assert "prior" in draws.way
    beta, covariance = draws.beta.reshape(-1, 2), draws.covariances[0].reshape(-1, 2, 2)
    assert stats.kstest(beta[:, 1], stats.norm(1, 2).cdf).pvalue > RARE
    at_means = beta @ model.coefficients.functions[0]
    first = model.coefficients.independent.priors[0]
    assert stats.kstest(at_means, stats.norm(first.mean, first.sd).cdf).pvalue > RARE
    sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    assert stats.kstest(sd[:, 0], stats.expon(scale=2).cdf).pvalue > RARE
    assert stats.kstest(sd[:, 1], stats.halfnorm(scale=3).cdf).pvalue > RARE
    correlation = covariance[:, 1, 0] / sd.prod(axis=1)
    assert stats.kstest(correlation, stats.beta(2, 2, loc=-1, scale=2).cdf).pvalue > RARE
    assert draws.sigma is not None
    assert stats.kstest(draws.sigma.ravel(), stats.gamma(2).cdf).pvalue > RARE
    # effects given their covariance
    effects = draws.modes[0].reshape(-1, 5, 2)
    z = np.linalg.solve(np.linalg.cholesky(covariance), effects.transpose(0, 2, 1))
    assert stats.kstest(z.ravel(), stats.norm.cdf).pvalue > RARE


def test_log_prior_is_the_density_of_the_coordinates() -> None:
    model, draws = drawn("y ~ x + (x | g)", settings=Settings(1, 5, 0, 1))
    assert model.sigma is not None
    assert draws.sigma is not None
    for i in range(5):
        root = np.linalg.cholesky(draws.covariances[0][0, i])
        value = model.coefficients.log_density(draws.beta[0, i])[0]
        value += model.terms[0].log_prior(model.terms[0].of_root(root))[0]
        value += model.sigma.log_density(float(np.log(draws.sigma[0, i])))[0]
        assert draws.log_prior[0, i] == pytest.approx(value, rel=1e-8)


def test_a_seed_and_a_chain_make_the_draws() -> None:
    _, one = drawn("y ~ x + (1 | g)", settings=Settings(2, 20, 0, 5))
    _, same = drawn("y ~ x + (1 | g)", settings=Settings(2, 20, 100, 5))
    _, other = drawn("y ~ x + (1 | g)", settings=Settings(2, 20, 0, 6))
    np.testing.assert_array_equal(one.beta, same.beta)
    np.testing.assert_array_equal(one.modes[0], same.modes[0])
    assert not np.isclose(one.beta, other.beta).any()
    assert not np.isclose(one.beta[0], one.beta[1]).any()


def test_thresholds_increase_about_the_mean() -> None:
    model, draws = drawn("rating ~ x + (1 | g)", "cumulative")
    tau = draws.extras.reshape(-1, 3)
    assert (np.diff(tau, axis=1) > 0).all()
    # those at the mean of x are ordered independent draws: any of them, at random, is one
    centred = tau - (draws.beta.reshape(-1, 1) @ model.extras.shifts.T)
    picked = centred[np.arange(len(tau)), np.random.default_rng(1).integers(3, size=len(tau))]
    assert stats.kstest(picked, stats.t(3, 0, 2.5).cdf).pvalue > RARE
    assert draws.sigma is None


def test_given_thresholds_are_drawn_in_order() -> None:
    given = {"0|1": Normal(-2, 1), "1|2": Normal(0, 1), "2|3": Normal(2, 1)}
    _, draws = drawn("rating ~ x + (1 | g)", "cumulative", given)
    tau = draws.extras.reshape(-1, 3)
    assert (np.diff(tau, axis=1) > 0).all()
    assert tau.mean(axis=0) == pytest.approx([-2.2, 0.0, 2.2], abs=0.2)


def test_thresholds_that_contradict_their_order() -> None:
    given = {"0|1": Normal(50, 0.1), "1|2": Normal(0, 0.1), "2|3": Normal(2, 1)}
    with pytest.raises(ModelError, match="contradict their order"):
        drawn("rating ~ x + (1 | g)", "cumulative", given)


def test_other_extras() -> None:
    _, draws = drawn("y ~ x + (1 | g)", "student_t")
    assert stats.kstest(draws.extras.ravel(), stats.gamma(2, scale=10).cdf).pvalue > RARE
    _, draws = drawn("count ~ x + (1 | g)", "tweedie")
    assert stats.kstest(draws.extras.ravel(), stats.uniform(1.01, 0.98).cdf).pvalue > RARE
    _, draws = drawn("count ~ x + (1 | g)", "tweedie", {"power": Normal(1.9, 0.2)})
    assert ((draws.extras > 1.01) & (draws.extras < 1.99)).all()


def test_all_predictors() -> None:
    model, draws = drawn(
        "count ~ x + (1 | g)",
        "nbinom2",
        others={"dispersion": "~ x", "zero_inflation": "~ 1 + (1 | g)"},
    )
    assert draws.beta.shape == (2, 400, 5)
    assert [len(m[0, 0]) for m in draws.modes] == [5, 5]
    assert draws.sigma is None
    assert model.coefficients.names[-1] == "zero_inflation: Intercept"


def test_related_levels() -> None:
    relation = 0.5 * np.eye(5) + 0.5
    data = some_data()
    design: Design = build_design("y ~ x + known(1 | g, K)", data, known={"K": relation})
    model = build_priors(design, build("gaussian"))
    draws = draw_prior(design, build("gaussian"), model, Settings(1, 4000, 0, 1))
    scaled = draws.modes[0][0, :, :, 0] / np.sqrt(draws.covariances[0][0, :, 0])
    np.testing.assert_allclose(np.cov(scaled.T), relation, atol=0.1)


def test_flat_priors_are_refused_by_name() -> None:
    with pytest.raises(ModelError, match=r"Flat\(\) is the prior of 'x'"):
        drawn("y ~ x + (1 | g)", priors={"x": Flat()})


def test_simulated_responses_of_the_prior_are_of_the_datas_size() -> None:
    """What the defaults promise: the response's order of magnitude, whatever its units."""
    data = me.datasets.load("sleepstudy")
    design = build_design("Reaction ~ Days + (Days | Subject)", data)
    model = build_priors(design, build("gaussian"))
    draws = draw_prior(design, build("gaussian"), model, Settings(1, 500, 0, 2))
    means = draws.beta[0] @ design.X.T
    y = design.y
    inside = np.mean((means > y.mean() - 15 * y.std()) & (means < y.mean() + 15 * y.std()))
    assert inside > 0.95
