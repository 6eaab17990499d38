"""The rows of all linear predictors that draws are evaluated at: those used, or of new data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.sampled import Part, Sampled
from mixedeffects.effects.general_rows import GeneralRows
from mixedeffects.effects.rows import NewLevels
from mixedeffects.formula.spec import NewDesign

Floats = NDArray[np.float64]


def own_rows(sampled: Sampled) -> GeneralRows:
    """The rows that the model used."""
    design, n = sampled.design, len(sampled.design.y)
    index = design.frame.index
    random = [term.design for term in sampled.terms]
    return GeneralRows(
        X=_columns(sampled, [None if p.design is None else p.design.X for p in sampled.parts], n),
        offsets=tuple(None if p.design is None else p.design.offset for p in sampled.parts),
        values=tuple(r.values for r in random),
        codes=tuple(r.codes for r in random),
        new_codes=tuple(np.full_like(r.codes, -1) for r in random),
        trials=sampled.response.trials,
        complete=np.ones(n, dtype=bool),
        frame=replace(design.frame, index=None if index is None else index[design.rows]),
    )


def new_rows(
    sampled: Sampled, data: Any, random: bool, new_levels: NewLevels, offset: Any
) -> GeneralRows:
    """Rows of new data; without ``random`` their grouping columns need not be there."""
    news = [
        None if part.design is None else _applied(part, data, random, new_levels, offset)
        for part in sampled.parts
    ]
    made = [new for new in news if new is not None]
    keep = np.logical_and.reduce([new.complete for new in made])
    n, nobody = int(keep.sum()), np.full(int(keep.sum()), -1, np.int32)
    terms = [r for new in made for r in new.random]
    return GeneralRows(
        X=_columns(sampled, [None if new is None else new.X[keep] for new in news], n),
        offsets=tuple(
            None if new is None or new.offset is None else new.offset[keep] for new in news
        ),
        values=tuple(np.ascontiguousarray(r.values[keep]) for r in terms)
        or tuple(np.zeros((n, len(t.design.names))) for t in sampled.terms),
        codes=tuple(r.codes[keep] for r in terms) or tuple(nobody for _ in sampled.terms),
        new_codes=tuple(r.new_codes[keep] for r in terms) or tuple(nobody for _ in sampled.terms),
        trials=None,
        complete=keep,
        frame=made[0].frame,
    )


def some_rows(rows: GeneralRows, chosen: slice) -> GeneralRows:
    """A piece of the rows."""
    return replace(
        rows,
        X=rows.X[chosen],
        offsets=tuple(None if o is None else o[chosen] for o in rows.offsets),
        values=tuple(v[chosen] for v in rows.values),
        codes=tuple(c[chosen] for c in rows.codes),
        new_codes=tuple(c[chosen] for c in rows.new_codes),
        trials=None if rows.trials is None else rows.trials[chosen],
        complete=np.ones(len(rows.X[chosen]), dtype=bool),
    )


def _applied(part: Part, data: Any, random: bool, new_levels: NewLevels, offset: Any) -> NewDesign:
    assert part.design is not None
    offset = offset if part.name == "conditional" else None
    return part.design.spec.apply(data, new_levels=new_levels, random=random, offset=offset)


def _columns(sampled: Sampled, matrices: list[Floats | None], n: int) -> Floats:
    """Kept columns (n, P) of all predictors; ones where a predictor is a constant."""
    X = np.ones((n, sampled.parts[-1].place.stop))
    for part, matrix in zip(sampled.parts, matrices, strict=True):
        if matrix is not None:
            X[:, part.place] = matrix[:, part.kept]
    return X


def row_labels(sampled: Sampled) -> NDArray[Any]:
    """Labels (nobs,) of the rows used: of a pandas index, else their positions in the data."""
    index, rows = sampled.design.frame.index, sampled.design.rows
    return rows if index is None else np.asarray(index[rows])
