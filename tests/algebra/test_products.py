"""Cross-products of grouped rows against sums over rows written out."""

from __future__ import annotations

import numpy as np
import pytest

from designs import KINDS, codes_of
from mixedeffects.algebra._products import level_products, pair_products
from mixedeffects.algebra.crossproducts import Grouping, crossproducts, replace_response

UNWEIGHTED = np.empty(0)


def plain_level_products(codes, left, right, weights, n_levels):
    w = np.ones(len(codes)) if len(weights) == 0 else weights
    out = np.zeros((n_levels, left.shape[1], right.shape[1]))
    np.add.at(out, codes, w[:, None, None] * left[:, :, None] * right[:, None, :])
    return out


def rows(rng, n, k):
    return np.ascontiguousarray(rng.normal(size=(n, k)))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("k", "m"), [(1, 1), (1, 4), (3, 2), (5, 5)])
def test_level_products(k, m, weighted):
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 6, 50).astype(np.int32)
    left, right = rows(rng, 50, k), rows(rng, 50, m)
    weights = rng.uniform(0.5, 2, 50) if weighted else UNWEIGHTED
    result = level_products(codes, left, right, weights, 8)
    expected = plain_level_products(codes, left, right, weights, 8)
    np.testing.assert_allclose(result, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("k", "m"), [(1, 1), (2, 3)])
def test_pair_products(k, m, weighted):
    rng = np.random.default_rng(2)
    first, second = (rng.integers(0, size, 40).astype(np.int32) for size in (7, 9))
    left, right = rows(rng, 40, k), rows(rng, 40, m)
    weights = rng.uniform(0.5, 2, 40) if weighted else UNWEIGHTED
    levels, others, blocks = pair_products(first, left, 7, second, right, 9, weights)
    expected = plain_level_products(first * 9 + second, left, right, weights, 63)
    assert set(zip(levels, others, strict=True)) == set(zip(first, second, strict=True))
    assert len(levels) == len(set(zip(levels, others, strict=True)))
    assert np.all(np.diff(levels) >= 0)
    np.testing.assert_allclose(blocks, expected[levels * 9 + others], rtol=1e-12, atol=1e-13)


def test_no_rows_and_no_columns():
    codes, empty = np.empty(0, np.int32), np.empty((0, 2))
    assert not level_products(codes, empty, empty, UNWEIGHTED, 3).any()
    levels, others, blocks = pair_products(codes, empty, 3, codes, empty, 3, UNWEIGHTED)
    assert (len(levels), len(others), blocks.shape) == (0, 0, (0, 2, 2))
    none = np.empty((4, 0))
    codes = np.zeros(4, np.int32)
    assert level_products(codes, none, np.ones((4, 2)), UNWEIGHTED, 1).shape == (1, 0, 2)


def groupings(kind, rng, rows=slice(None)):
    codes = codes_of(kind, np.random.default_rng(5))
    sizes = [int(c.max()) + 1 for c in codes]
    return [
        Grouping(c.astype(np.int32)[rows], np.ascontiguousarray(v[rows]), size)
        for c, v, size in zip(codes, values_of(codes), sizes, strict=True)
    ]


def values_of(codes):
    rng = np.random.default_rng(6)
    return [rng.normal(size=(len(c), 1 + i % 3)) for i, c in enumerate(codes)]


def dense(groups):
    blocks = []
    for g in groups:
        Z = np.zeros((len(g.codes), g.n_levels, g.values.shape[1]))
        Z[np.arange(len(g.codes)), g.codes] = g.values
        blocks.append(Z)
    return blocks


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_crossproducts_are_those_of_the_dense_matrices(kind, weighted):
    rng = np.random.default_rng(3)
    groups = groupings(kind, rng)
    n = len(groups[0].codes)
    X, y = rng.normal(size=(n, 3)), rng.normal(size=n)
    weights = rng.uniform(0.2, 3, n) if weighted else None
    w = np.ones(n) if weights is None else weights
    products = crossproducts(groups, X, y, weights)
    Z, Xy = dense(groups), np.column_stack([X, y])
    for f, block in enumerate(Z):
        own = np.einsum("n,nla,nlb->lab", w, block, block)
        np.testing.assert_allclose(products.diagonal[f], own, atol=1e-12)
        border = np.einsum("n,nla,np->lap", w, block, Xy)
        np.testing.assert_allclose(products.border[f], border, atol=1e-12)
    for pair in products.pairs:
        full = np.einsum("n,nla,nmb->lmab", w, Z[pair.first], Z[pair.second])
        np.testing.assert_allclose(pair.blocks, full[pair.rows, pair.columns], atol=1e-12)
        full[pair.rows, pair.columns] = 0.0
        assert not full.any()
    np.testing.assert_allclose(products.corner, Xy.T @ (w[:, None] * Xy), rtol=1e-12)
    assert products.n_rows == n
    assert products.log_weights == pytest.approx(np.log(w).sum())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_chunks_of_rows_add_up(kind, weighted):
    rng = np.random.default_rng(4)
    whole = groupings(kind, rng)
    n = len(whole[0].codes)
    X, y = rng.normal(size=(n, 2)), rng.normal(size=n)
    weights = rng.uniform(0.2, 3, n) if weighted else None
    cuts = [slice(0, 7), slice(7, 7), slice(7, n // 2), slice(n // 2, n)]
    parts = [
        crossproducts(
            groupings(kind, rng, cut),
            X[cut],
            y[cut],
            None if weights is None else np.ascontiguousarray(weights[cut]),
        )
        for cut in cuts
    ]
    total = parts[0] + parts[1] + parts[2] + parts[3]
    expected = crossproducts(whole, X, y, weights)
    for name in ("diagonal", "border"):
        for a, b in zip(getattr(total, name), getattr(expected, name), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    for a, b in zip(total.pairs, expected.pairs, strict=True):
        order = np.lexsort([b.columns, b.rows])
        assert np.array_equal(a.rows, b.rows[order])
        assert np.array_equal(a.columns, b.columns[order])
        np.testing.assert_allclose(a.blocks, b.blocks[order], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(total.corner, expected.corner, rtol=1e-12)
    assert (total.n_rows, expected.n_rows) == (n, n)
    assert total.log_weights == pytest.approx(expected.log_weights)


@pytest.mark.parametrize("weighted", [False, True])
def test_another_response(weighted):
    rng = np.random.default_rng(7)
    groups = groupings("three crossed", rng)
    n = len(groups[0].codes)
    X, old, new = rng.normal(size=(n, 2)), rng.normal(size=n), rng.normal(size=n)
    weights = rng.uniform(0.2, 3, n) if weighted else None
    result = replace_response(crossproducts(groups, X, old, weights), groups, X, new, weights)
    expected = crossproducts(groups, X, new, weights)
    np.testing.assert_allclose(result.corner, expected.corner, rtol=1e-12, atol=1e-12)
    for a, b in zip(result.border, expected.border, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
