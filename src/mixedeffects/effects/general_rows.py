"""The rows of all linear predictors of a generalized fit: those used, or of new data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import FrameKind
from mixedeffects.effects.rows import NewLevels
from mixedeffects.errors import ModelError
from mixedeffects.families import AbstractFamily, Response
from mixedeffects.families.response import Column, is_whole
from mixedeffects.fitting.general_estimates import designs_of
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.formula.design import Design
from mixedeffects.formula.spec import NewDesign
from mixedeffects.formula.values import row_numbers

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class GeneralRows:
    """n complete rows among those asked for.

    ``X`` (n, P) the kept columns of all predictors, then ones for the extra parameters;
    ``offsets`` (n,) or None by predictor; per term of all predictors ``values`` (n, k),
    ``codes`` (n,) of fitted levels (negative: none) and ``new_codes`` (n,) of unseen levels;
    ``trials`` (n,) behind proportions, where they are known;
    ``complete`` mask of the rows asked for; ``frame`` in which results go back.
    """

    X: Floats
    offsets: tuple[Floats | None, ...]
    values: tuple[Floats, ...]
    codes: tuple[Integers, ...]
    new_codes: tuple[Integers, ...]
    trials: Floats | None
    complete: NDArray[np.bool_]
    frame: FrameKind

    @property
    def n(self) -> int:
        """Number of complete rows."""
        return len(self.X)

    def spread(self, values: Floats) -> Floats:
        """Values (n, ...) among all rows asked for, NaN where a row is incomplete."""
        if self.complete.all():
            return values
        result = np.full((len(self.complete), *values.shape[1:]), np.nan)
        result[self.complete] = values
        return result


def own_general_rows(fit: GeneralFit) -> GeneralRows:
    """The rows that the fit used."""
    design, n = fit.design, fit.problem.n_rows
    index = design.frame.index
    designs = designs_of(design, fit.family)
    random = [r for _, own in designs if own is not None for r in own.random]
    return GeneralRows(
        X=predictor_columns(fit, [None if own is None else own.X for _, own in designs], n),
        offsets=tuple(None if own is None else own.offset for _, own in designs),
        values=tuple(r.values for r in random),
        codes=tuple(r.codes for r in random),
        new_codes=tuple(np.full_like(r.codes, -1) for r in random),
        trials=fit.problem.response.trials,
        complete=np.ones(n, dtype=bool),
        frame=replace(design.frame, index=None if index is None else index[design.rows]),
    )


def new_general_rows(
    fit: GeneralFit, data: Any, random: bool, new_levels: NewLevels, offset: Any
) -> GeneralRows:
    """Rows of new data; without ``random`` their grouping columns need not be there."""
    designs = designs_of(fit.design, fit.family)
    news = [
        None if own is None else _applied(own, data, random, new_levels, offset if i == 0 else None)
        for i, (_, own) in enumerate(designs)
    ]
    made = [new for new in news if new is not None]
    keep = np.logical_and.reduce([new.complete for new in made])
    n, terms = int(keep.sum()), fit.estimates.terms
    parts = [r for new in made for r in new.random]
    return GeneralRows(
        X=predictor_columns(fit, [None if new is None else new.X[keep] for new in news], n),
        offsets=tuple(
            None if new is None or new.offset is None else new.offset[keep] for new in news
        ),
        values=tuple(np.ascontiguousarray(r.values[keep]) for r in parts)
        or tuple(np.zeros((n, len(t.names))) for t in terms),
        codes=tuple(r.codes[keep] for r in parts) or tuple(np.full(n, -1, np.int32) for _ in terms),
        new_codes=tuple(r.new_codes[keep] for r in parts)
        or tuple(np.full(n, -1, np.int32) for _ in terms),
        trials=None,
        complete=keep,
        frame=made[0].frame,
    )


def with_trials(
    family: AbstractFamily, response: Response, rows: GeneralRows, trials: Any
) -> GeneralRows:
    """The rows with the trials of new proportions: one number, or one for each row asked for.

    Raises
    ------
    ModelError
        If the model is of no proportions.
    DataError
        If they are not numbers of trials.
    """
    if response.trials is None:
        raise ModelError(
            f"trials=: the response of family {family.name!r} is of no trials; leave it out."
        )
    asked = len(rows.complete)
    given = np.full(asked, float(trials)) if np.ndim(trials) == 0 else trials
    numbers = row_numbers("trials", given, asked)[rows.complete]
    Column("trials").require(
        numbers, lambda v: is_whole(v) & (v > 0), "Numbers of trials are 1, 2, …"
    )
    return replace(rows, trials=numbers)


def _applied(
    design: Design, data: Any, random: bool, new_levels: NewLevels, offset: Any
) -> NewDesign:
    return design.spec.apply(data, new_levels=new_levels, random=random, offset=offset)


def predictor_columns(fit: GeneralFit, matrices: Sequence[Floats | None], n: int) -> Floats:
    """Kept columns (n, P) of all predictors; ones where a predictor is a constant."""
    X = np.ones((n, fit.problem.n_fixed))
    for predictor, matrix in zip(fit.problem.predictors, matrices, strict=False):
        if matrix is not None:
            X[:, predictor.coefficients] = matrix[:, predictor.basis.kept + predictor.dropped]
    return X


def linear_predictors(
    fit: GeneralFit,
    rows: GeneralRows,
    modes: Sequence[Floats],
    new_modes: Sequence[Floats] | None = None,
) -> tuple[Floats, ...]:
    """xβ + zb + offset (n,) of each predictor, then the extra parameters.

    ``modes`` per term (L, k); empty for the population.  ``new_modes`` per term (N, k), of
    unseen levels, which otherwise count as zero.
    """
    beta = user_coefficients(fit)
    eta = []
    for i, predictor in enumerate(fit.problem.predictors):
        linear = rows.X[:, predictor.coefficients] @ beta[predictor.coefficients]
        offset = rows.offsets[i] if i < len(rows.offsets) else None
        eta.append(linear if offset is None else linear + offset)
    for number, b in enumerate(modes):
        a = fit.problem.predictor[fit.problem.terms[number].grouping]
        eta[a] = eta[a] + _contribution(rows.values[number], rows.codes[number], b)
        if new_modes is not None:
            own = _contribution(rows.values[number], rows.new_codes[number], new_modes[number])
            eta[a] = eta[a] + own
    return tuple(eta)


def user_coefficients(fit: GeneralFit) -> Floats:
    """β (P,) of all predictors for the user's columns, extra parameters unconstrained."""
    beta = np.empty(fit.problem.n_fixed)
    for predictor in fit.problem.predictors:
        own = predictor.coefficients
        beta[own] = predictor.basis.original(fit.solution.beta[own])
    return beta


def _contribution(values: Floats, codes: Integers, b: Floats) -> Floats:
    known = codes >= 0
    result = np.zeros(len(codes))
    result[known] = np.einsum("ij,ij->i", values[known], b[codes[known]])
    return result
