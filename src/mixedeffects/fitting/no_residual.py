"""Gaussian models without a residual: a structured term is the rows' whole covariance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError
from mixedeffects.families.no_residual import NoResidual
from mixedeffects.formula.design import Design

Floats = NDArray[np.float64]

# The residual standard deviation as a share of the response's about its fixed effects: the
# fourth root of a number's precision, as far from nothing as from what can be seen.
SHARE = 2.0**-13


def without_residual(design: Design) -> NoResidual:
    """The family of ``dispersion="~ 0"``.

    Raises
    ------
    ModelError
        If rows share all of their random effects, so that nothing tells them apart, or the
        fixed effects leave nothing.
    """
    check_own_effects(design)
    y = design.y if design.offset is None else design.y - design.offset
    rest = y - design.X @ np.linalg.lstsq(design.X, y)[0] if design.X.shape[1] else y
    spread = float(np.sqrt(np.mean(rest**2)))
    if not spread > 1e-10 * np.abs(y).max(initial=0.0):
        raise ModelError(
            f"The fixed effects explain the response {design.response!r} exactly: nothing is left "
            "for random effects. Is a covariate made from the response?"
        )
    return NoResidual(sd=SHARE * spread)


def check_own_effects(design: Design) -> None:
    """Refuse a design in which no term has an effect of its own for every row.

    Raises
    ------
    ModelError
    """
    shared = None
    for random in design.random:
        values = random.values
        if not np.all(np.count_nonzero(values, axis=1) == 1):
            continue
        cells = random.codes.astype(np.int64) * values.shape[1] + np.argmax(values != 0, axis=1)
        order = np.argsort(cells, kind="stable")
        same = np.flatnonzero(np.diff(cells[order]) == 0)
        if not same.size:
            return
        shared = random, np.sort(design.rows[order[same[0] : same[0] + 2]])
    way = "such as us(0 + time | subject) with one row a subject and time"
    if shared is None:
        raise ModelError(
            "dispersion='~ 0' leaves no residual, so that a term has to have an effect of its own "
            f"for every row, {way}: this model has none."
        )
    random, (i, j) = shared
    raise ModelError(
        f"dispersion='~ 0' leaves no residual, but rows {i} and {j} share their effect of "
        f"({random.label}), and no other term tells all rows apart: leave dispersion out, or have "
        f"a term with an effect of its own for every row, {way}."
    )
