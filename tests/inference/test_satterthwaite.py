"""Satterthwaite's degrees of freedom against lmerTest and differences of the dense likelihood."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import dense
import golden
import mixedeffects as me
from golden import assert_close

CASES = [i for i in golden.cases("lmm") if "satterthwaite_summary" in golden.load_case(i).results]
CONTESTS = [i for i in CASES if "contest" in golden.load_case(i).results]
MORE = list(golden.r_cases("kenward_roger"))


def fitted(case):
    return me.fit(case.formula, case.data, reml=case.reml, weights=case.weights, offset=case.offset)


@pytest.mark.parametrize("id_", CASES)
def test_reference(id_):
    case = golden.load_case(id_)
    table, tolerance = fitted(case).fixef(), case.tolerances
    rows = case.results["satterthwaite_summary"]
    assert list(table["term"]) == [case.term(name) for name in rows]
    for column, short, key in (("df", "df", "ddf"), ("statistic", "t", "t"), ("p_value", "p", "p")):
        expected = [row[short] for row in rows.values()]
        assert_close(table[column], expected, tolerance[key], what=column)


@pytest.mark.parametrize("id_", MORE)
def test_reference_of_several_terms_and_rows(id_):
    """lme4's own optimum and lmerTest's numerical derivatives limit the agreement."""
    case = golden.r_cases("kenward_roger")[id_]
    fit, reference = fitted(case), case.results["satterthwaite"]
    order = [fit.estimates.x_names.index(case.term(name)) for name in reference["term"]]
    table = fit.fixef().iloc[order]
    assert_close(table["df"], reference["df"], {"rtol": 1e-3}, what="df")
    for name, joint in dict(case.results["joint"]).items():
        L = np.zeros((len(joint["L"]), len(order)))
        L[:, order] = joint["L"]
        test, expected = fit.test(L).joint, joint["satterthwaite"]
        assert test.num_df == expected["num_df"], name
        assert_close(test.den_df, expected["den_df"], {"rtol": 1e-3}, what=name)
        assert_close(test.statistic, expected["statistic"], {"rtol": 1e-3}, what=name)


@pytest.mark.parametrize("id_", CONTESTS)
def test_contests(id_):
    case = golden.load_case(id_)
    fit, contest, tolerance = fitted(case), case.results["contest"], case.tolerances
    assert [case.term(name) for name in contest["columns"]] == list(fit.estimates.x_names)
    for df in ("satterthwaite", "kenward-roger"):
        test = fit.test(contest["L"], df=df).joint
        expected = contest[f"joint_{df.replace('-', '_')}"]
        assert test.num_df == expected["num_df"]
        assert_close(test.den_df, expected["den_df"], tolerance["ddf"])
        assert_close(test.statistic, expected["F"], tolerance["F"])
        assert_close(test.p_value, expected["p"], tolerance["p"])
    table = fit.test(contest["L"]).table
    rows = contest["rows_satterthwaite"]
    for column, short, key in (("df", "df", "ddf"), ("statistic", "t", "t"), ("p_value", "p", "p")):
        assert_close(table[column], [row[short] for row in rows], tolerance[key], what=column)
    assert_close(table["estimate"], [row["estimate"] for row in rows], tolerance["fixef"])
    assert_close(table["std_error"], [row["se"] for row in rows], tolerance["se"])


def simulated(seed=4, n=80):
    rng = np.random.default_rng(seed)
    g, h, x = rng.integers(0, 9, n), rng.integers(0, 6, n), rng.normal(0.3, 1.0, n)
    b = rng.normal(size=(9, 2)) @ [[1.5, 0.4], [0.0, 1.0]]
    w = rng.uniform(0.4, 2.0, n)
    y = 1 + x + b[g, 0] + b[g, 1] * x + rng.normal(size=6)[h] + rng.normal(size=n) / np.sqrt(w)
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h, "w": w, "g3": g // 3})


E, V = dense.elements, dense.variances
MODELS = {
    "one factor": ("y ~ x + (1 | g)", [E]),
    "slopes": ("y ~ x + (x | g)", [E]),
    "independent slopes": ("y ~ x + (x || g)", [V]),
    "crossed": ("y ~ x + (x | g) + (1 | h)", [E, E]),
}


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("name", MODELS)
def test_dense_likelihood(name, weights, reml):
    """Variance of the variance by numerical differentiation in free (Σ, σ²): some six digits."""
    formula, parametrizations = MODELS[name]
    fit = me.fit(formula, simulated(), weights=weights, reml=reml)
    assert not fit.is_singular
    terms = zip(parametrizations, fit.estimates.terms, strict=True)
    model = dense.dense(fit, [make(term.covariance) for make, term in terms])
    L = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 2.0]])
    expected = dense.satterthwaite(model, L, reml)
    np.testing.assert_allclose(fit.test(L).table["df"], expected, rtol=2e-4)


def test_balanced_designs_are_exact():
    """One mean of J groups has J − 1 degrees of freedom under REML."""
    fit = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff"))
    assert fit.fixef()["df"][0] == pytest.approx(5.0, rel=1e-5)


def test_several_rows_combine_as_fai_and_cornelius_say():
    fit = me.fit("y ~ x + (x | g)", simulated())
    L = np.array([[1.0, 0.5], [0.0, 1.0]])
    _, vectors = np.linalg.eigh(L @ fit.vcov() @ L.T)
    freedoms = fit.test(vectors.T @ L).table["df"].to_numpy()
    expected = (freedoms / (freedoms - 2)).sum()
    joint = fit.test(L).joint
    assert joint.den_df == pytest.approx(2 * expected / (expected - 2), rel=1e-8)
    wald = (L @ fit.beta) @ np.linalg.solve(L @ fit.vcov() @ L.T, L @ fit.beta)
    assert joint.statistic == pytest.approx(wald / 2, rel=1e-10)
    assert joint.p_value == pytest.approx(stats.f.sf(wald / 2, 2, joint.den_df), rel=1e-8)


def test_units_of_y_and_x_do_not_matter():
    data = simulated()
    df = me.fit("y ~ x + (x | g)", data).fixef()["df"]
    other = me.fit("y ~ x + (x | g)", data.assign(y=data["y"] * 1e-3, x=data["x"] * 1e6))
    np.testing.assert_allclose(other.fixef()["df"], df, rtol=1e-4)


def test_zero_variances_give_finite_numbers():
    table = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff2")).fixef()
    assert np.isfinite(table.drop(columns="term").to_numpy(dtype=float)).all()
    assert table["df"][0] > 0
