"""Changes of basis: exact both ways, and aliased columns chosen as R's qr() chooses them."""

from __future__ import annotations

import numpy as np
import pytest

from mixedeffects.algebra.standardize import fixed_basis, random_basis


def columns(rng, n=60):
    a, b, c = rng.normal(size=(3, n))
    return np.column_stack([np.ones(n), a, b, 3 + c])


WEIGHTS = {"equal": None, "weights": np.random.default_rng(5).uniform(0.1, 5.0, 60)}


@pytest.fixture(params=WEIGHTS)
def weights(request):
    return WEIGHTS[request.param]


@pytest.mark.parametrize(
    ("shift", "scale", "intercept"),
    [
        *[(s, c, 0) for s, c in [(0, 1), (1e8, 1), (0, 1e8), (0, 1e-6), (1e8, 1e2), (-1e5, 1e-2)]],
        *[(s, c, None) for s, c in [(0, 1), (0, 1e8), (0, 1e-6), (1e4, 1.0), (-1e2, 1e-2)]],
    ],
)
def test_fixed_basis_maps_back(shift, scale, intercept, weights):
    X = columns(np.random.default_rng(1))
    X[:, 1] = shift + scale * X[:, 1]
    basis = fixed_basis(X, weights, intercept)
    assert np.array_equal(basis.kept, np.arange(4))
    assert basis.aliased.size == 0
    back = basis.columns @ basis.map
    np.testing.assert_allclose(back, X, rtol=0, atol=1e-13 * np.abs(X).max(axis=0).max())
    assert not np.any(np.tril(basis.map[1:, 1:], -1)) or intercept is None
    coefficients = np.array([1.0, -2.0, 3.0, 0.5])
    through = basis.original(basis.map @ coefficients)
    np.testing.assert_allclose(basis.map @ through, basis.map @ coefficients, rtol=1e-12)
    sign, log_scale = np.linalg.slogdet(basis.map)
    assert abs(sign) == 1
    assert basis.log_scale == pytest.approx(log_scale, rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1e3, 1e8])
def test_columns_in_the_basis_are_well_conditioned(shift, weights):
    X = columns(np.random.default_rng(2))
    X[:, 2] = (X[:, 2] + shift) * 1e-6
    basis = fixed_basis(X, weights, 0)
    assert np.linalg.cond(basis.columns) < 10


def test_centring_and_scaling_keep_all_digits_of_a_shifted_column():
    rng = np.random.default_rng(3)
    steps = rng.integers(0, 10, 60).astype(float)
    plain = fixed_basis(np.column_stack([np.ones(60), steps]), None, 0)
    shifted = fixed_basis(np.column_stack([np.ones(60), steps + 1e8]), None, 0)
    np.testing.assert_allclose(shifted.columns, plain.columns, atol=1e-7)
    assert shifted.log_scale == pytest.approx(plain.log_scale, abs=1e-7)


def r_aliased(X, tolerance=1e-7):
    """Columns that R's limited-pivoting qr() moves to the end."""
    basis, aliased = np.empty((len(X), 0)), []
    for j in range(X.shape[1]):
        rest = X[:, j] - basis @ (basis.T @ X[:, j])
        rest = rest - basis @ (basis.T @ rest)
        if np.linalg.norm(rest) <= tolerance * np.linalg.norm(X[:, j]):
            aliased.append(j)
        else:
            basis = np.column_stack([basis, rest / np.linalg.norm(rest)])
    return aliased


def deficient():
    rng = np.random.default_rng(4)
    X = columns(rng)
    group = np.eye(3)[rng.integers(0, 3, 60)]
    yield "sum of two", np.column_stack([X, X[:, 1] + X[:, 2]]), [4]
    yield "the earlier stays", np.column_stack([X[:, :2], 2 * X[:, 1], X[:, 2]]), [2]
    yield "dummies of all levels", np.column_stack([X[:, 0], group, X[:, 1]]), [3]
    yield "constant", np.column_stack([X[:, 0], X[:, 1], np.full(60, 7.0)]), [2]
    yield "zero", np.column_stack([X[:, 0], np.zeros(60), X[:, 1]]), [1]
    yield "several", np.column_stack([X[:, :2], X[:, 1], X[:, 2], X[:, 1] - X[:, 2]]), [2, 4]
    yield "shifted copy", np.column_stack([X[:, 0], X[:, 1], X[:, 1] + 1e6]), [2]
    yield "more columns than rows", np.vander(np.linspace(-1, 1, 4), 7, increasing=True), [4, 5, 6]


