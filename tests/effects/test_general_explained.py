"""R² and intraclass correlation of generalized fits."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.special import polygamma

import golden
import mixedeffects as me
from golden import assert_close
from mixedeffects import families
from mixedeffects.effects.link_variance import LATENT, link_variance
from mixedeffects.effects.variance_parts import general_variance_parts
from mixedeffects.errors import ModelError

R2_CASES = tuple(id_ for id_ in golden.cases("general") if "r2" in golden.load_case(id_).results)
# performance 0.10.2 takes λ = exp(β₀) of the model without fixed effects: the median over the
# groups, where Nakagawa, Johnson and Schielzeth (2017) have the mean.
AT_THE_MEDIAN = ("grouseticks_poisson_laplace", "salamanders_nbinom2")
# It takes the delta method for gamma responses, and the lognormal approximation for counts.
DELTA = ("sim_gamma_log", "sleepstudy_gamma_log")
NAMES = ("r2_marginal", "r2_conditional", "icc_adjusted", "icc_unadjusted")


@lru_cache(maxsize=4)
def fitted(case_id):
    case = golden.load_case(case_id)
    return me.fit(case.formula, case.data, family=case.family, weights=case.weights, **case.others)


def shares(fit, approximation=None):
    r2, icc = fit.r2(approximation=approximation), fit.icc(approximation=approximation)
    return [r2.marginal, r2.conditional, icc.adjusted, icc.unadjusted]


@pytest.mark.parametrize("id_", [i for i in R2_CASES if i not in AT_THE_MEDIAN])
def test_shares_of_performance(id_):
    case = golden.load_case(id_)
    found = shares(fitted(id_), "delta" if id_ in DELTA else None)
    assert_close(found, [case.results["r2"][n] for n in NAMES], case.tolerances["r2"], what=id_)


@pytest.mark.parametrize("id_", AT_THE_MEDIAN)
def test_shares_of_performance_at_its_own_mean(id_):
    case, fit = golden.load_case(id_), fitted(id_)
    response, rest = case.formula.split("~")
    random = " + ".join(re.findall(r"\([^()]*\|[^()]*\)", rest))
    null = me.fit(f"{response} ~ 1 + {random}", case.data, family=case.family)
    extra = 1 / fit.sigma if fit.family == "nbinom2" else 0.0
    at_median = np.log1p(np.exp(-null.beta[0]) + extra)
    parts = general_variance_parts(fit._fit)
    between, own = sum(parts.random), at_median - link_variance(fit._fit)
    total = parts.total + own
    found = [parts.fixed / total, (parts.fixed + between) / total]
    found += [between / (total - parts.fixed), between / total]
    assert_close(found, [case.results["r2"][n] for n in NAMES], case.tolerances["r2"], what=id_)


def test_the_mean_is_nearer_to_the_correlation_of_counts_than_the_median():
    """Of two counts of one group, by simulation: the reason for λ = E(y)."""
    rng = np.random.default_rng(1)
    beta, variance = 0.43, 0.5
    mu = np.exp(beta + np.sqrt(variance) * rng.standard_normal(400_000))
    simulated = np.corrcoef(rng.poisson(mu), rng.poisson(mu))[0, 1]
    by_mean, by_median = (
        variance / (variance + np.log1p(np.exp(-at))) for at in (beta + variance / 2, beta)
    )
    assert abs(by_mean - simulated) < 0.015 < 0.05 < abs(by_median - simulated)


# -- variances about the mean, by simulation ------------------------------------------------------


def counts(n=240, seed=3):
    rng = np.random.default_rng(seed)
    g = rng.integers(0, 20, n)
    x = rng.standard_normal(n)
    mu = np.exp(1.0 + 0.4 * x + 0.4 * rng.standard_normal(20)[g])
    return pd.DataFrame({"y": rng.negative_binomial(2, 2 / (2 + mu)), "x": x, "g": g})


def positive(n=240, seed=4):
    data = counts(n, seed)
    rng = np.random.default_rng(seed)
    return data.assign(y=rng.gamma(3.0, np.exp(0.3 * data.x) / 3))


SIMULATED = [
    *(pytest.param(name, counts, id=name) for name in ("poisson", "nbinom1", "nbinom2", "genpois")),
    *(pytest.param(name, positive, id=name) for name in ("gamma", "lognormal", "tweedie")),
    pytest.param("inverse_gaussian", positive, id="inverse_gaussian"),
]


@pytest.mark.parametrize(("family", "make"), SIMULATED)
def test_variances_of_a_log_link_by_simulation(family, make):
    data = make()
    fit = me.fit("y ~ x + (1 | g)", data, family=family, on_check="ignore")
    draws = draws_at_the_mean(fit, data.y.mean())
    assert draws.mean() == pytest.approx(data.y.mean(), rel=0.02)
    ratio = draws.var() / draws.mean() ** 2
    # the variance of 200,000 draws of a skewed variable is good to some percent
    assert link_variance(fit._fit) == pytest.approx(np.log1p(ratio), rel=0.05)
    assert link_variance(fit._fit, "delta") == pytest.approx(ratio, rel=0.06)
    assert link_variance(fit._fit, "trigamma") == pytest.approx(polygamma(1, 1 / ratio), rel=0.06)


def draws_at_the_mean(fit, mean, n=200_000):
    """Responses of the fitted family with this mean."""
    family, estimates = fit._fit.family, fit._fit.solution.beta
    problem = fit._fit.problem
    others = [
        np.full(n, p.basis.original(estimates[p.coefficients])[0]) for p in problem.predictors[1:]
    ]
    response = families.Response(np.ones(n))
    eta = family.g.forward(np.asarray(mean))
    return family.draw(np.random.default_rng(5), response, (np.full(n, eta), *others))


def test_logarithms_of_gamma_and_lognormal_responses():
    """The trigamma function is exact for gamma responses, ln(1 + V/λ²) for lognormal ones."""
    data = positive()
    for family, approximation in (("gamma", "trigamma"), ("lognormal", "lognormal")):
        fit = me.fit("y ~ x + (1 | g)", data, family=family, on_check="ignore")
        logs = np.log(draws_at_the_mean(fit, data.y.mean()))
        assert link_variance(fit._fit, approximation) == pytest.approx(logs.var(), rel=0.02)


@pytest.mark.parametrize("link", LATENT)
def test_latent_variables(link):
    """P(Y ≤ 0) = F(−η): a variable with that distribution has the variance."""
    u = np.random.default_rng(6).random(400_000)
    latent = families.Binomial(link=link).g.forward(u)
    assert LATENT[link] == pytest.approx(latent.var(), rel=0.02)


def test_delta_of_proportions():
    case = golden.load_case("sim_beta_logit")
    fit = fitted("sim_beta_logit")
    mean = case.data["y_beta"].mean()
    draws = draws_at_the_mean(fit, mean)
    expected = draws.var() / (mean * (1 - mean)) ** 2
    assert link_variance(fit._fit) == pytest.approx(expected, rel=0.02)


def test_delta_of_one_trial():
    fit = fitted("cbpp_logit_laplace")
    data = golden.load_case("cbpp_logit_laplace").data
    p = data["incidence"].sum() / data["size"].sum()
    assert link_variance(fit._fit, "delta") == pytest.approx(1 / (p * (1 - p)))


# -- other models --------------------------------------------------------------------------------


def test_a_dispersion_model_counts_row_by_row():
    fit = fitted("salamanders_nbinom2_disp")
    table = fit.fixef().set_index(["component", "term"])["estimate"]
    data = golden.load_case("salamanders_nbinom2_disp").data
    assert list(table["dispersion"].index) == ["Intercept", "DOY"]
    theta = np.exp(table["dispersion"]["Intercept"] + table["dispersion"]["DOY"] * data["DOY"])
    expected = np.log1p(1 / data["count"].mean() + 1 / theta).mean()
    assert link_variance(fit._fit) == pytest.approx(expected)


def test_a_gaussian_dispersion_model_is_a_linear_one_where_it_is_constant():
    data = me.datasets.load("sleepstudy")
    linear = me.fit("Reaction ~ Days + (Days | Subject)", data, reml=False).r2()
    fit = me.fit("Reaction ~ Days + (Days | Subject)", data, dispersion="~ 1 + I(0 * Days)")
    assert fit.r2().marginal == pytest.approx(linear.marginal, abs=1e-5)
    assert fit.r2().conditional == pytest.approx(linear.conditional, abs=1e-5)


def test_ordinal_categories_have_a_latent_variable():
    fit = fitted("wine_clmm_logit")
    design = fit.design
    eta = design.X[:, 1:] @ fit.beta
    (variance,) = fit.varcorr()["variance_or_cov"]
    total = eta.var(ddof=1) + variance + np.pi**2 / 3
    assert fit.r2().marginal == pytest.approx(eta.var(ddof=1) / total)
    assert fit.icc().unadjusted == pytest.approx(variance / total)


def test_effects_of_single_rows_are_no_groups():
    fit = fitted("grouseticks_poisson_laplace")
    assert fit.icc().groups == ("BROOD", "LOCATION")
    assert sum(fit.icc().adjusted_by_group) == pytest.approx(fit.icc().adjusted)


def test_random_slopes_count_with_their_covariates():
    fit = fitted("contraception_slope_laplace")
    parts = general_variance_parts(fit._fit)
    (term,) = fit.design.random
    (estimate,) = fit.estimates.terms
    spread = [z @ estimate.covariance @ z for z in term.values]
    assert parts.random == pytest.approx((np.mean(spread),))


def test_an_offset_explains_nothing():
    data = counts().assign(h=lambda d: 0.7 + 0.0 * d.x)
    plain = me.fit("y ~ x + (1 | g)", data, family="poisson")
    moved = me.fit("y ~ x + offset(h) + (1 | g)", data, family="poisson")
    assert shares(moved) == pytest.approx(shares(plain), rel=1e-5)


def test_units_of_a_covariate_and_of_a_positive_response_do_not_matter():
    data = positive()
    own = shares(me.fit("y ~ x + (1 | g)", data, family="gamma"))
    scaled = data.assign(x=100 * data.x + 3, y=1000 * data.y)
    assert shares(me.fit("y ~ x + (1 | g)", scaled, family="gamma")) == pytest.approx(own, rel=1e-4)


def test_shares_lie_between_zero_and_one():
    strong = counts().assign(y=lambda d: np.round(np.exp(3.0 * d.x + 2.0)))
    fit = me.fit("y ~ x + (1 | g)", strong, family="poisson", on_check="ignore")
    for approximation in ("lognormal", "trigamma", "delta"):
        assert all(0.0 <= share <= 1.0 for share in shares(fit, approximation))


@pytest.mark.parametrize(
    "case_id", ["salamanders_zip", "salamanders_hurdle_poisson", "sim_zigamma"]
)
def test_models_of_zeros_are_refused(case_id):
    with pytest.raises(ModelError, match="zero-inflated, hurdle, truncated"):
        fitted(case_id).r2()
    with pytest.raises(ModelError, match="zero-inflated, hurdle, truncated"):
        fitted(case_id).icc()


def test_what_has_no_variance_is_refused():
    case = golden.load_case("wine_clmm_logit")
    cauchit = me.fit(case.formula, case.data, family=families.Cumulative(link="cauchit"))
    with pytest.raises(ModelError, match="latent variable of link 'cauchit' has no variance"):
        cauchit.r2()


@pytest.mark.parametrize("approximation", ["lognormal", "trigamma"])
def test_approximations_are_for_their_link(approximation):
    with pytest.raises(ModelError, match="use 'latent', 'delta'"):
        fitted("cbpp_logit_laplace").r2(approximation=approximation)


def test_unknown_approximations_are_named():
    with pytest.raises(ModelError, match="approximation='theoretical'"):
        fitted("cbpp_logit_laplace").r2(approximation="theoretical")


def test_tables_are_of_the_callers_library():
    data = pl.from_pandas(counts())
    fit = me.fit("y ~ x + (1 | g)", data, family="nbinom2")
    assert isinstance(fit.r2().table, pl.DataFrame)
    assert fit.icc().by_group.columns == ["group", "adjusted", "unadjusted"]


def test_weights_that_repeat_rows_repeat_them():
    """Of the mean at which the variance is taken, as of everything that is estimated."""
    data = counts()
    twice = np.tile([1, 2], len(data) // 2)
    weighted = me.fit("y ~ x + (1 | g)", data.assign(w=twice), family="poisson", weights="w")
    repeated = me.fit("y ~ x + (1 | g)", data.loc[data.index.repeat(twice)], family="poisson")
    own, other = link_variance(weighted._fit), link_variance(repeated._fit)
    assert own == pytest.approx(other, rel=1e-8)
    # up to the divisor n - 1 of the variance of the fixed part
    assert shares(weighted) == pytest.approx(shares(repeated), rel=3e-3)


def test_bootstrap_intervals_hold_the_estimate():
    fit = me.fit("y ~ x + (1 | g)", counts(), family="poisson")
    r2 = fit.r2("bootstrap", n=60, seed=1)
    assert np.all(r2.limits[:, 0] < [r2.marginal, r2.conditional])
    assert np.all(r2.limits[:, 1] > [r2.marginal, r2.conditional])
    assert r2.bootstrap.estimate == pytest.approx([r2.marginal, r2.conditional])
    assert "conf_low" in fit.icc("bootstrap", n=60, seed=1).table
    # of one replicate, written out
    refit = fit.refit(fit.simulate(seed=2))
    parts = general_variance_parts(refit._fit)
    assert refit.r2().marginal == pytest.approx(parts.fixed / parts.total)


def test_too_few_replicates_are_refused():
    fit = me.fit("y ~ x + (1 | g)", counts(), family="poisson")
    with pytest.raises(ModelError, match="replicates"):
        fit.r2("bootstrap", n=5, seed=1)
