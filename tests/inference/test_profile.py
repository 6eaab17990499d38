"""Profile limits and curves against R, brute force, closed forms, and themselves."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import chi2

import golden
import mixedeffects as me
from brute_profile import DenseModel
from golden import assert_close
from mixedeffects.errors import ConvergenceWarning, ModelError
from mixedeffects.fitting.fit import completed
from mixedeffects.fitting.lmm import Objective
from mixedeffects.fitting.solve import solution_at
from mixedeffects.inference.parameters import natural_parameters
from mixedeffects.model.linear import LinearFit

CASES = [i for i in golden.cases("lmm") if "confint_profile_95" in golden.load_case(i).results]
MORE = list(golden.r_cases("profile"))
GROUPS = ("class:school", "school", "rater", "subject", "item", "Subject", "Batch")
SLEEPSTUDY = "Reaction ~ Days + (Days | Subject)"


def fitted(case):
    return me.fit(case.formula, case.data, reml=case.reml, weights=case.weights, offset=case.offset)


def limits_of(table):
    rows = zip(table["term"], table["conf_low"], table["conf_high"], strict=True)
    return {name: (low, high) for name, low, high in rows}


def our_name(case, name):
    """``sd_Days|Subject``, ``cor_Days.(Intercept)|Subject``, ``sigma`` in our spelling."""
    if name == "sigma":
        return name
    if name.startswith("sd_"):
        column, group = name.removeprefix("sd_").split("|")
        return f"sd({case.term(column)} | {case.group(group)})"
    if name.startswith("cor_"):
        columns, group = name.removeprefix("cor_").split("|")
        second, first = (case.term(c) for c in columns.split("."))
        return f"corr({first}, {second} | {case.group(group)})"
    return case.term(name)


@pytest.mark.parametrize("id_", CASES)
def test_reference(id_):
    case = golden.load_case(id_)
    got = limits_of(fitted(case).confint(method="profile"))
    expected = case.results["confint_profile_95"]["intervals"]
    assert sorted(got) == sorted(our_name(case, name) for name in expected)
    share = case.tolerances["profile_ci"]["width_frac"]
    for name, (low, high) in expected.items():
        # both sides were solved to some 1e-6; the reference's stated tolerance covers the rest
        assert_close(
            got[our_name(case, name)], (low, high), {"atol": share * (high - low)}, what=name
        )


@pytest.mark.parametrize("id_", MORE)
def test_reference_of_crossed_nested_and_weighted(id_):
    """Root finding on lme4's deviance."""
    case = golden.r_cases("profile")[id_]
    got = limits_of(fitted(case).confint(method="profile", level=case.results["level"]))
    for name, (low, high) in case.results["limits"].items():
        assert_close(
            got[short_name(case, name)], (low, high), {"atol": 1e-4 * (high - low)}, what=name
        )


def short_name(case, name):
    """``subject:(Intercept):time``, ``class:school:(Intercept)`` of R's script, in ours."""
    if name == "sigma":
        return name
    if name in case.results["basics"]["fixef"]:
        return case.term(name)
    for group in GROUPS:
        if name.startswith(f"{group}:"):
            columns = [case.term(c) for c in name.removeprefix(f"{group}:").split(":")]
            kind = "sd" if len(columns) == 1 else "corr"
            return f"{kind}({', '.join(columns)} | {case.group(group)})"
    raise KeyError(name)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    n = 96
    g, h, t = rng.integers(0, 12, n), rng.integers(0, 6, n), rng.integers(0, 3, n)
    x, z = rng.normal(1.0, 1.0, n), rng.normal(size=n)
    b = rng.normal(size=(12, 3)) @ [[1.0, 0.4, 0.2], [0.0, 0.8, 0.3], [0.0, 0.0, 0.8]]
    c = rng.normal(size=(12, 1)) + 0.7 * rng.normal(size=(12, 3))
    w = rng.uniform(0.3, 3.0, n)
    y = 1 + x + b[g, 0] + b[g, 1] * x + b[g, 2] * z + rng.normal(size=6)[h]
    y = y + 0.5 * rng.normal(size=n) / np.sqrt(w)
    r = 2 + x + 1.5 * c[g, t] + 0.7 * rng.normal(size=n)
    codes = {"g": g, "h": h, "f": np.array(list("abc"))[t]}
    return pd.DataFrame({"y": y, "r": r, "x": x, "z": z, "w": w, "v": w} | codes)


MODELS = {
    "three slopes": ("y ~ x + z + (x + z | g)", None),
    "crossed, weighted": ("y ~ x + (x | g) + (1 | h)", "w"),
    "independent slopes": ("y ~ x + (x + z || g)", None),
    "compound symmetry": ("r ~ x + cs(0 + f | g)", None),
    "common deviation": ("r ~ x + homcs(0 + f | g)", "w"),
    "autoregressive": ("r ~ x + ar1(0 + f | g)", None),
    "Toeplitz": ("r ~ x + toep(0 + f | g)", None),
    "identical": ("r ~ x + id(0 + f | g)", None),
}


