"""Profile likelihood intervals, exact: each limit is the root of an equation.

The profile of a parameter ψ is the maximum likelihood objective minimized over all others; the
signed root ζ(ψ) = ±√(profile − minimum) is compared with the normal distribution, so a limit is
where ζ = ±z (Venzon and Moolgavkar 1988, Appl. Statist. 37, 87-94).  The likelihood is always
that of maximum likelihood: REML's depends on the columns of X and has no coefficients.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ConvergenceWarning, ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.general_solve import GeneralSolution, solve_general
from mixedeffects.fitting.problem import Problem
from mixedeffects.fitting.solve import Solution, solve
from mixedeffects.inference.parameters import AnyFit, Parameter, natural_parameters
from mixedeffects.inference.paths import (
    AbstractPath,
    CoefficientPath,
    ProfilePoint,
    coordinate_path,
)
from mixedeffects.inference.surfaces import GaussianSurface, GeneralSurface

Floats = NDArray[np.float64]
Result = TypeVar("Result")

# A Newton step of this share of the way from the optimum ends the search: the next is its square.
CLOSE = 1e-6
# By how much a profile lies below its optimum before another optimum is believed.
LOWER = 1e-6
# Points of the profile for one limit, and how many of them may fail; growth of a step without a
# bracket.
ATTEMPTS, FAILURES, GROWTH = 60, 5, 3.0
# First step of t, of order one, where the optimum has no curvature.
STEP = 0.3
# A profile that one more step as long as the first raises by less than this share of z² levels off.
LEVEL = 1e-5
# Other optima that are followed before the likelihood is given up.
RESTARTS = 3


class LowerOptimumError(Exception):
    """The profile of a parameter found a better optimum: a fit may start at ``start``."""

    def __init__(self, start: Floats) -> None:
        super().__init__("a profile lies below its optimum")
        self.start = start


def maximum_likelihood(fit: Fit) -> tuple[Problem, Solution]:
    """The fit by maximum likelihood, brought to its optimum where the fit stopped short of it."""
    if not fit.problem.reml and fit.estimates.converged:
        return fit.problem, fit.solution
    constant = fit.problem.constant - 2.0 * fit.problem.basis.log_scale * fit.problem.reml
    problem = replace(fit.problem, reml=False, constant=constant)
    return problem, solve(problem, fit.solution.optimum.theta)


class AbstractPaths(ABC):
    """The paths of a model's parameters through its optimum by maximum likelihood."""

    value: float

    @abstractmethod
    def path(self, parameter: Parameter) -> AbstractPath:
        """That of one parameter."""

    @abstractmethod
    def solved(self, start: Floats) -> AbstractPaths:
        """Those through the optimum that is found from elsewhere."""


class LinearPaths(AbstractPaths):
    """Those of a linear model."""

    def __init__(
        self, problem: Problem, solution: Solution, parameters: Sequence[Parameter]
    ) -> None:
        self._problem, self._solution, self._known = problem, solution, parameters
        self.value = solution.optimum.value

    def path(self, parameter: Parameter) -> AbstractPath:
        if parameter.kind == "fixed":
            return CoefficientPath(self._problem, self._solution, parameter)
        return coordinate_path(
            lambda: GaussianSurface(self._problem, self._solution), parameter, self._known
        )

    def solved(self, start: Floats) -> LinearPaths:
        return LinearPaths(self._problem, solve(self._problem, start), self._known)


class GeneralPaths(AbstractPaths):
    """Those of a generalized model."""

    def __init__(
        self, problem: GeneralProblem, solution: GeneralSolution, parameters: Sequence[Parameter]
    ) -> None:
        self._problem, self._solution, self._known = problem, solution, parameters
        self.value = solution.optimum.value

    def path(self, parameter: Parameter) -> AbstractPath:
        return coordinate_path(
            lambda: GeneralSurface(self._problem, self._solution), parameter, self._known
        )

    def solved(self, start: Floats) -> GeneralPaths:
        return GeneralPaths(self._problem, solve_general(self._problem, start), self._known)


def paths_of(fit: AnyFit) -> AbstractPaths:
    """The paths of a fit's parameters."""
    known = natural_parameters(fit)
    if isinstance(fit, Fit):
        return LinearPaths(*maximum_likelihood(fit), known)
    if not fit.problem.reml:
        return GeneralPaths(fit.problem, fit.solution, known)
    problem = replace(fit.problem, reml=False)
    return GeneralPaths(problem, solve_general(problem, fit.solution.optimum.theta), known)


