"""Every linear mixed model of the reference against lme4, through the public interface."""

from __future__ import annotations

import numpy as np
import pytest

import golden
import mixedeffects as me
from golden import assert_close


@pytest.fixture(scope="module", params=golden.cases("lmm"))
def case(request):
    return golden.load_case(request.param)


@pytest.fixture(scope="module")
def fit(case):
    return me.fit(case.formula, case.data, reml=case.reml, weights=case.weights, offset=case.offset)


def used(values):
    """Values of the rows that were used: missing rows come back as NaN or not at all."""
    values = np.asarray(values, dtype=float)
    return values[~np.isnan(values)]


def estimable(table):
    return table[table["estimate"].notna()]


def test_likelihood(case, fit):
    reference = case.results["loglik"]
    tolerance = case.tolerances["loglik"]
    if fit.loglik < reference:
        assert_close(fit.loglik, reference, tolerance, what="loglik")
    rounding = 1e-11 * abs(case.objective)
    assert fit.objective <= case.objective + 1e-6 + rounding
    assert fit.objective == pytest.approx(-2 * fit.loglik, rel=1e-14)


def test_no_better_optimum_than_the_reference_claims(case, fit):
    """A higher likelihood than a converged lme4 fit would mean a wrong likelihood here."""
    assert_close(fit.loglik, case.results["loglik"], {"atol": 1e-4, "rtol": 1e-8}, what="loglik")


def test_information_criteria(case, fit):
    tolerance = {"atol": 1e-4, "rtol": 1e-8}
    assert_close(fit.aic, case.results["aic"], tolerance, what="aic")
    assert_close(fit.bic, case.results["bic"], tolerance, what="bic")
    assert fit.df_resid == case.results["df_residual"]
    assert fit.nobs == case.results["n_obs"]


def test_fixed_effects(case, fit):
    table = estimable(fit.fixef())
    names, se = case.results["fixef"], case.results["se"]
    assert list(table["term"]) == [case.term(name) for name in names]
    expected_se = [se[name] for name in names]
    assert_close(
        table["estimate"],
        list(names.values()),
        case.tolerances["fixef"],
        se=expected_se,
        what="fixef",
    )
    assert_close(table["std_error"], expected_se, case.tolerances["se"], what="se")


def test_covariance_of_fixed_effects(case, fit):
    reference = np.array(case.results["vcov"]["matrix"])
    names = [case.term(name) for name in case.results["vcov"]["names"]]
    at = [list(fit.estimates.x_names).index(name) for name in names]
    deviations = np.sqrt(np.diagonal(reference))
    assert_close(
        fit.estimates.vcov[np.ix_(at, at)],
        reference,
        case.tolerances["vcov"],
        scale=np.outer(deviations, deviations),
        what="vcov",
    )


def test_variance_parameters(case, fit):
    assert_close(fit.sigma, case.results["sigma"], case.tolerances["sigma"], what="sigma")
    se = case.raw["optimizer_check"].get("parameter_se")
    theta = np.atleast_1d(case.results["theta"])
    if se is None or np.size(se) != np.size(theta):
        se = np.zeros(len(theta))
    assert_close(fit.theta, theta, case.tolerances["theta"], se=se, what="theta")


def test_variance_components(case, fit):
    table = fit.varcorr()
    alone = table["term2"].isna()
    deviations, correlations = table[alone], table[~alone]
    for block in case.results["varcorr"]:
        group, names = case.group(block["group"]), case.terms(block["names"])
        rows = deviations[deviations["group"] == group].set_index("term1")
        sds = rows.loc[names, "sd_or_corr"]
        assert_close(sds, block["sd"], case.tolerances["sd"], what=f"sd {group}")
        assert_close(rows.loc[names, "variance_or_cov"], sds**2, {"rtol": 1e-12})
        pairs = correlations[correlations["group"] == group]
        pairs = {
            frozenset((a, b)): r
            for a, b, r in zip(pairs["term1"], pairs["term2"], pairs["sd_or_corr"], strict=True)
        }
        for i in range(len(names)):
            for j in range(i):
                value = pairs[frozenset((names[i], names[j]))]
                reference = np.array(block["corr"], dtype=float)[i, j]
                assert_close(value, reference, case.tolerances["corr"], what=f"corr {group}")
    residual = deviations[deviations["group"] == "Residual"]
    assert list(residual["sd_or_corr"]) == [fit.sigma]


def test_random_effects(case, fit):
    table = fit.ranef()
    keys = zip(table["group"], map(str, table["level"]), table["term"], strict=True)
    found = dict(zip(keys, zip(table["estimate"], table["std_error"], strict=True), strict=True))
    for name, block in case.results["ranef"].items():
        group, terms = case.group(name), case.terms(block["columns"])
        keys = [
            (group, case.level(name, level), term) for level in block["levels"] for term in terms
        ]
        ours = np.array([found[key] for key in keys])
        reference = np.ravel(block["values"])
        assert_close(ours[:, 0], reference, case.tolerances["ranef"], what=f"ranef {group}")
        if "condsd" in block:
            assert_close(
                ours[:, 1],
                np.ravel(block["condsd"]),
                case.tolerances["condsd"],
                what=f"conditional SD {group}",
            )
        if "truncated" not in block:
            assert sum(table["group"] == group) == len(keys)


def test_fitted_and_residuals(case, fit):
    tolerance = case.tolerances["fitted"]
    for ours, name in [
        (fit.fitted(), "fitted_first20"),
        (fit.residuals(), "residuals_first20"),
        (fit.predict(case.used, random="conditional"), "fitted_first20"),
        (fit.predict(case.used, random="population"), "predict_fixed_first20"),
    ]:
        reference = case.results[name]
        assert_close(used(ours)[: len(reference)], reference, tolerance, what=name)


def test_prediction_of_new_data(case, fit):
    if "predict_new" not in case.results:
        pytest.skip("no new data in this case")
    reference, new_data = case.results["predict_new"], case.new_data
    conditional = fit.predict(new_data, random="conditional", new_levels="population")
    population = fit.predict(new_data, random="population")
    tolerance = case.tolerances["predict"]
    assert_close(conditional, np.atleast_1d(reference["conditional"]), tolerance, what="new")
    assert_close(population, np.atleast_1d(reference["fixed_only"]), tolerance, what="fixed only")


def test_groups_and_flags(case, fit):
    expected = {case.group(name): n for name, n in case.results["n_groups"].items()}
    assert dict(fit.n_groups) == expected
    assert fit.is_singular == case.results["singular"]
    assert fit.converged


def test_rank_deficient_columns_are_named():
    case = golden.load_case("sleepstudy_na_rankdef_reml")
    fit = me.fit(case.formula, case.data, reml=True)
    assert fit.estimates.aliased == ("Days2",)
