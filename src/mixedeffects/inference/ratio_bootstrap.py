"""Parametric bootstrap of a likelihood ratio: both models refitted to draws from the smaller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.problem import Problem
from mixedeffects.fitting.replicates import fit_responses
from mixedeffects.fitting.responses import response_products
from mixedeffects.inference.likelihood_ratio import linear_objectives

Floats = NDArray[np.float64]
Draw = Callable[[int], Floats]

# Numbers that the responses drawn at once may take.
BATCH = 1 << 23
# A replicate as large as the statistic up to rounding counts as large.
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class BootstrapTest:
    """``p_value`` (1 + #)/(n + 1) over the ``n`` refits that worked, with its standard error."""

    p_value: float
    std_error: float
    n: int
    failed: int

    @property
    def text(self) -> str:
        shown = f"bootstrap ({self.n} refits"
        return f"{shown}, {self.failed} failed)" if self.failed else f"{shown})"


def bootstrap_test(
    small: Fit | None, large: Fit, statistic: float, draw: Draw, n: int
) -> BootstrapTest:
    """Davison and Hinkley (1997), Bootstrap Methods and their Application, section 4.2.

    Parameters
    ----------
    small
        None is the model without random effects.
    draw
        Gives so many responses (N, nobs) of the smaller model.

    Raises
    ------
    ModelError
        If every refit failed.
    """
    size = max(1, BATCH // large.problem.n_rows)
    values = np.concatenate(
        [_statistics(small, large, draw(min(size, n - first))) for first in range(0, n, size)]
    )
    worked = values[np.isfinite(values)]
    if not len(worked):
        raise ModelError("Every bootstrap refit failed: the models cannot be fitted to such data.")
    count = int(np.sum(worked >= statistic - ROUNDING))
    p = (1 + count) / (len(worked) + 1)
    error = float(np.sqrt(p * (1.0 - p) / len(worked)))
    return BootstrapTest(p, error, len(worked), n - len(worked))


def _statistics(small: Fit | None, large: Fit, responses: Floats) -> Floats:
    """Likelihood ratios (N,) of responses (N, nobs); NaN where a refit failed."""
    offset = large.design.offset
    y = np.ascontiguousarray((responses if offset is None else responses - offset).T)
    if small is None:
        smaller = linear_objectives(large.problem, response_products(large.problem, y).scale)
    else:
        smaller = _objectives(small.problem, y)
    return smaller - _objectives(large.problem, y)


def _objectives(problem: Problem, y: Floats) -> Floats:
    """Objectives (N,) of responses (nobs, N); NaN where there is no certified optimum."""
    replicates = fit_responses(problem, lambda first, last: y[:, first:last], y.shape[1])
    objectives = replicates.objective.copy()
    objectives[list(replicates.reasons)] = np.nan
    return objectives
