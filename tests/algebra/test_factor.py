"""The bordered block factor against dense matrices: every kernel, every kind of pattern."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pytest

from designs import KINDS, codes_of, relationship
from mixedeffects.algebra import cholesky
from mixedeffects.algebra.cholesky import BlockFactor, Plan, analyse, arrange, columns_of
from mixedeffects.algebra.crossproducts import Grouping, crossproducts

# How many of the levels that could be eliminated one by one are: the rest joins the dense block.
SPLITS = {"as planned": None, "half": 0.5, "all dense": 0.0, "all sparse": 1.0}


@dataclass(frozen=True)
class Case:
    """A factor and the dense system of which it is the factor, in the plan's order."""

    plan: Plan
    factor: BlockFactor
    Z: np.ndarray
    X: np.ndarray
    y: np.ndarray
    w: np.ndarray
    T: tuple[np.ndarray, ...]
    relationships: tuple[np.ndarray | None, ...]

    @property
    def q(self) -> int:
        return self.Z.shape[1]

    @property
    def p(self) -> int:
        return self.X.shape[1]

    @cached_property
    def relative(self) -> np.ndarray:
        """Λ (q, q)."""
        out = np.zeros((self.q, self.q))
        for f, T in enumerate(self.T):
            for columns in columns_of(self.plan, f):
                out[np.ix_(columns, columns)] = T
        return out

    @cached_property
    def kinship(self) -> np.ndarray:
        """Covariance (q, q) of u between levels."""
        out = np.eye(self.q)
        for f, K in enumerate(self.relationships):
            if K is not None:
                for column in columns_of(self.plan, f).T:
                    out[np.ix_(column, column)] = K
        return out

    @cached_property
    def products(self) -> np.ndarray:
        whole = np.hstack([self.Z, self.X, self.y[:, None]])
        return whole.T @ (self.w[:, None] * whole)

    @cached_property
    def system(self) -> np.ndarray:
        S = np.eye(self.q + self.p + 1)
        S[: self.q, : self.q] = self.relative
        M = S.T @ self.products @ S
        M[: self.q, : self.q] += np.linalg.inv(self.kinship)
        return M

    @cached_property
    def solution(self) -> np.ndarray:
        """(û, β̂)."""
        return np.linalg.solve(self.system[:-1, :-1], self.system[:-1, -1])

    @cached_property
    def score(self) -> np.ndarray:
        u, beta = np.split(self.solution, [self.q])
        residual = self.y - self.X @ beta - self.Z @ self.relative @ u
        return self.Z.T @ (self.w * residual)

    def inverse(self, border: bool) -> np.ndarray:
        n = self.q + self.p * border
        return np.linalg.inv(self.system[:n, :n])


def build_case(kind, monkeypatch, *, split=None, weighted=False, known=(), p=2, sizes=(2, 1, 3)):
    codes = codes_of(kind, np.random.default_rng(8))
    rng = np.random.default_rng(9)
    n = len(codes[0])
    w = rng.uniform(0.3, 2.0, n) if weighted else np.ones(n)
    groups, blocks = [], []
    for f, own in enumerate(codes):
        k, n_levels = sizes[f % len(sizes)], int(own.max()) + 1
        values = np.ascontiguousarray(rng.normal(size=(n, k)))
        K = relationship(n_levels, rng) if f in known else None
        groups.append(Grouping(own.astype(np.int32), values, n_levels, K))
    X, y = rng.normal(size=(n, p)), rng.normal(size=n)
    products = crossproducts(groups, X, y, w if weighted else None)
    relationships = tuple(g.relationship for g in groups)
    if split is not None:
        monkeypatch.setattr(cholesky, "order", truncated(cholesky.order, split))
    plan = analyse(products, [r is not None for r in relationships])
    q = int(plan.offset[-1])
    Z = np.zeros((n, q))
    for f, g in enumerate(groups):
        blocks = columns_of(plan, f)[g.codes]
        np.put_along_axis(Z, blocks, g.values + np.take_along_axis(Z, blocks, 1), 1)
    # The second factor has no zeros at all: an optimizer may rotate a triangle.
    T = tuple(
        rng.normal(size=(k, k)) if f % 2 else np.tril(rng.normal(size=(k, k)))
        for f, k in enumerate(plan.factor_size)
    )
    factor = BlockFactor(plan, arrange(products, plan, relationships))
    assert factor.factorize(np.concatenate([t.ravel() for t in T])) == 0
    return Case(plan, factor, Z, X, y, w, T, relationships)


