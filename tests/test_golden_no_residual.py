"""Gaussian models without a residual, ``dispersion="~ 0"``, against glmmTMB and dense fits.

The references' ``polished`` values are of V = ZΣZ' itself; glmmTMB fixes a residual standard
deviation of 2⁻¹³, and here it is that share of the response's.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import golden
import mixedeffects as me
from golden import assert_close
from mixedeffects.errors import ModelError
from mixedeffects.fitting.restricted import RestrictedObjective


@pytest.fixture(scope="module", params=golden.cases("bare"))
def case(request):
    return golden.load_case(request.param)


@pytest.fixture(scope="module")
def fit(case):
    return me.fit(case.formula, case.data, dispersion="~ 0", reml=case.reml)


def test_likelihood(case, fit):
    assert_close(fit.loglik, case.results["loglik"], case.tolerances["loglik"], what="loglik")
    polished = case.results["polished"]["loglik"]
    assert_close(fit.loglik, polished, case.tolerances["polished_loglik"], what="dense loglik")
    assert fit.aic == pytest.approx(2 * case.results["n_par"] - 2 * fit.loglik)
    assert fit.converged
    assert not fit.is_singular


def test_coefficients(case, fit):
    names = list(case.results["polished"]["fixef"])
    known = case.results["conditional"].get("se")  # glmmTMB has integrated them out under REML
    se = [(known or case.results["polished"]["se"])[name] for name in names]
    expected = list(case.results["polished"]["fixef"].values())
    tolerance = case.tolerances["polished_fixef"]
    assert_close(fit.beta, expected, tolerance, se=se, what="fixef")
    if known:
        assert_close(fit.fixef()["std_error"], se, case.tolerances["se"], what="se")
    else:  # those at known variances
        assert (fit.fixef()["std_error"] > se).all()


def test_covariance(case, fit):
    known = case.results["polished"]["parameters"]
    terms = {t.structure: t for t in fit._fit.estimates.terms}
    own = next(t for name, t in terms.items() if name != "us" or len(terms) == 1)
    sd = np.sqrt(np.diagonal(own.covariance))
    correlation = own.covariance / np.outer(sd, sd)
    tolerance = case.tolerances["polished_parameters"]
    assert_close(sd, np.broadcast_to(known.get("sd", known.get("sd_by_age")), 4), tolerance)
    if "sd_intercept" in known:
        assert_close(np.sqrt(terms["us"].covariance[0, 0]), known["sd_intercept"], tolerance)
    if "corr" in known:
        assert_close(correlation, known["corr"], tolerance)
    if "rho" in known or "phi" in known:
        assert_close(correlation[0, 1], known.get("rho", known.get("phi")), tolerance)
    if "lag_correlations" in known:
        assert_close(correlation[0, 1:], known["lag_correlations"], tolerance)


@pytest.fixture(scope="module")
def data():
    return golden.load_case("cov_ar1_orthodont").data


@pytest.fixture(scope="module")
def bare(data):
    return me.fit("distance ~ age * Sex + ar1(0 + age | Subject)", data, dispersion="~ 0")


def test_what_is_fixed_is_told(data, bare):
    X = np.column_stack([np.ones(len(data)), data["age"], data["Sex"] == "Female"]).astype(float)
    X = np.column_stack([X, X[:, 1] * X[:, 2]])
    y = data["distance"].to_numpy()
    rest = y - X @ np.linalg.lstsq(X, y)[0]
    assert bare.sigma == pytest.approx(2.0**-13 * np.sqrt(np.mean(rest**2)))
    assert f"residual standard deviation fixed at {bare.sigma:.3g}" in str(bare.summary())
    assert "Residual" not in bare.varcorr()["group"].tolist()
    assert "sigma" not in bare.confint()["term"].tolist()


def test_units_do_not_matter(data, bare):
    other = me.fit(
        "distance ~ age * Sex + ar1(0 + age | Subject)",
        data.assign(distance=1e-3 * data["distance"]),
        dispersion="~0",
    )
    assert other.loglik == pytest.approx(bare.loglik + len(data) * np.log(1e3), abs=1e-6)
    np.testing.assert_allclose(other.beta, 1e-3 * bare.beta, rtol=1e-5)


def test_the_random_effects_are_all_of_it(data, bare):
    np.testing.assert_allclose(bare.fitted(), data["distance"], atol=1e-5)
    drawn = np.asarray(bare.simulate(200, seed=1))
    assert np.std(drawn - drawn.mean(axis=0)) == pytest.approx(
        np.sqrt(bare._fit.estimates.terms[0].covariance[0, 0]), rel=0.1
    )


def test_saved_and_refitted(data, bare, tmp_path):
    again = bare.refit(data["distance"] + 1.0)
    assert again.loglik == pytest.approx(bare.loglik, abs=1e-6)
    again.save(tmp_path / "fit.me")
    loaded = me.load(tmp_path / "fit.me")
    assert loaded.sigma == again.sigma
    pd.testing.assert_frame_equal(loaded.fixef(), again.fixef())


def test_restricted_gradient(data):
    fit = me.fit("distance ~ age * Sex + ar1(0 + age | Subject)", data, dispersion="~ 0", reml=True)
    objective = RestrictedObjective(fit._fit.problem)
    psi = fit._fit.solution.optimum.theta * 1.1
    gradient = objective.refine(psi).gradient
    h = 1e-4 * np.eye(len(psi))
    expected = [(objective(psi + e).value - objective(psi - e).value) / 2e-4 for e in h]
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-3)


def test_restricted_criterion_does_not_depend_on_the_coding(data):
    one = me.fit("distance ~ age * Sex + cs(0 + fage | Subject)", data, dispersion="~ 0", reml=True)
    other = me.fit(
        "distance ~ 0 + Sex + Sex:I(age - 11) + cs(0 + fage | Subject)",
        data,
        dispersion="~ 0",
        reml=True,
    )
    np.testing.assert_allclose(other.fitted(), one.fitted(), atol=1e-6)
    np.testing.assert_allclose(
        other.varcorr()["sd_or_corr"], one.varcorr()["sd_or_corr"], rtol=1e-4
    )


def test_restricted_fit_later(data, tmp_path):
    formula = "distance ~ age + ar1(0 + age | Subject)"
    fit = me.fit(formula, data, dispersion="~ 0", reml=True)
    assert fit.reml
    assert "by REML" in str(fit.summary())
    fit.save(tmp_path / "fit.me")
    assert me.load(tmp_path / "fit.me").loglik == fit.loglik
    ml = me.fit(formula, data, dispersion="~ 0")
    ours = fit.confint(method="profile")
    pd.testing.assert_frame_equal(
        ours[["conf_low", "conf_high"]],
        ml.confint(method="profile")[["conf_low", "conf_high"]],
        rtol=1e-3,
    )
    with pytest.raises(ModelError, match="REML"):
        me.compare(fit, me.fit("distance ~ 1 + ar1(0 + age | Subject)", data, dispersion="~ 0"))


def test_fixed_effects_are_compared(data, bare):
    small = me.fit("distance ~ age + ar1(0 + age | Subject)", data, dispersion="~ 0")
    table = me.compare(small, bare)
    assert table["statistic"].iloc[1] == pytest.approx(2 * (bare.loglik - small.loglik))
    assert table["df"].iloc[1] == 2


def test_without_its_term_nothing_is_left(bare):
    with pytest.raises(ModelError, match="this model has none"):
        bare.test_random()


@pytest.mark.parametrize(
    ("formula", "options", "words"),
    [
        ("distance ~ age + (1 | Subject)", {}, "share their effect of .1 . Subject"),
        ("distance ~ age + (age | Subject)", {}, "this model has none"),
        ("distance ~ age + us(0 + Sex | age)", {}, r"rows \d+ and \d+ share"),
        ("distance ~ age + ar1(0 + age | Subject)", {"weights": "age"}, "weights="),
        ("distance ~ age + ar1(0 + age | Subject)", {"family": "gamma"}, "nothing to estimate"),
        ("distance ~ age + ar1(0 + age | Subject)", {"quadrature": 5}, "quadrature=5"),
        ("age ~ I(2 * age) + ar1(0 + years | Subject)", {}, "exactly"),
    ],
)
def test_refusals(data, formula, options, words):
    with pytest.raises(ModelError, match=words):
        me.fit(formula, data.assign(years=data["age"]), dispersion="~ 0", **options)
