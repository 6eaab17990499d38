"""Changes of basis that keep cross-products well conditioned, with their exact way back.

Squaring columns squares their condition number, so columns are centred and scaled, and
where that is not enough orthonormalized, before their products are formed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# R's qr() calls a column aliased when this share of its norm is left; so do we.
ALIASED = 1e-7
# Below this share the Gram matrix has lost half of its digits: decide by a QR instead.
DOUBTFUL = 1e-4


@dataclass(frozen=True, slots=True)
class FixedBasis:
    """X[:, kept] = columns @ map, and the least-squares start that is taken off y.

    ``columns`` (n, p) well-conditioned; ``map`` (p, p) upper triangular, so that
    β = map⁻¹ β*; ``kept`` (p,) and ``aliased`` positions in X; ``log_scale`` = log|det map|.
    """

    columns: Floats
    map: Floats
    kept: NDArray[np.intp]
    aliased: NDArray[np.intp]

    @property
    def log_scale(self) -> float:
        """log|det map|, the constant between REML criteria in the two bases."""
        return float(np.log(np.abs(np.diagonal(self.map))).sum())

    def original(self, beta: Floats) -> Floats:
        """Coefficients of X[:, kept] from those of ``columns``: (p,) or (p, m)."""
        return np.linalg.solve(self.map, beta) if len(beta) else beta


def fixed_basis(X: Floats, weights: Floats | None, intercept: int | None) -> FixedBasis:
    """Centre (when column ``intercept`` is all ones), scale and thin the columns of X (n, p)."""
    shift, scale = _location_scale(X, weights, intercept)
    columns = (X - shift) / scale
    if intercept is not None:
        columns[:, intercept] = 1.0
    root = columns if weights is None else columns * np.sqrt(weights)[:, None]
    order = np.arange(X.shape[1])
    if intercept is not None:  # the intercept goes first, so that none aliases it
        order = np.concatenate([[intercept], np.delete(order, intercept)]).astype(np.intp)
    left, doubtful = _shares_left(root.T @ root, order)
    if doubtful:
        left = _shares_left_by_qr(root, X, order)
    kept = np.sort(order[left > ALIASED])
    aliased = np.setdiff1d(np.arange(X.shape[1]), kept)
    columns = np.ascontiguousarray(columns[:, kept])
    to_centred = _centring_map(shift[kept], scale[kept], kept, intercept)
    if doubtful:
        q, r = np.linalg.qr(root[:, kept])
        if weights is not None:
            q = q / np.sqrt(weights)[:, None]
        grow = np.sqrt(len(q))
        return FixedBasis(q * grow, (r / grow) @ to_centred, kept, aliased)
    return FixedBasis(columns, to_centred, kept, aliased)


def _location_scale(
    X: Floats, weights: Floats | None, intercept: int | None
) -> tuple[Floats, Floats]:
    shift = np.zeros(X.shape[1])
    if intercept is not None and len(X):
        shift = np.average(X, axis=0, weights=weights)
        shift[intercept] = 0.0
    # A second moment about the shift, formed without a copy of X.
    spread = np.array([np.sqrt(np.mean((X[:, j] - shift[j]) ** 2)) for j in range(X.shape[1])])
    size = np.abs(X).max(axis=0, initial=0.0)
    constant = spread <= 1e-13 * size
    return shift, np.where(constant | (spread == 0), 1.0, spread)


def _centring_map(
    shift: Floats, scale: Floats, kept: NDArray[np.intp], intercept: int | None
) -> Floats:
    mapping = np.diag(scale)
    if intercept is not None:
        row = int(np.flatnonzero(kept == intercept)[0])
        mapping[row] += shift
    return mapping


def _shares_left(gram: Floats, order: NDArray[np.intp]) -> tuple[Floats, bool]:
    """Share of each column's norm that the columns before it (in ``order``) leave."""
    work = gram[np.ix_(order, order)].copy()
    norms = np.sqrt(np.maximum(np.diagonal(gram)[order], 0.0))
    left = np.zeros(len(order))
    for j in range(len(order)):
        share = np.sqrt(max(work[j, j], 0.0)) / norms[j] if norms[j] > 0 else 0.0
        left[j] = share
        if share > ALIASED:
            row = work[j, j + 1 :] / work[j, j]
            work[j + 1 :, j + 1 :] -= np.outer(work[j + 1 :, j], row)
    return left, bool(np.any(left < DOUBTFUL))


def _shares_left_by_qr(root: Floats, X: Floats, order: NDArray[np.intp]) -> Floats:
    """The same by orthogonalizing one column after another, twice, for all digits."""
    basis = np.empty((len(root), 0))
    left = np.zeros(len(order))
    for position, j in enumerate(order):
        column = root[:, j]
        norm = np.linalg.norm(column)
        if norm == 0.0:
            continue
        for _ in range(2):
            column = column - basis @ (basis.T @ column)
        rest = np.linalg.norm(column)
        left[position] = rest / norm
        if left[position] > ALIASED:
            basis = np.column_stack([basis, column / rest])
    return left


def random_basis(values: Floats, closure: str, intercept: int | None) -> tuple[Floats, Floats]:
    """Columns of one random term in a basis of unit size: ``values`` = columns @ map.

    Parameters
    ----------
    values
        (n, k) covariates.
    closure
        Which changes of basis keep the term's covariance structure: ``"affine"`` any,
        ``"scaling"`` one scale a column, ``"common"`` one scale for all.
    intercept
        The column that is all ones, or None.

    Returns
    -------
    columns (n, k), map (k, k)
    """
    k = values.shape[1]
    size = np.sqrt(np.mean(values**2, axis=0)) if len(values) else np.ones(k)
    size = np.where(size > 0, size, 1.0)
    if closure == "common":
        scale = np.full(k, np.sqrt(np.mean(size**2)))
    else:
        scale = size
    if closure != "affine" or k == 1:
        if np.all(scale == 1.0):
            return np.ascontiguousarray(values), np.eye(k)
        return values / scale, np.diag(scale)
    mapping = np.eye(k)
    columns = values
    if intercept is not None:
        shift, scale = _location_scale(values, None, intercept)
        columns = (values - shift) / scale
        columns[:, intercept] = 1.0
        mapping = _centring_map(shift, scale, np.arange(k), intercept)
    else:
        columns, mapping = values / scale, np.diag(scale)
    gram = columns.T @ columns / max(len(columns), 1)
    try:
        root = np.linalg.cholesky(gram).T
    except np.linalg.LinAlgError:
        return columns, mapping
    if np.diagonal(root).min() < DOUBTFUL:
        return columns, mapping
    return np.ascontiguousarray(np.linalg.solve(root.T, columns.T).T), root @ mapping
