"""The expected information on covariances at a given point, for any number of random effects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.cholesky import BlockFactor
from mixedeffects.fitting.problem import Problem, with_response

Floats = NDArray[np.float64]
Direction = tuple[int, Floats]

SEED = 20240607
# As many responses are drawn as give this many levels in sum, within these bounds.
LEVELS = 4000
FEWEST, MOST = 20, 200


def expected_information(
    problem: Problem, factors: Sequence[Floats], directions: Sequence[Direction]
) -> Floats:
    """tr(PV̇_kPV̇_l) with σ² profiled out, up to a common factor, (m, m).

    It is the mean of the average information y'PV̇_kPV̇_lPy over responses drawn at the point, which
    needs no inverse of the size of Z (Gilmour, Thompson and Cullis 1995, Biometrics 51, 1440).

    Parameters
    ----------
    factors
        T (k, k) of each term at the point, standardized and relative to σ.
    directions
        Term number and the direction (k, k) of its TT'.
    """
    factor_sizes = problem.plan.factor_size
    owner = np.array([problem.terms[t].grouping for t, _ in directions], dtype=np.int32)
    pointers = np.concatenate([[0], np.cumsum(factor_sizes.astype(np.int64)[owner] ** 2)])
    flat = np.concatenate([_placed(problem, t, D).ravel() for t, D in directions])
    roots = _roots(problem, factors)
    point = np.concatenate([root.ravel() for root in roots])
    rng = np.random.default_rng(SEED)
    fewest_levels = min(g.n_levels for g in problem.groupings)
    n = int(np.clip(LEVELS // fewest_levels, FEWEST, MOST))
    second, first = np.zeros((len(directions),) * 2), np.zeros(len(directions))
    for _ in range(n):
        drawn = with_response(problem, _response(problem, roots, rng))
        factor = BlockFactor(problem.plan, drawn.arranged)
        factor.factorize(point)
        factor.solve()
        information, traces = factor.information(owner, flat, pointers)
        variance = factor.rss / (problem.n_rows - problem.plan.n_fixed)
        second += information / (n * variance)
        first += traces / (n * variance)
    return second - np.outer(first, first) / (problem.n_rows - problem.plan.n_fixed)


def _placed(problem: Problem, number: int, block: Floats) -> Floats:
    """A term's (k, k) among all columns of its grouping factor."""
    term = problem.terms[number]
    size = int(problem.plan.factor_size[term.grouping])
    placed = np.zeros((size, size))
    placed[term.columns, term.columns] = block
    return placed


def _roots(problem: Problem, factors: Sequence[Floats]) -> list[Floats]:
    """The relative covariance factor of each grouping factor."""
    roots = [np.zeros((k, k)) for k in problem.plan.factor_size]
    for number, T in enumerate(factors):
        roots[problem.terms[number].grouping] += _placed(problem, number, T)
    return roots


def _response(problem: Problem, roots: Sequence[Floats], rng: np.random.Generator) -> Floats:
    """A response (n,) with σ = 1 and no fixed effects."""
    y = rng.standard_normal(problem.n_rows)
    if problem.weights is not None:
        y /= np.sqrt(problem.weights)
    for grouping, root in zip(problem.groupings, roots, strict=True):
        b = rng.standard_normal((grouping.n_levels, len(root))) @ root.T
        if grouping.relationship is not None:
            b = np.linalg.cholesky(grouping.relationship) @ b
        y += np.einsum("nk,nk->n", grouping.values, b[grouping.codes])
    return y
