"""What Kenward and Roger need of V, summed over the components of the random effects.

In a component V = V₁ + Z_rΣ_rZ_r', V₁ = W⁻¹/σ² + Z_lΣ_lZ_l' for the leaves l, the levels of the
largest grouping factor, which share no rows: Z'V₁⁻¹Z is block diagonal over them, and
Z'V⁻¹Z = Z'V₁⁻¹Z − Y'Y with as many rows in Y as there are other effects.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.fitting.problem import Problem
from mixedeffects.inference.components import Batch, batches
from mixedeffects.inference.elements import Elements

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moments:
    """P (e, p, p), Q (e, e, p, p), tr(V⁻¹G_aV⁻¹G_b) (e, e) and tr(V⁻¹G_a) (e,)."""

    P: Floats
    Q: Floats
    pairs: Floats
    single: Floats


def moments_of(problem: Problem, elements: Elements) -> Moments:
    """The moments of all elements but the residual variance.

    Raises
    ------
    ModelError
        If the effects of a component are too many for dense matrices.
    """
    counts = [len(b) for b in elements.bases]
    e, p = sum(counts), problem.plan.n_fixed
    places = [slice(a, b) for a, b in pairwise(np.cumsum([0, *counts]).tolist())]
    moments = Moments(np.zeros((e, p, p)), np.zeros((e, e, p, p)), np.zeros((e, e)), np.zeros(e))
    for batch in batches(problem, p * (3 + max(counts))):
        _add(moments, batch, elements, places)
    return moments


def _add(moments: Moments, batch: Batch, elements: Elements, places: list[slice]) -> None:
    blocks, ZVX = _whitened(batch, elements.factors)
    moved = {f: _moved(elements.bases[f], rows) for f, rows in ZVX.items()}
    for f, own in ZVX.items():
        basis, rows = elements.bases[f], places[f]
        e, p = len(basis), own.shape[2]
        left = moved[f].reshape(len(own) * own.shape[1], e * p)
        sums = own.reshape(len(left), p).T @ left
        moments.P[rows] -= sums.reshape(p, e, p).transpose(1, 0, 2)
        moments.single[rows] += np.einsum("eab,ab->e", basis, blocks[f, f].trace(len(basis[0])))
        for g, others in enumerate(elements.bases):
            if (f, g) not in blocks:
                continue
            columns = places[g]
            pairs = np.einsum(
                "eab,apbq,gpq->eg",
                basis,
                blocks[f, g].gram(len(basis[0]), len(others[0])),
                others,
                optimize=True,
            )
            right = blocks[f, g].times(moved[g]).reshape(len(left), len(others) * p)
            Q = (left.T @ right).reshape(e, p, len(others), p).transpose(0, 2, 1, 3)
            moments.pairs[rows, columns] += pairs
            moments.Q[rows, columns] += Q
            if g != f:
                moments.pairs[columns, rows] += pairs.T
                moments.Q[columns, rows] += Q.transpose(1, 0, 3, 2)


def _moved(basis: Floats, ZVX: Floats) -> Floats:
    """(I ⊗ D_a) Z'V⁻¹X of one factor's rows, (c, s, e·p)."""
    c, s, p = ZVX.shape
    e, k, _ = basis.shape
    stacked = basis.transpose(1, 0, 2).reshape(k * e, k) @ ZVX.reshape(c, s // k, k, p)
    return stacked.reshape(c, s, e * p)


# -- Z'V⁻¹Z --------------------------------------------------------------------------------


class AbstractBlock(ABC):
    """Z_f'V⁻¹Z_g of a batch of components, (c, s, t), by level and coefficient."""

    @abstractmethod
    def times(self, right: Floats) -> Floats:
        """Its product with (c, t, m)."""

    @abstractmethod
    def trace(self, k: int) -> Floats:
        """Sum (k, k) of the levels' own blocks, where f is g."""

    @abstractmethod
    def gram(self, k: int, j: int) -> Floats:
        """Σ K[l a, m p] K[l b, m q] over levels l of f and m of g, (a, p, b, q)."""


