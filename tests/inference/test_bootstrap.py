"""The bootstrap: draws against their covariance, replicates against complete refits."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import mixedeffects as me
from golden import REFERENCE
from mixedeffects.errors import ConvergenceWarning, MixedEffectsWarning, ModelError
from mixedeffects.fitting.fit import refit
from mixedeffects.inference.draws import parametric_draws, rescaled, residual_draws
from mixedeffects.inference.parameters import natural_parameters, natural_value
from mixedeffects.inference.resampled_groups import (
    resampled_design,
    resampling_unit,
    rows_of_groups,
)
from mixedeffects.inference.streams import Streams


def sleepstudy(formula="Reaction ~ Days + (Days | Subject)", **options):
    return me.fit(formula, me.datasets.load("sleepstudy"), **options)


def weighted_sleepstudy():
    data = pd.DataFrame(me.datasets.load("sleepstudy"))
    data["w"] = np.tile([0.5, 1.0, 2.0, 4.0, 1.0], 36)
    return me.fit("Reaction ~ Days + (Days || Subject)", data, weights="w")


def dense_covariance(fit):
    """ZΣ̂Z' + σ̂²W⁻¹ (n, n)."""
    design, n = fit.design, fit.nobs
    weights = np.ones(n) if design.weights is None else design.weights
    V = np.diag(fit.sigma**2 / weights)
    for random, term in zip(design.random, fit.estimates.terms, strict=True):
        K = np.eye(len(random.levels)) if random.matrix is None else random.matrix
        inner = random.values @ term.covariance @ random.values.T
        V += inner * K[np.ix_(random.codes, random.codes)]
    return V


def known_fit():
    data = pd.DataFrame(me.datasets.load("dyestuff"))
    n = data["Batch"].nunique()
    K = 0.5 ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    data = {"Yield": data["Yield"].to_numpy(), "Batch": data["Batch"].to_numpy(), "K": K}
    return me.fit("Yield ~ 1 + known(1 | Batch, K)", data)


CASES = {
    "slopes": sleepstudy,
    "weights": weighted_sleepstudy,
    "crossed": lambda: me.fit(
        "diameter ~ 1 + (1 | plate) + (1 | sample)", me.datasets.load("penicillin")
    ),
    "related": known_fit,
}