def truncated(order, share):
    """An order that eliminates only a share of the vertices one by one."""

    def shortened(ptr, adjacent, size, *rest):
        if share == 1.0:
            return all_sparse(ptr, adjacent)
        leading, pointers, rows = order(ptr, adjacent, size, *rest)
        count = int(share * len(leading))
        return leading[:count].copy(), pointers[: count + 1].copy(), rows[: pointers[count]].copy()

    return shortened


def all_sparse(ptr, adjacent):
    """Every vertex in order of degree, with the pattern that symbolic elimination gives."""
    neighbours = [set(adjacent[a:b].tolist()) for a, b in pairwise(ptr)]
    leading = np.argsort([len(x) for x in neighbours], kind="stable").astype(np.int32)
    rows, pointers = [], [0]
    for v in leading.tolist():
        rows += sorted(neighbours[v])
        pointers.append(len(rows))
        for other in neighbours[v]:
            neighbours[other] = (neighbours[other] | neighbours[v]) - {v, other}
    return leading, np.array(pointers, dtype=np.int64), np.array(rows, dtype=np.int32)


OPTIONS = {
    "plain": {},
    "weights": {"weighted": True},
    "known": {"known": (0,)},
    "known and weights": {"known": (0, 1), "weighted": True},
    "no fixed effects": {"p": 0},
}


CASES = [
    *((kind, split, "plain") for kind in KINDS for split in SPLITS),
    *((kind, split, o) for kind in ("crossed", "nested") for split in SPLITS for o in OPTIONS),
    *(("partially crossed", "half", o) for o in OPTIONS),
]


@pytest.fixture(params=dict.fromkeys(CASES), ids="-".join)
def case(request, monkeypatch):
    kind, split, options = request.param
    return build_case(kind, monkeypatch, split=SPLITS[split], **OPTIONS[options])


def close(value, expected, tolerance=1e-9):
    scale = np.abs(expected).max(initial=1e-300)
    np.testing.assert_allclose(value, expected, rtol=0, atol=tolerance * scale)


def selected(case, border):
    """The selected inverse as a dense matrix, NaN where nothing was selected."""
    plan, factor = case.plan, case.factor
    factor.invert(border)
    n = case.q + case.p * border
    lead, out = int(plan.offset[plan.n_leading]), np.full((n, n), np.nan)
    behind = n - lead
    upper = np.triu(factor.inverse_dense[:behind, :behind])  # all that is promised
    out[lead:, lead:] = upper + np.triu(upper, 1).T
    for v in range(plan.n_leading):
        own = np.arange(plan.offset[v], plan.offset[v + 1])
        k, width = len(own), int(plan.panel_width[v])
        block = factor.inverse_diagonal[plan.square[v] : plan.square[v + 1]]
        out[np.ix_(own, own)] = block.reshape(k, k)
        later = [
            np.arange(plan.offset[w], plan.offset[w + 1])
            for w in plan.struct_rows[plan.struct_ptr[v] : plan.struct_ptr[v + 1]]
        ]
        later = np.concatenate([*later, case.q + np.arange(case.p * border)]).astype(int)
        panel = factor.inverse_panel[plan.panel_ptr[v] : plan.panel_ptr[v + 1]]
        block = panel.reshape(k, width)[:, : len(later)]
        out[np.ix_(own, later)], out[np.ix_(later, own)] = block, block.T
    return out


def test_positions_are_a_permutation(case):
    everywhere = np.concatenate([columns_of(case.plan, f).ravel() for f in range(len(case.T))])
    assert np.array_equal(np.sort(everywhere), np.arange(case.q))


