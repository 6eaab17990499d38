"""A generalized fit without some of its rows: the pattern of its levels is kept.

A level that loses all its rows stays in the system with no data, where it changes nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.crossproducts import Grouping
from mixedeffects.algebra.standardize import fixed_basis
from mixedeffects.errors import ModelError
from mixedeffects.fitting.deletion import Deleted
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.general_estimates import general_estimate
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.fitting.general_solve import general_solution_at
from mixedeffects.fitting.joint_mode import check_likelihood
from mixedeffects.fitting.plain import general_objective
from mixedeffects.fitting.refusals import check_zeros
from mixedeffects.fitting.solve import search

Rows = NDArray[np.intp]


class GeneralDeletions:
    """Deletes rows of a generalized fit, again and again, in any number of threads."""

    def __init__(self, fit: GeneralFit) -> None:
        check_likelihood(fit.problem)
        self._fit = fit

    def without(self, rows: NDArray[np.integer]) -> Deleted:
        """The estimates without the rows at these positions, from those of all rows on.

        Raises
        ------
        ModelError
            If the model cannot be estimated without them.
        """
        fit, kept = self._fit, np.delete(np.arange(self._fit.problem.n_rows), rows)
        problem = _part(fit.problem, kept)
        self._check(problem, kept)
        objective = general_objective(problem, fit.solution.u)
        optimum = search(objective, fit.solution.optimum.theta)
        solution = general_solution_at(objective, optimum)
        found = general_estimate(problem, solution, fit.design, fit.family)
        failed = [check.message for check in found.checks if not check.passed]
        if failed:
            raise ModelError("; ".join(failed))
        return Deleted(found.beta, found.vcov, found.sigma, found.theta)

    def _check(self, problem: GeneralProblem, kept: Rows) -> None:
        """Refuse what only the deleted rows inform."""
        fit = self._fit
        check_zeros(fit.family, problem.response, fit.design.response)
        codes = problem.response.y
        if problem.response.n_categories > len(np.unique(codes)) > 0:
            raise ModelError("Without it a category of the response has no rows.")
        for predictor, own in zip(problem.predictors, fit.estimates.components, strict=False):
            lost = fixed_basis(predictor.basis.columns, problem.weights, None).aliased
            if len(lost):
                names = ", ".join(repr(own.x_names[j]) for j in lost)
                raise ModelError(f"Without it {names} cannot be estimated.")
        for term, grouping in zip(
            fit.estimates.terms, (problem.groupings[t.grouping] for t in problem.terms), strict=True
        ):
            if grouping.relationship is None and len(np.unique(grouping.codes)) < 2:
                raise ModelError(
                    f"Without it grouping factor {term.group!r} has one level: a variance between "
                    "groups needs at least two."
                )


def _part(problem: GeneralProblem, kept: Rows) -> GeneralProblem:
    """The problem of some of its rows, in the same basis."""
    predictors = tuple(
        replace(
            p,
            basis=replace(p.basis, columns=np.ascontiguousarray(p.basis.columns[kept])),
            offset=None if p.offset is None else p.offset[kept],
        )
        for p in problem.predictors
    )
    groupings = tuple(
        Grouping(
            np.ascontiguousarray(g.codes[kept]),
            np.ascontiguousarray(g.values[kept]),
            g.n_levels,
            g.relationship,
        )
        for g in problem.groupings
    )
    return replace(
        problem,
        response=problem.response.take(kept),
        weights=None if problem.weights is None else problem.weights[kept],
        predictors=predictors,
        groupings=groupings,
        n_rows=len(kept),
    )