@pytest.mark.parametrize("name", MODELS)
def test_limits_by_brute_force(data, name):
    """At each limit another optimizer on dense covariances finds the quantile of χ²₁."""
    formula, weights = MODELS[name]
    fit = me.fit(formula, data, reml=False, weights=weights)
    dense, start = DenseModel(fit), np.append(fit.theta, np.log(fit.sigma))
    assert dense.deviance(start) == pytest.approx(fit.objective, abs=1e-8)
    level = 0.8
    limits = limits_of(fit.confint(method="profile", level=level))
    for parameter in natural_parameters(fit._fit)[1::2]:
        for limit in limits[parameter.name]:
            if limit not in (0.0, -1.0, 1.0):
                excess = dense.profile(parameter, limit, [start]) - fit.objective
                # the constrained optimizer stops within some 1e-4
                assert excess == pytest.approx(chi2.ppf(level, 1), abs=2e-3), parameter.name


def test_zeta_is_the_root_of_a_deviance_difference():
    """Balanced one-way layout: the likelihood has a closed form in (sd, σ)."""
    table = me.datasets.load("dyestuff")
    fit = me.fit("Yield ~ 1 + (1 | Batch)", table, reml=False)
    groups = table.groupby("Batch", observed=True)["Yield"]
    a, n = groups.ngroups, 5
    within = float(((table["Yield"] - groups.transform("mean")) ** 2).sum())
    between = float(n * ((groups.mean() - table["Yield"].mean()) ** 2).sum())

    def deviance(sd, sigma):
        whole = sigma**2 + n * sd**2
        logs = a * (n - 1) * np.log(sigma**2) + a * np.log(whole)
        return a * n * np.log(2 * np.pi) + logs + within / sigma**2 + between / whole

    curve = fit.profile("sd(Intercept | Batch)").curves[0]
    for value, zeta in zip(curve.values, curve.zeta, strict=True):
        found = minimize_scalar(
            lambda s, value=value: deviance(value, s), bounds=(20, 150), options={"xatol": 1e-9}
        )
        # what the nuisance lacks, 1e-8 of deviance at most, shows near ζ = 0
        assert np.sign(value - curve.estimate) * zeta >= 0
        assert zeta**2 == pytest.approx(found.fun - fit.objective, abs=1e-7)


def test_curves_are_monotone_and_reach_three():
    fit = me.fit(SLEEPSTUDY, me.datasets.load("sleepstudy"))
    profile = fit.profile()
    assert len(profile.curves) == 6
    for curve in profile.curves:
        assert np.all(np.diff(curve.values) > 0)
        assert np.all(np.diff(curve.zeta) > 0)
        assert curve.values[curve.zeta == 0.0] == pytest.approx([curve.estimate])
        assert curve.zeta[0] <= -3.0
        assert curve.zeta[-1] >= 3.0 or curve.values[-1] == 1.0
    corr = profile.curves[4]
    assert (corr.values[-1], corr.parameter.kind) == (1.0, "corr")


def test_profile_as_a_value():
    fit = me.fit(SLEEPSTUDY, me.datasets.load("sleepstudy"))
    profile = fit.profile(["sigma", "Days"])
    assert list(profile.table.columns) == [
        *("term", "kind", "group", "term1", "term2", "value", "zeta")
    ]
    assert list(profile.table["term"].unique()) == ["sigma", "Days"]
    assert repr(profile).startswith("<Profile of sigma, Days: ")
    expected = fit.confint(method="profile", level=0.9, parameters=["sigma", "Days"])
    pd.testing.assert_frame_equal(profile.confint(0.9), expected)
    copy = pickle.loads(pickle.dumps(profile))
    pd.testing.assert_frame_equal(copy.table, profile.table)
    # ζ at the exact limit is the normal quantile; a straight line between points is near it
    curve = profile.curves[0]
    at = np.interp(expected["conf_low"][0], curve.values, curve.zeta)
    assert at == pytest.approx(-1.645, abs=0.01)


def test_restricted_fits_have_the_same_profile():
    table = me.datasets.load("sleepstudy")
    one, two = (me.fit(SLEEPSTUDY, table, reml=r).confint(method="profile") for r in (True, False))
    for column in ("conf_low", "conf_high"):
        np.testing.assert_allclose(one[column], two[column], rtol=1e-6)


@pytest.mark.parametrize("factor", [1e-3, 1e8])
def test_scale_of_the_response(factor):
    table = me.datasets.load("sleepstudy")
    plain = me.fit(SLEEPSTUDY, table).confint(method="profile")
    scaled = me.fit(SLEEPSTUDY, table.assign(Reaction=factor * table["Reaction"]))
    got = scaled.confint(method="profile")
    by = np.where(plain["kind"] == "corr", 1.0, factor)
    for column in ("conf_low", "conf_high"):
        np.testing.assert_allclose(got[column], by * plain[column], rtol=1e-6)


