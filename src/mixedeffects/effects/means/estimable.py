"""Which linear functions of the fixed effects the data determine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# A multiple of the rounding left by least squares on columns scaled to unit length.
_TOLERANCE = 1e-7


def estimable(X: Floats, kept: NDArray[np.intp], L: Floats) -> NDArray[np.bool_]:
    """Mask (r,) of the rows of L (r, P) that depend on β through Xβ alone, X (n, P).

    With the aliased columns X₂ = X₁D, a row (l₁, l₂) is a combination of the rows of X where
    l₂ = l₁D (Searle 1971, Linear Models, section 5.4).
    """
    aliased = np.setdiff1d(np.arange(X.shape[1]), kept)
    if not aliased.size:
        return np.ones(len(L), dtype=bool)
    size = np.linalg.norm(X, axis=0)
    size[size == 0.0] = 1.0
    D = np.linalg.lstsq(X[:, kept] / size[kept], X[:, aliased] / size[aliased], rcond=None)[0]
    first, second = L[:, kept] / size[kept], L[:, aliased] / size[aliased]
    # beside the whole row, as its zeros may be rounding
    largest = np.linalg.norm(np.hstack([first, second]), axis=1)[:, None]
    largest = largest * (1.0 + np.linalg.norm(D, axis=0))
    mask: NDArray[np.bool_] = (np.abs(second - first @ D) <= _TOLERANCE * largest).all(axis=1)
    return mask
