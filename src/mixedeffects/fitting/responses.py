"""Cross-products of many responses at once, standardized as those of one are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra._products import level_products
from mixedeffects.algebra.cholesky import columns_of
from mixedeffects.algebra.crossproducts import NO_WEIGHTS
from mixedeffects.fitting.problem import Problem
from mixedeffects.fitting.start import covariances_of, starts_of

Floats = NDArray[np.float64]

# Where least squares leave less than this share of y'Wy they are taken off the rows, and the
# products formed again; otherwise off the products, which costs fewer than 4 digits of 16.
SHARE = 1e-3


@dataclass(frozen=True, slots=True)
class Responses:
    """R responses less their least squares, in units of their own size.

    ``border`` (q, R), Z'Wy in the plan's order; ``corner`` (p + 1, R), [X y]'Wy;
    ``least_squares`` (p, R) in the basis of X and in the responses' units; ``scale`` (R,).
    """

    border: Floats
    corner: Floats
    least_squares: Floats
    scale: Floats


def response_products(problem: Problem, y: Floats) -> Responses:
    """Cross-products of responses (n, R), which are less their offset."""
    X, p = problem.basis.columns, problem.plan.n_fixed
    gram = problem.products.corner[:p, :p]
    fixed = problem.arranged.border.reshape(-1, p + 1)[:, :p]
    taken = np.zeros((p, y.shape[1]))
    for last in (False, True):
        border, moments, square = _products(problem, y)
        more = np.linalg.solve(gram, moments) if p else moments
        left = square - np.einsum("pr,pr->r", more, moments)
        if last or bool(np.all(left > SHARE * square)):
            break
        y = y - X @ more
        taken += more
    scale = np.sqrt(np.maximum(left, 0.0) / problem.n_rows)
    size = np.where(scale > 0.0, scale, 1.0)
    corner = np.vstack([moments - gram @ more, np.maximum(left, 0.0) / size])
    return Responses((border - fixed @ more) / size, corner / size, taken + more, scale)


def _products(problem: Problem, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Z'Wy (q, R) in the plan's order, X'Wy (p, R) and y'Wy (R,)."""
    y = np.ascontiguousarray(y)
    weights = NO_WEIGHTS if problem.weights is None else problem.weights
    weighted = y if problem.weights is None else y * weights[:, None]
    border = np.empty((int(problem.plan.offset[-1]), y.shape[1]))
    for f, g in enumerate(problem.groupings):
        border[columns_of(problem.plan, f)] = level_products(
            g.codes, g.values, y, weights, g.n_levels
        )
    return border, problem.basis.columns.T @ weighted, np.einsum("nr,nr->r", y, weighted)


def starts(problem: Problem, responses: Responses) -> Floats:
    """Where the fits begin (R, m), for terms linear in θ."""
    if problem.moments is None:
        plain = np.concatenate([t.covariance.start() for t in problem.terms])
        return np.tile(plain, (len(responses.scale), 1))
    scores = [
        responses.border[columns_of(problem.plan, f)].transpose(2, 0, 1)
        for f in range(len(problem.groupings))
    ]
    moments = covariances_of(problem.moments, scores, responses.corner[-1], problem.n_rows)
    found = [
        starts_of(t.covariance, moments[t.grouping][:, t.columns, t.columns]) for t in problem.terms
    ]
    return np.ascontiguousarray(np.hstack(found))
