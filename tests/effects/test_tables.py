"""Tables of coefficients, covariances and random effects against the formulas they stand for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedeffects as me
import oracle
from mixedeffects.errors import ModelError


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(2)
    n = 140
    g, h = rng.integers(0, 10, n), rng.integers(0, 7, n)
    x, f = rng.normal(1.0, 1.0, n), rng.integers(0, 3, n)
    b = rng.normal(size=(10, 2)) @ [[1.0, 0.3], [0.0, 0.6]]
    w = rng.uniform(0.4, 2.0, n)
    y = 1 + x + b[g, 0] + b[g, 1] * x + rng.normal(size=(7, 3))[h, f]
    y = y + rng.normal(size=n) / np.sqrt(w)
    names = np.array([f"h{i}" for i in range(7)])
    table = pd.DataFrame(
        {"y": y, "x": x, "f": np.array(list("abc"))[f], "g": g, "h": names[h], "w": w}
    )
    return table.set_index(pd.Index(rng.permutation(n) + 500, name="row"))


@pytest.fixture(scope="module")
def fit(data):
    return me.fit("y ~ x + f + (x | g) + (0 + f || h)", data, weights="w")


@pytest.fixture(scope="module")
def reference(fit, data):
    """The oracle at the fit's θ."""
    terms = []
    for random, term in zip(fit.design.random, fit.estimates.terms, strict=True):
        terms.append(oracle.Term(random.values, random.codes, term.factor, len(random.levels)))
    return oracle.solve(
        data["y"].to_numpy(), fit.design.X, terms, weights=data["w"].to_numpy(), reml=True
    )


def test_objective_and_estimates(fit, reference):
    assert fit.objective == pytest.approx(reference.objective, rel=1e-12)
    assert fit.loglik == pytest.approx(reference.loglik, rel=1e-12)
    np.testing.assert_allclose(fit.beta, reference.beta, rtol=1e-9)
    np.testing.assert_allclose(fit.vcov(), reference.vcov, rtol=1e-8, atol=1e-12)
    assert fit.sigma == pytest.approx(reference.sigma, rel=1e-10)


def test_counts(fit):
    p, m = len(fit.beta), len(fit.theta)
    assert (p, m) == (4, 6)
    assert fit.aic == pytest.approx(fit.objective + 2 * (p + m + 1))
    assert fit.bic == pytest.approx(fit.objective + np.log(140) * (p + m + 1))
    assert fit.df_resid == 140 - (p + m + 1)
    assert dict(fit.n_groups) == {"g": 10, "h": 7}


@pytest.mark.parametrize("df", ["asymptotic", "residual"])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_fixed_effects(fit, df, level):
    table = fit.fixef(df=df, level=level)
    freedom = 136 if df == "residual" else np.inf
    law = stats.t(freedom) if df == "residual" else stats.norm()
    se = np.sqrt(np.diagonal(fit.vcov()))
    assert list(table.columns) == [
        *("term", "estimate", "std_error", "statistic"),
        *("df", "p_value", "conf_low", "conf_high"),
    ]
    assert list(table["term"]) == ["Intercept", "x", "f[T.b]", "f[T.c]"]
    np.testing.assert_array_equal(table["estimate"], fit.beta)
    np.testing.assert_allclose(table["std_error"], se)
    np.testing.assert_allclose(table["statistic"], fit.beta / se)
    np.testing.assert_array_equal(table["df"], freedom)
    np.testing.assert_allclose(table["p_value"], 2 * law.sf(np.abs(fit.beta / se)), rtol=1e-9)
    half = law.ppf(0.5 + level / 2) * se
    np.testing.assert_allclose(table["conf_low"], fit.beta - half)
    np.testing.assert_allclose(table["conf_high"], fit.beta + half)
    limits = fit.confint(df=df, level=level)
    same = ["term", "estimate", "conf_low", "conf_high"]
    pd.testing.assert_frame_equal(limits[same].head(4), table[same])


@pytest.mark.parametrize("level", [0, 1, 95, -0.5, np.nan])
def test_levels_out_of_range(fit, level):
    for ask in (fit.fixef, fit.confint):
        with pytest.raises(ModelError, match=r"level=.*between 0 and 1"):
            ask(level=level)


def test_unknown_methods(fit):
    with pytest.raises(ModelError, match=r"'kenward'.*'kenward-roger'"):
        fit.fixef(df="kenward")
    with pytest.raises(ModelError, match=r"method='boot'.*'wald'"):
        fit.confint(method="boot")


def test_variance_components(fit):
    table = fit.varcorr()
    assert list(table.columns) == ["group", "term1", "term2", "sd_or_corr", "variance_or_cov"]
    slopes, items = fit.estimates.terms
    expected = [
        ("g", "Intercept", None, slopes.covariance[0, 0] ** 0.5, slopes.covariance[0, 0]),
        ("g", "x", None, slopes.covariance[1, 1] ** 0.5, slopes.covariance[1, 1]),
        (
            *("g", "Intercept", "x"),
            slopes.covariance[1, 0] / np.sqrt(np.prod(np.diagonal(slopes.covariance))),
            slopes.covariance[1, 0],
        ),
        *(
            ("h", name, None, items.covariance[i, i] ** 0.5, items.covariance[i, i])
            for i, name in enumerate(["f[a]", "f[b]", "f[c]"])
        ),
        ("Residual", None, None, fit.sigma, fit.sigma**2),
    ]
    assert [
        tuple(x if isinstance(x, str) else None for x in row[:3]) for row in table.to_numpy()
    ] == [row[:3] for row in expected]
    np.testing.assert_allclose(table["sd_or_corr"], [row[3] for row in expected], rtol=1e-12)
    np.testing.assert_allclose(table["variance_or_cov"], [row[4] for row in expected], rtol=1e-12)
    for term in (slopes, items):
        np.testing.assert_allclose(
            term.covariance, fit.sigma**2 * term.factor @ term.factor.T, rtol=1e-12
        )


