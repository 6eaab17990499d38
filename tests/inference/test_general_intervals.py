"""Intervals of generalized fits against R, constrained optima and transformed parameters."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

import golden
import mixedeffects as me
from golden import assert_close
from mixedeffects.errors import MixedEffectsWarning, ModelError
from mixedeffects.fitting.quadrature import objective_of
from mixedeffects.inference.parameters import natural_parameters

Z = norm.ppf(0.975)


def fitted(id_, **options):
    case = golden.load_case(id_)
    return me.fit(
        case.formula,
        case.data,
        family=case.family,
        offset=case.offset,
        on_check="ignore",
        **case.others,
        **options,
    )


@pytest.fixture(scope="module")
def cbpp():
    return fitted("cbpp_logit_laplace")


@pytest.mark.parametrize("id_", ["cbpp_logit_laplace", "epil2_nbinom2_ri"])
def test_profile_of_reference(id_):
    case = golden.load_case(id_)
    table = fitted(id_).confint(method="profile").set_index("term")
    share = case.tolerances["profile_ci"]["width_frac"]
    for name, (low, high) in case.results["confint_profile_95"]["intervals"].items():
        ours = "sd(Intercept | herd)" if name.startswith("sd_") else case.term(name)
        got = table.loc[ours, ["conf_low", "conf_high"]]
        assert_close(got, (low, high), {"atol": share * (high - low)}, what=name)


# -- limits against constrained optima -----------------------------------------------------

# Every kind of coordinate: coefficients of each predictor, thresholds, shapes, dispersions that
# grow and shrink with σ, deviations and correlations of free and structured terms.
LIMITS = {
    "cbpp_logit_laplace": ["period[T.3]", "sd(Intercept | herd)"],
    "contraception_slope_laplace": ["corr(Intercept, urban[T.Y] | district)", "sd(urban[T.Y] | d"],
    "cov_ar1_poisson_epil2": ["sd(all | subject)", "corr(lag 1 | subject)"],
    "salamanders_zip_zire": ["zero_inflation: mined[T.no]", "zero_inflation: sd(Intercept | site)"],
    "sim_gamma_log": ["sigma", "dispersion: Intercept"],
    "sim_tweedie": ["shape: "],
    "wine_clmm_logit": ["threshold: 1|2", "threshold: 3|4", "sd(Intercept | judge)"],
    "wine_clmm_logit_equidistant": ["threshold: "],
}


@pytest.mark.parametrize("id_", LIMITS)
def test_limits_are_where_the_likelihood_is(id_):
    fit = fitted(id_)
    known = natural_parameters(fit._fit)
    for start in LIMITS[id_]:
        parameter = next(p for p in known if p.name.startswith(start))
        row = fit.confint(method="profile", parameters=parameter.name).iloc[0]
        assert row["conf_low"] < row["estimate"] < row["conf_high"]
        for limit in (row["conf_low"], row["conf_high"]):
            excess = constrained(fit, parameter, limit) - fit.objective
            # the profile is solved to 1e-6 of the way, SLSQP to some 1e-4
            assert excess == pytest.approx(Z**2, abs=2e-3), (parameter.name, limit)


def constrained(fit, parameter, value):
    """The least objective with a parameter at a value, by a penalty's continuation and Newton."""
    objective = objective_of(fit._fit.problem, fit._fit.solution.u)
    psi = fit._fit.solution.optimum.theta.copy()
    steps = np.sqrt(np.maximum(np.diagonal(fit._fit.solution.covariance), 1e-4))

    def natural(x):
        return natural_at(fit, parameter, psi + steps * x)

    def gap(x):
        return natural(x) - value

    found = minimize(
        lambda x: objective(psi + steps * x).value - fit.objective,
        np.zeros(len(psi)),
        jac=lambda x: objective.gradient(psi + steps * x) * steps,
        constraints={"type": "eq", "fun": gap},
        method="SLSQP",
        options={"maxiter": 200, "ftol": 1e-9},
    )
    assert abs(gap(found.x)) < 1e-6
    return found.fun + fit.objective


def natural_at(fit, parameter, psi):
    """A natural parameter by ψ, from the definitions alone."""
    problem = fit._fit.problem
    m = problem.n_parameters
    if parameter.kind in ("sd", "corr"):
        term = problem.terms[parameter.number]
        T = np.linalg.solve(term.map, term.covariance.factor(psi[term.parameters]))
        S = (T @ T.T)[np.ix_(parameter.columns, parameter.columns)]
        return np.sqrt(S[0, 0]) if parameter.kind == "sd" else S[0, 1] / np.sqrt(S[0, 0] * S[1, 1])
    by_name = {p.name: p for p in problem.predictors}
    if parameter.kind == "sigma":
        return float(problem.family.sigma(psi[m + by_name["dispersion"].first]))
    if parameter.component in by_name:
        own = by_name[parameter.component]
        return own.basis.original(psi[m:][own.coefficients])[parameter.number]
    extras = problem.family.extras(problem.response)
    return extras.to_user(psi[-len(extras.names) :])[0][parameter.number]


# -- Wald ----------------------------------------------------------------------------------


