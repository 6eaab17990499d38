"""Exact second derivatives of the log-determinant, for small numbers of random effects.

The average information replaces tr(PV̇PV̇) by its expectation's twin; with few levels the two
differ so much that Newton crawls.  Where q is small the trace itself is affordable.
"""

from __future__ import annotations

from collections.abc import Sequence

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
        self._A, self._X = dense_products(plan, arranged)
        self._sizes = [int(k) for k in plan.factor_size]
        starts = [plan.offset[p] for p in plan.position]
        # Columns of u by factor, level, coefficient.
        self._columns = [
            (s[:, None] + np.arange(k)).ravel() for s, k in zip(starts, self._sizes, strict=True)
        ]
        self._order = np.concatenate(self._columns)
        self._ends = np.cumsum([0] + [len(c) for c in self._columns])
        self._roots = [(columns, np.linalg.cholesky(K)) for columns, K in arranged.related]

    def __call__(self, factor: BlockFactor, scaled: Floats, reml: bool) -> list[list[Floats]]:
        """Per pair of factors f, g the sums G (k_f, k_f, k_g, k_g) over levels i, j.

        G[a, b, c, d] = Σ P[ib, jc] P[ia, jd], whence tr(PΣ̇PΣ̇') = Σ Σ̇[a, b] Σ̇'[c, d] G[a, b, c, d].
        ``scaled`` is ΛᵀA (q, q) in the plan's order.
        """
        rhs = np.vstack([scaled, self._X.T])
        factor.forward(rhs)
        used = rhs if reml else rhs[: len(scaled)]
        P = self._A - used.T @ used
        for columns, root in self._roots:
            for column in columns.T:
                P[column] = root.T @ P[column]
                P[:, column] = P[:, column] @ root
        P = P[np.ix_(self._order, self._order)]
        return [
            [self._sums(P, f, g) for g in range(len(self._sizes))] for f in range(len(self._sizes))
        ]

    def _sums(self, P: Floats, f: int, g: int) -> Floats:
        kf, kg = self._sizes[f], self._sizes[g]
        block = P[self._ends[f] : self._ends[f + 1], self._ends[g] : self._ends[g + 1]]
        pairs = block.reshape(-1, kf, block.shape[1] // kg, kg).transpose(1, 3, 0, 2)
        flat = pairs.reshape(kf * kg, -1)
        gram = (flat @ flat.T).reshape(kf, kg, kf, kg)
        sums: Floats = gram.transpose(2, 0, 1, 3)
        return sums

    def scaled(self, flat: Floats, plan: Plan) -> Floats:
        """ΛᵀA for relative factors given concatenated, as ``BlockFactor.factorize`` takes them."""
        result = np.empty_like(self._A)
        for f, k in enumerate(self._sizes):
            T = flat[plan.factor_ptr[f] : plan.factor_ptr[f + 1]].reshape(k, k)
            rows = self._A[self._columns[f]].reshape(-1, k, self._A.shape[1])
            result[self._columns[f]] = (T.T @ rows).reshape(-1, self._A.shape[1])
        return result


def contract(
    sums: Sequence[Sequence[Floats]], owner: NDArray[np.int32], directions: Sequence[Floats]
) -> Floats:
    """tr(PΣ̇_kPΣ̇_l) (m, m) for directions (k_f, k_f), ``owner`` (m,) the factor of each."""
    m = len(directions)
    trace = np.empty((m, m))
    for l in range(m):
        moved = [np.tensordot(row[owner[l]], directions[l], 2) for row in sums]
        for k in range(l + 1):
            trace[k, l] = trace[l, k] = float(np.vdot(moved[owner[k]], directions[k]))
    return trace
