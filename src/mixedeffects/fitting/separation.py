"""Coefficients that the likelihood sends to infinity: where, and what separates the response.

The search stops where a step promises nothing, so a coefficient without a finite estimate ends
somewhere, with no curvature left.  Such directions are seen in the Hessian; only then is
it asked, by a linear program in their span, whether some direction never lowers the likelihood
of any row, which is what separation means (Albert and Anderson 1984, Biometrika 71, 1-10;
Konis 2007, Linear programming algorithms for detecting separated data in binary logistic
regression models, thesis, Oxford).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixedeffects.families import AbstractFamily, ZeroInflated
from mixedeffects.fitting.general import MEASURED, GeneralProblem

Floats = NDArray[np.float64]

# Curvature of −2 log-likelihood, a row's worth of prior weight, below which a direction that moves
# the predictors by 1 (root mean square) has no finite estimate: its standard error is over 1000.
CURVATURE = 2e-6
# The information of such a direction is none beyond doubt.
SURELY = 1e3
# By how much, as a share of the objective, curvature by differences errs.
NOISE = 1e-9
# A row's predictor counts as moved by a direction when it is by this share of the largest.
MOVED = 1e-3
# Rows beyond which the linear program would take longer than the fit.
LARGEST_PROGRAM = 200_000


def drifting(problem: GeneralProblem, hessian: Floats, information: Floats, value: float) -> Floats:
    """Directions (p, d), orthonormal, in which the coefficients have no finite estimate.

    ``hessian`` (p, p) by the coefficients at an optimum of ``value``, by differences, and the
    ``information`` (p, p) that it is about, which has no rounding of theirs.
    """
    free = [
        a
        for a, p in enumerate(problem.predictors)
        if not (p.name == "conditional" and problem.family.link in MEASURED)
    ]
    places = [problem.predictors[a].coefficients for a in free]
    index = np.concatenate([np.arange(s.start, s.stop) for s in places]) if free else np.arange(0)
    if not len(index):
        return np.empty((problem.n_fixed, 0))
    limit = max(CURVATURE * _mean_weight(problem), NOISE * abs(value))
    inner = hessian[np.ix_(index, index)]
    if _surely_curved(inner, limit):
        return np.empty((problem.n_fixed, 0))
    back = np.zeros((len(index), len(index)))
    for a, s in zip(free, places, strict=True):
        own = np.flatnonzero((index >= s.start) & (index < s.stop))
        columns = problem.predictors[a].basis.columns
        root = np.linalg.cholesky(columns.T @ columns / problem.n_rows)
        back[np.ix_(own, own)] = np.linalg.inv(root).T
    values, vectors = np.linalg.eigh(back.T @ inner @ back)
    flat = back @ vectors[:, values < limit]
    known = np.einsum("id,ij,jd->d", flat, information[np.ix_(index, index)], flat)
    flat = flat[:, known < SURELY * limit]
    directions = np.zeros((problem.n_fixed, flat.shape[1]))
    directions[index] = np.linalg.qr(flat)[0] if flat.size else flat
    return directions


def _surely_curved(hessian: Floats, limit: float) -> bool:
    """Whether a Cholesky factor shows that no direction is near the limit, as in most fits."""
    try:
        np.linalg.cholesky(hessian - 1e3 * limit * np.eye(len(hessian)))
    except np.linalg.LinAlgError:
        return False
    return True


def _mean_weight(problem: GeneralProblem) -> float:
    return 1.0 if problem.weights is None else float(problem.weights.mean())


def moved_columns(problem: GeneralProblem, predictor: int, directions: Floats) -> NDArray[np.intp]:
    """Which of a predictor's kept columns the directions (p, d) move."""
    own = _part(problem, predictor, directions)
    basis = problem.predictors[predictor].basis
    moves = np.abs(np.diagonal(basis.map))[:, None] * np.abs(basis.original(own))
    size = moves.max(axis=1, initial=0.0)
    found: NDArray[np.intp] = np.flatnonzero(size > MOVED * size.max(initial=0.0))
    return found


def _part(problem: GeneralProblem, predictor: int, directions: Floats) -> Floats:
    """The directions (p_a, d_a) within one predictor; none where it takes no part."""
    own = directions[problem.predictors[predictor].coefficients]
    vectors, sizes, _ = np.linalg.svd(own, full_matrices=False)
    found: Floats = vectors[:, sizes > 0.1]
    return found


def parts(problem: GeneralProblem, directions: Floats) -> list[int]:
    """The predictors that take part in the directions."""
    return [a for a in range(len(problem.predictors)) if _part(problem, a, directions).shape[1] > 0]


def separates(problem: GeneralProblem, predictor: int, directions: Floats) -> bool | None:
    """Whether a direction in the span raises some row's likelihood and lowers none's.

    None where the family has no such rule, or the rows are too many to ask.
    """
    sides = _sides(problem.family, problem.response.y, problem.response.trials, predictor)
    own = _part(problem, predictor, directions)
    if sides is None or problem.n_rows > LARGEST_PROGRAM:
        return None
    up, held = sides
    rows = problem.predictors[predictor].basis.columns @ own
    return has_ray(rows[up != 0] * up[up != 0, None], rows[held])


def has_ray(A: Floats, B: Floats) -> bool:
    """Whether some c has Ac ≥ 0, not all zero, and Bc = 0, up to ``MOVED`` of the largest."""
    from scipy.optimize import linprog

    if not len(A):
        return False
    size = max(float(np.abs(A).max()), float(np.abs(B).max(initial=0.0)), 1e-300)
    A, B = (np.unique(np.round(rows / size, 6), axis=0) for rows in (A, B))
    d = A.shape[1]
    found = linprog(
        -A.sum(axis=0),
        A_ub=np.vstack([-A, B, -B]),
        b_ub=np.concatenate([np.full(len(A), MOVED), np.full(2 * len(B), MOVED)]),
        bounds=[(-1.0, 1.0)] * d,
        method="highs",
    )
    return bool(found.status == 0 and (A @ found.x).max() > 0.1)


def _sides(
    family: AbstractFamily, y: Floats, trials: Floats | None, predictor: int
) -> tuple[Floats, NDArray[np.bool_]] | None:
    """Where (n,) each row wants its predictor: +1 up, −1 down, 0 indifferent; and held rows."""
    name = family.predictors()[predictor] if predictor < len(family.predictors()) else ""
    base = family.base if isinstance(family, ZeroInflated) else family
    if name == "zero_inflation" and not base.zero_mass:
        return np.where(y == 0, 1.0, -1.0), np.zeros(len(y), bool)
    if name != "conditional" or family.has_thresholds:
        return None
    if trials is not None and family.link != "log":
        up = np.where(y == trials, 1.0, np.where(y == 0, -1.0, 0.0))
        return up, up == 0
    if base.zero_mass and family.link == "log":
        return np.where(y == 0, -1.0, 0.0), y != 0
    return None