@pytest.mark.parametrize("id_", ["salamanders_zip_zire", "wine_clmm_logit", "sim_tweedie"])
def test_coefficients_as_in_fixef(id_):
    fit = fitted(id_)
    table = fit.confint(level=0.9)
    table = table[table["kind"] == "fixed"].reset_index(drop=True)
    expected = fit.fixef(level=0.9)
    assert list(table["component"]) == list(expected["component"])
    assert list(table["term1"]) == list(expected["term"])
    for column in ("estimate", "conf_low", "conf_high"):
        np.testing.assert_allclose(table[column], expected[column], rtol=1e-9)


@pytest.mark.parametrize(
    "id_", ["cbpp_logit_laplace", "contraception_slope_laplace", "cov_ar1_poisson_epil2"]
)
def test_variances_by_the_delta_method(id_):
    """Slopes by differences of the definition, covariance from differences of the gradient."""
    fit = fitted(id_)
    psi, covariance = fit._fit.solution.optimum.theta, fit._fit.solution.covariance
    for parameter in natural_parameters(fit._fit):
        if parameter.kind not in ("sd", "corr"):
            continue
        scale = np.log if parameter.kind == "sd" else np.arctanh
        slopes = np.array(
            [
                (
                    scale(natural_at(fit, parameter, psi + step))
                    - scale(natural_at(fit, parameter, psi - step))
                )
                / 2e-5
                for step in 1e-5 * np.eye(len(psi))
            ]
        )
        half = Z * np.sqrt(slopes @ covariance @ slopes)
        row = fit.confint(parameters=parameter.name).iloc[0]
        got = scale(row[["conf_low", "conf_high"]].to_numpy(dtype=float))
        centre = scale(row["estimate"])
        np.testing.assert_allclose(got, [centre - half, centre + half], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("id_", ["sim_gamma_log", "salamanders_nbinom2"])
def test_dispersion_is_that_of_its_coefficient(id_):
    fit = fitted(id_)
    family = fit._fit.family
    for method in ("wald", "profile"):
        table = fit.confint(method=method, parameters=["dispersion: Intercept", "sigma"])
        ends = np.sort(family.sigma(table.loc[0, ["conf_low", "conf_high"]].to_numpy(dtype=float)))
        np.testing.assert_allclose(
            table.loc[1, ["conf_low", "conf_high"]].to_numpy(dtype=float), ends, rtol=1e-4
        )
        assert table["estimate"][1] == pytest.approx(fit.sigma)


# -- boundaries ----------------------------------------------------------------------------


def test_at_the_boundary():
    """No Wald limits of what is zero or ±1; the others keep theirs."""
    fit = fitted("epil2_nbinom2_slope_singular")
    assert fit.is_singular
    with pytest.warns(MixedEffectsWarning, match="boundary"):
        table = fit.confint().set_index("term")
    lost = table[table["conf_low"].isna()]
    assert len(lost)
    assert set(lost["kind"]) <= {"sd", "corr"}
    assert table.loc[table["kind"] == "fixed", ["conf_low", "conf_high"]].notna().all(axis=None)


def test_profile_of_a_zero_variance():
    rng = np.random.default_rng(3)
    data = {"y": rng.poisson(3.0, 120).astype(float), "g": np.repeat(np.arange(12), 10).astype(str)}
    fit = me.fit("y ~ 1 + (1 | g)", data, family="poisson")
    assert fit.is_singular
    row = fit.confint(method="profile", parameters="sd(Intercept | g)")
    low, estimate, high = (row[c][0] for c in ("conf_low", "estimate", "conf_high"))
    assert (low, estimate) == (0.0, 0.0)
    parameter = natural_parameters(fit._fit)[1]
    assert constrained_scalar(fit, parameter, high) - fit.objective == pytest.approx(Z**2, abs=1e-4)


def constrained_scalar(fit, parameter, value):
    """The least objective over the intercept at a value of the one deviation."""
    objective = objective_of(fit._fit.problem)
    found = minimize(
        lambda b: objective(np.array([value, b[0]])).value,
        fit._fit.solution.optimum.theta[1:],
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-9},
    )
    return found.fun


# -- curves, other ways to ask, refusals ---------------------------------------------------


def test_curves(cbpp):
    profile = cbpp.profile(["period[T.2]", "sd(Intercept | herd)"])
    table = cbpp.confint(method="profile", parameters=["period[T.2]", "sd(Intercept | herd)"])
    for curve, low, high in zip(profile.curves, table["conf_low"], table["conf_high"], strict=True):
        assert np.all(np.diff(curve.values) > 0)
        assert np.all(np.diff(curve.zeta) > 0)
        at = np.interp([-Z, Z], curve.zeta, curve.values)
        np.testing.assert_allclose(at, [low, high], atol=0.02)
    again = profile.confint()
    np.testing.assert_allclose(again["conf_low"], table["conf_low"])


def test_quadrature_moves_the_profile(cbpp):
    """More nodes, nearly the same limits; the profile is that of the integral asked for."""
    fine = fitted("cbpp_logit_laplace", quadrature=9)
    rough = cbpp.confint(method="profile")
    better = fine.confint(method="profile")
    assert not np.allclose(rough["conf_high"], better["conf_high"], rtol=1e-6)
    np.testing.assert_allclose(rough["conf_high"], better["conf_high"], rtol=0.03)