DEFICIENT = {name: (X, expected) for name, X, expected in deficient()}


@pytest.mark.parametrize("name", DEFICIENT)
def test_aliased_columns(name):
    X, expected = DEFICIENT[name]
    basis = fixed_basis(X, None, 0)
    assert basis.aliased.tolist() == expected == r_aliased(X)
    assert np.array_equal(np.sort(np.concatenate([basis.kept, basis.aliased])), range(X.shape[1]))
    np.testing.assert_allclose(basis.columns @ basis.map, X[:, basis.kept], atol=1e-6)


@pytest.mark.parametrize("size", [1e-5, 1e-6, 3e-7])
def test_nearly_collinear_columns_stay(size):
    """R keeps what leaves more than 1e-7 of its norm; so do we, without losing it."""
    rng = np.random.default_rng(6)
    X = np.column_stack([columns(rng), np.zeros(60)])
    X[:, 4] = X[:, 1] + size * rng.normal(size=60)
    basis = fixed_basis(X, None, 0)
    assert basis.aliased.size == 0
    assert np.linalg.cond(basis.columns) < 1e3
    np.testing.assert_allclose(basis.columns @ basis.map, X, atol=1e-12)


def test_collinear_below_the_tolerance_is_aliased():
    rng = np.random.default_rng(7)
    X = np.column_stack([columns(rng), np.zeros(60)])
    X[:, 4] = X[:, 1] + 1e-9 * rng.normal(size=60)
    assert fixed_basis(X, None, 0).aliased.tolist() == [4]


def test_no_columns():
    basis = fixed_basis(np.empty((5, 0)), None, None)
    assert basis.columns.shape == (5, 0)
    assert basis.log_scale == 0.0
    assert basis.original(np.empty(0)).shape == (0,)


@pytest.mark.parametrize("closure", ["affine", "scaling", "common"])
@pytest.mark.parametrize("intercept", [0, 1, None])
def test_random_basis_maps_back(closure, intercept):
    rng = np.random.default_rng(8)
    values = rng.normal(3.0, [1.0, 1e4, 1e-5], (50, 3))
    if intercept is not None:
        values[:, intercept] = 1.0
    inside, mapping = random_basis(values, closure, intercept)
    np.testing.assert_allclose(inside @ mapping, values, rtol=1e-10)
    assert inside.flags.c_contiguous
    if closure != "affine":
        assert np.array_equal(mapping, np.diag(np.diagonal(mapping)))
        assert np.all(np.diagonal(mapping) > 0)
    if closure == "common":
        assert len(set(np.diagonal(mapping))) == 1
    if closure == "affine":
        gram = inside.T @ inside / len(inside)
        np.testing.assert_allclose(gram, np.eye(3), atol=1e-10)


def test_random_basis_of_dependent_columns():
    """Collinear slopes keep their span, whatever the basis."""
    x = np.random.default_rng(9).normal(size=40)
    values = np.column_stack([np.ones(40), x, 2 * x + 1])
    inside, mapping = random_basis(values, "affine", 0)
    np.testing.assert_allclose(inside @ mapping, values, atol=1e-12)
    assert np.all(np.isfinite(mapping))
    assert np.linalg.cond(mapping) < 1e3


def test_random_basis_of_a_column_of_zeros():
    values = np.column_stack([np.ones(10), np.zeros(10)])
    for closure in ("affine", "scaling", "common"):
        inside, mapping = random_basis(values, closure, 0)
        np.testing.assert_allclose(inside @ mapping, values, atol=1e-15)
        assert np.linalg.cond(mapping) < 1e3
