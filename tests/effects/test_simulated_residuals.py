"""Quantile residuals with simulated reference: their tests find faults and hold their level."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

import mixedeffects as me
from mixedeffects.effects.simulated_residuals import uniform_distances
from mixedeffects.errors import DataError, ModelError


@pytest.fixture(scope="module")
def fit():
    return me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))


@pytest.fixture(scope="module")
def tested(fit):
    return fit.simulated_residuals(n=99, seed=1, group="Subject")


def grouped(noise, n_groups=20, size=10):
    """A random intercept and unit noise of n_groups·size rows."""
    rng = np.random.default_rng(6)
    g = np.repeat(np.arange(n_groups), size)
    x = rng.normal(size=len(g))
    y = x + rng.normal(size=n_groups)[g] + noise(rng, len(g))
    return pd.DataFrame({"y": y, "x": x, "g": g})


def test_distances_are_kolmogorovs():
    rng = np.random.default_rng(0)
    u, codes = rng.random(60), rng.integers(0, 4, 60)
    for level, distance in enumerate(uniform_distances(u, codes)):
        assert distance == pytest.approx(stats.kstest(u[codes == level], "uniform").statistic)
    whole = np.zeros(60, dtype=int)
    assert uniform_distances(u, whole)[0] == pytest.approx(stats.kstest(u, "uniform").statistic)


def test_values(fit, tested):
    residuals = fit.residuals("quantile").to_numpy()
    np.testing.assert_array_equal(tested.residuals, residuals)
    assert np.all((tested.residuals > 0) & (tested.residuals < 1))
    np.testing.assert_allclose(tested.expected, fit.predict(random="population"))
    assert tested.uniformity.statistic == pytest.approx(
        stats.kstest(residuals, "uniform").statistic
    )
    assert tested.dispersion.statistic == pytest.approx(np.mean(stats.norm.ppf(residuals) ** 2))
    outside = (residuals < 1 / 100) | (residuals > 99 / 100)
    assert tested.outliers.statistic == outside.sum()
    assert (tested.n, tested.failed) == (99, 0)


def test_tables(fit, tested):
    table = tested.table
    assert list(table.columns) == ["row", "residual", "expected", "expected_rank"]
    np.testing.assert_array_equal(table["row"], np.arange(180))
    assert np.all(np.diff(table.sort_values("expected_rank")["expected"]) >= 0)
    np.testing.assert_allclose(np.sort(tested.expected_rank), (np.arange(180) + 0.5) / 180)
    tests = tested.tests
    assert list(tests["test"]) == ["uniformity", "dispersion", "outliers"]
    assert ((tests["p_value"] > 0) & (tests["p_value"] <= 1)).all()
    by_group = tested.by_group
    assert list(by_group.columns) == ["level", "rows", "statistic", "p_value", "p_adjusted"]
    assert list(by_group["rows"]) == [10] * 18
    assert (by_group["p_adjusted"] >= by_group["p_value"]).all()
    assert fit.simulated_residuals(n=19, seed=1).by_group is None
    assert repr(tested).startswith("<SimulatedResiduals of 180 rows: uniformity p = 0.")


def test_seed(fit):
    one, again, other = (fit.simulated_residuals(n=19, seed=s) for s in (5, 5, 6))
    assert one.tests.equals(again.tests)
    assert not one.tests.equals(other.tests)


def test_a_true_model_is_not_rejected(tested):
    data = grouped(lambda rng, n: rng.normal(size=n))
    found = me.fit("y ~ x + (1 | g)", data).simulated_residuals(n=99, seed=1, group="g")
    assert found.tests["p_value"].min() > 0.05
    assert found.groups.p_adjusted.min() > 0.05


def test_skewed_noise_is_found():
    data = grouped(lambda rng, n: 3 * rng.exponential(size=n) ** 1.5)
    found = me.fit("y ~ x + (1 | g)", data).simulated_residuals(n=99, seed=1)
    assert found.uniformity.p_value <= 0.02


def test_outliers_are_found():
    data = grouped(lambda rng, n: rng.normal(size=n) + 25 * (np.arange(n) % 40 == 3))
    found = me.fit("y ~ x + (1 | g)", data).simulated_residuals(n=99, seed=1)
    assert found.outliers.statistic >= 5
    assert found.uniformity.p_value <= 0.02


def test_a_group_that_differs_is_named():
    data = grouped(lambda rng, n: rng.normal(size=n))
    data["f"] = np.where(data["g"] < 4, "odd", "even")
    data.loc[data["f"] == "odd", "y"] += 8 * np.sign(data["x"])
    found = me.fit("y ~ x + f + (1 | g)", data).simulated_residuals(n=99, seed=1, group="f")
    table = found.by_group.set_index("level")
    assert table.loc["odd", "p_adjusted"] <= 0.05


@pytest.mark.slow
def test_uniformity_holds_its_level():
    """5% of 400 true data sets, whose tables for independent values would reject 1%."""
    rng = np.random.default_rng(2)
    fit = me.fit("strength ~ 1 + (1 | batch/cask)", me.datasets.load("pastes"))
    rejected = 0
    for _ in range(400):
        drawn = fit.refit(fit.simulate(seed=rng), on_check="ignore")
        rejected += drawn.simulated_residuals(n=39, seed=rng).uniformity.p_value <= 0.05
    assert 8 <= rejected <= 36  # 99.9% of Binomial(400, 0.05)


def test_weights_offset_and_missing_rows():
    data = grouped(lambda rng, n: rng.normal(size=n))
    data = data.assign(w=1.0 + data["g"] % 3, o=50.0 * data["x"], h=data["g"] % 2)
    data.loc[::11, "x"] = np.nan
    fit = me.fit("y ~ x + (1 | g)", data.assign(y=data["y"] + data["o"]), weights="w", offset="o")
    found = fit.simulated_residuals(n=19, seed=1, group="g")
    np.testing.assert_array_equal(found.table["row"], data.dropna().index)
    assert found.by_group["rows"].sum() == fit.nobs
    assert isinstance(
        me.fit("y ~ x + (1 | g)", pl.from_pandas(data)).simulated_residuals(n=19, seed=1).table,
        pl.DataFrame,
    )


def test_a_singular_fit():
    fit = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff2"))
    found = fit.simulated_residuals(n=39, seed=1)
    assert found.uniformity.p_value > 0.05


def test_bad_input(fit):
    with pytest.raises(ModelError, match="n=10: tests need at least 19"):
        fit.simulated_residuals(n=10)
    with pytest.raises(DataError, match=r"'Days' does not group .* 'Subject'"):
        fit.simulated_residuals(n=19, group="Days")
