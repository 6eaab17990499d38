"""Kenward–Roger against pbkrtest, the papers' formulas with n × n matrices, and exact F tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import dense
import golden
import mixedeffects as me
from golden import assert_close
from mixedeffects.errors import ModelError
from mixedeffects.fitting.estimates import standardized_theta
from mixedeffects.fitting.fit import completed
from mixedeffects.fitting.lmm import Objective
from mixedeffects.fitting.solve import solution_at
from mixedeffects.inference import components, kenward_roger
from mixedeffects.model.linear import LinearFit

CASES = [i for i in golden.cases("lmm") if "kenward_roger_summary" in golden.load_case(i).results]
MORE = [i for i, c in golden.r_cases("kenward_roger").items() if "kenward_roger" in c.results]


def fitted(case):
    return me.fit(case.formula, case.data, reml=case.reml, weights=case.weights, offset=case.offset)


@pytest.mark.parametrize("id_", CASES)
def test_reference(id_):
    case = golden.load_case(id_)
    fit, tolerance = fitted(case), case.tolerances
    table = fit.fixef(df="kenward-roger")
    rows = case.results["kenward_roger_summary"]
    assert list(table["term"]) == case_terms(case, rows)
    for column, key in (("df", "ddf"), ("statistic", "t"), ("p_value", "p")):
        short = {"df": "df", "statistic": "t", "p_value": "p"}[column]
        expected = [row[short] for row in rows.values()]
        assert_close(table[column], expected, tolerance[key], what=column)
    adjusted = case.results["kenward_roger_vcov_adj"]
    assert case_terms(case, adjusted["names"]) == list(table["term"])
    expected = np.array(adjusted["matrix"])
    sd = np.sqrt(np.diagonal(expected))
    got = fit._freedom("kenward-roger").covariance
    assert_close(got, expected, tolerance["vcov"], scale=np.outer(sd, sd), what="vcov")


def case_terms(case, names):
    return [case.term(name) for name in names]


@pytest.mark.parametrize("id_", MORE)
def test_reference_of_several_terms_and_rows(id_):
    """lme4's own optimum limits the agreement: its df move by some 1e-5."""
    case = golden.r_cases("kenward_roger")[id_]
    fit, results = fitted(case), case.results
    freedom = fit._freedom("kenward-roger")
    reference = results["kenward_roger"]
    order = [fit.estimates.x_names.index(name) for name in case_terms(case, reference["term"])]
    table = fit.fixef(df="kenward-roger").iloc[order]
    assert_close(table["df"], reference["df"], {"rtol": 1e-3}, what="df")
    assert_close(table["std_error"], reference["std_error"], {"rtol": 1e-4}, what="std_error")
    expected = np.array(results["vcov_adjusted"])
    sd = np.sqrt(np.diagonal(expected))
    got = freedom.covariance[np.ix_(order, order)]
    assert_close(got, expected, {"rtol": 1e-3}, scale=np.outer(sd, sd), what="vcov")
    for name, joint in dict(results["joint"]).items():
        L = np.zeros((len(joint["L"]), len(order)))
        L[:, order] = joint["L"]
        test, expected = fit.test(L, df="kenward-roger").joint, joint["kenward_roger"]
        assert test.num_df == expected["num_df"], name
        assert_close(test.den_df, expected["den_df"], {"rtol": 1e-3}, what=name)
        assert_close(test.statistic, expected["statistic"], {"rtol": 1e-3}, what=name)
        assert_close(test.p_value, expected["p_value"], {"rtol": 1e-2, "atol": 1e-12}, what=name)


def simulated(seed=1, n=70):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "g": rng.integers(0, 8, n),
            "h": rng.integers(0, 5, n),
            "x": rng.normal(0.5, 1.0, n),
            "f": np.array(list("abc"))[rng.integers(0, 3, n)],
            "t": rng.integers(0, 4, n),
            "w": rng.uniform(0.4, 2.0, n),
        }
    )
    table["g2"] = table["g"] // 2
    b = rng.normal(size=(8, 2)) @ [[1.2, 0.5], [0.0, 0.8]]
    noise = rng.normal(size=n) / np.sqrt(table["w"])
    by_time = np.linalg.cholesky(dense.first_order(0.6, 4)) @ rng.normal(size=(4, 8))
    table["y"] = (
        1
        + table["x"]
        + b[table["g"], 0]
        + b[table["g"], 1] * table["x"]
        + rng.normal(size=(5, 3))[table["h"], table["t"] % 3]
        + by_time[table["t"], table["g"]]
        + noise
    )
    return table


