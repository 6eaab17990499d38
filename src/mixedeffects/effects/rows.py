"""The rows that a prediction is asked for: those of the fit, or of new data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import FrameKind
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]
NewLevels = Literal["error", "population", "sample"]


@dataclass(frozen=True, slots=True)
class Rows:
    """n complete rows among those asked for.

    ``X`` (n, p) of the kept columns; per term ``values`` (n, k), ``codes`` (n,) of fitted
    levels (negative: none) and ``new_codes`` (n,) of unseen levels; ``offset`` (n,) or None;
    ``complete`` mask of the rows asked for; ``frame`` in which results go back.
    """

    X: Floats
    values: tuple[Floats, ...]
    codes: tuple[Integers, ...]
    new_codes: tuple[Integers, ...]
    offset: Floats | None
    complete: NDArray[np.bool_]
    frame: FrameKind

    def spread(self, values: Floats) -> Floats:
        """Values (n,) among all rows asked for, NaN where a row is incomplete."""
        if self.complete.all():
            return values
        result = np.full(len(self.complete), np.nan)
        result[self.complete] = values
        return result


def own_rows(fit: Fit) -> Rows:
    """The rows that the fit used."""
    design = fit.design
    index = design.frame.index
    return Rows(
        X=design.X[:, fit.estimates.kept],
        values=tuple(r.values for r in design.random),
        codes=tuple(r.codes for r in design.random),
        new_codes=tuple(np.full_like(r.codes, -1) for r in design.random),
        offset=design.offset,
        complete=np.ones(len(design.rows), dtype=bool),
        frame=replace(design.frame, index=None if index is None else index[design.rows]),
    )


def row_labels(fit: Fit | GeneralFit) -> NDArray[Any]:
    """Labels (nobs,) of the rows used: of a pandas index, else their positions in the data."""
    index, rows = fit.design.frame.index, fit.design.rows
    return rows if index is None else np.asarray(index[rows])


def new_rows(fit: Fit, data: Any, random: bool, new_levels: NewLevels, offset: Any) -> Rows:
    """Rows of new data; without ``random`` their grouping columns need not be there."""
    new = fit.design.spec.apply(data, new_levels=new_levels, random=random, offset=offset)
    keep, n = new.complete, int(new.complete.sum())
    terms = fit.estimates.terms
    return Rows(
        X=new.X[keep][:, fit.estimates.kept],
        values=tuple(np.ascontiguousarray(r.values[keep]) for r in new.random)
        or tuple(np.zeros((n, len(t.names))) for t in terms),
        codes=tuple(r.codes[keep] for r in new.random)
        or tuple(np.full(n, -1, np.int32) for _ in terms),
        new_codes=tuple(r.new_codes[keep] for r in new.random),
        offset=None if new.offset is None else new.offset[keep],
        complete=keep,
        frame=new.frame,
    )
