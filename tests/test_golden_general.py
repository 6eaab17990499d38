"""Every generalized model of the reference against lme4, glmmTMB and ordinal.

lme4 puts the expected information where the Laplace approximation has the Hessian; for other
than canonical links those differ.  Its cases are compared with the Hessian's values where
the reference has them (``laplace_observed_hessian``), and here both are computed by a dense
second way.  ordinal's ``clmm`` stops its own search for the modes at about 1e-4, whence the
``polished`` values.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import cauchy

import golden
import mixedeffects as me
from golden import assert_close

# Blocks that the reference has for one component, by our name of it
BLOCKS = {"conditional": "cond", "zero_inflation": "zi"}
# lme4 with expected information, and no other reference
EXPECTED = {"cbpp_cauchit_laplace"}


@pytest.fixture(scope="module", params=golden.cases("general"))
def case(request):
    if request.param in EXPECTED:
        pytest.skip("has a test of its own")
    return golden.load_case(request.param)


@pytest.fixture(scope="module")
def fit(case):
    return fitted(case)


def fitted(case):
    return me.fit(case.formula, case.data, family=case.family, weights=case.weights, **case.others)


def best(case):
    """The reference's accurate values where it has them, else its own."""
    results = case.results
    return results.get("polished") or results.get("laplace_observed_hessian") or results


def errors(case):
    """Standard errors of lme4 or of ordinal by name."""
    rows = case.results.get("coefficients_table", [])
    return {row["term"]: row["Std. Error"] for row in rows} | case.results.get("se", {})


def near_singular(case):
    return bool(case.raw["optimizer_check"].get("near_singular"))


def test_likelihood(case, fit):
    tolerance = case.tolerances["loglik"]
    if "polished" in case.results:
        tolerance = case.tolerances["polished_loglik"]
    assert_close(fit.loglik, best(case)["loglik"], tolerance, what="loglik")
    assert fit.objective == pytest.approx(-2 * fit.loglik, rel=1e-14)


def test_information_criteria(case, fit):
    results, reference = case.results, best(case)["loglik"]
    assert fit.nobs == results["n_obs"]
    assert fit.aic == pytest.approx(2 * results["n_par"] - 2 * reference, abs=1e-4)
    penalty = np.log(fit.nobs) * results["n_par"]
    assert fit.bic == pytest.approx(penalty - 2 * reference, abs=1e-4)
    assert fit.df_resid == fit.nobs - results["n_par"]


def components(case):
    """The reference's coefficients and standard errors by our component."""
    if "conditional" not in case.results:
        reference = best(case)
        return {"conditional": (reference["fixef"], reference.get("se") or errors(case))}
    found = {n: case.results[n] for n in ("conditional", "zero_inflation") if n in case.results}
    if case.family.has_dispersion:
        found["dispersion"] = case.results["dispersion"]
    return {name: (block["fixef"], block["se"]) for name, block in found.items()}


def test_fixed_effects_of_all_components(case, fit):
    table = fit.fixef()
    for component, (expected, se) in components(case).items():
        own = table[table["component"] == component] if "component" in table else table
        assert list(own["term"]) == [case.term(name) for name in expected]
        se = [se[name] for name in expected]
        tolerance = case.tolerances["fixef"]
        assert_close(own["estimate"], list(expected.values()), tolerance, se=se, what=component)
        if not near_singular(case):
            assert_close(own["std_error"], se, case.tolerances["se"], what=f"se of {component}")


def test_thresholds(case, fit):
    if "thresholds" not in case.results:
        pytest.skip("no ordered categories")
    table = fit.fixef()
    table = table[table["component"] == "threshold"]
    expected = best(case)["thresholds"]
    se = best(case).get("thresholds_se", errors(case))
    se = [se[name] for name in expected]
    assert list(table["term"]) == list(expected)
    tolerance = case.tolerances["thresholds"]
    assert_close(table["estimate"], list(expected.values()), tolerance, se=se, what="thresholds")
    assert_close(table["std_error"], se, case.tolerances["se"], what="se of thresholds")


def test_covariance_of_fixed_effects(case, fit):
    block = case.results.get("conditional", best(case)).get("vcov")
    if block is None or near_singular(case) or case.family.has_thresholds:
        pytest.skip("none in the reference, or of a singular fit, or with thresholds")
    deviations = np.sqrt(np.diagonal(block["matrix"]))
    names = [case.term(name) for name in block["names"]]
    at = [list(fit.estimates.x_names).index(name) for name in names]
    assert_close(
        fit.vcov()[np.ix_(at, at)],
        block["matrix"],
        case.tolerances["vcov"],
        scale=np.outer(deviations, deviations),
        what="vcov",
    )


def test_dispersion(case, fit):
    if isinstance(dispersion := case.results.get("dispersion"), dict) and "value" in dispersion:
        # given as a variance, or its factor
        assert_close(fit.sigma**2, dispersion["value"], {"rtol": 1e-4}, what="sigma")
    elif isinstance(case.results.get("sigma"), float) and "dispersion" not in case.others:
        assert_close(fit.sigma, case.results["sigma"], case.tolerances["sigma"], what="sigma")
    else:
        assert fit.sigma == 1.0 or "dispersion" in case.others
    table = fit.fixef()
    for value in case.results.get("family_params", {}).values():
        shape = table[table["component"] == "shape"]["estimate"]
        assert_close(shape, [value], {"rtol": 1e-4}, what="shape")