def related(n_levels=8):
    root = np.random.default_rng(3).normal(size=(n_levels, n_levels))
    return root @ root.T / n_levels + np.eye(n_levels)


K = related()
E, V, C = dense.elements, dense.variances, dense.common


def ar1(S):
    return dense.correlated(S, dense.first_order, one=True)


def cs(S):
    return dense.correlated(S, dense.exchangeable)


def homcs(S):
    return dense.correlated(S, dense.exchangeable, one=True)


MODELS = {
    "one factor": ("y ~ x + f + (1 | g)", [E]),
    "slopes": ("y ~ x + f + (x | g)", [E]),
    "crossed": ("y ~ x + f + (x | g) + (1 | h)", [E, E]),
    "nested": ("y ~ x + (1 | g2/g)", [E, E]),
    "two terms of a factor": ("y ~ x + (x || g) + (1 | h)", [V, E]),
    "slopes by two": ("y ~ x + f + (x | g) + (x | h)", [E, E]),
    "diag": ("y ~ x + diag(f | h)", [V]),
    "id": ("y ~ x + id(0 + f | h)", [C]),
    "known": ("y ~ x + f + known(1 | g, K)", [E]),
    "known slopes and crossed": ("y ~ x + known(x | g, K) + (1 | h)", [E, E]),
    "cs of three": ("y ~ x + f + cs(0 + f | g)", [cs]),
    "homcs": ("y ~ x + homcs(0 + f | g)", [homcs]),
    "ar1": ("y ~ x + ar1(t | g)", [ar1]),
    "ar1 and crossed": ("y ~ x + f + ar1(t | g) + (1 | h)", [ar1, E]),
    "toep": ("y ~ x + toep(t | g)", [dense.banded]),
}


def away(fit):
    """The same model at parameters that are at no bound: the formulas hold at any."""
    rng, problem = np.random.default_rng(7), fit._fit.problem
    theta = np.concatenate([t.covariance.start() for t in problem.terms])
    theta = standardized_theta(problem.terms, theta + 0.3 * rng.uniform(-1, 1, len(theta)))
    objective = Objective(problem)
    optimum = replace(fit.optimum, theta=theta, value=objective.value(theta))
    return LinearFit(completed(fit.design, problem, solution_at(objective, optimum)))


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("name", MODELS)
def test_papers_formulas(name, weights):
    """Differences of differences give the second derivatives: agreement to some 1e-6."""
    formula, parametrizations = MODELS[name]
    fit = away(me.fit(formula, simulated(), weights=weights, on_check="ignore"))
    terms = zip(parametrizations, fit.estimates.terms, strict=True)
    model = dense.dense(fit, [make(term.covariance) for make, term in terms])
    moments = dense.kenward_roger(model)
    freedom = fit._freedom("kenward-roger")
    np.testing.assert_allclose(fit.vcov(), moments.phi, rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(freedom.covariance, moments.adjusted, rtol=1e-5, atol=1e-8)
    p = len(fit.beta)
    for L in (np.eye(p)[:1], np.eye(p)[1:], np.random.default_rng(0).normal(size=(2, p))):
        scale, m = dense.scaled_f(L, moments)
        test = fit.test(L, df="kenward-roger").joint
        deviation = L @ fit.beta
        wald = deviation @ np.linalg.solve(L @ moments.adjusted @ L.T, deviation) / len(L)
        assert test.den_df == pytest.approx(m, rel=1e-5)
        assert test.statistic == pytest.approx(scale * wald, rel=1e-5)
        assert test.p_value == pytest.approx(stats.f.sf(scale * wald, len(L), m), rel=1e-4)


def test_two_columns_make_compound_symmetry_unstructured():
    """The same model in other parameters: the correction must not depend on them."""
    data = simulated()
    one = me.fit("y ~ x + (x | g)", data)._freedom("kenward-roger")
    other = me.fit("y ~ x + cs(1 + x | g)", data)._freedom("kenward-roger")
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-6)
    np.testing.assert_allclose(one.rows(np.eye(2)), other.rows(np.eye(2)), rtol=1e-6)


