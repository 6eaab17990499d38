"""Predictions with all that is uncertain in them: β, b, σ, and on request θ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.fitting.conditional import ConditionalFactor
from mixedeffects.fitting.estimates import Estimates

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]
Random = Literal["conditional", "population"]
Interval = Literal["confidence", "prediction"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to predict: ``X`` (n, p) of the kept columns; per term ``values`` (n, k), ``codes``
    (n,) of fitted levels (negative: none) and ``new_codes`` (n,) of unseen levels; ``offset``
    (n,) or None."""

    X: Floats
    values: tuple[Floats, ...]
    codes: tuple[Integers, ...]
    new_codes: tuple[Integers, ...]
    offset: Floats | None


def mean(
    rows: Rows, beta: Floats, modes: Sequence[Floats], new_modes: Sequence[Floats] | None = None
) -> Floats:
    """xβ + zb + offset, (n,).

    ``modes`` per term (L, k); empty for the population mean.  ``new_modes`` per term (N, k),
    of unseen levels, which otherwise count as zero.
    """
    result = rows.X @ beta
    if rows.offset is not None:
        result = result + rows.offset
    for number, b in enumerate(modes):
        result = result + _contribution(rows.values[number], rows.codes[number], b)
        if new_modes is not None:
            result = result + _contribution(
                rows.values[number], rows.new_codes[number], new_modes[number]
            )
    return result


def _contribution(values: Floats, codes: Integers, b: Floats) -> Floats:
    known = codes >= 0
    if known.all():
        product: Floats = np.einsum("ij,ij->i", values, b[codes])
        return product
    result = np.zeros(len(codes))
    result[known] = np.einsum("ij,ij->i", values[known], b[codes[known]])
    return result


def variance(
    rows: Rows,
    estimates: Estimates,
    factor: ConditionalFactor,
    random: Random,
    interval: Interval | None,
) -> Floats:
    """Variance (n,) of what is predicted about its prediction, θ taken as known.

    Conditional: of xβ + zb, where an unseen level's b varies by its fitted covariance.
    Population: of xβ; a prediction interval adds the random effects of a new group.  A
    prediction interval adds σ².
    """
    nobody = tuple(np.full_like(c, -1) for c in rows.codes)
    conditional = random == "conditional"
    codes = rows.codes if conditional else nobody
    result = estimates.sigma**2 * factor.variances(rows.X, rows.values, codes)
    for term, values, own in zip(estimates.terms, rows.values, codes, strict=True):
        if conditional or interval == "prediction":
            unknown = own < 0
            spread = np.einsum("ij,jk,ik->i", values, term.covariance, values)
            result = result + np.where(unknown, spread, 0.0)
    if interval == "prediction":
        result = result + estimates.sigma**2
    return result
