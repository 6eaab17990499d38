"""Random effects in components that share no rows, as dense arrays of many alike at a time.

V is block diagonal over components, so whatever needs Z'V⁻¹Z needs it within them only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.crossproducts import Crossproducts
from mixedeffects.errors import ModelError
from mixedeffects.fitting.problem import Problem

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]

# Numbers of one component's dense matrices beyond which they are refused: 3 GB each.
LARGEST = 400_000_000
# Numbers that the matrices of a batch hold at most, if they hold more than one component.
BATCH = 1 << 21


@dataclass(frozen=True, slots=True)
class Batch:
    """c components with the same number of levels of each grouping factor, standardized.

    The leaves are the n levels of one factor, which are independent of one another; the other
    r effects, the rest, go by factor, level, coefficient.  A known relationship matrix is
    taken into Z.

    ``leaf`` the leaves' factor, if any; ``leaves`` (c, n, k, k + r + p) their Z'W[Z, Z of the rest,
    X]; ``rest`` (c, r, r + p) Z'W[Z, X]; ``own`` the slice of each factor in the rest.
    """

    leaf: int | None
    leaves: Floats
    rest: Floats
    own: dict[int, slice]


def batches(problem: Problem, width: int) -> Iterator[Batch]:
    """The components of a problem; ``width``: numbers that the caller keeps for an effect.

    Raises
    ------
    ModelError
        If a component is too large for dense matrices.
    """
    products = problem.products
    sizes = np.array([d.shape[1] for d in products.diagonal])
    members = _components(problem)
    counts = np.stack([np.bincount(m, minlength=_number(members)) for m in members], axis=1)
    leaf = _leaf(problem)
    kinds, kind = np.unique(counts, axis=0, return_inverse=True)
    numbers = [_numbers(levels, sizes, leaf, width) for levels in kinds]
    if max(numbers) > LARGEST:
        raise ModelError(
            f"Kenward-Roger needs dense matrices of the random effects that share rows, here "
            f"{int((counts @ sizes).max()):,} of them with {max(numbers):,} numbers (at most "
            f"{LARGEST:,}): use df='satterthwaite', which agrees with it in data of this size."
        )
    sequence = np.argsort(kind.ravel(), kind="stable")
    place = np.empty_like(sequence)
    place[sequence] = np.arange(len(sequence))
    arranged = _Arranged(problem, [place[m] for m in members], leaf)
    ends = [0, *np.cumsum(np.bincount(kind.ravel(), minlength=len(kinds))).tolist()]
    for levels, (first, last), number in zip(kinds, pairwise(ends), numbers, strict=True):
        step = max(1, BATCH // number)
        for start in range(first, last, step):
            yield arranged.batch(levels, start, min(start + step, last))


def _leaf(problem: Problem) -> int | None:
    """The grouping factor of most effects among those with independent levels."""
    effects = [d.shape[0] * d.shape[1] for d in problem.products.diagonal]
    independent = [f for f, g in enumerate(problem.groupings) if g.relationship is None]
    return max(independent, key=lambda f: effects[f], default=None)


def _numbers(levels: Longs, sizes: Longs, leaf: int | None, width: int) -> int:
    """Numbers in the matrices of a component with so many levels of each factor."""
    leaves, k = (0, 0) if leaf is None else (int(levels[leaf] * sizes[leaf]), int(sizes[leaf]))
    rest = int(levels @ sizes) - leaves
    return (leaves + rest) * (rest + width) + (k * rest) ** 2 + leaves * k


def _number(members: list[Longs]) -> int:
    return 1 + max(int(m.max()) for m in members)


def _components(problem: Problem) -> list[Longs]:
    """The component (L,) of the levels of each grouping factor."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    products = problem.products
    base = np.cumsum([0] + [len(d) for d in products.diagonal])
    first = [base[pair.first] + pair.rows for pair in products.pairs]
    second = [base[pair.second] + pair.columns for pair in products.pairs]
    for f, grouping in enumerate(problem.groupings):
        if grouping.relationship is not None:
            first.append(np.full(grouping.n_levels, base[f]))
            second.append(np.arange(base[f], base[f + 1]))
    if not first:
        return [np.arange(base[-1])]
    rows, columns = np.concatenate(first), np.concatenate(second)
    n = int(base[-1])
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(n, n))
    labels = connected_components(graph, directed=False)[1].astype(np.int64)
    return [labels[base[f] : base[f + 1]] for f in range(len(base) - 1)]