def test_scale_of_a_covariate_and_order_of_levels():
    table = me.datasets.load("sleepstudy")
    plain = limits_of(me.fit(SLEEPSTUDY, table).confint(method="profile"))
    mixed = table.assign(Days=table["Days"] * 60.0).sample(frac=1.0, random_state=1)
    got = limits_of(me.fit(SLEEPSTUDY, mixed).confint(method="profile"))
    for name, limits in plain.items():
        by = 60.0 if name in ("Days", "sd(Days | Subject)") else 1.0
        np.testing.assert_allclose(np.array(got[name]) * by, limits, rtol=1e-6, err_msg=name)


def test_shift_of_a_covariate_keeps_what_it_does_not_move():
    """The origin of Days moves intercepts and their correlation, nothing else."""
    table = me.datasets.load("sleepstudy")
    names = ["Days", "sd(Days | Subject)", "sigma"]
    plain = limits_of(me.fit(SLEEPSTUDY, table).confint(method="profile", parameters=names))
    far = me.fit(SLEEPSTUDY, table.assign(Days=table["Days"] + 1e4))
    got = limits_of(far.confint(method="profile", parameters=names))
    for name in names:
        np.testing.assert_allclose(got[name], plain[name], rtol=1e-6, err_msg=name)


def test_a_profile_leaves_the_saddle_at_zero():
    """Balanced groups: the profile of the mean is even, though the variance is zero at it."""
    table = me.datasets.load("dyestuff2")
    fit = me.fit("Yield ~ 1 + (1 | Batch)", table, reml=False)
    low, high = limits_of(fit.confint(method="profile"))["Intercept"]
    assert low + high == pytest.approx(2 * table["Yield"].mean(), rel=1e-9)


def test_boundaries():
    zero = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff2"))
    limits = limits_of(zero.confint(method="profile"))
    assert limits["sd(Intercept | Batch)"][0] == 0.0 < limits["sd(Intercept | Batch)"][1]
    curve = zero.profile("sd(Intercept | Batch)").curves[0]
    assert curve.values[0] == curve.zeta[0] == 0.0
    assert curve.zeta[-1] >= 3.0


def test_a_correlation_of_one(data):
    """A slope that is a multiple of the intercept: the estimate is the upper limit."""
    rng = np.random.default_rng(1)
    b = rng.normal(size=12)[data["g"]]
    noise = 0.8 * rng.normal(size=len(data))
    perfect = data.assign(y=2.0 + b + 0.7 * b * data["x"] + noise)
    fit = me.fit("y ~ x + (x | g)", perfect, reml=False)
    name = "corr(Intercept, x | g)"
    assert fit.is_singular
    low, high = limits_of(fit.confint(method="profile"))[name]
    assert high == 1.0
    assert -1.0 < low < 1.0
    curve = fit.profile(name).curves[0]
    assert curve.values[-1] == 1.0
    assert curve.zeta[-1] == 0.0


def test_a_correlation_is_free_where_its_deviation_may_be_zero(data):
    """Where sd(x | h) = 0 is not excluded the correlation means nothing there: (−1, 1)."""
    fit = me.fit("y ~ x + z + (x | h)", data, reml=False)
    limits = limits_of(fit.confint(method="profile"))
    assert limits["sd(x | h)"][0] == 0.0
    assert limits["corr(Intercept, x | h)"] == (-1.0, 1.0)


def test_a_better_optimum_is_followed_and_reported():
    """A fit that stopped short: the limits are those of the optimum, with a warning."""
    fit = me.fit(SLEEPSTUDY, me.datasets.load("sleepstudy"), reml=False)
    problem, optimum = fit._fit.problem, fit._fit.solution.optimum
    theta = 1.2 * optimum.theta
    objective = Objective(problem)
    there = objective(theta)
    short = solution_at(
        objective, replace(optimum, theta=theta, value=there.value, gradient=there.gradient)
    )
    poor = LinearFit(completed(fit.design, problem, short))
    with pytest.warns(ConvergenceWarning, match=r"below that of the fit.*another start"):
        got = poor.confint(method="profile")
    expected = fit.confint(method="profile")
    for column in ("conf_low", "conf_high"):
        np.testing.assert_allclose(got[column], expected[column], rtol=1e-6)


def test_unknown_parameters():
    fit = me.fit("Reaction ~ Days + (1 | Subject)", me.datasets.load("sleepstudy"))
    with pytest.raises(ModelError, match=r"'Dayz' is not in the model. Did you mean 'Days'\?"):
        fit.profile("Dayz")
    with pytest.raises(ModelError, match=r"It has: 'Intercept', 'Days', 'sd\(Intercept"):
        fit.confint(method="profile", parameters=["sigma", "theta"])


@pytest.mark.parametrize("level", [0, 1, 95, -0.5, np.nan, "0.9"])
def test_levels_out_of_range(level):
    fit = me.fit("Reaction ~ Days + (1 | Subject)", me.datasets.load("sleepstudy"))
    with pytest.raises(ModelError, match=r"level=.*between 0 and 1"):
        fit.confint(method="profile", level=level)
    with pytest.raises(ModelError, match=r"level=.*between 0 and 1"):
        fit.profile("sigma").confint(level)
