"""The mean of new rows under other random effects than those of the fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import Columns
from mixedeffects.effects.general_rows import linear_predictors, new_general_rows
from mixedeffects.effects.predict import mean
from mixedeffects.effects.rows import new_rows
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.formula.design import Design

Floats = NDArray[np.float64]
Modes = Sequence[Floats]


def linear_curves(fit: Fit, columns: Columns, modes: Sequence[Modes]) -> list[Floats]:
    """xβ̂ + zb + offset (n,) for each set of modes, per term (L, k)."""
    rows = new_rows(fit, columns, True, "error", mean_offset(fit.design, columns.n_rows))
    return [mean(rows, fit.estimates.beta, b) for b in modes]


def general_curves(fit: GeneralFit, columns: Columns, modes: Sequence[Modes]) -> list[Floats]:
    """The family's mean (n,) for each set of modes, per term of all predictors (L, k)."""
    offset = mean_offset(fit.design, columns.n_rows)
    rows = new_general_rows(fit, columns, True, "error", offset)
    return [fit.family.mean(linear_predictors(fit, rows, b)) for b in modes]


def mean_offset(design: Design, n: int) -> Floats | None:
    """The mean of an offset that was given to the fit as an array, for n new rows."""
    if not design.spec.offset_array or design.offset is None:
        return None
    return np.full(n, design.offset.mean())