class _Arranged:
    """Cross-products sorted by component, of which a batch is a slice."""

    def __init__(self, problem: Problem, members: list[Longs], leaf: int | None) -> None:
        self.products: Crossproducts = problem.products
        self.relationships = [g.relationship for g in problem.groupings]
        self.leaf = leaf
        self.levels = [np.argsort(m, kind="stable") for m in members]
        self.components = [m[order] for m, order in zip(members, self.levels, strict=True)]
        self.local = [np.empty(len(m), dtype=np.int64) for m in members]
        for local, order, component in zip(self.local, self.levels, self.components, strict=True):
            local[order] = np.arange(len(order)) - np.searchsorted(component, component)
        owners = [members[pair.first][pair.rows] for pair in self.products.pairs]
        self.entries = [np.argsort(owner, kind="stable") for owner in owners]
        self.owners = [o[order] for o, order in zip(owners, self.entries, strict=True)]

    def batch(self, counts: Longs, start: int, stop: int) -> Batch:
        """Components start to stop, which all have ``counts`` (F,) levels of each factor."""
        products, leaf, c = self.products, self.leaf, stop - start
        sizes = [d.shape[1] for d in products.diagonal]
        others = [f for f in range(len(sizes)) if f != leaf]
        ends = np.cumsum([0, *(int(counts[f]) * sizes[f] for f in others)]).tolist()
        own = {f: slice(a, b) for f, (a, b) in zip(others, pairwise(ends), strict=True)}
        n, k = (0, 1) if leaf is None else (int(counts[leaf]), sizes[leaf])
        r, p = ends[-1], products.corner.shape[0] - 1
        leaves, rest = np.zeros((c, n, k, k + r + p)), np.zeros((c, r, r + p))
        levels = [self._levels(f, start, stop).reshape(c, -1) for f in range(len(sizes))]
        if leaf is not None:
            leaves[..., :k] = products.diagonal[leaf][levels[leaf]]
            leaves[..., k + r :] = products.border[leaf][levels[leaf]][..., :-1]
        for f in others:
            places = own[f].start + np.arange(counts[f] * sizes[f]).reshape(-1, sizes[f])
            rest[:, places[:, :, None], places[:, None, :]] = products.diagonal[f][levels[f]]
            rest[:, own[f], r:] = products.border[f][levels[f]][..., :-1].reshape(c, -1, p)
        for number in range(len(products.pairs)):
            self._place_pairs(leaves[..., k : k + r], rest, own, number, start, stop)
        for f in others:
            relationship = self.relationships[f]
            if relationship is not None and counts[f]:
                among = relationship[np.ix_(levels[f][0], levels[f][0])]
                root = np.kron(np.linalg.cholesky(among), np.eye(sizes[f]))
                coupling = leaves[..., k : k + r]
                coupling[..., own[f]] = coupling[..., own[f]] @ root
                rest[:, :, own[f]] = rest[:, :, own[f]] @ root
                rest[:, own[f]] = root.T @ rest[:, own[f]]
        return Batch(leaf, leaves, rest, own)

    def _levels(self, f: int, start: int, stop: int) -> Longs:
        inside = slice(*np.searchsorted(self.components[f], [start, stop]))
        return self.levels[f][inside]

    def _place_pairs(
        self,
        coupling: Floats,
        rest: Floats,
        own: dict[int, slice],
        number: int,
        start: int,
        stop: int,
    ) -> None:
        """Blocks between levels: leaves with the rest, or the rest with the rest."""
        pair = self.products.pairs[number]
        inside = slice(*np.searchsorted(self.owners[number], [start, stop]))
        entries, owner = self.entries[number][inside], self.owners[number][inside] - start
        blocks, f, g = pair.blocks[entries], pair.first, pair.second
        i, j = self.local[f][pair.rows[entries]], self.local[g][pair.columns[entries]]
        if g == self.leaf:
            blocks, f, g, i, j = blocks.transpose(0, 2, 1), g, f, j, i
        _, kf, kg = blocks.shape
        columns = own[g].start + j[:, None] * kg + np.arange(kg)
        if f == self.leaf:
            coupling[owner[:, None], i[:, None], :, columns] = blocks.transpose(0, 2, 1)
            return
        rows = (own[f].start + i[:, None] * kf + np.arange(kf))[:, :, None]
        rest[owner[:, None, None], rows, columns[:, None]] = blocks
        rest[owner[:, None, None], columns[:, None], rows] = blocks
