"""The likelihood along one parameter: its profile at a point, with slope and tangent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.fitting.lmm import Objective
from mixedeffects.fitting.optimize import Evaluation, Optimum, minimize, unknown_evaluation
from mixedeffects.fitting.problem import Problem
from mixedeffects.fitting.solve import Solution
from mixedeffects.inference.parameters import Parameter
from mixedeffects.inference.surfaces import AbstractSurface

Floats = NDArray[np.float64]

# A Newton step of the nuisance that promises less than this (objective: −2 log-likelihood) ends
# the search; what is left is of its square's order.
TOLERANCE = 1e-8
# Curvature below this share of the largest, and negative, is a saddle; how far beside it to look.
SADDLE, ESCAPE = -1e-6, 0.1
# Curvature below this share of the largest is none.
FLAT = 1e-10
# Along a parameter without a finite estimate, columns of unit size: e to this power is infinite.
FAR = 100.0


@dataclass(frozen=True, slots=True)
class ProfilePoint:
    """The profile at t: its value, derivative by t, the nuisance x (m,) and dx/dt (m,)."""

    t: float
    value: float
    slope: float
    x: Floats
    tangent: Floats


class AbstractPath(ABC):
    """The maximum likelihood objective profiled over all but one parameter t.

    ``best`` the optimum; ``curvature`` of the profile there, NaN where the optimum lies at an
    end of what the coordinates reach; ``low`` and ``high`` the range of t; ``far``, how far from
    the optimum a likelihood that has not fallen never will.  It owns the workspace of its
    objective.
    """

    best: ProfilePoint
    curvature: float
    low: float = -np.inf
    high: float = np.inf
    far: float = np.inf

    @abstractmethod
    def value_of(self, t: float) -> float:
        """The parameter in the user's units."""

    @abstractmethod
    def start(self, point: ProfilePoint) -> Floats:
        """From where a fit may start, at a point."""

    @abstractmethod
    def at(self, t: float, near: ProfilePoint) -> ProfilePoint:
        """The profile at t, from the nuisance extrapolated from ``near``; infinite if none."""


class CoordinatePath(AbstractPath):
    """The profile of a parameter that is a coordinate of a likelihood's surface.

    A correlation means nothing where a standard deviation is zero: its profile lies nowhere above
    what the likelihood is there, on the ``voiding`` paths.
    """

    def __init__(
        self,
        surface: AbstractSurface,
        parameter: Parameter,
        voiding: Sequence[CoordinatePath] = (),
    ) -> None:
        self._surface = surface
        self._at: tuple[float, Floats, Evaluation] | None = None
        self._coordinates = surface.coordinates(parameter)
        x, t = self._coordinates.split(surface.optimum())
        self.low, self.high = self._coordinates.low, self._coordinates.high
        self._lower = self._coordinates.bounds
        hessian, tangent = self._whole(x, t).hessian, np.zeros(len(x))
        self.curvature = float("nan")
        if np.all(np.isfinite(hessian)):
            tangent = _tangent(hessian)
            self.curvature = float(hessian[-1, -1] + hessian[-1, :-1] @ tangent)
        self.best = ProfilePoint(t, surface.value, 0.0, x, tangent)
        if surface.drifts(self._coordinates.jacobian(x, t)[:, -1]):
            self.curvature, self.far = 0.0, FAR
        without = (other.at_zero() for other in voiding)
        self._void = min(without, key=lambda point: point[0], default=None)

    def value_of(self, t: float) -> float:
        return self._coordinates.value(t)

    def at_zero(self) -> tuple[float, Floats]:
        """The profile at t = 0, with plain y there."""
        point = self.at(0.0, self.best)
        return point.value, self._surface.plain(self._coordinates.join(point.x, 0.0))

    def start(self, point: ProfilePoint) -> Floats:
        return self._surface.start(self._coordinates.join(point.x, point.t))

    def at(self, t: float, near: ProfilePoint) -> ProfilePoint:
        optimum = _minimize(lambda x: _nuisance(self._whole(x, t)), t, near, self._lower)
        if self._void is not None and (optimum is None or self._void[0] <= optimum.value):
            value, y = self._void
            x, _ = self._coordinates.split(self._surface.along(y))
            return ProfilePoint(t, value, 0.0, x, np.zeros(len(x)))
        if optimum is None:
            return replace(near, t=t, value=np.inf)
        whole = self._whole(optimum.theta, t)
        slope = float(whole.gradient[-1])
        return ProfilePoint(t, optimum.value, slope, optimum.theta, _tangent(whole.hessian))

    def _whole(self, x: Floats, t: float) -> Evaluation:
        """The objective by (x, t); the last point is remembered."""
        if self._at is not None and self._at[0] == t and np.array_equal(self._at[1], x):
            return self._at[2]
        whole = self._evaluate(x, t)
        self._at = t, x, whole
        return whole

    def _evaluate(self, x: Floats, t: float) -> Evaluation:
        y = self._coordinates.join(x, t)
        jacobian = self._coordinates.jacobian(x, t)
        if not np.all(np.isfinite(jacobian)):
            return unknown_evaluation(np.inf, len(y))
        here = self._surface.evaluate(y)
        if not np.isfinite(here.value):
            return here
        hessian = jacobian.T @ here.hessian @ jacobian
        information = hessian
        if here.information is not here.hessian:
            information = jacobian.T @ here.information @ jacobian
        bend = self._coordinates.bend(x, t, here.gradient)
        if bend is not None:
            hessian, information = hessian + bend, information + bend
        return Evaluation(here.value, here.gradient @ jacobian, hessian, information)