def test_pattern_covers_the_numeric_fill(case):
    plan, R = case.plan, np.linalg.cholesky(case.system[:-1, :-1]).T
    for v in range(plan.n_leading):
        own = slice(plan.offset[v], plan.offset[v + 1])
        rows = plan.struct_rows[plan.struct_ptr[v] : plan.struct_ptr[v + 1]]
        assert np.all(rows > v)
        assert np.all(np.diff(rows) > 0)
        rest = np.abs(R[own, : case.q]).max(axis=0)
        rest[own] = 0.0
        for w in rows:
            rest[plan.offset[w] : plan.offset[w + 1]] = 0.0
        assert rest.max() < 1e-12


def test_log_determinants_and_residual_sum_of_squares(case):
    L = np.linalg.cholesky(case.system)
    logs = 2 * np.log(np.diagonal(L))
    assert case.factor.log_determinant == pytest.approx(logs[: case.q].sum(), rel=1e-11)
    expected = logs[case.q : -1].sum()
    assert case.factor.log_determinant_x == pytest.approx(expected, rel=1e-11, abs=1e-12)
    assert case.factor.rss == pytest.approx(L[-1, -1] ** 2, rel=1e-10)


def test_solution_and_score(case):
    case.factor.solve()
    close(np.concatenate([case.factor.u, case.factor.beta]), case.solution)
    close(case.factor.s, case.score)
    close(case.factor.related, case.kinship @ case.score)


def test_forward_substitution(case):
    rhs = np.random.default_rng(3).normal(size=(case.q + case.p, 5))
    expected = np.linalg.solve(np.linalg.cholesky(case.system[:-1, :-1]), rhs)
    case.factor.forward(rhs)
    close(rhs, expected)


@pytest.mark.parametrize("border", [False, True])
def test_selected_inverse(case, border):
    result, expected = selected(case, border), case.inverse(border)
    known = ~np.isnan(result)
    close(result[known], expected[known])
    assert np.all(known[case.products[: len(known), : len(known)] != 0])


@pytest.mark.parametrize("border", [False, True])
def test_covariances_of_levels(case, border):
    expected = case.inverse(border)
    case.factor.invert(border)
    for f, position in enumerate(case.plan.position):
        columns = columns_of(case.plan, f)
        blocks = expected[columns[:, :, None], columns[:, None, :]]
        close(case.factor.level_covariances(position), blocks)


@pytest.mark.parametrize("border", [False, True])
def test_traces_and_scores_of_each_factor(case, border):
    case.factor.solve()
    case.factor.invert(border)
    traces, scores = case.factor.contract()
    n = case.q + case.p * border
    S = np.eye(n)
    S[: case.q, : case.q] = case.relative
    product = (case.products[: case.q, :n] @ S) @ case.inverse(border)[:, : case.q]
    outer = np.outer(case.score, case.kinship @ case.score)
    for f, (start, k) in enumerate(zip(case.plan.factor_ptr, case.plan.factor_size, strict=False)):
        at = slice(start, start + k * k)
        columns = columns_of(case.plan, f)
        pick = columns[:, :, None], columns[:, None, :]
        close(traces[at].reshape(k, k), product[pick].sum(axis=0))
        close(scores[at].reshape(k, k), outer[pick].sum(axis=0))


def test_average_information(case):
    case.factor.solve()
    rng = np.random.default_rng(11)
    owner = np.repeat(np.arange(len(case.T), dtype=np.int32), 2)
    directions = [rng.normal(size=(k, k)) for k in case.plan.factor_size[owner]]
    directions = [d + d.T for d in directions]
    pointers = np.concatenate([[0], np.cumsum([d.size for d in directions])]).astype(np.int64)
    information, dot = case.factor.information(
        owner, np.concatenate([d.ravel() for d in directions]), pointers
    )
    n = case.q + case.p
    S = np.eye(n)
    S[: case.q, : case.q] = case.relative
    A = case.products[:n, :n]
    P = (A - A @ S @ case.inverse(True) @ S.T @ A)[: case.q, : case.q]
    columns = []
    for f, direction in zip(owner, directions, strict=True):
        c = np.zeros(case.q)
        for at in columns_of(case.plan, f):
            c[at] = direction @ (case.kinship @ case.score)[at]
        columns.append(c)
    c = np.array(columns).T
    close(information, c.T @ P @ c)
    close(dot, c.T @ case.score)


