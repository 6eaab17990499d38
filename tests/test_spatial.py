"""Terms over coordinates, exp, gau and ou, as a user meets them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import golden
import mixedeffects as me
from mixedeffects.errors import DataError, FormulaError, ModelError, NewLevelError
from mixedeffects.fitting.laplace import LaplaceObjective


def simulated(seed=0, sites=12, k=8, line=False):
    """Two counts and measurements at each of the same k places of sites, rows in no order."""
    rng = np.random.default_rng(seed)
    at = rng.uniform(0, 10, (k, 2)).round(2) * [1, not line]
    root = np.linalg.cholesky(np.exp(-distances(at) / 4))
    field = (rng.normal(size=(sites, k)) @ root.T).ravel()
    data = pd.DataFrame(np.tile(at, (sites, 1)), columns=["px", "py"])
    data["site"] = np.repeat([f"s{i}" for i in range(sites)], k)
    data["field"] = field
    data = pd.concat([data, data], ignore_index=True)
    data["x"] = rng.normal(size=len(data))
    data["y"] = 2 + data["x"] + data["field"] + 0.5 * rng.normal(size=len(data))
    data["count"] = rng.poisson(np.exp(0.5 + 0.3 * data["x"] + 0.7 * data["field"]))
    return data.sample(frac=0.85, random_state=seed).reset_index(drop=True)


def distances(at):
    return np.sqrt(((at[:, None] - at) ** 2).sum(axis=2))


def dense_objective(data, columns, power, sd, length, sigma, reml):
    """−2 log-likelihood or REML criterion from the rows' own covariance."""
    same = data["site"].to_numpy()[:, None] == data["site"].to_numpy()
    apart = distances(data[columns].to_numpy())
    V = same * sd**2 * np.exp(-((apart / length) ** power)) + sigma**2 * np.eye(len(data))
    X = np.column_stack([np.ones(len(data)), data["x"]])
    inner = X.T @ np.linalg.solve(V, X)
    beta = np.linalg.solve(inner, X.T @ np.linalg.solve(V, data["y"].to_numpy()))
    r = data["y"].to_numpy() - X @ beta
    n = len(r) - reml * X.shape[1]
    value = np.linalg.slogdet(V)[1] + r @ np.linalg.solve(V, r) + n * np.log(2 * np.pi)
    return value + reml * np.linalg.slogdet(inner)[1]


@pytest.fixture(scope="module")
def data():
    return simulated()


@pytest.fixture(scope="module")
def fit(data):
    return me.fit("y ~ x + exp(0 + px + py | site)", data)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize(
    ("term", "columns", "power"),
    [
        ("exp(px + py | site)", ["px", "py"], 1),
        ("gau(px + py | site)", ["px", "py"], 2),
        ("ou(px | site)", ["px"], 1),
    ],
)
def test_likelihood_from_the_rows_covariance(term, columns, power, reml):
    data = simulated(line=len(columns) == 1)
    fit = me.fit(f"y ~ x + {term}", data, reml=reml)
    (own,) = fit._fit.estimates.terms
    sd, length = np.sqrt(own.covariance[0, 0]), own.kind.range(own.theta[1])
    best = dense_objective(data, columns, power, sd, length, fit.sigma, reml)
    assert fit.objective == pytest.approx(best, abs=1e-6)
    for other in np.exp(0.02 * np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])):
        for way in (other, 1 / other):
            moved = np.array([sd, length, fit.sigma]) * way
            assert dense_objective(data, columns, power, *moved, reml) > best
    assert fit.converged
    assert not fit.is_singular


def test_results_do_not_depend_on_units_origin_or_order(data, fit):
    other = data.sample(frac=1, random_state=1)
    other = other.assign(px=1000 * other["px"] - 7, py=1000 * other["py"])
    again = me.fit("y ~ x + exp(py + px | site)", other)
    assert again.loglik == pytest.approx(fit.loglik, abs=1e-8)
    ranges = [f._fit.estimates.terms[0] for f in (fit, again)]
    ours, theirs = (t.kind.range(t.theta[1]) for t in ranges)
    assert theirs == pytest.approx(1000 * ours, rel=1e-4)


def test_tables(fit):
    table = fit.varcorr()
    assert table["term1"].tolist()[:2] == ["all", "all"]
    assert table["term2"].iloc[1].startswith("distance ")
    (own,) = fit._fit.estimates.terms
    unit, length = own.kind.unit, own.kind.range(own.theta[1])
    assert table["sd_or_corr"].iloc[1] == pytest.approx(np.exp(-unit / length))
    assert f"at any, exp(-distance/{length:.5g})" in str(fit.summary())
    assert fit._fit.estimates.theta_names == ("site.sd", f"site.sqrt({unit:.6g}/range)")


def test_intervals_stay_where_a_correlation_is(fit):
    name = f"corr({fit.varcorr()['term2'].iloc[1]} | site)"
    for method in ("wald", "profile"):
        row = fit.confint(parameters=name, method=method).iloc[0]
        assert 0 <= row["conf_low"] < row["estimate"] < row["conf_high"] <= 1


def test_profile_limit_is_where_the_likelihood_falls_by_half_the_quantile(data):
    fit = me.fit("y ~ x + exp(px + py | site)", data, reml=False)
    (own,) = fit._fit.estimates.terms
    name = f"corr({own.kind.unit_name} | site)"
    high = fit.confint(parameters=name, method="profile")["conf_high"].iloc[0]
    length = -own.kind.unit / np.log(high)
    from scipy.optimize import minimize

    profiled = minimize(
        lambda z: dense_objective(data, ["px", "py"], 1, *np.exp([z[0]]), length, np.exp(z[1]), 0),
        np.log([np.sqrt(own.covariance[0, 0]), fit.sigma]),
    )
    assert profiled.fun - fit.objective == pytest.approx(3.841458820694124, abs=1e-3)


