"""[Z]'W[Z r] for weights that change, in a factor's arrangement, without a new analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra._weighted import (
    add_levels,
    add_pairs,
    add_rows,
    add_step,
    forms,
    gather,
)
from mixedeffects.algebra.cholesky import ArrangedProducts, BlockFactor, columns_of
from mixedeffects.fitting.general import GeneralProblem

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]
Rows = Mapping[int, Floats]

# In place of y'Wy, which nothing depends on: large enough that its pivot never vanishes.
CORNER = 1e200


class WeightedFactor:
    """The factor of Λ'Z'WZΛ + I for changing W, and what rows and levels tell each other.

    ``factor`` keeps its workspace: one object serves one thread.  W has one weight a row for
    each pair of predictors that carry random effects.  ``score`` (q,) is Z'r of the last step.
    """

    def __init__(self, problem: GeneralProblem) -> None:
        plan = problem.plan
        self.groupings, self.predictor, self.plan = problem.groupings, problem.predictor, plan
        self.columns = [columns_of(plan, f) for f in range(len(problem.groupings))]
        self.squares = [plan.square[p] for p in plan.position]
        self._offsets = [plan.offset[p] for p in plan.position]
        self._pairs = _pair_places(problem)
        self._ones = np.ones(problem.n_rows)
        self._bases = [np.ascontiguousarray(p.basis.columns) for p in problem.predictors]
        self._coefficients = [p.coefficients for p in problem.predictors]
        self._vertices = np.column_stack(
            [p[g.codes] for p, g in zip(plan.position, self.groupings, strict=True)]
        )
        self.score = np.zeros(plan.offset[-1])
        self.products = ArrangedProducts(
            diagonal=np.zeros(plan.square[-1]),
            blocks=np.zeros(plan.block_value[-1]),
            border=np.zeros(plan.offset[-1]),
            corner=np.full((1, 1), CORNER),
            precision_diagonal=None,
            precision_blocks=None,
            related=(),
        )
        self.factor = BlockFactor(plan, self.products)

    def step(self, weights: Mapping[tuple[int, int], Floats], first: Rows, shift: Rows) -> None:
        """Set Z'WZ, the score Z'r and the border Z'(r + W shift), for (n,) by predictor.

        ``weights`` (n,) by pair of predictors (a, b), a ≤ b; zero where missing.
        """
        products = self.products
        for target in (products.diagonal, products.blocks, products.border, self.score):
            target[:] = 0.0
        for f, (g, a) in enumerate(zip(self.groupings, self.predictor, strict=True)):
            add_step(
                *(g.codes, g.values, weights[a, a], first[a], shift[a]),
                *(self.squares[f], self._offsets[f]),
                *(products.diagonal, self.score, products.border),
            )
            for b, moved in shift.items():
                w = weights.get((min(a, b), max(a, b))) if b != a else None
                if w is not None:
                    add_rows(g.codes, g.values, w * moved, self._offsets[f], products.border)
        self._add_pairs(weights)

    def _add_pairs(self, weights: Mapping[tuple[int, int], Floats]) -> None:
        for (f, h), (starts, flipped) in self._pairs.items():
            a, b = sorted((self.predictor[f], self.predictor[h]))
            w = weights.get((a, b))
            if w is not None:
                left, right = self.groupings[f].values, self.groupings[h].values
                add_pairs(starts, flipped, left, right, w, self.products.blocks)

    def collect_one(self, rows: Mapping[int, Floats]) -> Floats:
        """Z'r (q, 1) for r (n,) by predictor."""
        out = np.zeros(int(self.plan.offset[-1]))
        for g, a, offsets in zip(self.groupings, self.predictor, self._offsets, strict=True):
            add_rows(g.codes, g.values, np.ascontiguousarray(rows[a]), offsets, out)
        return out[:, None]

    def collect(self, rows: Mapping[int, Floats]) -> Floats:
        """Z'r (q, m) for r (n, m) by predictor."""
        m = next(iter(rows.values())).shape[1]
        out = np.zeros(int(self.plan.offset[-1]) * m)
        for g, a, offsets in zip(self.groupings, self.predictor, self._offsets, strict=True):
            add_levels(g.codes, g.values, rows[a], self._ones, offsets * m, m, out)
        return out.reshape(-1, m)

    def collect_fixed(self, weights: Mapping[tuple[int, int], Floats]) -> Floats:
        """Z'WX (q, P) for the X of all predictors."""
        P = self._coefficients[-1].stop
        out = np.zeros((int(self.plan.offset[-1]), P))
        for g, a, offsets in zip(self.groupings, self.predictor, self._offsets, strict=True):
            for b, (X, own) in enumerate(zip(self._bases, self._coefficients, strict=True)):
                w = weights.get((min(a, b), max(a, b)))
                if w is not None:
                    starts = offsets * P + own.start
                    add_levels(g.codes, g.values, X, w, starts, P, out.reshape(-1))
        return out

    def spread(self, u: Floats, roots: Sequence[Floats]) -> dict[int, Floats]:
        """ZΛu (n,) by predictor; ``roots`` T (k, k) of each grouping factor."""
        rows: dict[int, Floats] = {}
        for g, a, columns, T in zip(
            self.groupings, self.predictor, self.columns, roots, strict=True
        ):
            if a not in rows:
                rows[a] = np.zeros(len(g.codes))
            gather(g.codes, g.values, np.ascontiguousarray(u[columns] @ T.T), rows[a])
        return rows

    def scale(self, s: Floats, roots: Sequence[Floats]) -> Floats:
        """Λ's for s (q, m)."""
        out = np.empty_like(s)
        for columns, T in zip(self.columns, roots, strict=True):
            out[columns] = T.T @ s[columns]
        return out

    def unscale(self, u: Floats, roots: Sequence[Floats]) -> Floats:
        """Λu for u (q, m)."""
        out = np.empty_like(u)
        for columns, T in zip(self.columns, roots, strict=True):
            out[columns] = T @ u[columns]
        return out

    def leverages(self, roots: Sequence[Floats]) -> dict[tuple[int, int], Floats]:
        """z_a'ΛH⁻¹Λ'z_b (n,) of the rows, by pair of predictors."""
        self.factor.invert(False)
        curved = sorted(set(self.predictor))
        if len(roots) == 1:
            g, T = self.groupings[0], roots[0]
            blocks = T @ self.factor.level_covariances(self.plan.position[0]) @ T.T
            return {(curved[0], curved[0]): forms(g.codes, g.values, blocks)}
        z = np.hstack([g.values @ T for g, T in zip(self.groupings, roots, strict=True)])
        if len(curved) == 1:
            return {(curved[0], curved[0]): self._variances(z)}
        return self._pairwise(z, curved)

    def _pairwise(self, z: Floats, curved: Sequence[int]) -> dict[tuple[int, int], Floats]:
        """By polarization, 2 cov(a, b) = var(a + b) − var(a) − var(b)."""
        own = np.repeat(self.predictor, self.plan.factor_size)
        single = {a: self._variances(z * (own == a)) for a in curved}
        result = {(a, a): single[a] for a in curved}
        for i, a in enumerate(curved):
            for b in curved[i + 1 :]:
                both = self._variances(z * ((own == a) | (own == b)))
                result[a, b] = 0.5 * (both - single[a] - single[b])
        return result

    def _variances(self, z: Floats) -> Floats:
        return self.factor.variances(self._vertices, z, np.empty((len(z), 0)))


def _pair_places(
    problem: GeneralProblem,
) -> dict[tuple[int, int], tuple[Longs, NDArray[np.uint8]]]:
    """Where the block of each row's pair of levels starts, by pair of grouping factors."""
    plan, n_vertices = problem.plan, len(problem.plan.size)
    owner = np.repeat(np.arange(n_vertices, dtype=np.int64), np.diff(plan.block_ptr))
    keys = owner * n_vertices + plan.block_row
    places = {}
    for f, one in enumerate(problem.groupings):
        for h in range(f + 1, len(problem.groupings)):
            other = problem.groupings[h]
            a = plan.position[f][one.codes].astype(np.int64)
            b = plan.position[h][other.codes].astype(np.int64)
            at = np.searchsorted(keys, np.minimum(a, b) * n_vertices + np.maximum(a, b))
            places[f, h] = plan.block_value[at], (a > b).astype(np.uint8)
    return places
