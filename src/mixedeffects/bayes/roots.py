"""The lower-triangular root of a term's covariance in the basis of the computations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Pullback = Callable[[Floats], Floats]


def changed_root(root: Floats, basis: Floats) -> tuple[Floats, Pullback]:
    """T (k, k), lower triangular, with TT' = MM' for M = basis @ root, and the way back.

    The second value takes derivatives by T to those by ``root``.
    """
    M = basis @ root
    if len(M) == 1 or not np.triu(M, 1).any():
        return M, lambda by_T: basis.T @ by_T
    T = np.linalg.qr(M.T)[1].T
    T = np.tril(T * np.where(np.diagonal(T) < 0.0, -1.0, 1.0))

    def pull(by_T: Floats) -> Floats:
        # of a Cholesky factor: ∂/∂(TT') = sym(T⁻ᵀ Φ(T'∂/∂T) T⁻¹), Φ as in _joint.pyx
        inner = np.tril(T.T @ by_T)
        inner.flat[:: len(T) + 1] *= 0.5
        half = np.linalg.solve(T.T, inner)
        by_product = np.linalg.solve(T.T, half.T)
        pulled: Floats = basis.T @ ((by_product + by_product.T) @ M)
        return pulled

    return T, pull