def along_paths(
    fit: AnyFit, parameters: Sequence[Parameter], ask: Callable[[AbstractPath], Result]
) -> list[Result]:
    """What ``ask`` says of the path of each parameter.

    Raises
    ------
    ModelError
        If one better optimum after another is found.
    """
    paths = paths_of(fit)
    for _ in range(RESTARTS):
        try:
            results = [ask(paths.path(p)) for p in parameters]
        except LowerOptimumError as found:
            paths = paths.solved(found.start)
            continue
        _report(fit, paths.value)
        return results
    raise ModelError(
        "The likelihood has several optima and profiles go from one to the next: no interval "
        "can be defended; simplify the random effects."
    )


def _report(fit: AnyFit, value: float) -> None:
    better = fit.solution.optimum.value - value
    if not fit.estimates.reml and better > LOWER:
        warnings.warn(
            f"The profile found parameters whose −2 log-likelihood lies {better:.3g} below that "
            "of the fit: the intervals are about them; fit again from another start.",
            ConvergenceWarning,
            stacklevel=5,
        )


def profile_limits(way: AbstractPath, z: float) -> tuple[float, float]:
    """Where ζ = ∓z, in the user's units: a bound where it is not reached, NaN if not found."""
    low, high = (root(way, sign, z) for sign in (-1.0, 1.0))
    return way.value_of(low), way.value_of(high)


def root(way: AbstractPath, sign: float, z: float) -> float:
    """t with ζ(t) = sign·z, or the bound on that side; NaN if it cannot be found."""
    bound = way.high if sign > 0 else way.low
    near, beyond = way.best, None
    if near.t == bound:
        return bound
    if np.isnan(way.curvature):
        return float("nan")
    t, failures = near.t + sign * first_step(way, z), 0
    for _ in range(ATTEMPTS):
        if beyond is not None and not sign * near.t < sign * t < sign * beyond:
            t = 0.5 * (near.t + beyond)
        if sign * (t - bound) >= 0.0:
            t = bound
        point = way.at(t, near)
        distance = zeta(way, point)
        if distance <= z and (t == bound or levels_off(way, near, point, z)):
            return bound
        failures += not np.isfinite(distance)
        if failures > FAILURES:
            break
        ahead = following(way, point, distance, sign, z)
        if abs(ahead - t) <= CLOSE * abs(t - way.best.t):
            return ahead
        if distance > z:
            beyond = t
        else:
            near = point
        t = ahead
    return float("nan")


def levels_off(way: AbstractPath, near: ProfilePoint, point: ProfilePoint, z: float) -> bool:
    """Whether the profile, not excluded so far, will not rise any more on its endless way."""
    if np.isfinite(way.far):
        return bool(abs(point.t - way.best.t) > way.far)
    endless = np.isinf(way.high if point.t > way.best.t else way.low)
    far = abs(point.t - near.t) >= 0.99 * first_step(way, z)
    return bool(endless and far and abs(point.value - near.value) < LEVEL * z**2)


def first_step(way: AbstractPath, z: float) -> float:
    """How far from the optimum the quadratic model has ζ = z."""
    return z * np.sqrt(2.0 / way.curvature) if way.curvature > 0.0 else STEP


def zeta(way: AbstractPath, point: ProfilePoint) -> float:
    """|ζ| of a point.

    Raises
    ------
    LowerOptimumError
        If the point lies below the optimum.
    """
    excess = point.value - way.best.value
    if excess < -LOWER:
        raise LowerOptimumError(way.start(point))
    return float(np.sqrt(max(excess, 0.0)))


def following(
    way: AbstractPath, point: ProfilePoint, distance: float, sign: float, z: float
) -> float:
    """Where the slope of ζ at a point, ``distance`` from zero, puts ζ = sign·z.

    Not farther than ``GROWTH`` times the way from the optimum; NaN where ζ is infinite.
    """
    if not np.isfinite(distance):
        return float("nan")
    far = GROWTH * (point.t - way.best.t)
    slope = point.slope / (2.0 * distance) if distance > 0.0 else 0.0
    if slope * sign <= 0.0:
        return way.best.t + far
    step = (z - distance) / slope
    return point.t + sign * min(sign * step, sign * (far + way.best.t - point.t))
