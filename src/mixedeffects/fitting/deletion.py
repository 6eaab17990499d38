"""A fit without some of its rows: their cross-products are taken off, the pattern is kept.

A level that loses all its rows stays in the system with no data, where it changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.cholesky import rearrange
from mixedeffects.algebra.crossproducts import Grouping, crossproducts
from mixedeffects.algebra.standardize import DOUBTFUL, fixed_basis
from mixedeffects.errors import ModelError
from mixedeffects.fitting.estimates import user_theta
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.lmm import Objective
from mixedeffects.fitting.problem import Problem
from mixedeffects.fitting.refusals import check_levels, check_residual, check_size
from mixedeffects.fitting.searches import Search, is_searchable, make_search, searched
from mixedeffects.fitting.solve import solve

Floats = NDArray[np.float64]
Rows = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Deleted:
    """What is estimated without some rows, in the user's units: β, Cov(β̂), σ and θ."""

    beta: Floats
    vcov: Floats
    sigma: float
    theta: Floats


class Deletions:
    """Deletes rows of a fit, again and again, in any number of threads.

    Parameters
    ----------
    fit
        The fit of all rows.
    refit
        Whether the variance parameters are estimated again, from θ̂ on; else they are held.
    """

    def __init__(self, fit: Fit, refit: bool) -> None:
        self._fit, self._refit = fit, refit
        problem, design = fit.problem, fit.design
        y = design.y if design.offset is None else design.y - design.offset
        self._y = (y - problem.basis.columns @ problem.least_squares) / problem.scale
        self._compiled = refit and is_searchable(problem)
        self._searches: SimpleQueue[Search] = SimpleQueue()
        self._counts = [np.bincount(r.codes, minlength=len(r.levels)) for r in design.random]

    def without(self, rows: Rows) -> Deleted:
        """The estimates without the rows at these positions.

        Raises
        ------
        ModelError
            If the model cannot be estimated without them.
        """
        problem = self._problem_without(rows)
        check_size(problem)
        self._check_columns(problem, rows)
        self._check_terms(rows)
        return self._solved(problem)

    def _problem_without(self, rows: Rows) -> Problem:
        problem = self._fit.problem
        weights = None if problem.weights is None else problem.weights[rows]
        groupings = [Grouping(g.codes[rows], g.values[rows], g.n_levels) for g in problem.groupings]
        part = crossproducts(groupings, problem.basis.columns[rows], self._y[rows], weights)
        products = problem.products.without(part)
        related = [g.relationship is not None for g in problem.groupings]
        return replace(
            problem,
            products=products,
            arranged=rearrange(problem.arranged, products, problem.plan, related),
            moments=None,
            n_rows=products.n_rows,
            constant=problem.constant + part.log_weights,
        )

    def _check_columns(self, problem: Problem, rows: Rows) -> None:
        """Refuse fixed effects that only the deleted rows inform."""
        gram, full = problem.products.corner, self._fit.problem.products.corner
        p = problem.plan.n_fixed
        if _least_share(gram[:p, :p], np.diagonal(full)[:p]) > DOUBTFUL:
            return
        fit, kept = self._fit, np.delete(np.arange(self._fit.problem.n_rows), rows)
        weights = None if problem.weights is None else problem.weights[kept]
        names = fit.estimates.x_names
        intercept = names.index("Intercept") if fit.design.has_intercept else None
        X = fit.design.X[np.ix_(kept, fit.estimates.kept)]
        lost = [names[j] for j in fixed_basis(X, weights, intercept).aliased]
        if lost:
            raise ModelError(f"Without it {', '.join(map(repr, lost))} cannot be estimated.")

    def _check_terms(self, rows: Rows) -> None:
        for random, counts in zip(self._fit.design.random, self._counts, strict=True):
            left = counts - np.bincount(random.codes[rows], minlength=len(counts))
            check_levels(replace(random, levels=random.levels[left > 0]), int(left.sum()))

    def _solved(self, problem: Problem) -> Deleted:
        theta = self._fit.solution.optimum.theta
        if not self._refit:
            objective = Objective(problem, exact=False)
            sigma = float(np.sqrt(objective.variance(theta)))
            beta, root = objective.coefficients(theta)[0], objective.fixed_root(theta)
            return _deleted(problem, theta, beta, sigma, root)
        if self._compiled:
            search = self._take()
            found = _searched(search, problem, theta)
            self._searches.put(search)
            if found is not None:
                return found
        solution = solve(problem, theta, exact=False)
        check_residual(solution, self._fit.design.response)
        theta, beta = solution.optimum.theta, solution.beta
        return _deleted(problem, theta, beta, solution.sigma, solution.fixed_root)

    def _take(self) -> Search:
        """A search that no other thread uses."""
        try:
            return self._searches.get_nowait()
        except Empty:
            return make_search(self._fit.problem)


def _searched(search: Search, problem: Problem, theta: Floats) -> Deleted | None:
    """The compiled refit from θ (m,), or None where it has no certificate."""
    p = problem.plan.n_fixed
    search.use(problem.plan, problem.arranged, problem.n_rows, problem.dof)
    found = searched(
        search,
        problem.arranged.border.reshape(-1, p + 1)[:, p:],
        problem.arranged.corner[:, p:],
        theta[None],
        np.array([2.0 * problem.dof * np.log(problem.scale) + problem.constant]),
        problem.n_rows,
    )
    if not found.certified[0]:
        return None
    return _deleted(problem, found.theta[0], found.beta[0], float(found.sigma[0]), found.roots[0])


def _deleted(
    problem: Problem, theta: Floats, beta: Floats, sigma: float, fixed_root: Floats
) -> Deleted:
    """A solution in the standardized basis, in the user's units."""
    sigma = sigma * problem.scale
    root = np.linalg.solve(fixed_root @ problem.basis.map, np.eye(len(beta)))
    return Deleted(
        beta=problem.basis.original(problem.least_squares + problem.scale * beta),
        vcov=sigma**2 * (root @ root.T),
        sigma=sigma,
        theta=user_theta(problem.terms, theta),
    )


def _least_share(gram: Floats, full: Floats) -> float:
    """The smallest share of a column's norm over all rows that the others leave, squares lost."""
    if not len(gram):
        return 1.0
    try:
        root = np.linalg.cholesky(gram / np.sqrt(np.outer(full, full)))
    except np.linalg.LinAlgError:
        return 0.0
    return float(np.diagonal(root).min())
