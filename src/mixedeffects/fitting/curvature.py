"""Exact second derivatives of the log-determinant, for small numbers of random effects.

The average information replaces tr(PV̇PV̇) by its expectation's twin; with few levels the two
differ so much that Newton crawls.  Where q is small the trace itself is affordable.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.cholesky import ArrangedProducts, BlockFactor, Plan

Floats = NDArray[np.float64]


def dense_products(plan: Plan, arranged: ArrangedProducts) -> tuple[Floats, Floats]:
    """Z'WZ (q, q) and Z'WX (q, p) in the plan's order."""
    q, width = int(plan.offset[-1]), plan.n_fixed + 1
    A = np.zeros((q, q))
    for v in range(len(plan.size)):
        own = slice(plan.offset[v], plan.offset[v + 1])
        k = int(plan.size[v])
        A[own, own] = arranged.diagonal[plan.square[v] : plan.square[v + 1]].reshape(k, k)
        for e in range(plan.block_ptr[v], plan.block_ptr[v + 1]):
            w = plan.block_row[e]
            other = slice(plan.offset[w], plan.offset[w + 1])
            block = arranged.blocks[plan.block_value[e] : plan.block_value[e + 1]]
            A[own, other] = block.reshape(k, -1)
            A[other, own] = A[own, other].T
    return A, arranged.border.reshape(q, width)[:, :-1]


class TraceCurvature:
    """tr(P Σ̇_k P Σ̇_l) for the directions Σ̇ of the grouping factors' covariances."""

    def __init__(self, plan: Plan, arranged: ArrangedProducts) -> None:
        self.sizes = [int(k) for k in plan.factor_size]
        A, self._X = dense_products(plan, arranged)
        # Columns of u by factor, level, coefficient.
        starts = [plan.offset[p] for p in plan.position]
        columns = [
            (s[:, None] + np.arange(k)).ravel() for s, k in zip(starts, self.sizes, strict=True)
        ]
        self._back = np.argsort(np.concatenate(columns))
        order = np.argsort(self._back)
        self._A, self._X = A[np.ix_(order, order)], self._X[order].T
        self._ends = np.cumsum([0] + [len(c) for c in columns])
        self._pointers = plan.factor_ptr
        self._roots = {
            f: np.linalg.cholesky(K)
            for f, own in enumerate(columns)
            for places, K in arranged.related
            if places[0, 0] in own
        }

    def __call__(self, factor: BlockFactor, reml: bool) -> list[list[Floats]]:
        """Per pair of factors f, g the sums G (k_f², k_g²) over their levels i, j.

        G[ab, cd] = Σ P[ib, jc] P[ia, jd], whence tr(PΣ̇PΣ̇') = Σ Σ̇[a, b] Σ̇'[c, d] G[ab, cd];
        P is that of the factor's present point.
        """
        scaled = self._scaled(factor.T)
        rhs = np.concatenate([scaled[self._back], self._X])
        factor.forward(rhs)
        used = rhs if reml else rhs[: len(scaled)]
        P = self._A - used.T @ used
        for f, root in self._roots.items():
            own = slice(self._ends[f], self._ends[f + 1])
            lifted = np.kron(root, np.eye(self.sizes[f]))
            P[own] = lifted.T @ P[own]
            P[:, own] = P[:, own] @ lifted
        return [
            [self._sums(P, f, g) for g in range(len(self.sizes))] for f in range(len(self.sizes))
        ]

    def _scaled(self, flat: Floats) -> Floats:
        """Λ'A by factor, level, coefficient; ``flat`` the relative factors, concatenated."""
        result = np.empty_like(self._A)
        for f, k in enumerate(self.sizes):
            T = flat[self._pointers[f] : self._pointers[f + 1]].reshape(k, k)
            own = slice(self._ends[f], self._ends[f + 1])
            rows = self._A[own].reshape(-1, k, len(self._A))
            result[own] = (T.T @ rows).reshape(-1, len(self._A))
        return result

    def _sums(self, P: Floats, f: int, g: int) -> Floats:
        kf, kg = self.sizes[f], self.sizes[g]
        block = P[self._ends[f] : self._ends[f + 1], self._ends[g] : self._ends[g + 1]]
        pairs = block.reshape(-1, kf, block.shape[1] // kg, kg).transpose(1, 3, 0, 2)
        flat = pairs.reshape(kf * kg, -1)
        gram = (flat @ flat.T).reshape(kf, kg, kf, kg)
        sums: Floats = gram.transpose(2, 0, 1, 3).reshape(kf * kf, kg * kg)
        return sums