def test_invariant_to_units():
    case = golden.load_case("epil2_nbinom2_ri")
    names = ["Age", "sd(Intercept | subject)"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = fitted("epil2_nbinom2_ri").confint(method="profile", parameters=names)
        data = case.data.assign(Age=case.data["Age"] * 1e3 + 5e4)
        other = me.fit(case.formula, data, family=case.family)
        second = other.confint(method="profile", parameters=names)
    np.testing.assert_allclose(second["conf_low"], first["conf_low"] * [1e-3, 1.0], rtol=1e-4)
    np.testing.assert_allclose(second["conf_high"], first["conf_high"] * [1e-3, 1.0], rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "likelihood"}, "'wald', 'profile', 'bootstrap'"),
        ({"parameters": "period"}, "not in the model"),
        ({"df": "satterthwaite"}, "asymptotic"),
        ({"method": "profile", "df": "asymptotic"}, "leave df out"),
        ({"level": 95}, "between 0 and 1"),
        ({"n": 10}, "bootstrap"),
    ],
)
def test_refusals(cbpp, options, words):
    with pytest.raises(ModelError, match=words):
        cbpp.confint(**options)


# -- estimates that are not finite ---------------------------------------------------------


@pytest.fixture(scope="module")
def counts():
    """Poisson counts: nothing is overdispersed, no zeros are extra."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(20), 12)
    y = rng.poisson(np.exp(1 + 0.5 * rng.normal(size=20)[g])).astype(float)
    return {"y": y, "g": g.astype(str), "x": rng.normal(size=240)}


def test_a_dispersion_without_end(counts):
    """The size of a negative binomial is bounded below only; the others are Poisson's."""
    fit = me.fit("y ~ x + (1 | g)", counts, family="nbinom2", on_check="ignore")
    with pytest.warns(MixedEffectsWarning, match="No Wald limits .* sigma"):
        wald = fit.confint().set_index("term")
    assert wald.loc["sigma", ["conf_low", "conf_high"]].isna().all()
    table = fit.confint(method="profile").set_index("term")
    assert table["conf_high"]["sigma"] == np.inf
    assert table["conf_high"]["dispersion: Intercept"] == np.inf
    low = table["conf_low"]["sigma"]
    assert low == pytest.approx(np.exp(table["conf_low"]["dispersion: Intercept"]), rel=1e-4)
    sigma = next(p for p in natural_parameters(fit._fit) if p.name == "dispersion: Intercept")
    excess = constrained(fit, sigma, np.log(low)) - fit.objective
    assert excess == pytest.approx(Z**2, abs=2e-3)
    poisson = me.fit("y ~ x + (1 | g)", counts, family="poisson").confint(method="profile")
    same = poisson.set_index("term")[["conf_low", "conf_high"]]
    np.testing.assert_allclose(table.loc[same.index, ["conf_low", "conf_high"]], same, rtol=1e-3)
    assert len(fit.profile("sigma").curves[0].zeta) > 3


def test_no_zero_inflation(counts):
    fit = me.fit(
        "y ~ x + (1 | g)", counts, family="poisson", zero_inflation="~ 1", on_check="ignore"
    )
    row = fit.confint(method="profile", parameters="zero_inflation: Intercept").iloc[0]
    assert row["conf_low"] == -np.inf
    assert -5.0 < row["conf_high"] < -2.0


def test_separation():
    """A level of which all trials succeed: its coefficient is bounded on one side."""
    rng = np.random.default_rng(1)
    f = np.resize(["a", "b", "c"], 150)
    g = np.repeat(np.arange(15), 10).astype(str)
    y = np.where(f == "c", 1.0, (rng.random(150) < 0.5).astype(float))
    fit = me.fit("y ~ f + (1 | g)", {"y": y, "f": f, "g": g}, family="binomial", on_check="ignore")
    table = fit.confint(method="profile").set_index("term")
    assert table["conf_high"]["f[T.c]"] == np.inf
    assert 0.0 < table["conf_low"]["f[T.c]"] < 10.0
    assert np.isfinite(table.loc["f[T.b]", ["conf_low", "conf_high"]].to_numpy(float)).all()


@pytest.mark.parametrize(
    ("id_", "name", "side"),
    [
        ("salamanders_zinb1", "zero_inflation: Intercept", "conf_low"),
        ("salamanders_hurdle_nbinom1", "mined[T.no]", "conf_high"),
    ],
)
def test_limits_that_the_likelihood_never_excludes(id_, name, side):
    """Estimates are finite, and yet the profile levels off below the limit on one side."""
    fit = fitted(id_)
    row = fit.confint(method="profile", parameters=name).iloc[0]
    assert abs(row[side]) == np.inf
    parameter = next(p for p in natural_parameters(fit._fit) if p.name == name)
    far = row["estimate"] + (12.0 if side == "conf_high" else -12.0)
    assert 0.0 < constrained(fit, parameter, far) - fit.objective < Z**2
