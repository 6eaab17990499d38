"""Changes of basis that keep cross-products well conditioned, with their exact way back.

Squaring columns squares their condition number, so columns are centred and scaled, and
where that is not enough orthonormalized, before their products are formed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# R's qr() calls a column aliased when this share of its norm is left; so do we.
ALIASED = 1e-7
# Rows that are worked on at a time.
BLOCK = 1 << 16
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
        if not len(beta):
            return beta
        return cast(Floats, np.linalg.solve(self.map, beta))


def functions_in_basis(L: Floats, mapping: Floats) -> Floats:
    """L (r, p) of coefficients β as functions of those of a basis, L map⁻¹.

    By substitution, so that a difference to the centre of a far column keeps its digits.
    """
    from scipy.linalg import solve_triangular

    if not L.size:
        return L
    return cast(Floats, solve_triangular(mapping, L.T, trans="T", check_finite=False).T)


def fixed_basis(X: Floats, weights: Floats | None, intercept: int | None) -> FixedBasis:
    """Centre (when column ``intercept`` is all ones), scale and thin the columns of X (n, p)."""
    columns, shift, scale = _centred_scaled(X, weights, intercept)
    root = columns if weights is None else columns * np.sqrt(weights)[:, None]
    order = np.arange(X.shape[1])
    if intercept is not None:  # the intercept goes first, so that none aliases it
        order = np.concatenate([[intercept], np.delete(order, intercept)])
    left, doubtful = _shares_left(root.T @ root, order)
    if doubtful:
        left = _shares_left_by_qr(root, order)
    if left.min(initial=1.0) > ALIASED:
        kept, aliased = np.arange(X.shape[1]), np.arange(0)
    else:
        kept, aliased = np.sort(order[left > ALIASED]), np.sort(order[left <= ALIASED])
        columns, root = np.ascontiguousarray(columns[:, kept]), root[:, kept]
    mapping = _centring_map(shift[kept], scale[kept], kept, intercept)
    if doubtful:
        q, r = np.linalg.qr(root)
        if weights is not None:
            q = q / np.sqrt(weights)[:, None]
        size = np.sqrt(len(q))
        return FixedBasis(q * size, (r / size) @ mapping, kept, aliased)
    return FixedBasis(columns, mapping, kept, aliased)


def _centred_scaled(
    values: Floats, weights: Floats | None, intercept: int | None
) -> tuple[Floats, Floats, Floats]:
    """Columns (values − shift)/scale of unit size; the intercept stays all ones."""
    n, k = values.shape
    columns = np.empty((n, k))
    total = float(n) if weights is None else float(weights.sum())
    shift, squares = np.zeros(k), np.zeros(k)
    if intercept is not None:
        for rows, w in row_blocks(n, weights):
            shift += w @ values[rows] / total
        shift[intercept] = 0.0
    for rows, w in row_blocks(n, weights):
        block = np.subtract(values[rows], shift, out=columns[rows])
        squares += w @ block**2
    spread = np.sqrt(squares / total)
    # What is left of a constant is rounding, which must not be blown up.
    scale = np.where(spread > 1e-13 * np.hypot(spread, shift), spread, 1.0)
    columns /= scale
    return columns, shift, scale


def row_blocks(n: int, weights: Floats | None) -> Iterator[tuple[slice, Floats]]:
    """Slices of rows that stay in the cache, with their weights."""
    ones = np.ones(min(n, BLOCK))
    for start in range(0, n, BLOCK):
        rows = slice(start, min(start + BLOCK, n))
        yield rows, ones[: rows.stop - start] if weights is None else weights[rows]


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


def _shares_left_by_qr(root: Floats, order: NDArray[np.intp]) -> Floats:
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
    if k == 1 and intercept == 0:
        return values, np.eye(1)
    centre = intercept if closure == "affine" else None
    columns, shift, scale = _centred_scaled(values, None, centre)
    if closure == "common":
        common = np.sqrt(np.mean(scale**2))
        return values / common, common * np.eye(k)
    mapping = _centring_map(shift, scale, np.arange(k), centre)
    if closure == "scaling" or k == 1:
        return columns, mapping
    try:
        root = np.linalg.cholesky(columns.T @ columns / len(columns)).T
    except np.linalg.LinAlgError:
        return columns, mapping
    if np.diagonal(root).min() < DOUBTFUL:
        return columns, mapping
    return columns @ np.linalg.inv(root), root @ mapping
