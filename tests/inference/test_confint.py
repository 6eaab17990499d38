"""Wald intervals against the tables they repeat, R, and the curvature of dense likelihoods."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import golden
import mixedeffects as me
import oracle
from brute_profile import DenseModel
from golden import assert_close
from mixedeffects.errors import MixedEffectsWarning, ModelError
from mixedeffects.inference.parameters import natural_parameters

CASES = [i for i in golden.cases("lmm") if "confint_wald_95" in golden.load_case(i).results]
SLEEPSTUDY = "Reaction ~ Days + (Days | Subject)"
COLUMNS = ["term", "kind", "group", "term1", "term2", "estimate", "conf_low", "conf_high"]


@pytest.fixture(scope="module")
def sleepstudy():
    return me.fit(SLEEPSTUDY, me.datasets.load("sleepstudy"))


@pytest.mark.parametrize("id_", CASES)
@pytest.mark.filterwarnings("ignore:No Wald limits")
def test_coefficients_of_reference(id_):
    case = golden.load_case(id_)
    fit = me.fit(case.formula, case.data, reml=case.reml, weights=case.weights, offset=case.offset)
    table = fit.confint(df="asymptotic")
    table = table[table["kind"] == "fixed"]
    expected = {case.term(k): v for k, v in fixed_of(case).items()}
    got = table.set_index("term")[["conf_low", "conf_high"]].T.to_dict("list")
    assert set(got) == set(expected)
    share = case.tolerances["wald_ci"]["width_frac"]
    for name, (low, high) in expected.items():
        assert_close(got[name], (low, high), {"atol": share * (high - low)}, what=name)


def fixed_of(case):
    stored = case.results["confint_wald_95"]
    stored = stored.get("intervals", stored)
    fixed = {k: v for k, v in stored.items() if k in case.results["fixef"]}
    assert fixed
    return fixed


def test_layout(sleepstudy):
    table = sleepstudy.confint()
    assert list(table.columns) == COLUMNS
    assert list(table["term"]) == [
        *("Intercept", "Days", "sd(Intercept | Subject)", "sd(Days | Subject)"),
        *("corr(Intercept, Days | Subject)", "sigma"),
    ]
    assert list(table["kind"]) == ["fixed", "fixed", "sd", "sd", "corr", "sigma"]
    variances = sleepstudy.varcorr()
    np.testing.assert_allclose(table["estimate"][2:], variances["sd_or_corr"], rtol=1e-9)
    keys = ["group", "term1", "term2"]
    assert table[keys].fillna("").to_numpy()[2:].tolist() == (
        variances[keys].fillna("").to_numpy().tolist()
    )
    assert sleepstudy.confint(parameters="sigma")["term"].tolist() == ["sigma"]


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger", "residual", "asymptotic"])
@pytest.mark.parametrize("level", [0.5, 0.99])
def test_coefficients_as_in_fixef(sleepstudy, df, level):
    got = sleepstudy.confint(df=df, level=level, parameters=["Intercept", "Days"])
    expected = sleepstudy.fixef(df=df, level=level)
    same = ["term", "estimate", "conf_low", "conf_high"]
    pd.testing.assert_frame_equal(got[same], expected[same])


def dense_standard_errors(fit, reml):
    """By natural parameter, on log and z scales: from the Hessian of the dense likelihood."""
    dense = DenseModel(fit)
    y = np.append(fit.theta, np.log(fit.sigma))
    found = [p for p in natural_parameters(fit._fit) if p.kind != "fixed"]

    def value(y):
        deviance = dense.deviance(y)
        return deviance + dense.log_information(y) if reml else deviance

    def natural(y):
        values = np.array([dense.natural(y, p) for p in found])
        correlated = np.array([p.kind == "corr" for p in found])
        inside = np.where(correlated, values, 0.0)
        return np.where(correlated, np.arctanh(inside), np.log(np.where(correlated, 1.0, values)))

    covariance = 2.0 * np.linalg.inv(oracle.hessian(value, y, step=5e-3))
    slopes = oracle.gradient(natural, y, step=5e-3)
    return found, natural(y), np.sqrt(np.diagonal(slopes.T @ covariance @ slopes))


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize(
    "formula",
    [
        "y ~ x + (x | g)",
        "y ~ x + (1 | g) + (1 | h)",
        "y ~ x + (x + z || g)",
        "y ~ x + cs(0 + f | g)",
        "y ~ x + ar1(0 + f | g)",
    ],
)
def test_variances_by_the_dense_likelihood(formula, reml):
    """The whole Hessian in (θ, log σ) gives what the profile and its slopes give here."""
    rng = np.random.default_rng(3)
    n = 120
    g, h, t = rng.integers(0, 14, n), rng.integers(0, 8, n), rng.integers(0, 3, n)
    x, z = rng.normal(1.0, 1.0, n), rng.normal(size=n)
    b = 0.8 * rng.normal(size=(14, 3))
    y = x + b[g, 0] + b[g, 1] * x + b[g, 2] * z + 0.8 * rng.normal(size=(14, 3))[g, t]
    y = y + 0.8 * rng.normal(size=8)[h] + 0.7 * rng.normal(size=n)
    data = pd.DataFrame({"y": y, "x": x, "z": z, "g": g, "h": h, "f": np.array(list("abc"))[t]})
    fit = me.fit(formula, data, reml=reml)
    assert not fit.is_singular
    found, centres, errors = dense_standard_errors(fit, reml)
    table = fit.confint(level=0.9, parameters=[p.name for p in found])
    half = norm.ppf(0.95) * errors
    for place, (parameter, centre) in enumerate(zip(found, centres, strict=True)):
        back = np.tanh if parameter.kind == "corr" else np.exp
        expected = back(centre + half[place] * np.array([-1.0, 1.0]))
        got = table.iloc[place][["conf_low", "conf_high"]].astype(float)
        # the differences err by some 1e-6
        np.testing.assert_allclose(got, expected, rtol=1e-4, err_msg=parameter.name)


def test_residual_deviation_of_a_balanced_layout():
    """σ̂² is a mean square with 24 degrees of freedom: Var(log σ̂) = 1/(2·24)."""
    fit = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff"))
    row = fit.confint(parameters="sigma").iloc[0]
    half = norm.ppf(0.975) / np.sqrt(48)
    assert row["conf_low"] == pytest.approx(fit.sigma * np.exp(-half), rel=1e-5)
    assert row["conf_high"] == pytest.approx(fit.sigma * np.exp(half), rel=1e-5)


def test_boundaries_are_named_not_numbers():
    fit = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff2"))
    with pytest.warns(MixedEffectsWarning, match=r"sd\(Intercept \| Batch\).*boundary.*profile"):
        table = fit.confint()
    zero = table.set_index("term").loc["sd(Intercept | Batch)"]
    assert zero["estimate"] == 0.0
    assert np.isnan([zero["conf_low"], zero["conf_high"]]).all()
    assert table[table["kind"] != "sd"][["conf_low", "conf_high"]].notna().all(axis=None)
    assert len(fit.confint(parameters=["Intercept", "sigma"])) == 2


def test_scale_of_response_and_covariate(sleepstudy):
    data = me.datasets.load("sleepstudy")
    scaled = data.assign(Reaction=1e6 * data["Reaction"], Days=data["Days"] / 50)
    got, plain = me.fit(SLEEPSTUDY, scaled).confint(), sleepstudy.confint()
    by = np.array([1e6, 5e7, 1e6, 5e7, 1.0, 1e6])
    for column in ("conf_low", "conf_high"):
        # the differences behind the covariance of θ̂ err by some 1e-6
        np.testing.assert_allclose(got[column], by * plain[column], rtol=1e-5)


def test_tables_come_back_in_the_callers_library():
    polars = pytest.importorskip("polars")
    data = polars.from_pandas(me.datasets.load("sleepstudy"))
    fit = me.fit("Reaction ~ Days + (1 | Subject)", data)
    assert isinstance(fit.confint(), polars.DataFrame)
    assert isinstance(fit.profile("sigma").table, polars.DataFrame)
    assert isinstance(fit.profile("sigma").confint(), polars.DataFrame)


def test_bad_options(sleepstudy):
    with pytest.raises(ModelError, match=r"method='likelihood'.*'wald', 'profile'"):
        sleepstudy.confint(method="likelihood")
    with pytest.raises(ModelError, match=r"df='residual' belongs to Wald.*leave df out"):
        sleepstudy.confint(method="profile", df="residual")
    with pytest.raises(ModelError, match=r"df='kenward'.*'kenward-roger'"):
        sleepstudy.confint(df="kenward")
    with pytest.raises(ModelError, match=r"level=95 is not between 0 and 1"):
        sleepstudy.confint(level=95)
    with pytest.raises(ModelError, match=r"'sd\(Day \| Subject\)'.*Did you mean 'sd\(Days"):
        sleepstudy.confint(parameters="sd(Day | Subject)")