class CoefficientPath(AbstractPath):
    """The profile of a coefficient.

    In an orthogonal basis of the columns of X whose first coefficient is a multiple of it, the
    response less t times the first column is modelled by the other columns; in the first one's
    place stands a column that touches nothing.
    """

    def __init__(self, problem: Problem, solution: Solution, parameter: Parameter) -> None:
        self._problem = problem
        p, arranged = problem.plan.n_fixed, problem.arranged
        row = np.linalg.inv(problem.basis.map)[parameter.number]
        length = float(np.linalg.norm(row))
        axes = np.linalg.qr(row[:, None], mode="complete")[0]
        axes *= np.where(axes[:, 0] @ row < 0.0, -1.0, 1.0)
        turn = np.eye(p + 1)
        turn[:p, :p] = axes
        self._border = arranged.border.reshape(-1, p + 1) @ turn
        self._corner = turn.T @ arranged.corner @ turn
        self._unit = problem.scale * length
        self._origin = float(row @ problem.least_squares)
        back = np.linalg.solve(solution.fixed_root.T, axes[:, 0])
        self.curvature = 2.0 / float(solution.sigma**2 * (back @ back))
        x = np.append(solution.optimum.theta, np.log(solution.sigma))
        self._lower = np.concatenate([*(t.covariance.lower for t in problem.terms), [-np.inf]])
        t = float(axes[:, 0] @ solution.beta)
        self.best = ProfilePoint(t, solution.optimum.value, 0.0, x, np.zeros(len(x)))

    def value_of(self, t: float) -> float:
        return self._origin + self._unit * t

    def start(self, point: ProfilePoint) -> Floats:
        return point.x[:-1]

    def at(self, t: float, near: ProfilePoint) -> ProfilePoint:
        objective = Objective(self._at(t))
        optimum = _minimize(lambda x: objective.unprofiled(x[:-1], x[-1]), t, near, self._lower)
        if optimum is None:
            return replace(near, t=t, value=np.inf)
        x = optimum.theta
        return ProfilePoint(
            t, optimum.value, self._slope(objective, t, x), x, (x - near.x) / (t - near.t)
        )

    def _at(self, t: float) -> Problem:
        """The problem of y − t times the first column, by the others."""
        border, corner = self._border.copy(), self._corner.copy()
        border[:, -1] -= t * border[:, 0]
        border[:, 0] = 0.0
        corner[-1] -= t * corner[0]
        corner[:, -1] -= t * corner[:, 0]
        corner[0], corner[:, 0] = 0.0, 0.0
        corner[0, 0] = 1.0
        arranged = replace(self._problem.arranged, border=border.ravel(), corner=corner)
        return replace(self._problem, arranged=arranged)

    def _slope(self, objective: Objective, t: float, x: Floats) -> float:
        """−2 x'V⁻¹(y − tx − Xβ̂)/σ², x the first column."""
        beta, b = objective.coefficients(x[:-1])
        score = self._corner[0, -1] - t * self._corner[0, 0]
        score -= self._corner[0, 1:-1] @ beta[1:] + self._border[:, 0] @ b
        return float(-2.0 * score * np.exp(-2.0 * x[-1]))


def _minimize(
    evaluate: Callable[[Floats], Evaluation], t: float, near: ProfilePoint, lower: Floats
) -> Optimum | None:
    """The nuisance's optimum, past saddles; None where it is not found."""
    bounds = lower if np.isfinite(lower).any() else None
    start = np.maximum(near.x + (t - near.t) * near.tangent, lower)
    optimum = minimize(evaluate, start, tolerance=TOLERANCE, lower=bounds)
    for _ in range(3):
        if optimum.status != "converged":
            return None
        direction = _falling(optimum.hessian, optimum.theta > lower)
        if direction is None:
            break
        start = np.maximum(optimum.theta + ESCAPE * direction, lower)
        other = minimize(evaluate, start, tolerance=TOLERANCE, lower=bounds)
        if other.value >= optimum.value - TOLERANCE:
            break
        optimum = other
    return optimum


def _falling(hessian: Floats, free: NDArray[np.bool_]) -> Floats | None:
    """The direction (m,) of negative curvature, or None."""
    if not free.any():
        return None
    values, vectors = np.linalg.eigh(hessian[np.ix_(free, free)])
    if values[0] >= SADDLE * np.abs(values).max():
        return None
    direction = np.zeros(len(free))
    direction[free] = vectors[:, 0]
    return direction


def _nuisance(whole: Evaluation) -> Evaluation:
    return Evaluation(
        whole.value, whole.gradient[:-1], whole.hessian[:-1, :-1], whole.information[:-1, :-1]
    )


def _tangent(hessian: Floats) -> Floats:
    """dx/dt along the profile, where the gradient by x stays zero."""
    values, vectors = np.linalg.eigh(hessian[:-1, :-1])
    kept = values > FLAT * np.abs(values).max(initial=0.0)
    along = vectors[:, kept]
    tangent: Floats = -along @ ((along.T @ hessian[:-1, -1]) / values[kept])
    return tangent


def coordinate_path(
    surface: Callable[[], AbstractSurface], parameter: Parameter, all_of: Sequence[Parameter]
) -> CoordinatePath:
    """The path of a parameter, one of ``all_of`` the model's; ``surface`` makes a new surface."""
    voiding = [p for p in all_of if parameter.kind == "corr" and _voids(p, parameter)]
    return CoordinatePath(surface(), parameter, [CoordinatePath(surface(), p) for p in voiding])


def _voids(deviation: Parameter, correlation: Parameter) -> bool:
    """Whether the correlation means nothing where the standard deviation is zero."""
    return (
        deviation.kind == "sd"
        and deviation.number == correlation.number
        and (deviation.term1 is None or deviation.term1 in (correlation.term1, correlation.term2))
    )
