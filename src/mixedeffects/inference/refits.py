"""A statistic of refits, one after another, through complete fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit, completed, problem_of, refit
from mixedeffects.fitting.general_fit import GeneralFit, refit_general
from mixedeffects.fitting.replicates import CHUNK, Progress
from mixedeffects.fitting.solve import solve
from mixedeffects.inference.draws import Draws
from mixedeffects.inference.general_draws import GeneralDraws
from mixedeffects.inference.resampled_groups import (
    resampled_design,
    resampling_unit,
    rows_of_groups,
)
from mixedeffects.inference.streams import Streams

Floats = NDArray[np.float64]
Statistic = Callable[[Any], Any]
AnyFit = TypeVar("AnyFit", Fit, GeneralFit)
Results = tuple[Floats, dict[int, str], NDArray[np.bool_]]


def each_refit(
    fit: Fit,
    draws: Draws,
    n: int,
    compute: Callable[[Fit], Floats],
    progress: Progress | None,
) -> Results:
    """``compute`` (k,) of the refit to each drawn response."""
    offset = 0.0 if fit.design.offset is None else fit.design.offset

    def refits() -> Iterator[Callable[[], Fit]]:
        for first in range(0, n, CHUNK):
            drawn = draws.deviations(first, min(first + CHUNK, n)).T
            for deviation in drawn:
                yield partial(refit, fit, draws.mean + deviation + offset)

    return _each(refits(), n, compute, progress)


def each_general_refit(
    fit: GeneralFit,
    draws: GeneralDraws,
    n: int,
    compute: Callable[[GeneralFit], Floats],
    progress: Progress | None,
) -> Results:
    """``compute`` (k,) of a generalized model's refit to each drawn response."""

    def refitted(number: int) -> GeneralFit:
        return refit_general(fit, draws.response(number))

    return _each((partial(refitted, r) for r in range(n)), n, compute, progress)


def each_resample(
    fit: Fit,
    n: int,
    compute: Callable[[Fit], Floats],
    streams: Streams,
    group: str | None,
    progress: Progress | None,
) -> Results:
    """``compute`` (k,) of the fit to each resample of whole groups."""
    rows = rows_of_groups(resampling_unit(fit.design, group))
    kept = fit.estimates.x_names

    def resample(number: int) -> Fit:
        (chosen,) = streams.choices(number, number + 1, (len(rows),))
        design = resampled_design(fit.design, rows, chosen[0])
        problem = problem_of(design, fit.problem.reml)
        found = completed(design, problem, solve(problem, exact=False))
        lost = sorted(set(kept) - set(found.estimates.x_names))
        if lost:
            raise ModelError(f"{', '.join(lost)} cannot be told apart in this resample")
        return found

    return _each((partial(resample, r) for r in range(n)), n, compute, progress)


def _each(
    fits: Iterator[Callable[[], AnyFit]],
    n: int,
    compute: Callable[[AnyFit], Floats],
    progress: Progress | None,
) -> Results:
    found: list[Floats | None] = []
    reasons: dict[int, str] = {}
    singular = np.zeros(n, dtype=bool)
    for number, make in enumerate(fits):
        try:
            other = make()
            singular[number] = other.estimates.is_singular
            found.append(compute(other))
            failed = [c.message for c in other.estimates.checks if not c.passed]
            if failed:
                reasons[number] = "; ".join(failed)
        except Exception as error:  # a user's function may raise anything: it is kept visible
            found.append(None)
            reasons[number] = str(error) or type(error).__name__
        if progress is not None:
            progress(number + 1)
    sizes = {len(v) for v in found if v is not None}
    if len(sizes) > 1:
        raise ModelError(f"statistic gives arrays of different lengths: {sorted(sizes)}.")
    nothing = np.full(sizes.pop() if sizes else 0, np.nan)
    return np.array([nothing if v is None else v for v in found]), reasons, singular
