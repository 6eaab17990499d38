"""The natural parameters of many refits at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance import AbstractDecay
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit, problem_with_response
from mixedeffects.fitting.general_replicates import fit_general_responses
from mixedeffects.fitting.replicates import Progress, Replicates
from mixedeffects.inference.general_draws import GeneralDraws
from mixedeffects.inference.parameters import Parameter, general_values
from mixedeffects.inference.refits import Results

Floats = NDArray[np.float64]


def general_values_of(
    fit: GeneralFit,
    draws: GeneralDraws,
    n: int,
    parameters: Sequence[Parameter],
    threads: int | None,
    progress: Progress | None,
) -> Results:
    """The natural parameters (n, k) of a generalized model's refits."""
    found = fit_general_responses(
        fit,
        lambda number: problem_with_response(fit, draws.response(number)),
        n,
        threads=threads,
        progress=progress,
    )
    values = np.array([general_values(fit.problem, parameters, psi) for psi in found.psi])
    return values, found.reasons, found.singular


def linear_values(fit: Fit, found: Replicates, parameters: tuple[Parameter, ...]) -> Floats:
    """The natural parameters (n, k) of fits to deviations from Xβ̂."""
    covariances = found.covariances(fit.problem)
    columns = []
    for parameter in parameters:
        if parameter.kind == "fixed":
            j = parameter.number
            columns.append(fit.estimates.beta[j] + found.beta[:, j])
        elif parameter.kind == "sigma":
            columns.append(found.sigma)
        else:
            term = fit.problem.terms[parameter.number]
            if parameter.kind == "corr" and isinstance(term.covariance, AbstractDecay):
                own = found.theta[:, term.parameters][:, 1]
                columns.append(term.covariance.unit_correlation(own)[0])
                continue
            block = covariances[parameter.number][:, parameter.columns][:, :, parameter.columns]
            columns.append(_deviation(block) if parameter.kind == "sd" else _correlation(block))
    return np.column_stack(columns)


def _deviation(block: Floats) -> Floats:
    return np.sqrt(block[:, 0, 0])


def _correlation(block: Floats) -> Floats:
    """Correlations (n,) of covariances (n, 2, 2); NaN where a variance is zero."""
    sizes = np.sqrt(block[:, 0, 0] * block[:, 1, 1])
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation: Floats = np.clip(block[:, 0, 1] / sizes, -1.0, 1.0)
    return correlation
