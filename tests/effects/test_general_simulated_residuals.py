"""Residual tests of generalized fits, placed among refits to simulated data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from effects.general_models import drawn, fitted, model
from mixedeffects.errors import DataError, ModelError


@pytest.fixture(scope="module")
def overdispersed():
    """A Poisson model of counts that are negative binomial, with extra zeros."""
    fit = fitted("poisson", drawn("nbinom2", inflated=True))
    return fit, fit.simulated_residuals(n=49, seed=1, group="g")


def test_a_wrong_family_is_found(overdispersed):
    _, found = overdispersed
    for name in ("uniformity", "dispersion", "outliers", "zeros"):
        assert getattr(found, name).p_value <= 0.04
    assert found.dispersion.statistic > found.dispersion.expected
    assert found.zeros.statistic > found.zeros.expected


def test_counts_of_zeros_are_of_the_data(overdispersed):
    fit, found = overdispersed
    assert found.zeros.statistic == np.count_nonzero(fit.design.y == 0)
    draws = fit.simulate(400, seed=3)
    assert found.zeros.expected == pytest.approx((draws == 0).sum(axis=1).mean(), rel=0.1)


def test_tables(overdispersed):
    fit, found = overdispersed
    assert list(found.tests["test"]) == ["uniformity", "dispersion", "outliers", "zeros"]
    assert list(found.table.columns) == ["row", "residual", "expected", "expected_rank"]
    assert len(found.by_group) == fit.n_groups["g"]
    np.testing.assert_allclose(found.expected, fit.predict(random="population"), rtol=1e-12)
    assert "zeros p =" in repr(found)


@pytest.mark.parametrize(("name", "inflated"), [("nbinom2", True), ("gamma", False)])
def test_the_right_family_passes(name, inflated):
    """With these data; each test alone rejects a right model in one of twenty."""
    found = model(name, inflated).simulated_residuals(n=19, seed=2)
    assert (found.tests["p_value"] > 0.05).all()
    assert found.n == 19


def test_zeros_are_tested_where_they_are_values():
    assert model("gamma").simulated_residuals(n=19, seed=1).zeros is None
    assert model("gamma", True).simulated_residuals(n=19, seed=1).zeros is not None
    single = drawn("binomial").assign(y=lambda d: (d["y"] > 4).astype(float), size=1.0)
    assert fitted("binomial", single).simulated_residuals(n=19, seed=1).zeros is None


def test_ordered_categories():
    fit = model("cumulative")
    found = fit.simulated_residuals(n=19, seed=1)
    assert found.zeros is None
    np.testing.assert_allclose(found.expected, fit.predict(random="population", scale="link"))


def test_seeds_and_bad_input():
    fit = model("poisson")
    tables = [fit.simulated_residuals(n=19, seed=s).table for s in (1, 1, 2)]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    assert not tables[0].equals(tables[2])
    with pytest.raises(ModelError, match="at least 19"):
        fit.simulated_residuals(n=5)
    with pytest.raises(DataError, match="does not group"):
        fit.simulated_residuals(n=19, group="nobody")
    weighted = fitted("poisson", drawn("poisson").assign(w=2.0), weights="w")
    with pytest.raises(ModelError, match="repeat the rows"):
        weighted.simulated_residuals(n=19)


@pytest.mark.slow
def test_the_tests_hold_their_level():
    """160 data sets of a right model: 5 % of p-values below 0.05, give or take 1.7 %."""
    rejected = np.zeros(4)
    for seed in range(160):
        data = drawn("poisson", n=120, seed=seed)
        fit = fitted("poisson", data)
        rejected += fit.simulated_residuals(n=39, seed=seed).tests["p_value"].to_numpy() <= 0.05
    assert (rejected / 160 < 0.05 + 3.5 * 0.0172).all()
    assert rejected.sum() / 640 > 0.01