def test_variance_components(case, fit):
    for component, name in [("conditional", "varcorr"), ("zero_inflation", "varcorr_zi")]:
        for block in case.results.get(name, []):
            terms = [
                t
                for t in fit.estimates.terms
                if t.component == component and t.group == case.group(block["group"])
            ]
            deviations = np.concatenate([np.sqrt(np.diagonal(t.covariance)) for t in terms])
            if "ar1_phi" in block:
                assert_close(deviations[:1], block["sd"], case.tolerances["sd"], what="sd")
                phi = terms[0].covariance[0, 1] / deviations[0] ** 2
                assert_close(phi, block["ar1_phi"], {"atol": 1e-4}, what="phi")
                continue
            reference = best(case).get("sd", {}).get(block["group"])
            sd = np.atleast_1d(reference) if reference is not None else np.array(block["sd"])
            if (observed := case.results.get("laplace_observed_hessian")) is not None:
                sd = np.concatenate(
                    [b["sd"] for b in observed["varcorr"] if b["group"] == block["group"]]
                )
            names = [c for t in terms for c in t.names]
            if len(sd) == len(names) and len(terms) == 1:
                assert names == case.terms(np.atleast_1d(block["names"]))
            assert_close(np.sort(deviations), np.sort(sd), case.tolerances["sd"], what="sd")
            if len(sd) == 2 and len(terms) == 1 and terms[0].correlated and "corr" in block:
                rho = terms[0].covariance[0, 1] / deviations.prod()
                expected = np.array(block["corr"], float)[0, 1]
                assert_close(rho, expected, case.tolerances["corr"], what="correlation")


def test_random_effects(case, fit):
    if "laplace_observed_hessian" in case.results and case.raw["model"]["link"] != "logit":
        pytest.skip("the modes belong to the other approximation")
    blocks = case.results.get("ranef") or {}
    nested = set(BLOCKS.values()) >= set(blocks)
    for component, name in BLOCKS.items():
        for group, block in (blocks.get(name, {}) if nested else blocks).items():
            if not nested and component != "conditional":
                continue
            (term,) = [
                t
                for t in fit.estimates.terms
                if t.component == component and t.group == case.group(group)
            ][:1]
            if len(term.names) != len(block["columns"]):
                continue  # lme4 joins the independent terms of one group
            order = [list(map(str, term.levels)).index(level) for level in block["levels"]]
            values = np.array(block["values"], dtype=float)
            assert_close(term.modes[order], values, case.tolerances["ranef"], what=group)


def test_fitted_means(case, fit):
    if "laplace_observed_hessian" in case.results and case.raw["model"]["link"] != "logit":
        pytest.skip("the means belong to the other approximation")
    name = "predict_response_first20" if "zero_inflation" in case.others else "fitted_first20"
    if case.family.has_thresholds or name not in case.results:
        pytest.skip("probabilities, or none in the reference")
    reference = np.array(case.results[name])
    ours = np.asarray(fit.fitted(), dtype=float)[: len(reference)]
    assert_close(ours, reference, case.tolerances["fitted"], what="fitted")


def test_certificate(case, fit):
    assert fit.converged
    assert np.isfinite(fit.fixef()["std_error"]).all()
    assert fit.is_singular == (near_singular(case) or "singular" in case.id)


# -- where the references are not the Laplace approximation's maximum ----------------------


def dense_laplace(case, fixef, sd, link, expected):
    """The log-likelihood of a binomial model with one random intercept, group by group."""
    data = case.data
    X = np.column_stack([np.ones(len(data)), *(data["period"] == level for level in "234")]).astype(
        float
    )
    y, n = data["incidence"].to_numpy(float), data["size"].to_numpy(float)
    from scipy.special import gammaln

    constant = gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1)
    total = 0.0
    for group in data["herd"].unique():
        rows = (data["herd"] == group).to_numpy()
        base, k, m, c = X[rows] @ fixef, y[rows], n[rows], constant[rows]

        def log_joint(u, base=base, k=k, m=m, c=c):
            p = link.cdf(base + sd * u)
            return float((c + k * np.log(p) + (m - k) * np.log1p(-p)).sum()) - 0.5 * u * u

        found = minimize_scalar(
            lambda u, f=log_joint: -f(u), bounds=(-6, 6), options={"xatol": 1e-10}
        )
        u = found.x
        if expected:
            p, slope = link.cdf(base + sd * u), link.pdf(base + sd * u)
            curvature = 1.0 + sd * sd * float((m * slope**2 / (p * (1 - p))).sum())
        else:
            h = 1e-4
            curvature = -(log_joint(u + h) - 2 * log_joint(u) + log_joint(u - h)) / h**2
        total += log_joint(u) - 0.5 * np.log(curvature)
    return total


def test_cauchit_is_expected_information_in_lme4_and_the_hessian_here():
    case = golden.load_case("cbpp_cauchit_laplace")
    fit = fitted(case)
    theirs = np.array(list(case.results["fixef"].values())), case.results["theta"][0]
    assert dense_laplace(case, *theirs, cauchy, expected=True) == pytest.approx(
        case.results["loglik"], abs=1e-5
    )
    ours = fit.beta, fit.theta[0]
    assert dense_laplace(case, *ours, cauchy, expected=False) == pytest.approx(fit.loglik, abs=1e-5)
    # at the reference's own optimum the Hessian's value is no higher than at ours
    assert dense_laplace(case, *theirs, cauchy, expected=False) <= fit.loglik
