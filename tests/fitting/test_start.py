"""Where a fit begins: second moments against the dense regression that they are."""

from __future__ import annotations

import numpy as np
import pytest

from designs import Spec, make_model
from mixedeffects.covariance import STRUCTURES, build
from mixedeffects.fitting import start
from mixedeffects.fitting.lmm import Objective
from mixedeffects.fitting.problem import build_problem
from mixedeffects.fitting.start import moment_covariances, start_of


def problem_of(model):
    return build_problem(
        model.response, model.X, model.terms, reml=True, weights=model.weights, intercept=0
    )


def dense_moments(model, problem):
    """Least squares of yy' on the matrices ZEZ' and the identity, all scaled by √w.

    y is the residual of its regression on X, in units of its own size.
    """
    root = np.ones(len(model.y)) if model.weights is None else np.sqrt(model.weights)
    X, y = root[:, None] * model.X, root * model.response
    y = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    y = y / np.sqrt(np.mean(y**2))
    columns = []
    for g in problem.groupings:
        k = g.values.shape[1]
        Z = np.zeros((len(y), g.n_levels, k))
        Z[np.arange(len(y)), g.codes] = g.values * root[:, None]
        for i, j in zip(*np.tril_indices(k), strict=True):
            block = Z[:, :, i] @ Z[:, :, j].T
            columns.append((block if i == j else block + block.T).ravel())
    columns.append(np.eye(len(y)).ravel())
    return np.linalg.lstsq(np.array(columns).T, np.outer(y, y).ravel(), rcond=None)[0]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("kind", "specs"),
    [
        ("one", [Spec("us", 2, 0)]),
        ("nested", [Spec("us", 1, 0), Spec("us", 2, 1)]),
        ("crossed", [Spec("us", 3, 0), Spec("us", 2, 1)]),
        ("three crossed", [Spec("us", 1, 0), Spec("us", 1, 1), Spec("us", 1, 2)]),
    ],
)
def test_moments_are_a_regression(kind, specs, weighted):
    model = make_model(kind, specs, 3, weighted=weighted)
    problem = problem_of(model)
    solution = dense_moments(model, problem)
    residual = max(solution[-1], 0.05)
    at = 0
    for covariance in moment_covariances(problem.moments, problem.products):
        k = len(covariance)
        rows, columns = np.tril_indices(k)
        expected = np.zeros((k, k))
        expected[rows, columns] = solution[at : at + len(rows)]
        expected = (expected + np.tril(expected, -1).T) / residual
        values, vectors = np.linalg.eigh(expected)
        bounded = (vectors * np.clip(values, start.LEAST, start.MOST)) @ vectors.T
        np.testing.assert_allclose(covariance, bounded, rtol=1e-6, atol=1e-8)
        at += len(rows)


def test_moments_find_the_variances_of_large_data():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 300, 20_000), rng.integers(0, 200, 20_000)
    y = 2 * rng.normal(size=300)[first] + 0.5 * rng.normal(size=200)[second]
    y = y + rng.normal(size=20_000)
    specs = [Spec("us", 1, 0), Spec("us", 1, 1)]
    small = make_model("crossed", specs, 0)
    terms = [
        type(t)(np.ones((20_000, 1)), c.astype(np.int32), n, t.covariance, 0, t.factor)
        for t, c, n in zip(small.terms, (first, second), (300, 200), strict=True)
    ]
    problem = build_problem(y, np.ones((20_000, 1)), terms, reml=True, intercept=0)
    one, other = moment_covariances(problem.moments, problem.products)
    assert one[0, 0] == pytest.approx(4.0, rel=0.3)
    assert other[0, 0] == pytest.approx(0.25, rel=0.4)


def test_dear_moments_are_left_out(monkeypatch):
    monkeypatch.setattr(start, "DEAR", 0)
    problem = problem_of(make_model("crossed", [Spec("us", 2, 0), Spec("us", 1, 1)], 1))
    assert start.moment_equations(problem.products) is None
    np.testing.assert_array_equal(Objective(problem).start(), [1.0, 0.0, 1.0, 1.0])


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("k", [1, 2, 4])
def test_start_of_every_structure(structure, k):
    covariance = build(structure, k)
    root = np.tril(np.random.default_rng(k).normal(size=(k, k))) + 2 * np.eye(k)
    moments = root @ root.T
    theta = start_of(covariance, moments)
    T = covariance.factor(theta)
    assert np.all(np.isfinite(theta))
    if covariance.closure == "affine":
        np.testing.assert_allclose(T @ T.T, moments, rtol=1e-10)
    elif covariance.closure == "scaling":
        np.testing.assert_allclose(np.diagonal(T @ T.T), np.diagonal(moments), rtol=1e-10)
    else:
        mean = np.diagonal(moments).mean()
        np.testing.assert_allclose(np.diagonal(T @ T.T), np.full(k, mean), rtol=1e-10)
