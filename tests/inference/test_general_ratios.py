"""Tests of random effects and comparisons of generalized fits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import gammaln
from scipy.stats import chi2

import golden
import mixedeffects as me
from mixedeffects.errors import DataError, ModelError
from mixedeffects.inference.nesting import carry
from mixedeffects.inference.reductions import general_reductions, reduced_general_fit
from mixedeffects.inference.score_information import score_information


def fitted(id_):
    case = golden.load_case(id_)
    return me.fit(case.formula, case.data, family=case.family, offset=case.offset, **case.others)


@pytest.fixture(scope="module")
def salamanders():
    return golden.load_case("salamanders_poisson").data


def fit_counts(data, family, formula="spp + mined + (1 | site)", **others):
    return me.fit(f"count ~ {formula}", data, family=family, on_check="ignore", **others)


# -- random effects ------------------------------------------------------------------------


def test_the_model_without_random_effects():
    """Its likelihood is that of a plain regression, found here by another optimizer."""
    case = golden.load_case("cbpp_logit_laplace")
    row = fitted("cbpp_logit_laplace").test_random().iloc[1]
    data = case.data
    X = np.column_stack([np.ones(len(data)), *(data["period"] == p for p in ("2", "3", "4"))])
    y, n = data["incidence"].to_numpy(float), data["size"].to_numpy(float)
    ways = gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1)

    def deviance(beta):
        eta = X @ beta
        return -2.0 * float((y * eta - n * np.logaddexp(0.0, eta) + ways).sum())

    plain = minimize(deviance, np.zeros(4), method="BFGS", options={"gtol": 1e-6}).fun
    assert row["loglik"] == pytest.approx(-0.5 * plain, abs=1e-7)
    assert (row["term"], row["n_parameters"], row["df"]) == ("(1 | herd)", 4, 1)
    assert row["p_value"] == pytest.approx(0.5 * chi2.sf(row["statistic"], 1))
    assert row["reference"] == "0.5 chi2(0) + 0.5 chi2(1)"


def test_each_term_against_its_refit():
    case = golden.load_case("grouseticks_poisson_laplace")
    table = fitted("grouseticks_poisson_laplace").test_random().set_index("term")
    rest = "TICKS ~ YEAR + cHEIGHT + (1 | INDEX) + (1 | BROOD)"
    smaller = me.fit(rest, case.data, family="poisson")
    assert table["loglik"]["(1 | LOCATION)"] == pytest.approx(smaller.loglik, abs=1e-6)
    assert list(table.index) == ["<none>", "(1 | INDEX)", "(1 | BROOD)", "(1 | LOCATION)"]


def test_terms_of_every_predictor():
    table = fitted("salamanders_zip_zire").test_random()
    assert list(table["term"]) == ["<none>", "(1 | site)", "zero_inflation: (1 | site)"]
    assert (table["statistic"][1:] > 0).all()


def test_a_slope_takes_its_covariance():
    row = fitted("contraception_slope_laplace").test_random().iloc[1]
    assert (row["reduced"], row["df"]) == ("(1 | district)", 2)
    expected = 0.5 * (chi2.sf(row["statistic"], 1) + chi2.sf(row["statistic"], 2))
    assert row["p_value"] == pytest.approx(expected)


def test_bootstrap_of_a_small_variance():
    """With 40 groups the mixture is near: p of 199 refits has an error of some 0.03."""
    rng = np.random.default_rng(8)
    data = {"y": rng.poisson(2.0, 200).astype(float), "g": np.repeat(np.arange(40), 5).astype(str)}
    fit = me.fit("y ~ 1 + (1 | g)", data, family="poisson")
    exact = fit.test_random(method="bootstrap", n=199, seed=1).iloc[1]
    limit = fit.test_random().iloc[1]
    assert exact["p_value"] == pytest.approx(limit["p_value"], abs=0.12)
    assert exact["reference"] == "bootstrap (199 refits)"
    again = fit.test_random(method="bootstrap", n=199, seed=1).iloc[1]
    assert again["p_value"] == exact["p_value"]


def test_information_of_two_variances():
    """At no random effects the score of a variance is that of squared sums within groups."""
    rng = np.random.default_rng(2)
    n = 240
    data = {
        "x": rng.normal(size=n),
        "g": np.repeat(np.arange(20), 12).astype(str),
        "h": np.tile(np.arange(30), 8).astype(str),
    }
    mean = np.exp(0.3 + 0.4 * data["x"])
    data["y"] = rng.poisson(mean).astype(float)
    large = me.fit("y ~ x + (1 | g) + (1 | h)", data, family="poisson")._fit
    one = me.fit("y ~ x + (1 | g)", data, family="poisson")._fit
    none = reduced_general_fit(one, *general_reductions(one)[0])
    carried = carry(none, large)
    directions = [(0, np.ones((1, 1))), (1, np.ones((1, 1)))]
    got = score_information(none, large, carried, directions, [])
    mu = np.exp(none.problem.predictors[0].fixed(none.solution.beta))
    groups = [large.problem.groupings[t.grouping] for t in large.problem.terms]
    scores = []
    for _ in range(4000):
        s = rng.poisson(mu) - mu
        squares = [
            0.5 * (np.bincount(g.codes, s) ** 2 - np.bincount(g.codes, mu)).sum() for g in groups
        ]
        scores.append([*squares, s.sum(), s @ data["x"]])
    whole = np.cov(np.array(scores).T)
    cross = whole[:2, 2:]
    expected = whole[:2, :2] - cross @ np.linalg.solve(whole[2:, 2:], cross.T)
    size = np.sqrt(np.outer(np.diagonal(expected), np.diagonal(expected)))
    # 400 draws tell a variance to 8% or so
    np.testing.assert_allclose(got / size, expected / size, atol=0.25)


def test_two_variances_at_once(salamanders):
    data = salamanders.assign(sampler=np.arange(len(salamanders)) % 13)
    data["sampler"] = data["sampler"].astype(str)
    one = fit_counts(data, "poisson", "spp + mined + (1 | site)")
    three = fit_counts(data, "poisson", "spp + mined + (1 | site) + (1 | sampler) + (1 | spp:site)")
    row = me.compare(one, three).iloc[1]
    weights = [float(part.split()[0]) for part in row["reference"].split(" + ")]
    assert row["df"] == 2
    assert sum(weights) == pytest.approx(1.0, abs=2e-3)
    assert weights[1] == pytest.approx(0.5, abs=1e-3)


# -- comparisons ---------------------------------------------------------------------------


def test_reference_ratio():
    case = golden.load_case("cbpp_logit_laplace")
    fit = fitted("cbpp_logit_laplace")
    null = me.fit(case.results["lrt_drop_period"]["null"], case.data, family=case.family)
    row = me.compare(fit, null).iloc[1]
    expected = case.results["lrt_drop_period"]
    assert row["statistic"] == pytest.approx(expected["chisq"], abs=4e-5)
    assert (row["df"], row["reference"]) == (3, "chi2(3)")
    assert row["p_value"] == pytest.approx(expected["p"], rel=1e-3)


def test_families_side_by_side(salamanders):
    small, large = fit_counts(salamanders, "poisson"), fit_counts(salamanders, "nbinom2")
    table = me.compare(large, small)
    assert list(table["family"]) == ["poisson, log link", "nbinom2, log link"]
    row = table.iloc[1]
    statistic = 2 * (large.loglik - small.loglik)
    assert row["statistic"] == pytest.approx(statistic)
    assert row["p_value"] == pytest.approx(0.5 * chi2.sf(statistic, 1))
    assert row["reference"] == "0.5 chi2(0) + 0.5 chi2(1); nbinom2 at the limit of poisson"
    np.testing.assert_allclose(table["aic"], [small.aic, large.aic])


def test_zero_inflation_added(salamanders):
    small = fit_counts(salamanders, "poisson")
    one = fit_counts(salamanders, "poisson", zero_inflation="~ 1")
    row = me.compare(small, one).iloc[1]
    assert row["reference"] == "0.5 chi2(0) + 0.5 chi2(1); no zero inflation"
    covariates = fit_counts(salamanders, "poisson", zero_inflation="~ mined")
    row = me.compare(small, covariates).iloc[1]
    assert np.isnan(row["p_value"])
    assert "method='bootstrap'" in row["reference"]
    drawn = me.compare(small, covariates, method="bootstrap", n=19, seed=1).iloc[1]
    assert drawn["p_value"] == pytest.approx(0.05)
    row = me.compare(one, covariates).iloc[1]
    assert (row["reference"], row["df"]) == ("chi2(1)", 1)
    assert row["formula"].endswith("; zero_inflation ~ mined")


def test_variance_and_family_at_once(salamanders):
    small = fit_counts(salamanders, "poisson")
    large = fit_counts(salamanders, "nbinom2", "spp + mined + (DOY | site)")
    row = me.compare(small, large).iloc[1]
    assert np.isnan(row["p_value"])
    assert "boundaries" in row["reference"]


def test_not_nested(salamanders):
    table = me.compare(fit_counts(salamanders, "nbinom1"), fit_counts(salamanders, "genpois"))
    assert table["reference"][1].startswith("not nested")
    assert table["aic"].notna().all()


def test_thresholds():
    """Equidistant thresholds are among flexible ones; a factor's coding does not matter."""
    case, other = (golden.load_case(i) for i in ("wine_clmm_logit", "wine_clmm_logit_equidistant"))
    even = me.fit(other.formula, other.data, family=other.family)
    free = me.fit(case.formula.replace("temp", "C(temp, contr.sum)"), case.data, family=case.family)
    row = me.compare(even, free).iloc[1]
    assert (row["df"], row["reference"]) == (2, "chi2(2)")
    assert row["statistic"] == pytest.approx(2 * (free.loglik - even.loglik))


def test_refusals(salamanders):
    fit = fit_counts(salamanders, "poisson")
    with pytest.raises(ModelError, match="exact test is for Gaussian"):
        fit.test_random(method="exact")
    with pytest.raises(ModelError, match="the same model"):
        me.compare(fit, fit_counts(salamanders, "poisson"))
    with pytest.raises(DataError, match="rows"):
        me.compare(fit, fit_counts(salamanders.iloc[:-5], "poisson"))
    normal = me.fit("count ~ mined + (1 | site)", salamanders, reml=False)
    with pytest.raises(ModelError, match="densities"):
        me.compare(fit, normal)
    with pytest.raises(DataError, match="differ in their offset"):
        me.compare(fit, fit_counts(salamanders.assign(o=0.1), "poisson", offset="o"))
