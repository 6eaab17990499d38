"""The likelihood ratio of two nested fits, with the distribution that it follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.fitting.problem import Problem
from mixedeffects.inference.boundary_cone import boundary_cone, boundary_reference
from mixedeffects.inference.chi_bar import AbstractReference, Mixture, half_line
from mixedeffects.inference.family_nesting import FamilyStep, family_step
from mixedeffects.inference.nesting import (
    AnyFit,
    CarriedCovariances,
    carry,
    fixed_effects_within,
)
from mixedeffects.inference.score_information import score_information

Floats = NDArray[np.float64]

# A smaller model's likelihood may exceed a larger one's by so much through rounding alone, and
# statistics as small are zero.
ROUNDING = 1e-5
ZERO = 1e-7
HELD = "; a variance that is not tested is zero here"


@dataclass(frozen=True, slots=True)
class Ratio:
    """A likelihood ratio test, or the reason why there is none.

    ``p_value`` counts with variances at their boundary, ``p_naive`` does not; ``reference`` is
    what the statistic was compared with, ``simulation_error`` the standard error of a simulated
    ``p_value``.
    """

    statistic: float | None
    df: int | None
    p_value: float | None
    p_naive: float | None
    reference: str
    simulation_error: float | None = None


def no_ratio(reason: str) -> Ratio:
    return Ratio(None, None, None, None, reason)


def simulated(ratio: Ratio, p_value: float, error: float, reference: str) -> Ratio:
    return replace(ratio, p_value=p_value, reference=reference, simulation_error=error)


def statistic_of(smaller: float, larger: float) -> float | None:
    """The difference of two objectives; None where the larger model's optimum is not one."""
    difference = smaller - larger
    if difference < -ROUNDING * (1.0 + 1e-3 * abs(larger)):
        return None
    return difference if difference > ZERO else 0.0


def nested(small: AnyFit, large: AnyFit) -> CarriedCovariances | str:
    """The smaller model's covariances within the larger's, or why it does not lie within it."""
    if isinstance(small, GeneralFit) and isinstance(large, GeneralFit):
        step = family_step(small, large)
        if isinstance(step, str):
            return step
    elif type(small) is not type(large):
        return "not nested: one is a linear and one a generalized fit"
    if small.estimates.n_parameters >= large.estimates.n_parameters:
        return "not nested: as many parameters"
    if not fixed_effects_within(small, large):
        return "not nested: the fixed effects of one are not among those of the other"
    carried = carry(small, large)
    return f"not nested: {carried}" if isinstance(carried, str) else carried


def plain_ratio(small: AnyFit | None, large: AnyFit) -> Ratio:
    """The statistic with χ²(df); ``small`` None is the model without random effects."""
    if small is None:
        assert isinstance(large, Fit)
        objective, fewer = linear_objective(large.problem), large.problem.n_parameters
    else:
        objective = small.estimates.objective
        fewer = large.estimates.n_parameters - small.estimates.n_parameters
    statistic = statistic_of(objective, large.estimates.objective)
    if statistic is None:
        return no_ratio("none: the larger model's optimum is not the best; refit it from start=")
    plain = Mixture((1.0,), fewer)
    p_value = plain.upper(statistic)
    return Ratio(statistic, fewer, p_value, p_value, plain.text)


def asymptotic_ratio(ratio: Ratio, large: Fit, carried: CarriedCovariances | str) -> Ratio:
    """A plain ratio with the distribution that counts with variances at their boundary.

    ``carried`` is where the smaller model lies in the larger one, or why it does not.
    """
    if isinstance(carried, str):
        return no_ratio(carried)
    if ratio.statistic is None or ratio.df is None:
        return ratio
    reference, held = boundary_reference(large.problem, carried, ratio.df)
    return replace(
        ratio, p_value=reference.upper(ratio.statistic), reference=reference.text + HELD * held
    )


def general_ratio(small: GeneralFit, large: GeneralFit, carried: CarriedCovariances | str) -> Ratio:
    """The test of two generalized fits, with variances and families at their boundaries."""
    step = family_step(small, large)
    for found in (carried, step):
        if isinstance(found, str):
            return no_ratio(found)
    assert isinstance(carried, CarriedCovariances)
    assert isinstance(step, FamilyStep)
    ratio = plain_ratio(small, large)
    if ratio.statistic is None or ratio.df is None:
        return ratio
    if step.place == "singular":
        return no_ratio(
            f"none: at {step.text} other parameters mean nothing; use method='bootstrap'"
        )
    if step.place == "boundary":
        cone = boundary_cone(large.problem, carried)
        if cone.sizes or cone.rays or cone.partly:
            return no_ratio(
                f"none: variances and {step.text} are at boundaries; use method='bootstrap'"
            )
        reference: AbstractReference = half_line(ratio.df - 1)
        text = f"{reference.text}; {step.text}"
    else:
        information = partial(score_information, small, large, carried)
        reference, held = boundary_reference(large.problem, carried, ratio.df, information)
        text = reference.text + HELD * held
    return replace(ratio, p_value=reference.upper(ratio.statistic), reference=text)


def linear_objective(problem: Problem) -> float:
    """−2 log-likelihood, or REML criterion, of a problem without its random effects."""
    return float(linear_objectives(problem, np.array(problem.scale)))


def linear_objectives(problem: Problem, scale: Floats) -> Floats:
    """The same of responses whose residuals have these root mean squares (R,)."""
    products, dof = problem.products, problem.dof
    p = problem.plan.n_fixed
    determinant = float(np.linalg.slogdet(products.corner[:p, :p])[1]) if p else 0.0
    objectives: Floats = (
        dof * (1.0 + np.log(2.0 * np.pi * problem.n_rows * scale**2 / dof))
        + (determinant + 2.0 * problem.basis.log_scale) * problem.reml
        - products.log_weights
    )
    return objectives
