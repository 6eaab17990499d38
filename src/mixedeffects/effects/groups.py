"""The rows that a fit used, by the levels of a grouping."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import DataError
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit

Integers = NDArray[np.integer]


def group_rows(fit: Fit | GeneralFit, group: str) -> tuple[Integers, NDArray[Any]]:
    """Codes (nobs,) and levels (L,) of a grouping factor, or of a categorical column used.

    Raises
    ------
    DataError
        If the model has no such grouping.
    """
    design = fit.design
    for term in design.random:
        if term.group == group:
            return term.codes, term.levels
    used = design.columns.columns
    if group in used and (levels := used[group].levels) is not None:
        present, codes = np.unique(used[group].values[design.rows], return_inverse=True)
        return codes, levels[present]
    names = dict.fromkeys([*(t.group for t in design.random)])
    names |= dict.fromkeys(name for name, column in used.items() if column.levels is not None)
    raise DataError(
        f"{group!r} does not group the rows of this model: choose one of "
        f"{', '.join(map(repr, names))}."
    )
