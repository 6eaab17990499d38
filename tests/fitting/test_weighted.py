"""The factor with changing weights against dense matrices."""

from __future__ import annotations

import numpy as np
import pytest

from general_designs import DenseLaplace, general_problem, point
from mixedeffects.fitting.axes import Axes
from mixedeffects.fitting.weighted import WeightedFactor


@pytest.fixture(params=["one", "nested", "crossed", "predictors"])
def setting(request):
    """A factor at some weights and border, and the same as dense matrices.

    Dense columns go by factor and level; ``order`` are their places in the package.
    """
    problem = general_problem("gamma", request.param, 11)
    rng = np.random.default_rng(2)
    n, curved = problem.n_rows, problem.curved
    roots = rng.normal(size=(n, len(curved), len(curved)))
    W = roots @ np.swapaxes(roots, 1, 2)
    weights = {
        (a, b): np.ascontiguousarray(W[:, i, j])
        for i, a in enumerate(curved)
        for j, b in enumerate(curved)
        if i <= j
    }
    theta = point(problem)[: problem.n_parameters]
    factors = Axes(problem.terms, problem.plan).factors(theta)
    T = Axes(problem.terms, problem.plan).flat(factors)
    plan = problem.plan
    blocks = [
        T[plan.factor_ptr[f] : plan.factor_ptr[f + 1]].reshape(k, k)
        for f, k in enumerate(plan.factor_size)
    ]
    rows = WeightedFactor(problem)
    r = {a: rng.normal(size=n) for a in curved}
    shift = {a: rng.normal(size=n) for a in curved}
    moved = {a: sum(weights[min(a, b), max(a, b)] * shift[b] for b in curved) for a in curved}
    rows.step(weights, {a: r[a] - moved[a] for a in curved}, shift)
    collected = rows.collect_one({a: r[a] - moved[a] for a in curved})[:, 0]
    np.testing.assert_allclose(rows.score, collected, rtol=0, atol=1e-12)
    assert rows.factor.factorize(T) == 0
    dense = DenseLaplace(problem).design(theta)
    q = len(next(iter(dense.values())).T)
    H = np.eye(q)
    for i, a in enumerate(curved):
        for j, b in enumerate(curved):
            H += dense[a].T @ (dense[b] * W[:, i, j][:, None])
    order = np.concatenate([c.ravel() for c in rows.columns])
    return problem, rows, blocks, weights, r, dense, H, order


def test_factor(setting):
    _, rows, _, _, r, dense, H, order = setting
    assert rows.factor.log_determinant == pytest.approx(np.linalg.slogdet(H)[1], rel=1e-12)
    rows.factor.solve()
    expected = np.linalg.solve(H, sum(dense[a].T @ r[a] for a in dense))
    np.testing.assert_allclose(rows.factor.u[order], expected, rtol=0, atol=1e-11)


def test_forward_and_backward_are_a_solve(setting):
    """And forward alone is L⁻¹: its square is the quadratic form in H⁻¹."""
    _, rows, _, _, _, _, H, order = setting
    rhs = np.random.default_rng(3).normal(size=(len(H), 3))
    right = np.empty_like(rhs)
    right[order] = rhs
    rows.factor.forward(right)
    np.testing.assert_allclose(right.T @ right, rhs.T @ np.linalg.solve(H, rhs), atol=1e-11)
    rows.factor.backward(right)
    np.testing.assert_allclose(right[order], np.linalg.solve(H, rhs), rtol=0, atol=1e-11)


def test_rows_and_levels(setting):
    problem, rows, blocks, _, r, dense, _, order = setting
    u = np.random.default_rng(4).normal(size=len(order))
    placed = np.empty_like(u)
    placed[order] = u
    for a, spread in rows.spread(placed, blocks).items():
        np.testing.assert_allclose(spread, dense[a] @ u, rtol=0, atol=1e-12)
    collected = rows.scale(rows.collect({a: x[:, None] for a, x in r.items()}), blocks)
    expected = sum(dense[a].T @ r[a] for a in dense)
    np.testing.assert_allclose(collected[order, 0], expected, rtol=0, atol=1e-12)
    assert set(rows.spread(placed, blocks)) == set(problem.curved)


def test_leverages(setting):
    _, rows, blocks, weights, _, dense, H, _ = setting
    found = rows.leverages(blocks)
    assert set(found) == set(weights)
    for (a, b), h in found.items():
        expected = np.einsum("iq,iq->i", dense[a], np.linalg.solve(H, dense[b].T).T)
        np.testing.assert_allclose(h, expected, rtol=0, atol=1e-12)


def test_traces(setting):
    """The diagonal blocks of Z'WZΛH⁻¹, summed over levels, are ∂log|H|/∂T, halved."""
    problem, rows, blocks, weights, _, _, _, _ = setting
    rows.leverages(blocks)
    traces, _ = rows.factor.contract()
    for f, T in enumerate(blocks):
        k = len(T)
        own = traces[problem.plan.factor_ptr[f] : problem.plan.factor_ptr[f + 1]].reshape(k, k)
        expected = np.zeros((k, k))
        for i in range(k):
            for j in range(k):
                step = np.zeros((k, k))
                step[i, j] = 1e-6
                up, down = (
                    np.linalg.slogdet(_hessian(problem, blocks, f, T + s * step, weights))[1]
                    for s in (1, -1)
                )
                expected[i, j] = (up - down) / 4e-6
        np.testing.assert_allclose(own, expected, rtol=0, atol=1e-7)


def _hessian(problem, blocks, changed, T, weights):
    """H (q, q) with another T of one grouping factor, as dense blocks by factor."""
    Z: dict[int, list[np.ndarray]] = {a: [] for a in problem.curved}
    for f, (g, a) in enumerate(zip(problem.groupings, problem.predictor, strict=True)):
        z = g.values @ (T if f == changed else blocks[f])
        L, k = int(g.codes.max()) + 1, z.shape[1]
        wide = np.zeros((len(z), L, k))
        wide[np.arange(len(z)), g.codes] = z
        for b in Z:
            Z[b].append(wide.reshape(len(z), -1) * (b == a))
    dense = {a: np.hstack(parts) for a, parts in Z.items()}
    H = np.eye(len(dense[problem.curved[0]].T))
    for a in problem.curved:
        for b in problem.curved:
            w = weights[min(a, b), max(a, b)]
            H = H + dense[a].T @ (dense[b] * w[:, None])
    return H


def test_products_with_fixed_columns(setting):
    """Z'WX of all predictors, and Z'WZ of columns by levels, as dense products."""
    problem, rows, blocks, weights, _, dense, _, order = setting
    crossed = rows.scale(rows.collect_fixed(weights), blocks)
    expected = np.zeros((len(order), problem.n_fixed))
    for a in problem.curved:
        for b, predictor in enumerate(problem.predictors):
            w = weights.get((min(a, b), max(a, b)))
            if w is not None:
                columns = predictor.basis.columns * w[:, None]
                expected[:, predictor.coefficients] += dense[a].T @ columns
    np.testing.assert_allclose(crossed[order], expected, rtol=0, atol=1e-11)
    u = np.random.default_rng(5).normal(size=(len(order), 2))
    placed = np.empty_like(u)
    placed[order] = u
    found = rows.scale(rows.factor.products(rows.unscale(placed, blocks)), blocks)
    moved = {
        a: sum(weights[min(a, b), max(a, b)][:, None] * (dense[b] @ u) for b in problem.curved)
        for a in problem.curved
    }
    expected = sum(dense[a].T @ moved[a] for a in problem.curved)
    np.testing.assert_allclose(found[order], expected, rtol=0, atol=1e-11)
