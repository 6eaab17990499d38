"""fit.check_laplace: what it says, and when."""

from __future__ import annotations

import numpy as np
import pytest

import mixedeffects as me
from mixedeffects.errors import ModelError

COUNTS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@pytest.fixture(scope="module")
def sparse():
    """Binary responses, three in each of many groups that differ much, as in the toenail data."""
    rng = np.random.default_rng(1)
    group, x = np.repeat(np.arange(200), 3), np.tile(np.arange(3.0), 200)
    eta = -1.0 - 0.5 * x + 3.0 * rng.normal(size=200)[group]
    return {"y": rng.binomial(1, 1 / (1 + np.exp(-eta))), "x": x, "g": group}


def test_ordinary_counts():
    """Exact: −91.9839 at the estimates of Laplace, by brute-force integration."""
    fit = me.fit(COUNTS, me.datasets.load("cbpp"), family="binomial")
    found = fit.check_laplace(4000, seed=1)
    assert found.error == pytest.approx(0.0425, abs=3 * found.std_error)
    assert found.std_error < 0.01
    assert found.pieces == 15
    assert [check.passed for check in found.checks] == [True, True]
    assert list(found.table.columns) == ["component", "term", "shift", "std_error"]
    assert list(found.table["term"]) == ["herd.Intercept", *fit.fixef()["term"]]
    exact = me.fit(COUNTS, me.datasets.load("cbpp"), family="binomial", quadrature=25)
    moved = (exact.beta - fit.beta) / fit.fixef()["std_error"]
    np.testing.assert_allclose(found.table["shift"][1:], moved, atol=0.02)


def test_few_binary_responses_a_group(sparse):
    """Laplace is off, the check names the way out, and the way out holds."""
    fit = me.fit("y ~ x + (1 | g)", sparse, family="binomial")
    found = fit.check_laplace(seed=1)
    (estimates, weights) = found.checks
    assert not estimates.passed
    assert weights.passed
    assert "quadrature=15" in estimates.message
    better = me.fit("y ~ x + (1 | g)", sparse, family="binomial", quadrature=35)
    again = better.check_laplace(seed=1)
    assert all(check.passed for check in again.checks)
    assert abs(again.error) < 4 * again.std_error
    # the shifts point to where the maximum is
    shift = found.table["shift"].to_numpy()
    moved = (better.beta - fit.beta) / fit.fixef()["std_error"].to_numpy()
    np.testing.assert_array_equal(np.sign(shift[1:]), np.sign(moved))
    assert np.sign(shift[0]) == np.sign(better.theta[0] - fit.theta[0])


def test_quadrature_with_too_few_nodes(sparse):
    fit = me.fit("y ~ x + (1 | g)", sparse, family="binomial", quadrature=3)
    (estimates, _) = fit.check_laplace(seed=1).checks
    assert not estimates.passed
    assert "quadrature=3" in estimates.message
    assert "quadrature=7" in estimates.message


def test_where_there_is_no_quadrature():
    verbagg = me.datasets.load("verbagg")
    fit = me.fit("r2 ~ btype + (1 | id) + (1 | item)", verbagg, family="binomial")
    found = fit.check_laplace(300, seed=1)
    assert found.pieces == 1
    assert found.error > 2 * found.std_error > 0.0
    assert "bootstrap" in found.checks[0].message or found.checks[0].passed


def test_components_and_shared_parameters():
    salamanders = me.datasets.load("salamanders")
    fit = me.fit(
        "count ~ mined + (1 | site)", salamanders, family="nbinom2", zero_inflation="~ mined"
    )
    table = fit.check_laplace(200, seed=1).table
    assert list(table["component"][1:]) == list(fit.fixef()["component"])
    wine = me.datasets.load("wine")
    ordinal = me.fit("rating ~ temp + (1 | judge)", wine, family="cumulative")
    table = ordinal.check_laplace(200, seed=1).table
    assert list(table["term"][1:]) == list(ordinal.fixef()["term"])


def test_a_zero_variance_does_not_move():
    data = {"y": np.tile([0, 1, 2, 4], 20), "g": np.arange(80) // 8}
    fit = me.fit("y ~ 1 + (1 | g)", data, family="poisson")
    assert fit.is_singular
    table = fit.check_laplace(200, seed=1).table
    assert abs(table["shift"][0]) < 1e-3


def test_the_same_draws_again():
    fit = me.fit(COUNTS, me.datasets.load("cbpp"), family="binomial")
    assert fit.check_laplace(200, seed=3).error == fit.check_laplace(200, seed=3).error


def test_too_few_draws():
    fit = me.fit(COUNTS, me.datasets.load("cbpp"), family="binomial")
    with pytest.raises(ModelError, match="n=10 draws are too few"):
        fit.check_laplace(10)


def test_exact_likelihoods():
    sleep = me.datasets.load("sleepstudy")
    fit = me.fit("Reaction ~ Days + (1 | Subject)", sleep, dispersion="~ Days")
    with pytest.raises(ModelError, match="likelihood is exact"):
        fit.check_laplace()
