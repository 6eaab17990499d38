"""Where a fit begins: covariances that match the second moments of Z'Wy (MINQUE).

Rao (1971), J. Multivariate Anal. 1, 257-275, with identity weights and without the
projection off X: a rough answer in one pass over the cross-products, near enough for Newton.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.crossproducts import Crossproducts
from mixedeffects.covariance import AbstractCovariance

Floats = NDArray[np.float64]

# Relative variances are kept within these bounds, away from the stationary point at zero.
LEAST, MOST = 0.01, 1e4
# Share of the normal matrix's diagonal that is added to it.
RIDGE = 1e-9
# Beyond this many multiplications the identity is the cheaper start.
DEAR = 2e8


@dataclass(frozen=True, slots=True)
class MomentEquations:
    """The part of the equations that does not depend on y.

    ``bases`` of the symmetric matrices, per grouping factor (m, k, k); ``ends`` of their
    places among the unknowns, σ² last; ``inverse`` of the normal matrix.
    """

    bases: tuple[Floats, ...]
    ends: NDArray[np.intp]
    inverse: Floats


def moment_equations(products: Crossproducts) -> MomentEquations | None:
    """Equations of the covariances' moments; None where they would cost too much."""
    sizes = [d.shape[1] for d in products.diagonal]
    cost = sum(len(p.blocks) * (sizes[p.first] * sizes[p.second]) ** 2 for p in products.pairs)
    cost += sum(len(d) * k**4 for d, k in zip(products.diagonal, sizes, strict=True))
    if cost > DEAR:
        return None
    bases = tuple(_symmetric_basis(k) for k in sizes)
    ends = np.cumsum([0] + [len(b) for b in bases])
    normal = _normal_matrix(products, bases, ends)
    # What the moments cannot tell apart, such as confounded factors, is shared out.
    normal.flat[:: len(normal) + 1] += RIDGE * (normal.diagonal() + normal.diagonal().mean())
    return MomentEquations(bases, ends, cast(Floats, np.linalg.inv(normal)))


def moment_covariances(equations: MomentEquations, products: Crossproducts) -> list[Floats]:
    """Σ_f/σ² (k, k) of each grouping factor, positive definite."""
    scores = [border[:, :, -1] for border in products.border]
    return covariances_of(equations, scores, products.corner[-1, -1], products.n_rows)


def covariances_of(
    equations: MomentEquations, scores: Sequence[Floats], square: Any, n_rows: int
) -> list[Floats]:
    """The same from Z'Wy of each factor (..., L, k) and y'Wy (...), of one or more responses."""
    moments = np.empty((*np.shape(square), len(equations.inverse)))
    places = list(zip(equations.ends[:-1], equations.ends[1:], equations.bases, strict=True))
    for (a, b, basis), s in zip(places, scores, strict=True):
        outer = s.swapaxes(-1, -2) @ s
        flat = outer.reshape(*outer.shape[:-2], basis[0].size)
        moments[..., a:b] = flat @ basis.reshape(b - a, -1).T
    moments[..., -1] = square
    solution = moments @ equations.inverse.T
    residual = np.maximum(solution[..., -1], 0.05 * moments[..., -1] / n_rows)[..., None, None]
    return [
        _bounded(np.tensordot(solution[..., a:b], basis, 1) / residual) for a, b, basis in places
    ]


def start_of(covariance: AbstractCovariance, moments: Floats) -> Floats:
    """θ (m,) of a structure for the covariance (k, k) that the moments suggest."""
    if covariance.closure == "affine":
        return covariance.parameters(cast(Floats, np.linalg.cholesky(moments)))
    deviations = np.sqrt(np.diagonal(moments))
    if covariance.closure == "common":
        deviations = np.full(len(moments), np.sqrt(np.mean(deviations**2)))
    return covariance.parameters(deviations[:, None] * covariance.factor(covariance.start()))


def starts_of(covariance: AbstractCovariance, moments: Floats) -> Floats:
    """``start_of`` (R, m) of a structure linear in θ, for covariances (R, k, k)."""
    if covariance.closure == "affine" and covariance.linear_pattern is not None:
        roots = np.linalg.cholesky(moments)[(slice(None), *covariance.linear_pattern)]
        return cast(Floats, roots)
    variances = np.diagonal(moments, axis1=1, axis2=2)
    if covariance.closure == "common":
        variances = variances.mean(axis=1, keepdims=True)
    return cast(Floats, np.sqrt(variances))


def _normal_matrix(
    products: Crossproducts, bases: Sequence[Floats], ends: NDArray[np.intp]
) -> Floats:
    """⟨ZE_aZ', ZE_bZ'⟩ for the basis of every factor, then of the identity."""
    normal = np.zeros((ends[-1] + 1, ends[-1] + 1))
    for f, (basis, diagonal) in enumerate(zip(bases, products.diagonal, strict=True)):
        own = slice(ends[f], ends[f + 1])
        normal[own, own] = _gram(basis, diagonal, basis)
        normal[own, -1] = normal[-1, own] = np.tensordot(basis, diagonal.sum(axis=0), 2)
    for pair in products.pairs:
        first = slice(ends[pair.first], ends[pair.first + 1])
        second = slice(ends[pair.second], ends[pair.second + 1])
        block = _gram(bases[pair.first], pair.blocks, bases[pair.second])
        normal[first, second] = block
        normal[second, first] = block.T
    normal[-1, -1] = products.n_rows
    return normal


def _gram(left: Floats, blocks: Floats, right: Floats) -> Floats:
    """Σ over blocks B of tr(E_a B E_b B'), (m_left, m_right)."""
    k, other = blocks.shape[1:]
    flat = blocks.reshape(len(blocks), k * other)
    # Σ B[i, j] B[p, q] as a matrix of pairs (i, p) by pairs (j, q)
    pairs = (flat.T @ flat).reshape(k, other, k, other).transpose(0, 2, 1, 3)
    gram: Floats = (
        left.reshape(-1, k * k)
        @ pairs.reshape(k * k, other * other)
        @ right.reshape(-1, other * other).T
    )
    return gram


def _symmetric_basis(k: int) -> Floats:
    rows, columns = np.tril_indices(k)
    basis = np.zeros((len(rows), k, k))
    basis[np.arange(len(rows)), rows, columns] = 1.0
    basis[np.arange(len(rows)), columns, rows] = 1.0
    return basis


def _bounded(covariance: Floats) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    scaled = vectors * np.clip(values, LEAST, MOST)[..., None, :]
    bounded: Floats = scaled @ vectors.swapaxes(-1, -2)
    return bounded