@pytest.mark.parametrize("case", CASES)
def test_responses_have_the_covariance_of_the_model(case):
    """Not that of the residual alone, with which intervals are half as wide."""
    fit = CASES[case]()
    n = 4000
    deviations = parametric_draws(fit._fit, "marginal", Streams(1)).deviations(0, n)
    V = dense_covariance(fit)
    some = np.arange(0, fit.nobs, max(1, fit.nobs // 30))
    found, V = deviations[some] @ deviations[some].T / n, V[np.ix_(some, some)]
    # Standard errors of the products; the largest of 900 lies below 5.
    errors = np.sqrt((V**2 + np.outer(V.diagonal(), V.diagonal())) / n)
    assert np.abs((found - V) / errors).max() < 5.0


def test_conditional_responses_keep_the_random_effects():
    fit = weighted_sleepstudy()
    draws = parametric_draws(fit._fit, "conditional", Streams(2))
    deviations = draws.deviations(0, 2000)
    modes = fit.fitted().to_numpy() - draws.mean
    sd = fit.sigma / np.sqrt(fit.design.weights)
    assert np.abs((deviations.mean(axis=1) - modes) / sd).max() < 5.0 / np.sqrt(2000)
    np.testing.assert_allclose(deviations.std(axis=1), sd, rtol=5.0 / np.sqrt(4000))


def test_resampled_residuals_have_the_estimated_variances():
    fit = weighted_sleepstudy()
    draws = residual_draws(fit._fit, Streams(3))
    n = 4000
    deviations = draws.deviations(0, n)
    V = dense_covariance(fit)
    mean = deviations.mean(axis=1)
    # Eighteen modes of unequal kurtosis and fixed effects of rows: all rows together.
    np.testing.assert_allclose(deviations.var(axis=1).sum(), V.trace(), rtol=0.03)
    assert np.abs(mean / np.sqrt(V.diagonal() / n)).max() < 5.0


def test_pools_of_resampled_levels():
    fit = sleepstudy()
    y = residual_draws(fit._fit, Streams(4)).deviations(0, 3000).reshape(18, 10, -1)
    total = fit.estimates.terms[0].covariance
    Z = np.column_stack([np.ones(10), np.arange(10)])
    V = Z @ total @ Z.T + fit.sigma**2 * np.eye(10)
    found = np.einsum("sir,sjr->ij", y, y) / (18 * 3000)
    np.testing.assert_allclose(found, V, rtol=0.05)


def test_chunks_and_order_do_not_matter():
    fit = sleepstudy()._fit
    for draws in (parametric_draws(fit, "marginal", Streams(5)), residual_draws(fit, Streams(5))):
        whole = draws.deviations(0, 9)
        parts = np.hstack([draws.deviations(0, 4), draws.deviations(4, 9)])
        np.testing.assert_allclose(parts, whole, rtol=1e-12, atol=1e-10)


def test_any_number_of_threads_and_one_seed():
    fit = sleepstudy()
    one = fit.bootstrap(100, seed=7, threads=1)
    np.testing.assert_array_equal(one.values, fit.bootstrap(100, seed=7, threads=3).values)
    assert not np.array_equal(one.values, fit.bootstrap(100, seed=8).values)
    generators = [fit.bootstrap(3, seed=np.random.default_rng(1)).values for _ in range(2)]
    np.testing.assert_array_equal(*generators)


FORMULAS = {
    "slopes": ("Reaction ~ Days + (Days | Subject)", "sleepstudy"),
    "two terms": ("Reaction ~ Days + (Days || Subject)", "sleepstudy"),
    "nested": ("strength ~ 1 + (1 | batch/cask)", "pastes"),
    "singular": ("Yield ~ 1 + (1 | Batch)", "dyestuff2"),
    "three columns": ("score ~ 1 + (0 + Machine | Worker)", "machines"),
    "compound": ("score ~ Machine + homcs(0 + Machine | Worker)", "machines"),
}


@pytest.mark.parametrize("method", ["parametric", "residual"])
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", FORMULAS)
def test_replicates_are_refits(name, reml, method):
    formula, data = FORMULAS[name]
    fit = me.fit(formula, me.datasets.load(data), reml=reml)
    result = fit.bootstrap(8, seed=9, method=method)
    draws = (
        parametric_draws(fit._fit, "marginal", Streams(9))
        if method == "parametric"
        else residual_draws(fit._fit, Streams(9))
    )
    responses = (draws.mean[:, None] + draws.deviations(0, 8)).T
    parameters = natural_parameters(fit._fit)
    assert result.names == tuple(p.name for p in parameters)
    for number, y in enumerate(responses):
        other = refit(fit._fit, y)
        expected = np.array([natural_value(other, p) for p in parameters])
        # Both stop where a step promises 1e-10; relative to the estimates' sizes.
        scale = 1e-5 * np.maximum(np.abs(result.estimate), 1.0)
        assert np.all(
            np.isclose(result.values[number] / scale, expected / scale, atol=1.0, equal_nan=True)
        )


def test_a_statistic_sees_complete_fits():
    fit = sleepstudy()
    seen = []

    def statistic(other):
        seen.append(type(other))
        return {"slope": other.beta[1], "sigma": other.sigma}

    result = fit.bootstrap(5, statistic=statistic, seed=10)
    plain = fit.bootstrap(5, seed=10)
    assert result.names == ("slope", "sigma")
    assert all(issubclass(kind, me.MixedFit) for kind in seen)
    np.testing.assert_allclose(result.values, plain.values[:, [1, 5]], rtol=1e-6)
    assert fit.bootstrap(2, statistic=lambda f: f.sigma, seed=1).names == ("statistic",)
    assert fit.bootstrap(2, statistic=lambda f: f.beta, seed=1).names == (
        "statistic[0]",
        "statistic[1]",
    )


def test_standard_errors_are_those_of_the_model():
    """In a balanced design the coefficients' variance is known (Var θ̂ matters little)."""
    fit = sleepstudy()
    table = fit.bootstrap(2000, seed=11).table.set_index("term")
    errors = np.sqrt(np.diagonal(fit.vcov()))
    found = table.loc[["Intercept", "Days"], "std_error"]
    # A standard error of 2,000 replicates errs by 1/√4000 = 1.6%.
    np.testing.assert_allclose(found, errors, rtol=0.08)


R_CASES = json.loads((REFERENCE / "r" / "bootstrap.json").read_text())["cases"]


@pytest.mark.parametrize("case", R_CASES, ids=lambda c: f"{c['data']} {c['random']}")
def test_spread_is_that_of_lme4(case):
    """2,000 replicates each: deviations err by 2%, quantiles by 4% of the deviation, or more."""
    fit = me.fit(case["formula"], me.datasets.load(case["data"]))
    result = fit.bootstrap(2000, random=case["random"], seed=23)
    own = dict(zip(result.names, result.values.T, strict=True))
    for name, expected in case["results"].items():
        values = own[name.replace("cask:batch", "batch:cask")]
        sd = expected["sd"]
        assert np.nanstd(values) == pytest.approx(sd, rel=0.1)
        for share, limit in ((0.1, expected["low"]), (0.9, expected["high"])):
            assert np.nanquantile(values, share) == pytest.approx(limit, abs=0.2 * sd)


def test_aliased_columns_change_nothing():
    data = pd.DataFrame(me.datasets.load("sleepstudy"))
    data["Twice"] = 2.0 * data["Days"]
    plain = me.fit("Reaction ~ Days + (1 | Subject)", data).bootstrap(40, seed=12)
    fit = me.fit("Reaction ~ Days + Twice + (1 | Subject)", data)
    aliased = fit.bootstrap(40, seed=12)
    assert fit.estimates.aliased == ("Twice",)
    assert aliased.names == plain.names
    np.testing.assert_allclose(aliased.values, plain.values, rtol=1e-6)


def test_a_singular_fit_has_a_bootstrap():
    fit = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff2"))
    assert fit.is_singular
    result = fit.bootstrap(400, seed=13)
    assert result.n_failed == 0
    assert 0.5 < result.singular < 0.75  # P(variance estimate is zero) = P(F(5, 24) < 1) = 0.56
    table = result.confint().set_index("term")
    assert table.loc["sd(Intercept | Batch)", "conf_low"] == 0.0
    assert table.loc["sd(Intercept | Batch)", "conf_high"] > 0.0


def test_offset_and_weights():
    data = pd.DataFrame(me.datasets.load("sleepstudy"))
    data["o"] = 1000.0 + 5.0 * data["Days"]
    data["Shifted"] = data["Reaction"] + data["o"]
    plain = me.fit("Reaction ~ Days + (1 | Subject)", data)
    shifted = me.fit("Shifted ~ Days + offset(o) + (1 | Subject)", data)
    for statistic in (None, lambda f: f.beta):
        one = plain.bootstrap(10, seed=14, statistic=statistic)
        two = shifted.bootstrap(10, seed=14, statistic=statistic)
        np.testing.assert_allclose(two.values, one.values, rtol=1e-6)


def test_cases_are_fits_to_copied_groups():
    data = pd.DataFrame(me.datasets.load("pastes"))
    fit = me.fit("strength ~ 1 + (1 | batch/cask)", data)
    assert fit.design.random[-1].group == "batch"
    result = fit.bootstrap(4, method="cases", seed=15)
    labels = fit.design.random[-1].levels
    for number in range(4):
        (chosen,) = Streams(15).choices(number, number + 1, (len(labels),))
        parts = [
            data[data["batch"] == labels[g]].assign(batch=f"copy {i}")
            for i, g in enumerate(chosen[0])
        ]
        other = me.fit("strength ~ 1 + (1 | batch/cask)", pd.concat(parts))
        expected = [natural_value(other._fit, p) for p in natural_parameters(other._fit)]
        np.testing.assert_allclose(result.values[number], expected, atol=1e-5)


def test_copied_groups_keep_their_rows():
    fit = weighted_sleepstudy()
    design = fit.design
    rows = rows_of_groups(resampling_unit(design, None))
    copied = resampled_design(design, rows, np.array([3, 3, 0]))
    assert len(copied.y) == 30
    np.testing.assert_array_equal(copied.y[:10], copied.y[10:20])
    np.testing.assert_array_equal(copied.weights[20:], design.weights[:10])
    assert copied.random[0].codes.tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert len(set(copied.random[0].levels)) == 3


def test_cases_need_independent_groups():
    crossed = CASES["crossed"]()
    with pytest.raises(ModelError, match=r"sample is not nested in plate.*parametric"):
        crossed.bootstrap(2, method="cases")
    with pytest.raises(ModelError, match="sample is not nested in plate"):
        crossed.bootstrap(2, method="cases", group="plate")
    with pytest.raises(ModelError, match="'Plate' is not a grouping factor: plate, sample"):
        crossed.bootstrap(2, method="cases", group="Plate")
    with pytest.raises(ModelError, match="related through a known matrix"):
        known_fit().bootstrap(2, method="cases")


def test_a_resample_without_a_level_is_counted():
    data = pd.DataFrame(me.datasets.load("sleepstudy"))
    data["f"] = np.where(data["Subject"].isin(data["Subject"].unique()[:2]), "few", "many")
    fit = me.fit("Reaction ~ Days + f + (1 | Subject)", data)
    with pytest.warns(ConvergenceWarning, match=r"of 60 replicates failed.*'failed'"):
        result = fit.bootstrap(60, method="cases", seed=16)
    # (16/18)^18 = 0.12 of the resamples have no subject of the two.
    assert 1 <= result.n_failed <= 20
    assert all("f[T.many]" in reason for reason in result.failed["reason"])
    assert result.failed["replicate"].tolist() == list(result.reasons)
    assert np.isnan(result.values[list(result.reasons)]).all()
    assert set(result.table["replicates"]) == {60 - result.n_failed}


def test_a_statistic_that_fails_is_counted():
    fit = sleepstudy("Reaction ~ Days + (1 | Subject)")
    calls = []

    def fragile(other):
        calls.append(other)
        if len(calls) == 4:
            raise ZeroDivisionError("no such number")
        return other.sigma

    with pytest.warns(ConvergenceWarning, match="1 of 6 replicates failed"):
        result = fit.bootstrap(6, statistic=fragile, seed=17)
    assert list(result.reasons.values()) == ["no such number"]
    assert np.isnan(result.values[:, 0]).sum() == 1
    assert "1 failed" in repr(result)


def test_intervals():
    fit = sleepstudy("Reaction ~ Days + (1 | Subject)")
    result = fit.bootstrap(300, seed=18)
    values, estimate = result.values[:, 1], fit.beta[1]
    low, high = np.quantile(values, [0.05, 0.95])
    expected = {
        "percentile": (low, high),
        "basic": (2 * estimate - high, 2 * estimate - low),
        "normal": (
            2 * estimate - values.mean() - 1.6448536 * values.std(ddof=1),
            2 * estimate - values.mean() + 1.6448536 * values.std(ddof=1),
        ),
    }
    for kind, limits in expected.items():
        table = result.confint(0.9, kind).set_index("term")
        np.testing.assert_allclose(table.loc["Days", ["conf_low", "conf_high"]], limits)
    corrected = result.confint(0.9, "bias-corrected").set_index("term").loc["Days"]
    assert corrected["conf_low"] < estimate < corrected["conf_high"]
    assert result.table["bias"][1] == pytest.approx(values.mean() - estimate)
    assert result.table["replicates"].tolist() == [300] * 4


def test_a_skewed_statistic_is_corrected_for_its_bias():
    """Without bias the bias-corrected interval is the percentile interval."""
    fit = sleepstudy("Reaction ~ Days + (1 | Subject)")
    result = fit.bootstrap(401, seed=19, statistic=lambda f: [f.beta[1]])
    centred = type(result)(
        result.names,
        np.median(result.values, axis=0),
        result.values,
        {},
        0.0,
        "parametric",
    )
    np.testing.assert_allclose(centred.limits(0.9, "bias-corrected"), centred.limits(0.9))


def test_intervals_of_a_fit_by_bootstrap():
    fit = sleepstudy()
    table = fit.confint(method="bootstrap", n=200, seed=20)
    expected = fit.bootstrap(200, seed=20).confint()
    assert table["term"].tolist() == expected["term"].tolist()
    np.testing.assert_array_equal(table["conf_low"], expected["conf_low"])
    some = fit.confint(method="bootstrap", n=200, seed=20, parameters=["sigma", "Days"])
    assert some["conf_high"].tolist() == table["conf_high"].iloc[[5, 1]].tolist()
    with pytest.raises(ModelError, match="belong to method='bootstrap'"):
        fit.confint(n=10)
    with pytest.raises(ModelError, match="df='residual' belongs to Wald"):
        fit.confint(method="bootstrap", df="residual")


def test_correlations_that_are_not_always_defined_are_said():
    data = pd.DataFrame(me.datasets.load("sleepstudy"))
    data["Noise"] = np.random.default_rng(1).normal(size=len(data))
    fit = me.fit("Noise ~ Days + (Days | Subject)", data)
    with pytest.warns(MixedEffectsWarning, match=r"Not defined in all of 60.*corr\(Intercept, Da"):
        fit.confint(method="bootstrap", n=60, seed=21)


def test_what_is_refused():
    fit = sleepstudy("Reaction ~ Days + (1 | Subject)")
    refused = [
        ({"n": 0}, "n=0"),
        ({"n": 2.5}, "n=2.5"),
        ({"threads": 0}, "threads=0"),
        ({"method": "wild"}, "method='wild'"),
        ({"random": "none"}, "random='none'"),
        ({"method": "cases", "random": "conditional"}, "random='conditional' belongs to"),
        ({"group": "Subject"}, "group='Subject' belongs to"),
        ({"statistic": lambda f: np.zeros((2, 2))}, "1-d array"),
    ]
    for options, message in refused:
        with pytest.raises(ModelError, match=message):
            fit.bootstrap(**{"n": 3, **options})
    result = fit.bootstrap(20, seed=1)
    with pytest.raises(ModelError, match=r"20 replicates are too few.*at least 39"):
        result.confint()
    with pytest.raises(ModelError, match="kind='bca'"):
        result.confint(0.5, "bca")
    calls = iter([1.0, 1.0])
    with pytest.raises(ModelError, match="Every bootstrap replicate failed"):
        fit.bootstrap(2, statistic=lambda f: next(calls))


def test_too_few_levels_to_resample():
    modes = np.array([[1.0, 2.0], [-2.0, 1.0]])  # two levels, centred, vary along one line
    with pytest.raises(ModelError, match=r"too few levels of 'g' to resample.*parametric"):
        rescaled(modes, np.eye(2), "levels of 'g'")
    along = modes[0] - modes[1]
    covariance = np.outer(along, along)
    pool = rescaled(modes, covariance, "levels of 'g'")
    np.testing.assert_allclose(pool.T @ pool / 2, covariance)


def test_progress_bar(capsys):
    sleepstudy("Reaction ~ Days + (1 | Subject)").bootstrap(5, seed=1, progress=True)
    assert "bootstrap" in capsys.readouterr().out


def test_tables_come_back_in_the_callers_library():
    polars = pytest.importorskip("polars")
    data = polars.DataFrame(dict(me.datasets.load("sleepstudy")))
    result = me.fit("Reaction ~ Days + (1 | Subject)", data).bootstrap(4, seed=1)
    assert isinstance(result.table, polars.DataFrame)
    assert result.estimates.columns == ["replicate", *result.names]
    assert result.estimates.height == 4
    assert result.failed.height == 0
