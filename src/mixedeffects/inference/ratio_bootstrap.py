"""Parametric bootstrap of a likelihood ratio: both models fitted to draws from the smaller."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit, problem_with_response
from mixedeffects.fitting.general_replicates import fit_general_responses
from mixedeffects.fitting.problem import Problem
from mixedeffects.fitting.replicates import CHUNK, Source, fit_responses
from mixedeffects.fitting.responses import response_products
from mixedeffects.inference.draws import parametric_draws
from mixedeffects.inference.general_draws import GeneralDraws
from mixedeffects.inference.likelihood_ratio import linear_objectives
from mixedeffects.inference.nesting import AnyFit
from mixedeffects.inference.streams import Seed, Streams

Floats = NDArray[np.float64]

# What a replicate's certificate says of a likelihood that does not tell its parameters apart.
FLAT = "curvature: the likelihood is flat"
# How the reasons begin for which a generalized model's replicate has no optimum.
NO_OPTIMUM = ("optimum", "gradient")
# A replicate as large as the statistic up to rounding counts as large.
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class BootstrapTest:
    """``p_value`` (1 + #)/(n + 1) over the ``n`` replicates that worked, its standard error."""

    p_value: float
    std_error: float
    n: int
    failed: int

    @property
    def text(self) -> str:
        shown = f"bootstrap ({self.n} refits"
        return f"{shown}, {self.failed} failed)" if self.failed else f"{shown})"


def bootstrap_test(
    small: AnyFit | None, large: AnyFit, statistic: float, n: int, seed: Seed
) -> BootstrapTest:
    """Davison and Hinkley (1997), Bootstrap Methods and their Application, section 4.2.

    ``small`` None is the model without random effects.

    Raises
    ------
    ModelError
        If every replicate failed.
    """
    values = bootstrap_ratios(small, large, n, seed)
    worked = values[np.isfinite(values)]
    if not len(worked):
        raise ModelError("Every bootstrap refit failed: the models cannot be fitted to such data.")
    count = int(np.sum(worked >= statistic - ROUNDING))
    p = (1 + count) / (len(worked) + 1)
    error = float(np.sqrt(p * (1.0 - p) / len(worked)))
    return BootstrapTest(p, error, len(worked), n - len(worked))


def bootstrap_ratios(small: AnyFit | None, large: AnyFit, n: int, seed: Seed) -> Floats:
    """Likelihood ratios (n,) of responses that the smaller model makes; NaN where a fit failed."""
    streams = Streams(seed)
    if isinstance(small, GeneralFit) and isinstance(large, GeneralFit):
        general = GeneralDraws(small, "marginal", streams)
        return _general_objectives(small, general, n) - _general_objectives(large, general, n)
    if isinstance(small, GeneralFit) or isinstance(large, GeneralFit):
        raise ModelError(
            "A linear and a generalized fit are not refitted to one another's responses: fit "
            "both with the same kind of model."
        )
    if small is None:
        source = _noise(large, streams)
        smaller = linear_objectives_of(large.problem, source, n)
    else:
        draws = parametric_draws(small, "marginal", streams)

        def source(first: int, last: int) -> Floats:
            return draws.mean[:, None] + draws.deviations(first, last)

        smaller = _objectives(small.problem, source, n)
    return smaller - _objectives(large.problem, source, n)


def _noise(fit: Fit, streams: Streams) -> Source:
    """Responses without random effects; the ratio depends on neither their β nor their σ."""
    rows, weights = fit.estimates.nobs, fit.design.weights
    scale = np.ones((rows, 1)) if weights is None else 1.0 / np.sqrt(weights)[:, None]
    return lambda first, last: scale * streams.normals(first, last, rows).T


def _objectives(problem: Problem, source: Source, n: int) -> Floats:
    """Objectives (n,); NaN where no optimum was found.  A flat one is an optimum all the same."""
    replicates = fit_responses(problem, source, n)
    objectives = replicates.objective.copy()
    failed = [r for r, reason in replicates.reasons.items() if not reason.startswith(FLAT)]
    objectives[failed] = np.nan
    return objectives


def _general_objectives(fit: GeneralFit, draws: GeneralDraws, n: int) -> Floats:
    """The same of a generalized model, also where coefficients go to infinity."""
    found = fit_general_responses(
        fit, lambda number: problem_with_response(fit, draws.response(number)), n
    )
    objectives = found.objective.copy()
    objectives[[r for r, why in found.reasons.items() if why.startswith(NO_OPTIMUM)]] = np.nan
    return objectives


def linear_objectives_of(problem: Problem, source: Source, n: int) -> Floats:
    """Objectives (n,) of the problem without its random effects."""
    scales = [
        response_products(problem, source(first, min(first + CHUNK, n))).scale
        for first in range(0, n, CHUNK)
    ]
    return linear_objectives(problem, np.concatenate(scales))
