"""Distributions of the largest of several t, and what adjustments make of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from mixedeffects.effects.means.adjustments import ADJUSTMENTS, Family, adjustment, tail
from mixedeffects.effects.means.distributions import (
    LargestT,
    product_loadings,
    product_tail,
    range_tail,
)
from mixedeffects.errors import ModelError

DF = [1.0, 2.5, 7.0, 45.0, 1e3, np.inf]


def simulated(correlation, df, c, two_sided=True, n=1_000_000):
    """P(max > c) with its standard error, by drawing."""
    rng = np.random.default_rng(5)
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    t = rng.standard_normal((n, len(root))) @ root.T
    t /= np.sqrt(rng.chisquare(df, n) / df)[:, None] if np.isfinite(df) else 1.0
    p = ((np.abs(t) if two_sided else t).max(axis=1) > c).mean()
    return p, np.sqrt(p * (1 - p) / n)


def pairwise_correlation(k, variances=None):
    """Of all differences of k independent means."""
    i, j = np.triu_indices(k, 1)
    C = np.zeros((len(i), k))
    C[np.arange(len(i)), i], C[np.arange(len(i)), j] = 1.0, -1.0
    V = C @ np.diag(np.ones(k) if variances is None else variances) @ C.T
    se = np.sqrt(np.diagonal(V))
    return V / np.outer(se, se)


def equal(m, rho):
    return np.full((m, m), rho) + (1 - rho) * np.eye(m)


# -- the studentized range -------------------------------------------------------------------


@pytest.mark.parametrize("df", DF)
@pytest.mark.parametrize("count", [2, 3, 10])
def test_range_as_scipy_has_it(count, df):
    q = np.array([0.5, 2.0, 3.5, 6.0])
    # scipy states 1e-9 of its own quadrature
    expected = stats.studentized_range.sf(q, count, df)
    np.testing.assert_allclose(range_tail(q, count, np.full(4, df)), expected, atol=1e-8)


def test_range_of_many_means():
    # of 100 normals at infinite df, by quadrature of its definition
    def inside(z, w):
        return 100 * stats.norm.pdf(z) * (stats.norm.cdf(z) - stats.norm.cdf(z - w)) ** 99

    expected = [1 - quad(inside, -8, 8, args=(w,), epsabs=1e-12, limit=400)[0] for w in (4, 6)]
    found = range_tail(np.array([4.0, 6.0]), 100, np.array([np.inf, np.inf]))
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_tables_of_the_studentized_range():
    # Harter's table: q(0.05; 3, 10) = 3.877, q(0.05; 5, 20) = 4.232, q(0.05; 4, 5) = 5.218
    for q, count, df in ((3.877, 3, 10.0), (4.232, 5, 20.0), (5.218, 4, 5.0)):
        assert range_tail(np.array([q]), count, np.array([df]))[0] == pytest.approx(0.05, abs=5e-5)


# -- products, and any correlations ------------------------------------------------------------


@pytest.mark.parametrize("df", DF)
def test_one_statistic_is_t(df):
    c, own = np.array([0.3, 1.0, 2.5]), np.full(3, df)
    expected = 2 * stats.t.sf(c, df)
    np.testing.assert_allclose(product_tail(c, np.zeros(1), own, True), expected, atol=1e-10)
    np.testing.assert_allclose(LargestT(np.eye(1), True).tail(c, own), expected, rtol=1e-12)
    np.testing.assert_allclose(LargestT(np.eye(1), False).tail(-c, own), stats.t.sf(-c, df))


@pytest.mark.parametrize("df", [3.0, 20.0, np.inf])
@pytest.mark.parametrize("two_sided", [True, False])
def test_quadrature_and_directions_agree(df, two_sided):
    loadings = np.array([0.9, 0.5, -0.3, 0.7])
    correlation = np.outer(loadings, loadings)
    np.fill_diagonal(correlation, 1.0)
    c, own = np.array([-1.0, 0.5, 1.5, 2.5, 4.0]), np.full(5, df)
    c = np.abs(c) if two_sided else c
    exact = product_tail(c, loadings, own, two_sided)
    np.testing.assert_allclose(
        LargestT(correlation, two_sided).tail(c, own), exact, atol=5e-5, rtol=2e-3
    )


def test_dunnett_as_tabulated():
    # Dunnett 1964, two-sided 5% points, k treatments and a control of the same size
    for c, k, df in ((2.57, 2, 10.0), (2.54, 3, 20.0), (2.44, 4, np.inf)):
        loadings = np.full(k, np.sqrt(0.5))
        p = product_tail(np.array([c]), loadings, np.array([df]), True)[0]
        assert p == pytest.approx(0.05, abs=2e-3)


@pytest.mark.parametrize("k", [3, 4, 8, 12])
def test_pairwise_differences_have_the_studentized_range(k):
    c, df = np.array([1.5, 2.5, 3.5]), np.array([12.0, 12.0, 30.0])
    found = LargestT(pairwise_correlation(k), True).tail(c, df)
    # what the documentation promises; half of it is seen
    np.testing.assert_allclose(found, range_tail(np.sqrt(2) * c, k, df), atol=1e-4)


@pytest.mark.parametrize("two_sided", [True, False])
def test_any_correlations_as_simulated(two_sided):
    correlation = pairwise_correlation(4, [1.0, 0.2, 3.0, 0.5])
    for df, c in ((4.0, 2.8), (25.0, 2.1)):
        expected, error = simulated(correlation, df, c, two_sided)
        found = LargestT(correlation, two_sided).tail(np.array([c]), np.array([df]))[0]
        assert abs(found - expected) < 4 * error


def test_two_statistics_by_the_angle():
    # opposite statistics are one, two-sided; one-sided they are two tails of one
    opposite = np.array([[1.0, -1.0], [-1.0, 1.0]])
    c, df = np.array([2.0]), np.array([9.0])
    for two_sided in (True, False):
        found = LargestT(opposite, two_sided).tail(c, df)
        np.testing.assert_allclose(found, 2 * stats.t.sf(c, df), rtol=1e-12)


def test_small_tails_keep_their_digits():
    # far out, each statistic exceeds alone
    found = LargestT(equal(5, 0.3), True).tail(np.array([9.0]), np.array([np.inf]))[0]
    assert found == pytest.approx(10 * stats.norm.sf(9.0), rel=0.02)


def test_loadings_of_products():
    loadings = np.array([0.9, -0.4, 0.2, 0.6])
    correlation = np.outer(loadings, loadings)
    np.fill_diagonal(correlation, 1.0)
    np.testing.assert_allclose(product_loadings(correlation), loadings, rtol=1e-12)
    np.testing.assert_allclose(product_loadings(np.eye(3)), 0.0)
    np.testing.assert_allclose(np.prod(product_loadings(equal(2, -0.6))), -0.6)
    assert product_loadings(pairwise_correlation(3)) is None
    assert product_loadings(equal(3, 1.0)) is None
    assert product_loadings(equal(3, -0.4)) is None


# -- adjustments ----------------------------------------------------------------------------------


def family(k=4, df=18.0):
    correlation = pairwise_correlation(k)
    return Family(np.full(len(correlation), df), 2.0 * correlation, k)


T = np.array([0.4, -1.1, 2.2, 2.9, -3.8, 6.5])


def test_bonferroni_holm_and_false_discovery_as_scipy_and_by_hand():
    p = tail(T, family().df, "two-sided")
    order = np.argsort(p)
    held = np.empty(6)
    held[order] = np.maximum.accumulate(np.minimum((6 - np.arange(6)) * p[order], 1.0))
    by = {name: ADJUSTMENTS[name].p_values(T, family(), "two-sided") for name in ADJUSTMENTS}
    np.testing.assert_allclose(by["bonferroni"], np.minimum(6 * p, 1))
    np.testing.assert_allclose(by["holm"], held)
    np.testing.assert_allclose(by["bh"], stats.false_discovery_control(p))
    np.testing.assert_allclose(by["sidak"], 1 - (1 - p) ** 6)
    np.testing.assert_allclose(by["scheffe"], stats.f.sf(T**2 / 3, 3, 18.0))
    np.testing.assert_allclose(by["tukey"], by["mvt"], atol=3e-5)
    np.testing.assert_allclose(by["none"], p)


@pytest.mark.parametrize("name", ["tukey", "mvt", "sidak", "bonferroni", "scheffe", "none"])
@pytest.mark.parametrize("df", [5.0, np.inf])
def test_limits_belong_to_p_values(name, df):
    own = family(df=df)
    c = ADJUSTMENTS[name].multipliers(0.9, own)
    np.testing.assert_allclose(ADJUSTMENTS[name].p_values(c, own, "two-sided"), 0.1, atol=1e-7)


def test_simultaneous_limits_cover_together():
    # of 4,000 sets of four means, 95% within 3 standard errors
    rng = np.random.default_rng(3)
    means = rng.standard_normal((4000, 4))
    s = np.sqrt(rng.chisquare(18, 4000) / 18)
    i, j = np.triu_indices(4, 1)
    t = np.abs(means[:, i] - means[:, j]) / (np.sqrt(2) * s[:, None])
    for name in ("tukey", "mvt"):
        covered = (t <= ADJUSTMENTS[name].multipliers(0.95, family())).all(axis=1).mean()
        assert abs(covered - 0.95) < 3 * np.sqrt(0.05 * 0.95 / 4000)


def test_each_test_has_its_own_degrees_of_freedom():
    df = np.array([6.0, 6.0, 50.0, 50.0, np.inf, np.inf])
    mixed = Family(df, pairwise_correlation(4), 4)
    for name in ("tukey", "mvt", "scheffe"):
        p = ADJUSTMENTS[name].p_values(np.full(6, 2.5), mixed, "two-sided")
        c = ADJUSTMENTS[name].multipliers(0.95, mixed)
        assert p[0] == p[1] > p[2] == p[3] > p[4] == p[5]
        assert c[0] == c[1] > c[2] == c[3] > c[4] == c[5]


def test_tiny_p_values_lie_between_one_test_and_bonferroni():
    t = np.full(6, 30.0)
    alone = tail(t, family().df, "two-sided")
    for name in ("tukey", "mvt"):
        p = ADJUSTMENTS[name].p_values(t, family(), "two-sided")
        assert np.all((alone <= p) & (p <= 6 * alone))


def test_one_sided():
    correlation = equal(3, 0.5)
    own = Family(np.full(3, 12.0), correlation, 4)
    t = np.array([-0.5, 1.0, 2.4])
    greater = ADJUSTMENTS["mvt"].p_values(t, own, "greater")
    np.testing.assert_allclose(greater, ADJUSTMENTS["mvt"].p_values(-t, own, "less"))
    for c, p in zip(t, greater, strict=True):
        expected, error = simulated(correlation, 12.0, c, two_sided=False)
        assert abs(p - expected) < 4 * error


@pytest.mark.parametrize(
    ("name", "kind", "side", "words"),
    [
        ("tuckey", "pairwise", "two-sided", "Did you mean 'tukey'"),
        ("tukey", "treatment", "two-sided", "'mvt' is exact for any"),
        ("dunnett", "pairwise", "two-sided", "comparisons with a control"),
        ("tukey", "pairwise", "greater", "two-sided tests"),
        ("scheffe", "custom", "less", "two-sided tests"),
    ],
)
def test_adjustments_that_do_not_apply(name, kind, side, words):
    with pytest.raises(ModelError, match=words):
        adjustment(name, kind, side)
