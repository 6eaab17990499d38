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

# Random effects of one component beyond which its dense matrices are refused (3 GB each).
LARGEST = 20_000
# Numbers that the matrices of a batch hold at most, if they hold more than one component.
BATCH = 1 << 21


@dataclass(frozen=True, slots=True)
class Batch:
    """c components with the same number of levels of each grouping factor.

    Their s effects go by factor, level, coefficient.  ``own`` the slice of each factor;
    ``ZWZ`` (c, s, s) and ``ZWX`` (c, s, p), standardized, for independent levels: a known
    relationship matrix is taken into Z.
    """

    own: tuple[slice, ...]
    ZWZ: Floats
    ZWX: Floats


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
    largest = int((counts @ sizes).max())
    if largest > LARGEST:
        raise ModelError(
            f"Kenward-Roger needs dense matrices of the random effects that share rows, here "
            f"{largest:,} of them (at most {LARGEST:,}): use df='satterthwaite', which agrees "
            "with it in data of this size."
        )
    kinds, kind = np.unique(counts, axis=0, return_inverse=True)
    sequence = np.argsort(kind.ravel(), kind="stable")
    place = np.empty_like(sequence)
    place[sequence] = np.arange(len(sequence))
    arranged = _Arranged(problem, [place[m] for m in members])
    ends = np.cumsum(np.bincount(kind.ravel(), minlength=len(kinds)))
    for levels, first, last in zip(kinds, np.concatenate([[0], ends[:-1]]), ends, strict=True):
        s = int(levels @ sizes)
        step = max(1, BATCH // (s * (s + width)))
        for start in range(int(first), int(last), step):
            yield arranged.batch(levels, start, min(start + step, int(last)))


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

    def __init__(self, problem: Problem, members: list[Longs]) -> None:
        self.products: Crossproducts = problem.products
        self.relationships = [g.relationship for g in problem.groupings]
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
        products, c = self.products, stop - start
        widths = [d.shape[1] for d in products.diagonal]
        ends = np.cumsum(np.concatenate([[0], counts * widths]))
        own = tuple(slice(a, b) for a, b in pairwise(ends.tolist()))
        s, p = int(ends[-1]), products.corner.shape[0] - 1
        ZWZ, ZWX = np.zeros((c, s, s)), np.empty((c, s, p))
        levels = []
        for f, k in enumerate(widths):
            inside = slice(*np.searchsorted(self.components[f], [start, stop]))
            levels.append(self.levels[f][inside].reshape(c, -1))
            places = ends[f] + np.arange(counts[f] * k).reshape(-1, k)
            ZWZ[:, places[:, :, None], places[:, None, :]] = products.diagonal[f][levels[f]]
            ZWX[:, own[f]] = products.border[f][levels[f]][..., :-1].reshape(c, -1, p)
        for number in range(len(products.pairs)):
            self._place_pairs(ZWZ, number, ends, start, stop)
        for f, relationship in enumerate(self.relationships):
            if relationship is not None and counts[f]:
                among = relationship[np.ix_(levels[f][0], levels[f][0])]
                root = np.kron(np.linalg.cholesky(among), np.eye(widths[f]))
                ZWZ[:, own[f]] = root.T @ ZWZ[:, own[f]]
                ZWZ[:, :, own[f]] = ZWZ[:, :, own[f]] @ root
                ZWX[:, own[f]] = root.T @ ZWX[:, own[f]]
        return Batch(own, ZWZ, ZWX)

    def _place_pairs(self, ZWZ: Floats, number: int, ends: Longs, start: int, stop: int) -> None:
        pair = self.products.pairs[number]
        inside = slice(*np.searchsorted(self.owners[number], [start, stop]))
        entries, owner = self.entries[number][inside], self.owners[number][inside] - start
        blocks = pair.blocks[entries]
        _, kf, kg = blocks.shape
        i = ends[pair.first] + self.local[pair.first][pair.rows[entries]] * kf
        j = ends[pair.second] + self.local[pair.second][pair.columns[entries]] * kg
        rows = i[:, None, None] + np.arange(kf)[:, None]
        columns = j[:, None, None] + np.arange(kg)
        ZWZ[owner[:, None, None], rows, columns] = blocks
        ZWZ[owner[:, None, None], columns, rows] = blocks
