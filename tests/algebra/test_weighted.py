"""Compiled weighted sums against their NumPy twins."""

from __future__ import annotations

import numpy as np
import pytest

from mixedeffects.algebra._weighted import add_levels, add_pairs, gather

N, LEVELS = 40, 7


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.fixture
def codes(rng):
    return rng.integers(0, LEVELS, N).astype(np.int32)


@pytest.mark.parametrize(("k", "m"), [(1, 1), (2, 3), (4, 1)])
def test_add_levels(rng, codes, k, m):
    """Blocks may lie anywhere, with rows further apart than they are long."""
    left, right, w = rng.normal(size=(N, k)), rng.normal(size=(N, m)), rng.normal(size=N)
    stride = m + 2
    starts = rng.permutation(LEVELS) * (k * stride + 3)
    before = rng.normal(size=LEVELS * (k * stride + 3))
    out, expected = before.copy(), before.copy()
    add_levels(codes, left, right, w, starts, stride, out)
    for i, code in enumerate(codes):
        for a in range(k):
            place = starts[code] + stride * a
            expected[place : place + m] += w[i] * left[i, a] * right[i]
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("k", "m"), [(1, 1), (2, 3), (3, 3)])
def test_add_pairs(rng, k, m):
    left, right, w = rng.normal(size=(N, k)), rng.normal(size=(N, m)), rng.normal(size=N)
    pair = rng.integers(0, 9, N)
    starts = (pair * k * m).astype(np.int64)
    flipped = (pair % 2).astype(np.uint8)
    out, expected = np.zeros(9 * k * m), np.zeros((9, k * m))
    add_pairs(starts, flipped, left, right, w, out)
    for i in range(N):
        block = w[i] * np.outer(left[i], right[i])
        expected[pair[i]] += (block.T if flipped[i] else block).ravel()
    np.testing.assert_allclose(out, expected.ravel(), rtol=0, atol=1e-13)


@pytest.mark.parametrize("k", [1, 3])
def test_gather(rng, codes, k):
    values, levels, out = rng.normal(size=(N, k)), rng.normal(size=(LEVELS, k)), rng.normal(size=N)
    expected = out + (values * levels[codes]).sum(axis=1)
    gather(codes, values, levels, out)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-13)


def test_nothing_to_add():
    none, out = np.empty(0, np.int32), np.ones(3)
    add_levels(none, np.empty((0, 2)), np.empty((0, 2)), np.empty(0), np.zeros(1, int), 2, out)
    gather(none, np.empty((0, 1)), np.empty((0, 1)), np.empty(0))
    add_pairs(
        np.empty(0, np.int64),
        np.empty(0, np.uint8),
        np.empty((0, 1)),
        np.empty((0, 1)),
        np.empty(0),
        out,
    )
    np.testing.assert_array_equal(out, 1.0)
