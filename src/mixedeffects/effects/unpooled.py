"""Effects of each level of a group from its own rows alone: what shrinkage starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.predict import mean, modes_of
from mixedeffects.effects.rows import own_rows
from mixedeffects.fitting.fit import Fit

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Unpooled:
    """Effects of the L levels of a group, of all its terms side by side.

    ``numbers`` of the terms and ``sizes``, how many columns each has; ``names`` (K,) of these;
    ``estimate`` (L, K), NaN for levels whose rows do not determine them; ``modes`` (L, K), as the
    model has them.
    """

    numbers: tuple[int, ...]
    sizes: tuple[int, ...]
    names: tuple[str, ...]
    levels: NDArray[np.generic]
    estimate: Floats
    modes: Floats

    def of_terms(self, values: Floats) -> dict[int, Floats]:
        """Columns of (L, K) values by the number of their term."""
        ends = np.cumsum(self.sizes)[:-1]
        return dict(zip(self.numbers, np.split(values, ends, axis=1), strict=True))


def unpooled_effects(fit: Fit, group: str) -> Unpooled:
    """Least squares of what the fixed effects and other groups leave, on the group's columns.

    y − Xβ̂ − (modes of other groups) = zb + ε in each level by itself, b free: the limit of its
    modes for a covariance of the random effects without bounds.
    """
    terms = fit.estimates.terms
    numbers = tuple(i for i, term in enumerate(terms) if term.group == group)
    others = [np.zeros_like(b) if i in numbers else b for i, b in enumerate(modes_of(fit))]
    rows, weights = own_rows(fit), fit.design.weights
    left = fit.design.y - mean(rows, fit.estimates.beta, others)
    z = np.concatenate([rows.values[i] for i in numbers], axis=1)
    if weights is not None:
        left, z = left * np.sqrt(weights), z * np.sqrt(weights)[:, None]
    codes = rows.codes[numbers[0]]
    order = np.argsort(codes, kind="stable")
    levels = terms[numbers[0]].levels
    parts = np.split(order, np.searchsorted(codes[order], np.arange(1, len(levels))))
    return Unpooled(
        numbers,
        tuple(len(terms[i].names) for i in numbers),
        tuple(name for i in numbers for name in terms[i].names),
        levels,
        np.stack([_least_squares(z[part], left[part]) for part in parts]),
        np.concatenate([terms[i].modes for i in numbers], axis=1),
    )


def _least_squares(z: Floats, y: Floats) -> Floats:
    """Coefficients (K,), NaN where the rows do not determine them."""
    scale = np.linalg.norm(z, axis=0)
    b, _, rank, _ = np.linalg.lstsq(z / np.where(scale > 0.0, scale, 1.0), y)
    if rank < z.shape[1]:
        return np.full(z.shape[1], np.nan)
    result: Floats = b / scale
    return result
