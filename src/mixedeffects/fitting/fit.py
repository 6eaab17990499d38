"""A fit: what was asked, what was solved, what was estimated; how one comes about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance import build
from mixedeffects.errors import DataError, ModelError
from mixedeffects.fitting.conditional import ConditionalFactor
from mixedeffects.fitting.estimates import Estimates, TermNames, estimate, standardized_theta
from mixedeffects.fitting.objective import AbstractProblem
from mixedeffects.fitting.problem import Problem, TermArrays, build_problem, with_response
from mixedeffects.fitting.refusals import (
    LARGEST,
    check_explained,
    check_levels,
    check_magnitudes,
    check_memory,
    check_residual,
    check_response,
    check_size,
)
from mixedeffects.fitting.solve import Solution, solve
from mixedeffects.formula.design import Design

if TYPE_CHECKING:
    from mixedeffects.families import AbstractFamily

Floats = NDArray[np.float64]
Progress = Callable[[int, float], None]

# Relative standard deviations from which no optimizer comes back.
FARTHEST = 1e8


@dataclass(frozen=True)
class Fit:
    """Everything that is known of a fit; whatever is asked of it later is a function of this."""

    design: Design
    problem: Problem
    solution: Solution
    estimates: Estimates

    @property
    def family(self) -> AbstractFamily:
        """Gaussian, by the identity."""
        from mixedeffects.families import build

        return build("gaussian")

    @property
    def natural_df(self) -> str:
        """The degrees of freedom that its tests have unless others are asked for."""
        return "satterthwaite"

    @property
    def residual_sd(self) -> float | None:
        """Standard deviation of the residuals, where it is one number."""
        return self.estimates.sigma

    @cached_property
    def factor(self) -> ConditionalFactor:
        """The factored system at the optimum, made when first asked for."""
        return ConditionalFactor(self.problem, self.solution.optimum.theta)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "factor"}


def fit_design(
    design: Design, reml: bool, start: Any = None, progress: Progress | None = None
) -> Fit:
    """Fit a design; ``start`` is θ (m,) of the user's columns, or None.

    Raises
    ------
    ModelError
        If the model cannot be estimated from these data.
    """
    problem = problem_of(design, reml)
    solution = solve(problem, checked_start(problem, start), on_step=progress)
    return completed(design, problem, solution)


def refit(fit: Fit, y: Any) -> Fit:
    """The same model of another response: nobs values, or one for each row of the data.

    Raises
    ------
    DataError
        If ``y`` is not such numbers.
    """
    design = replace(fit.design, y=checked_response(fit.design, y))
    y = _modelled(design)
    problem = with_response(fit.problem, y)
    check_explained(problem, y, design.response)
    return completed(design, problem, solve(problem, exact=False))


def completed(design: Design, problem: Problem, solution: Solution) -> Fit:
    """A solution with its estimates in the user's units and names."""
    check_residual(solution, design.response)
    names = [TermNames(r.label, r.group, r.structure, r.names, r.levels) for r in design.random]
    return Fit(design, problem, solution, estimate(problem, solution, design.x_names, names))


def problem_of(design: Design, reml: bool) -> Problem:
    """The design as standardized arrays, if it can be fitted."""
    y = _modelled(design)
    check_magnitudes(design)
    for random in design.random:
        check_levels(random, len(y))
    problem = build_problem(
        y,
        design.X,
        term_arrays(design),
        reml=reml,
        weights=design.weights,
        intercept=design.x_names.index("Intercept") if design.has_intercept else None,
    )
    check_size(problem)
    check_memory(problem)
    check_explained(problem, y, design.response)
    return problem


def term_arrays(design: Design) -> tuple[TermArrays, ...]:
    """The random terms; those of one grouping factor share its number."""
    factors: dict[str, int] = {}
    terms = []
    for number, random in enumerate(design.random):
        key = random.group if random.matrix is None else f"known {number}"
        terms.append(
            TermArrays(
                values=random.values,
                codes=random.codes,
                n_levels=len(random.levels),
                covariance=build(random.structure, len(random.names), random.positions),
                intercept=random.names.index("Intercept") if "Intercept" in random.names else None,
                factor=factors.setdefault(key, len(factors)),
                relationship=random.matrix,
            )
        )
    return tuple(terms)


def _modelled(design: Design) -> Floats:
    """The response less its offset, checked."""
    y = design.y if design.offset is None else design.y - design.offset
    check_response(y, design.response)
    return y


def checked_start(problem: AbstractProblem, start: Any) -> Floats | None:
    """Standardized θ (m,) from the user's, or None."""
    if start is None:
        return None
    try:
        theta = np.asarray(start, dtype=np.float64)
    except (TypeError, ValueError):
        raise ModelError(f"start={start!r} is not numbers: give values of theta.") from None
    if theta.shape != (problem.n_parameters,) or not np.all(np.isfinite(theta)):
        raise ModelError(
            f"start needs {problem.n_parameters} finite values, one for each of theta; it has "
            f"shape {theta.shape}."
        )
    if np.abs(theta).max(initial=0.0) < LARGEST:
        theta = standardized_theta(problem.terms, theta)
    if np.abs(theta).max(initial=0.0) > FARTHEST:
        raise ModelError(
            f"start={start!r} has standard deviations beyond {FARTHEST:g} times the residual's: "
            "start nearer, or leave it out."
        )
    return theta


def checked_response(design: Design, y: Any) -> Floats:
    """A new response (n,) of the rows used."""
    try:
        if np.iscomplexobj(y):
            raise TypeError
        response = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError("The new response must be real numbers, one for each row.") from None
    if response.shape == (design.n_rows,):
        response = response[design.rows]
    if response.shape != (len(design.rows),):
        raise DataError(
            f"The new response has shape {np.shape(y)}; {len(design.rows)} values are needed, one "
            f"for each row used (or {design.n_rows}, one for each row of the data)."
        )
    if not np.all(np.isfinite(response)):
        row = int(np.flatnonzero(~np.isfinite(response))[0])
        raise DataError(f"The new response is not finite at position {row}.")
    return response