def test_conditional_modes(fit, reference):
    table = fit.ranef()
    assert list(table.columns) == ["group", "level", "term", "estimate", "std_error"]
    start = 0
    for number, random in enumerate(fit.design.random):
        count = reference.b[number].size
        own = table.iloc[start : start + count]
        assert set(own["group"]) == {random.group}
        assert list(own["level"].astype(str)) == list(
            np.repeat(np.asarray(random.levels).astype(str), len(random.names))
        )
        assert list(own["term"]) == list(random.names) * len(random.levels)
        np.testing.assert_allclose(own["estimate"], reference.b[number].ravel(), atol=1e-9)
        spread = np.diagonal(reference.b_covariance[number], axis1=1, axis2=2)
        np.testing.assert_allclose(own["std_error"] ** 2, spread.ravel(), rtol=1e-8)
        start += count
    assert start == len(table)


def test_modes_of_each_kind_of_design():
    """Conditional standard deviations of nested and of three crossed factors."""
    from designs import codes_of

    rng = np.random.default_rng(9)
    for kind, formula in [
        ("nested", "y ~ 1 + (1 | a) + (1 | b)"),
        ("nested four deep", "y ~ 1 + (1 | a) + (1 | b) + (1 | c) + (1 | d)"),
        ("three crossed", "y ~ x + (x | a) + (1 | b) + (1 | c)"),
        ("partially crossed", "y ~ x + (1 | a) + (x || b)"),
    ]:
        codes = codes_of(kind, rng)
        n = len(codes[0])
        table = pd.DataFrame(dict(zip("abcd", codes, strict=False))).assign(x=rng.normal(size=n))
        table["y"] = sum(rng.normal(size=c.max() + 1)[c] for c in codes) + rng.normal(size=n)
        fit = me.fit(formula, table, on_check="ignore")
        terms = [
            oracle.Term(r.values, r.codes, t.factor, len(r.levels))
            for r, t in zip(fit.design.random, fit.estimates.terms, strict=True)
        ]
        solution = oracle.solve(table["y"].to_numpy(), fit.design.X, terms)
        ranef = fit.ranef()
        np.testing.assert_allclose(
            ranef["estimate"], np.concatenate([b.ravel() for b in solution.b]), atol=1e-8
        )
        spread = [np.diagonal(s, axis1=1, axis2=2).ravel() for s in solution.b_covariance]
        np.testing.assert_allclose(
            ranef["std_error"], np.sqrt(np.concatenate(spread)), rtol=1e-7, atol=1e-9
        )


def test_modes_sum_to_zero_in_balanced_data():
    data = me.datasets.load("penicillin")
    table = me.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", data).ranef()
    sums = table.groupby("group")["estimate"].sum()
    np.testing.assert_allclose(sums, 0, atol=1e-8)


def test_fitted_and_residuals(fit, data, reference):
    fitted = fit.fitted()
    assert fitted.index.equals(data.index)
    np.testing.assert_allclose(fitted, reference.fitted, rtol=1e-9)
    response = fit.residuals()
    assert response.index.equals(data.index)
    np.testing.assert_allclose(response, data["y"] - fitted)
    np.testing.assert_allclose(fit.residuals("pearson"), response * np.sqrt(data["w"]))
    np.testing.assert_allclose(fit.residuals("scaled"), response * np.sqrt(data["w"]) / fit.sigma)
    with pytest.raises(ModelError, match="kind='deviance'"):
        fit.residuals("deviance")


def test_rows_with_missing_values_are_left_out(data):
    holed = data.assign(x=data["x"].where(np.arange(140) % 9 != 4))
    fit = me.fit("y ~ x + (1 | g)", holed)
    used = holed.dropna()
    assert fit.nobs == len(used) == 124
    assert fit.fitted().index.equals(used.index)
    assert fit.residuals().index.equals(used.index)
    assert dict(fit.design.dropped) == {"x": 16}
    expected = me.fit("y ~ x + (1 | g)", used)
    assert fit.objective == expected.objective


def test_returned_arrays_are_copies(fit):
    fit.vcov()[:] = 0.0
    assert np.all(np.diagonal(fit.vcov()) > 0)


def test_singular_correlation_is_reported():
    rng = np.random.default_rng(6)
    g, x = np.repeat(np.arange(15), 6), np.tile(np.arange(6.0), 15)
    b = rng.normal(size=15)
    data = pd.DataFrame({"g": g, "x": x, "y": b[g] * (1 + 2 * x) + 0.5 * rng.normal(size=90)})
    fit = me.fit("y ~ x + (x | g)", data)
    assert fit.is_singular
    assert fit.converged
    corr = fit.varcorr().dropna(subset=["term2"])["sd_or_corr"]
    assert 1 - 1e-6 < corr.abs().iloc[0] <= 1.0
    assert np.all(np.isfinite(fit.ranef()["std_error"]))
    assert any("correlation" in check.name for check in fit.checks)
