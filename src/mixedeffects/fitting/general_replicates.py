"""A generalized model fitted to many responses, each from the same start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import MixedEffectsError
from mixedeffects.fitting.boundary import SINGULAR, least_deviation, principal_evaluation
from mixedeffects.fitting.checks import certify
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.general_estimates import coefficient_names
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.fitting.general_solve import bounded_basis
from mixedeffects.fitting.limits import limit_checks
from mixedeffects.fitting.plain import GeneralObjective, general_objective
from mixedeffects.fitting.replicates import Progress, affordable_threads, run_threads
from mixedeffects.fitting.separation import drifting
from mixedeffects.fitting.solve import search

Floats = NDArray[np.float64]
# The problem of a replicate; it may refuse a response.
Source = Callable[[int], GeneralProblem]

# Replicates that a thread takes at a time.
CHUNK = 4


@dataclass(frozen=True, slots=True)
class GeneralReplicates:
    """Fits of R responses.

    ``psi`` (R, m + p) standardized; ``objective`` (R,); ``singular`` (R,); ``reasons`` of the
    replicates that have no certified optimum, by number: those that could not be fitted at all
    are NaN.
    """

    psi: Floats
    objective: Floats
    singular: NDArray[np.bool_]
    reasons: dict[int, str]


def fit_general_responses(
    fit: GeneralFit,
    source: Source,
    count: int,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> GeneralReplicates:
    """Fit ``count`` problems that differ from the fit's in their response.

    Every search starts from the fit's own estimates and modes, so that no replicate depends on
    another, nor on the number of ``threads``.
    """
    problem, start, u = fit.problem, fit.solution.optimum.theta, fit.solution.u
    psi = np.full((count, len(start)), np.nan)
    objectives = np.full(count, np.nan)
    singular = np.zeros(count, dtype=bool)
    reasons: dict[int, str] = {}
    names = coefficient_names(fit.estimates.components)

    def work(chunk: slice) -> int:
        for r in range(chunk.start, chunk.stop):
            try:
                objective = general_objective(source(r), u)
                optimum = search(objective, start)
                psi[r], objectives[r] = optimum.theta, objective.refine(optimum.theta).value
                singular[r] = least_deviation(problem, optimum.theta) < SINGULAR
                reason = _doubt(objective, optimum.theta, optimum.status, names)
            except MixedEffectsError as error:
                reason = str(error)
            if reason is not None:
                reasons[r] = reason
        return int(chunk.stop - chunk.start)

    threads = affordable_threads(problem) if threads is None else threads
    chunks = [slice(a, min(a + CHUNK, count)) for a in range(0, count, CHUNK)]
    done = 0
    for finished in run_threads(work, chunks, threads):
        done += finished
        if progress is not None:
            progress(done)
    return GeneralReplicates(psi, objectives, singular, dict(sorted(reasons.items())))


def _doubt(
    objective: GeneralObjective, psi: Floats, status: str, names: Sequence[Sequence[str]]
) -> str | None:
    """Why a point is no optimum, or None; by the objective's own Hessian.

    A dispersion or zero inflation at an end of its range is no reason, as in a complete fit.
    """
    if status != "converged":
        return "optimum: the search stopped before it"
    problem = objective.problem
    here, m = principal_evaluation(objective, psi), problem.n_parameters
    own = here.hessian[len(here.hessian) - problem.n_fixed :, -problem.n_fixed :]
    away = drifting(problem, own, own, here.value)
    basis = bounded_basis(np.ones(len(here.gradient), dtype=bool), away)
    inner = basis.T @ here.hessian @ basis
    checks = [
        *certify(basis.T @ here.gradient, inner, [], problem.n_rows, exact=False),
        *limit_checks(problem, away, psi[m:], names),
    ]
    return "; ".join(f"{c.name}: {c.message}" for c in checks if not c.passed) or None