@dataclass(frozen=True, slots=True)
class DenseBlock(AbstractBlock):
    """As an array ``values`` (c, s, t)."""

    values: Floats

    def times(self, right: Floats) -> Floats:
        return self.values @ right

    def trace(self, k: int) -> Floats:
        c, s, _ = self.values.shape
        blocks = self.values.reshape(c, s // k, k, s // k, k)
        return cast(Floats, np.einsum("clalb->ab", blocks))

    def gram(self, k: int, j: int) -> Floats:
        c, s, t = self.values.shape
        levels = self.values.reshape(c, s // k, k, t // j, j)
        flat = levels.transpose(2, 4, 0, 1, 3).reshape(k * j, -1)
        return cast(Floats, (flat @ flat.T).reshape(k, j, k, j))


@dataclass(frozen=True, slots=True)
class LeafBlock(AbstractBlock):
    """Of the leaves: diagonal blocks ``own`` (c, n, k, k) less Y'Y, ``Y`` (c, r, n, k)."""

    own: Floats
    Y: Floats

    def times(self, right: Floats) -> Floats:
        c, n, k, _ = self.own.shape
        flat = self.Y.reshape(c, -1, n * k)
        blocks = (self.own @ right.reshape(c, n, k, -1)).reshape(right.shape)
        return blocks - flat.transpose(0, 2, 1) @ (flat @ right)

    def trace(self, k: int) -> Floats:
        flat = self.Y.reshape(-1, k)
        return cast(Floats, self.own.sum(axis=(0, 1)) - flat.T @ flat)

    def gram(self, k: int, j: int) -> Floats:
        own = self.own.reshape(-1, k * k)
        both = np.einsum("crna,crnb->cnab", self.Y, self.Y).reshape(-1, k * k)
        crossed = own.T @ both
        near = own.T @ own - crossed - crossed.T
        Y = self.Y.transpose(3, 0, 1, 2)
        outer = (Y[:, None] @ Y[None].swapaxes(-1, -2)).reshape(k * k, -1)
        far = (outer @ outer.T).reshape(k, k, k, k)
        return cast(Floats, near.reshape(k, k, k, k) + far.transpose(0, 2, 1, 3))


Blocks = dict[tuple[int, int], AbstractBlock]


def _whitened(batch: Batch, factors: list[Floats]) -> tuple[Blocks, dict[int, Floats]]:
    """Z_f'V⁻¹Z_g of pairs of factors, V relative to σ², and Z_f'V⁻¹X of factors."""
    T = np.eye(1) if batch.leaf is None else factors[batch.leaf]
    c, n, k, _ = batch.leaves.shape
    r, p = batch.rest.shape[1], batch.rest.shape[2] - batch.rest.shape[1]
    core = T.T @ batch.leaves
    root = np.linalg.cholesky(core[..., :k] @ T + np.eye(k))
    first = _forward(cast(Floats, root), core)
    leaves = batch.leaves - first[..., :k].swapaxes(-1, -2) @ first
    beyond = first[..., k:].reshape(c, n * k, r + p)
    rest = batch.rest - beyond[..., :r].swapaxes(-1, -2) @ beyond

    scaled = np.empty((c, r, n * k + r + p))
    coupling = leaves[..., k : k + r].reshape(c, n * k, r)
    N = np.zeros((c, r, r))
    for f, own in batch.own.items():
        L = factors[f]
        rows = np.concatenate([coupling[..., own].swapaxes(-1, -2), rest[:, own]], axis=2)
        levels = rows.reshape(c, -1, len(L), rows.shape[2])
        scaled[:, own] = (L.T @ levels).reshape(rows.shape)
    for f, own in batch.own.items():
        L = factors[f]
        columns = scaled[..., n * k : n * k + r][..., own]
        N[..., own] = (columns.reshape(c, r, -1, len(L)) @ L).reshape(columns.shape)
    N[:, np.arange(r), np.arange(r)] += 1.0
    Y = _forward(cast(Floats, np.linalg.cholesky(N)), scaled)

    left, right = Y[..., : n * k], Y[..., n * k :]
    between = leaves[..., k:].reshape(c, n * k, r + p) - left.swapaxes(-1, -2) @ right
    rest = rest - right[..., :r].swapaxes(-1, -2) @ right
    blocks: Blocks = {}
    ZVX: dict[int, Floats] = {}
    if batch.leaf is not None:
        ZVX[batch.leaf] = between[..., r:]
        own_leaves = LeafBlock(leaves[..., :k], left.reshape(c, r, n, k))
        blocks[batch.leaf, batch.leaf] = own_leaves
        blocks |= {(batch.leaf, f): DenseBlock(between[..., own]) for f, own in batch.own.items()}
    for f, own in batch.own.items():
        ZVX[f] = rest[:, own, r:]
        blocks |= {
            (f, g): DenseBlock(rest[:, own, other]) for g, other in batch.own.items() if g <= f
        }
    return blocks, ZVX


def _forward(L: Floats, rhs: Floats) -> Floats:
    """L⁻¹ rhs of stacked lower triangles."""
    if L.shape[-1] <= 1:
        return rhs / L if L.shape[-1] else rhs
    if L.ndim > 3 or len(L) > 1:
        return cast(Floats, np.linalg.solve(L, rhs))
    from scipy.linalg import solve_triangular

    solved: Floats = solve_triangular(L[0], rhs[0], lower=True, check_finite=False)[None]
    return solved