def test_exact_f_tests_of_balanced_designs():
    """Strata of a split plot: the degrees of freedom of the analysis of variance."""
    case = golden.load_case("oats_split_plot_reml")
    table = fitted(case).anova(df="kenward-roger")
    np.testing.assert_allclose(table["den_df"], [45, 10, 45], rtol=1e-5)
    mean = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff"))
    table = mean.fixef(df="kenward-roger")
    assert table["df"][0] == pytest.approx(5, rel=1e-8)
    np.testing.assert_allclose(table["std_error"], mean.fixef()["std_error"], rtol=1e-6)


def test_components_in_any_parts_are_the_same(monkeypatch):
    data = simulated()
    fit = me.fit("y ~ x + f + (x | g) + (1 | g2)", data)
    whole = kenward_roger.kenward_roger(fit._fit)
    monkeypatch.setattr(components, "BATCH", 1)
    parts = kenward_roger.kenward_roger(fit._fit)
    np.testing.assert_allclose(parts.covariance, whole.covariance, rtol=1e-10)
    np.testing.assert_allclose(parts.spread, whole.spread, rtol=1e-8, atol=1e-12)


def test_rows_in_any_order_and_y_in_any_unit():
    data = simulated()
    formula = "y ~ x + f + (x | g) + (1 | h)"
    table = me.fit(formula, data).fixef(df="kenward-roger")
    shuffled = me.fit(formula, data.sample(frac=1, random_state=0)).fixef(df="kenward-roger")
    scaled = me.fit(formula, data.assign(y=data["y"] * 1e4)).fixef(df="kenward-roger")
    for other, unit in ((shuffled, 1.0), (scaled, 1e4)):
        np.testing.assert_allclose(other["std_error"], unit * table["std_error"], rtol=1e-5)
        np.testing.assert_allclose(other["df"], table["df"], rtol=1e-4)


def test_a_zero_variance_gives_finite_numbers():
    table = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff2")).fixef(
        df="kenward-roger"
    )
    assert np.isfinite(table.drop(columns="term").to_numpy(dtype=float)).all()


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ x + (x | g)",
        "y ~ x + cs(0 + f | g)",
        "y ~ x + ar1(t | g)",
        "y ~ x + (x || g) + (1 | h)",
    ],
)
def test_singular_fits(formula):
    """Pure noise: variances at zero, where derivatives by standard deviations vanish."""
    data = simulated()
    noise = np.random.default_rng(5).normal(size=len(data))
    cells = [data["g"], data["t"]] if "ar1" in formula else data["g"]
    data["y"] = noise - pd.Series(noise).groupby(cells).transform("mean")
    fit = me.fit(formula, data, on_check="ignore")
    assert fit.is_singular
    table = fit.fixef(df="kenward-roger")
    assert np.isfinite(table.drop(columns="term").to_numpy(dtype=float)).all()
    assert (table["df"] > 0).all()


def test_maximum_likelihood_is_refused():
    fit = me.fit("y ~ x + (1 | g)", simulated(), reml=False)
    for ask in (fit.fixef, fit.anova, lambda df: fit.test("x", df=df)):
        with pytest.raises(ModelError, match=r"REML.*reml=True.*satterthwaite"):
            ask(df="kenward-roger")


def test_too_large_components_are_refused(monkeypatch):
    fit = me.fit("y ~ x + (1 | g) + (1 | h)", simulated())
    monkeypatch.setattr(components, "LARGEST", 10)
    with pytest.raises(ModelError, match=r"13 of them.*df='satterthwaite'"):
        fit.fixef(df="kenward-roger")


def test_limits_of_the_scaled_f():
    assert kenward_roger.scaled_f(3, 0.0, 0.0) == (1.0, np.inf)
    # of an exact F(ℓ, m): A1 = ℓA2, A2 = 2ℓ/m, no scale; m = 2 and 4 are where terms vanish
    for m in (2.0, 3.0, 4.0, 5.0, 30.0):
        A2 = 2 * 3 / m
        scale, found = kenward_roger.scaled_f(3, 3 * A2, A2)
        assert found == pytest.approx(m, rel=1e-6)
        assert scale == pytest.approx(1.0, abs=1e-6)


def test_no_f_distribution_fits():
    with pytest.raises(ModelError, match=r"Kenward-Roger's approximation fails.*satterthwaite"):
        kenward_roger.scaled_f(4, 2.0, 4.0)
