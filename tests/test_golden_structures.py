"""Covariance structures against glmmTMB and nlme, through the public interface."""

from __future__ import annotations

import numpy as np
import pytest

import golden
import mixedeffects as me
from golden import assert_close


@pytest.fixture(scope="module", params=golden.cases("glmmTMB") + golden.cases("nlme"))
def case(request):
    return golden.load_case(request.param)


@pytest.fixture(scope="module")
def fit(case):
    return me.fit(case.formula, case.data, reml=case.reml)


def spatial(case):
    return "theta_internal_all" in case.results["varcorr"][0]


def test_likelihood(case, fit):
    assert_close(fit.loglik, case.results["loglik"], case.tolerances["loglik"], what="loglik")
    if "polished" in case.results:
        tolerance = case.tolerances["polished_loglik"]
        assert_close(fit.loglik, case.results["polished"]["loglik"], tolerance, what="loglik")
    assert_close(fit.aic, case.results["aic"], {"atol": 1e-4}, what="aic")
    assert len(fit.theta) + len(fit.beta) + 1 == case.results["n_par"]


def test_fixed_effects(case, fit):
    # glmmTMB's standard errors add what θ̂ is uncertain about; the dense fit's do not
    reference = case.results.get("conditional", case.results)
    reference = case.results.get("polished", reference) if spatial(case) else reference
    table = fit.fixef()
    names = list(reference["fixef"])
    se = [reference["se"][name] for name in names] if "se" in reference else None
    assert list(table["term"]) == [case.term(name) for name in names]
    expected = list(reference["fixef"].values())
    assert_close(table["estimate"], expected, case.tolerances["fixef"], se=se, what="fixef")
    if se is not None:  # glmmTMB has integrated them out under REML
        assert_close(table["std_error"], se, case.tolerances["se"], what="se")


def test_variance_components(case, fit):
    assert_close(fit.sigma, case.results["sigma"], case.tolerances["sigma"], what="sigma")
    (block,) = case.results["varcorr"]
    (term,) = fit.estimates.terms
    deviations = np.sqrt(np.diagonal(term.covariance))
    correlation = term.covariance / np.outer(deviations, deviations)
    if spatial(case):
        polished = case.results["polished"]["parameters"]
        length = polished["range"] if "range" in polished else 1 / polished["decay_rate"]
        ours = [deviations[0], term.kind.range(term.theta[1]), fit.sigma]
        theirs = [polished["sd"], length, polished["sigma"]]
        assert_close(ours, theirs, {"rtol": 1e-6}, what="sd, range, sigma")
        return
    if "ar1_phi" in block:  # glmmTMB prints the common deviation and one correlation
        k = len(deviations)
        lags = np.abs(np.subtract.outer(range(k), range(k)))
        sd, corr = np.full(k, block["sd"][0]), block["ar1_phi"] ** lags
    else:
        assert list(term.names) == case.terms(block["names"])
        sd, corr = block["sd"], block["corr"]
    assert_close(deviations, sd, case.tolerances["sd"], what="sd")
    assert_close(correlation, corr, case.tolerances["corr"], what="corr")


def test_fitted(case, fit):
    reference = case.results.get("fitted_first20") or case.results["fitted_innermost_first20"]
    ours = np.asarray(fit.fitted())[: len(reference)]
    assert_close(ours, reference, case.tolerances["fitted"], what="fitted")