@pytest.mark.parametrize("border", [False, True])
def test_variances_of_rows(case, border):
    rng = np.random.default_rng(12)
    sizes = case.plan.factor_size
    seen = np.array([rng.choice(len(case.y), 30)])[0]
    vertices = np.stack([first_vertices(case, f)[seen] for f in range(len(sizes))], axis=1)
    vertices[:10][rng.random((10, len(sizes))) < 0.4] = -1
    z = rng.normal(size=(30, int(sizes.sum())))
    x = rng.normal(size=(30, case.p))
    case.factor.invert(border)
    result = case.factor.variances(np.ascontiguousarray(vertices, dtype=np.int32), z, x)
    close(result, forms(case, vertices, z, x, case.inverse(border)))


def test_variances_of_pairs_never_seen_together(case):
    """Such a row is NaN, or right where its entry happens to have been selected."""
    rng = np.random.default_rng(13)
    sizes, p = case.plan.factor_size, case.p
    vertices = np.stack([rng.choice(own, 40) for own in case.plan.position], axis=1)
    z, x = rng.normal(size=(40, int(sizes.sum()))), rng.normal(size=(40, p))
    case.factor.invert(True)
    result = case.factor.variances(np.ascontiguousarray(vertices, dtype=np.int32), z, x)
    expected = forms(case, vertices, z, x, case.inverse(True))
    known = ~np.isnan(result)
    close(result[known], expected[known])


def first_vertices(case, f):
    """Vertex of each row's level of factor f."""
    columns = columns_of(case.plan, f)
    level = np.abs(case.Z[:, columns]).max(axis=2).argmax(axis=1)
    return case.plan.position[f][level]


def forms(case, vertices, z, x, inverse):
    """a' M⁻¹ a of each row, a dense."""
    a = np.zeros((len(z), len(inverse)))
    if len(inverse) > case.q:
        a[:, case.q :] = x
    ends = np.cumsum([0, *case.plan.factor_size])
    for row, own in enumerate(vertices):
        for f, vertex in enumerate(own):
            if vertex >= 0:
                at = slice(case.plan.offset[vertex], case.plan.offset[vertex + 1])
                a[row, at] = z[row, ends[f] : ends[f + 1]]
    return np.einsum("ij,jk,ik->i", a, inverse, a)


def test_a_second_point_leaves_nothing_of_the_first(case):
    first = np.array(case.factor.T)
    before = case.factor.log_determinant, case.factor.rss
    case.factor.solve()
    case.factor.invert(True)
    old = selected(case, True)
    assert case.factor.factorize(2.5 * first) == 0
    case.factor.solve()
    case.factor.invert(True)
    assert case.factor.factorize(first) == 0
    assert (case.factor.log_determinant, case.factor.rss) == before
    np.testing.assert_array_equal(selected(case, True), old)
    np.testing.assert_array_equal(selected(case, False), selected(case, False))


def test_zero_factors(case):
    zero = np.zeros_like(np.asarray(case.factor.T))
    assert case.factor.factorize(zero) == 0
    related = sum(
        k * np.linalg.slogdet(K)[1]
        for k, K in zip(case.plan.factor_size, case.relationships, strict=True)
        if K is not None
    )
    assert case.factor.log_determinant == pytest.approx(-related, rel=1e-10, abs=1e-12)
    case.factor.solve()
    assert np.abs(np.asarray(case.factor.u)).max() < 1e-12


def test_a_singular_system_is_reported(monkeypatch):
    case = build_case("crossed", monkeypatch)
    nan = np.full(len(np.asarray(case.factor.T)), np.nan)
    assert case.factor.factorize(nan) != 0
