"""Estimability against the null space of X."""

from __future__ import annotations

import numpy as np
import pytest

from mixedeffects.effects.means.estimable import estimable


@pytest.mark.parametrize("seed", range(8))
def test_rows_are_estimable_where_they_miss_the_null_space(seed):
    rng = np.random.default_rng(seed)
    n, first, extra = 40, 5, 3
    D = np.round(rng.normal(size=(first, extra)) * (rng.random((first, extra)) < 0.5), 1)
    X = rng.normal(size=(n, first)) * 10.0 ** rng.integers(-4, 5, first)
    X = np.hstack([X, X @ D])
    kept = np.arange(first)
    null = np.vstack([D, -np.eye(extra)])  # X @ null = 0
    inside = rng.normal(size=(6, n)) @ X
    outside = inside + rng.normal(size=(6, extra)) @ np.linalg.pinv(null)
    L = np.vstack([inside, outside, X[:2] - X[2:4], np.zeros((1, first + extra))])
    expected = np.ones(len(L), dtype=bool)
    expected[6:12] = False
    np.testing.assert_array_equal(estimable(X, kept, L), expected)


def test_of_full_rank_everything_is_estimable():
    X = np.random.default_rng(0).normal(size=(10, 3))
    assert estimable(X, np.arange(3), np.eye(3)).all()


def test_a_difference_may_be_estimable_where_its_parts_are_not():
    # an intercept and both of two dummies: only means and differences of means
    X = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1]], dtype=float)
    kept = np.array([0, 1])
    L = np.array([[1, 1, 0], [0, 1, -1], [0, 1, 0], [1, 0, 0], [2, 1, 1]], dtype=float)
    assert estimable(X, kept, L).tolist() == [True, True, False, False, True]
