"""The elimination order's pattern against a symbolic Cholesky done with sets."""

from __future__ import annotations

import numpy as np
import pytest

from mixedeffects.algebra._ordering import order


def random_graph(n, density, rng):
    adjacency = np.triu(rng.random((n, n)) < density, 1)
    return adjacency | adjacency.T


def bipartite(a, b, density, rng):
    adjacency = np.zeros((a + b, a + b), bool)
    adjacency[:a, a:] = rng.random((a, b)) < density
    return adjacency | adjacency.T


def chain(sizes):
    """Nested factors: each level of the next touches a run of levels of all before."""
    n = sum(sizes)
    adjacency = np.zeros((n, n), bool)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    for i, a in enumerate(sizes):
        for j in range(i + 1, len(sizes)):
            parents = np.arange(a) * sizes[j] // a
            adjacency[starts[i] + np.arange(a), starts[j] + parents] = True
    return adjacency | adjacency.T


RNG = np.random.default_rng(0)
GRAPHS = {
    "empty": np.zeros((5, 5), bool),
    "one vertex": np.zeros((1, 1), bool),
    "sparse": random_graph(60, 0.05, RNG),
    "denser": random_graph(40, 0.3, RNG),
    "complete": ~np.eye(30, dtype=bool),
    "path": np.eye(50, k=1, dtype=bool) | np.eye(50, k=-1, dtype=bool),
    "crossed": bipartite(40, 25, 1.0, RNG),
    "partially crossed": bipartite(60, 30, 0.1, RNG),
    "nested": chain([48, 24, 8, 2]),
    "large and sparse": random_graph(300, 0.01, RNG),
}


def run(adjacency, size, first=0, last=0):
    rows, columns = np.nonzero(adjacency)
    ptr = np.concatenate([[0], np.cumsum(adjacency.sum(axis=1))]).astype(np.int64)
    assert np.all(np.diff(rows) >= 0)
    return order(ptr, columns.astype(np.int32), size.astype(np.int32), first, last)


def symbolic(adjacency, leading):
    """Later neighbours of each vertex in ``leading``, with the fill of those before it."""
    neighbours = [set(np.flatnonzero(row)) for row in adjacency]
    patterns = []
    for v in leading:
        pattern = neighbours[v]
        patterns.append(pattern)
        for w in pattern:
            neighbours[w] = (neighbours[w] | pattern) - {v, w}
    return patterns


@pytest.mark.parametrize("sizes", [1, "mixed"])
@pytest.mark.parametrize("name", GRAPHS)
def test_pattern_is_that_of_a_symbolic_factorization(name, sizes):
    adjacency = GRAPHS[name]
    n = len(adjacency)
    size = np.ones(n) if sizes == 1 else np.random.default_rng(1).integers(1, 4, n)
    leading, pointers, vertices = run(adjacency, size)
    assert len(set(leading)) == len(leading)
    assert len(pointers) == len(leading) + 1
    for i, pattern in enumerate(symbolic(adjacency, leading)):
        own = vertices[pointers[i] : pointers[i + 1]]
        assert len(set(own)) == len(own)
        assert set(own) == pattern


@pytest.mark.parametrize(
    ("name", "count"), [("crossed", 40), ("partially crossed", 60), ("nested", 48), ("empty", 5)]
)
def test_vertices_that_never_touch_go_first(name, count):
    adjacency = GRAPHS[name]
    leading, pointers, vertices = run(adjacency, np.ones(len(adjacency)), 0, count)
    early = [v for v in leading if v < count]
    assert set(leading[: len(early)]) == set(early)
    for i, pattern in enumerate(symbolic(adjacency, leading)):
        assert set(vertices[pointers[i] : pointers[i + 1]]) == pattern


@pytest.mark.parametrize("name", ["nested", "path", "empty", "one vertex"])
def test_trees_are_eliminated_without_fill(name):
    adjacency = GRAPHS[name]
    leading, pointers, _ = run(adjacency, np.ones(len(adjacency)))
    assert len(leading) == len(adjacency)
    assert pointers[-1] == adjacency.sum() // 2


def test_dense_graphs_are_left_to_a_dense_factorization():
    complete = ~np.eye(200, dtype=bool)
    leading, _, _ = run(complete, np.ones(200))
    assert len(leading) < 20
