"""The compiled search: which problems it knows, what it finds, and whether that holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra._search import Search
from mixedeffects.fitting.boundary import SINGULAR
from mixedeffects.fitting.checks import BOUNDARY, FLAT, GRADIENT
from mixedeffects.fitting.problem import Problem
from mixedeffects.fitting.refusals import ROUNDING

__all__ = ["Found", "Search", "is_searchable", "make_search", "searched"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Terms that the compiled search has room for.
MOST_TERMS = 64


@dataclass(frozen=True, slots=True)
class Found:
    """What the compiled search found for R responses, in the standardized basis.

    ``theta`` (R, m); ``beta`` (R, p); ``sigma`` (R,); ``objective`` (R,); ``roots`` (R, p, p)
    upper, with R'R = X'V⁻¹X; ``evaluations`` (R,); ``singular`` (R,); ``certified`` (R,),
    whether the optimum meets the conditions of the certificate.
    """

    theta: Floats
    beta: Floats
    sigma: Floats
    objective: Floats
    roots: Floats
    evaluations: NDArray[np.int32]
    singular: Bools
    certified: Bools


def is_searchable(problem: Problem) -> bool:
    """Whether the compiled search knows the problem's structures: their T is linear in θ."""
    linear = all(t.covariance.second(t.covariance.start()) is None for t in problem.terms)
    return linear and len(problem.terms) <= MOST_TERMS


def make_search(problem: Problem) -> Search:
    """The compiled search for a problem; one object serves one thread."""
    arranged = replace(
        problem.arranged,
        border=problem.arranged.border.copy(),
        corner=problem.arranged.corner.copy(),
    )
    terms = []
    for term in problem.terms:
        start, free = term.covariance.start(), term.covariance.closure == "affine"
        jacobian = term.covariance.jacobian(start)
        terms.append((term.grouping, term.column, jacobian, free, start))
    return Search(problem.plan, arranged, terms, problem.reml, problem.n_rows, problem.dof)


def searched(
    search: Search,
    border: Floats,
    corner: Floats,
    starts: Floats,
    constants: Floats,
    n_rows: int,
) -> Found:
    """Fit R responses.

    Parameters
    ----------
    border, corner
        (q, R) Z'Wy in the plan's order, (p + 1, R) [X y]'Wy.
    starts
        θ (R, m) where each fit begins.
    constants
        (R,) what scales and weights add to the objectives.
    n_rows
        Of the problem that the search is at.
    """
    count, m, p = len(starts), starts.shape[1], len(corner) - 1
    theta, beta = np.full((count, m), np.nan), np.full((count, p), np.nan)
    variance, objective = np.full(count, np.nan), np.full(count, np.nan)
    roots, proofs = np.full((count, p, p), np.nan), np.full((count, 4), np.nan)
    status, evaluations = np.empty(count, dtype=np.int32), np.empty(count, dtype=np.int32)
    search.fit(
        np.ascontiguousarray(border),
        np.ascontiguousarray(corner),
        np.array(starts),
        constants,
        theta,
        beta,
        variance,
        objective,
        roots,
        proofs,
        status,
        evaluations,
    )
    newton, curvature, slope, deviation = proofs.T
    holds = (newton <= GRADIENT) & (curvature >= FLAT) & (slope >= BOUNDARY * n_rows)
    sigma = np.sqrt(variance)
    certified = (status == 0) & holds & (sigma >= ROUNDING)
    return Found(theta, beta, sigma, objective, roots, evaluations, deviation < SINGULAR, certified)
