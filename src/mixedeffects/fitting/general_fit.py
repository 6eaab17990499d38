"""The fit of a generalized model: from its designs to estimates in the user's units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import DataError
from mixedeffects.families import AbstractFamily, Response
from mixedeffects.fitting.estimates import Estimates
from mixedeffects.fitting.fit import checked_response, checked_start, term_arrays
from mixedeffects.fitting.general import (
    GeneralProblem,
    PredictorArrays,
    build_general,
)
from mixedeffects.fitting.general_conditional import GeneralConditional
from mixedeffects.fitting.general_estimates import general_estimate
from mixedeffects.fitting.general_solve import GeneralSolution, solve_general
from mixedeffects.fitting.joint_solve import solve_joint
from mixedeffects.fitting.quadrature import check_quadrature
from mixedeffects.fitting.refusals import (
    check_explained_means,
    check_general,
    check_general_levels,
    check_magnitudes,
    check_near,
    check_no_constant,
    check_not_empty,
    check_unrelated,
    check_variation,
    check_zeros,
)
from mixedeffects.formula.design import Design

Floats = NDArray[np.float64]
Progress = Callable[[int, float], None]


@dataclass(frozen=True)
class GeneralFit:
    """Everything that is known of a generalized fit.

    ``design`` is the conditional predictor's, with those of the others.
    """

    design: Design
    family: AbstractFamily
    problem: GeneralProblem
    solution: GeneralSolution
    estimates: Estimates

    @property
    def natural_df(self) -> str:
        """The degrees of freedom that its tests have unless others are asked for."""
        return "asymptotic"

    @property
    def residual_sd(self) -> float | None:
        """Standard deviation of the residuals, where it is one number."""
        sigma = self.estimates.sigma
        return sigma if self.family.has_residual and np.isfinite(sigma) else None

    @property
    def quadrature(self) -> int:
        """Nodes along each random effect; 1 for Laplace, 0 with coefficients as modes."""
        return self.problem.quadrature

    @cached_property
    def factor(self) -> GeneralConditional:
        """The factored system at the optimum, made when first asked for."""
        return GeneralConditional(self.problem, self.solution)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "factor"}


def fit_general(
    design: Design,
    family: AbstractFamily,
    start: Any = None,
    progress: Progress | None = None,
    quadrature: int = 1,
    reml: bool = False,
) -> GeneralFit:
    """Fit designs with a family; ``start`` is θ (m,) of the user's columns, or None.

    ``quadrature``: nodes along each random effect, 1 for the Laplace approximation, 0 for
    coefficients that are estimated along with the modes.  ``reml`` is for family NoResidual.

    Raises
    ------
    DataError, ModelError
        If the family cannot have produced the response, or the model cannot be estimated.
    """
    problem = general_problem_of(design, family, quadrature, reml)
    theta = checked_start(problem, start)
    solver = solve_joint if quadrature == 0 else solve_general
    return completed_general(design, family, problem, solver(problem, theta, on_step=progress))


def refit_general(fit: GeneralFit, y: Any) -> GeneralFit:
    """The same model of another response: nobs values, or one for each row of the data."""
    y = checked_response(fit.design, y)
    problem = problem_with_response(fit, y)
    solver = solve_joint if fit.quadrature == 0 else solve_general
    solution = solver(problem, fit.solution.optimum.theta)
    return completed_general(replace(fit.design, y=y), fit.family, problem, solution)


def problem_with_response(fit: GeneralFit, y: Floats) -> GeneralProblem:
    """The problem of another response (nobs,).

    Raises
    ------
    DataError, ModelError
        If the family cannot have produced it, or it lacks what the model needs.
    """
    response = _response(replace(fit.design, y=y), fit.family)
    check_zeros(fit.family, response, fit.design.response)
    return replace(fit.problem, response=same_categories(fit, response))


def same_categories(fit: GeneralFit, response: Response) -> Response:
    """The response, if it has rows in each of the fit's categories.

    Raises
    ------
    DataError
        If it has others.
    """
    n = fit.problem.response.n_categories
    if response.n_categories != n:
        raise DataError(
            f"The new response has {response.n_categories} categories, codes 0, 1, …; the model "
            f"has {n}, and its thresholds need rows in each."
        )
    return response


def completed_general(
    design: Design, family: AbstractFamily, problem: GeneralProblem, solution: GeneralSolution
) -> GeneralFit:
    """A solution with its estimates in the user's units and names."""
    check_explained_means(problem, solution.beta, solution.b, design.response)
    estimates = general_estimate(problem, solution, design, family)
    return GeneralFit(design, family, problem, solution, estimates)


def general_problem_of(
    design: Design, family: AbstractFamily, quadrature: int = 1, reml: bool = False
) -> GeneralProblem:
    """The designs as standardized arrays, one predictor after the other.

    Raises
    ------
    DataError, ModelError
    """
    response = _response(design, family)
    check_zeros(family, response, design.response)
    check_variation(family, response, design)
    check_unrelated(design, family)
    check_general_levels(design, family)
    check_near(design, family)
    predictors = []
    for name in family.predictors():
        own = design if name == "conditional" else design.others.get(name)
        predictors.append(
            _constant(name, len(design.y)) if own is None else _arrays(name, own, family)
        )
    extras = family.extras(response)
    predictors += [_constant(name, len(design.y)) for name in extras.names]
    problem = build_general(family, response, predictors, design.weights, quadrature)
    problem = replace(problem, reml=reml)
    check_general(problem)
    check_quadrature(problem)
    return problem


def _response(design: Design, family: AbstractFamily) -> Response:
    return family.response(design.y, design.trials, design.response, design.rows)


def _arrays(name: str, design: Design, family: AbstractFamily) -> PredictorArrays:
    check_magnitudes(design)
    check_not_empty(name, design)
    ordinal = family.has_thresholds and name == "conditional"
    if ordinal and not design.has_intercept:
        check_no_constant(design)
    dropped = int(ordinal and design.has_intercept)
    intercept = 0 if design.has_intercept and not dropped else None
    return PredictorArrays(
        name, design.X[:, dropped:], dropped, design.offset, intercept, term_arrays(design)
    )


def _constant(name: str, n: int) -> PredictorArrays:
    """A predictor that is the same for all rows."""
    return PredictorArrays(name, np.ones((n, 1)), 0, None, 0, ())