def test_predictions(data, fit):
    np.testing.assert_allclose(fit.predict(data), fit.fitted(), atol=1e-12)
    elsewhere = data.head(2).assign(px=[data["px"].iloc[0], 3.14159])
    with pytest.raises(NewLevelError, match=r"position px 3.14159, py .* in row 1"):
        fit.predict(elsewhere)
    population = fit.predict(elsewhere, random="population")
    np.testing.assert_allclose(population, fit.beta[0] + fit.beta[1] * elsewhere["x"])
    other = fit.predict(data.head(2).assign(site="new"), new_levels="population")
    np.testing.assert_allclose(other, fit.beta[0] + fit.beta[1] * data["x"].head(2))


def test_saved(fit, tmp_path):
    fit.save(tmp_path / "fit.me")
    again = me.load(tmp_path / "fit.me")
    pd.testing.assert_frame_equal(again.varcorr(), fit.varcorr())
    pd.testing.assert_frame_equal(again.ranef(), fit.ranef())


def test_generalized(data, tmp_path):
    fit = me.fit("count ~ x + exp(px + py | site)", data, family="poisson")
    assert fit.converged
    assert fit.confint(method="wald")["conf_low"].iloc[-1] > 0
    fit.save(tmp_path / "fit.me")
    assert me.load(tmp_path / "fit.me").loglik == fit.loglik
    problem, psi = fit._fit.problem, fit._fit.solution.optimum.theta + 0.1
    objective = LaplaceObjective(problem)
    gradient = objective.refine(psi).gradient
    h = 1e-4
    expected = [
        (objective(psi + h * e).value - objective(psi - h * e).value) / (2 * h)
        for e in np.eye(len(psi))
    ]
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-5)


def test_influence_has_one_deviation(fit):
    table = fit.influence("site").table
    assert [c for c in table.columns if c.startswith("sd(")] == ["sd(all | site)"]


def test_one_realization_is_enough():
    """A single level: its effects are correlated, which tells their variance from noise."""
    data = simulated(3, sites=1, k=60)
    fit = me.fit("y ~ x + exp(px + py | site)", data)
    assert fit.converged
    with pytest.raises(ModelError, match="one level"):
        me.fit("y ~ x + exp(px + py | site) + (1 | site)", data)


def test_beside_an_intercept(data):
    alone = me.fit("y ~ x + exp(px + py | site)", data)
    both = me.fit("y ~ x + (1 | site) + exp(px + py | site)", data)
    assert both.loglik >= alone.loglik - 1e-8


def test_correlations_of_one_are_singular():
    """A random intercept alone: the range goes to infinity, or as good as there."""
    rng = np.random.default_rng(2)
    data = simulated(1)
    level = dict(zip(data["site"].unique(), rng.normal(size=12), strict=True))
    data["y"] = data["site"].map(level) + 0.3 * rng.normal(size=len(data))
    fit = me.fit("y ~ 1 + gau(px + py | site)", data)
    plain = me.fit("y ~ 1 + (1 | site)", data)
    assert fit.converged
    assert fit.loglik == pytest.approx(plain.loglik, abs=1.0)
    assert fit.loglik >= plain.loglik - 1e-6


@pytest.mark.parametrize(
    ("term", "error", "words"),
    [
        ("exp(pos | site)", FormulaError, "takes numbers.*column 'pos' holds text.*exp"),
        ("exp(numFactor(px, py) | site)", FormulaError, "the coordinates themselves"),
        ("exp(px:py | site)", FormulaError, "takes columns of coordinates"),
        ("exp(1 | site)", FormulaError, "takes columns of coordinates"),
        ("exp(log(px) | site)", FormulaError, "takes columns of coordinates"),
        ("ou(px + py | site)", FormulaError, "takes one column of times"),
        ("exp(px || site)", FormulaError, "one '|' inside"),
        ("exp(px | site) + exp(px | site)", FormulaError, "in two terms"),
        ("exp(same | site)", DataError, "single position in 'same'"),
        ("exp(infinite + py | site)", DataError, "'infinite' is infinite in row 4"),
        ("exp(rounded | site)", ModelError, "same but for rounding"),
        ("gau(many | site)", DataError, "1,200 different positions in 'many'.*1,000"),
        ("exp(nowhere | site)", DataError, "'nowhere'"),
    ],
)
def test_refusals(term, error, words):
    data = simulated(5, sites=30, k=50).head(1200)
    data["pos"] = data["px"].astype(str)
    data["same"] = 1.0
    data["infinite"] = np.where(np.arange(len(data)) == 4, np.inf, data["px"])
    data["rounded"] = data["px"] + 1e-12 * (np.arange(len(data)) % 7)
    data["many"] = np.arange(len(data)) / 7
    with pytest.raises(error, match=words):
        me.fit(f"y ~ x + {term}", data)


def test_missing_coordinates_are_missing_values(data):
    holed = data.assign(px=data["px"].where(np.arange(len(data)) != 3))
    fit = me.fit("y ~ x + exp(px + py | site)", holed)
    assert fit.nobs == len(data) - 1


def test_ou_is_ar1_in_continuous_time():
    """At whole times and with a positive correlation they are the same model."""
    data = golden.load_case("cov_ar1_sleepstudy").data.assign(
        Days=lambda d: d["Days"].astype(float)
    )
    ou = me.fit("Reaction ~ Days + ou(Days | Subject)", data)
    ar1 = me.fit("Reaction ~ Days + ar1(Days | Subject)", data)
    assert ou.loglik == pytest.approx(ar1.loglik, abs=1e-6)
