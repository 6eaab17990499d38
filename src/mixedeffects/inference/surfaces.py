"""The likelihood as a function of all that coordinates describe, whichever model it is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from mixedeffects.fitting.differences import differenced_hessian
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.general_solve import GeneralSolution
from mixedeffects.fitting.lmm import Objective
from mixedeffects.fitting.optimize import Evaluation, unknown_evaluation
from mixedeffects.fitting.problem import Problem
from mixedeffects.fitting.quadrature import objective_of
from mixedeffects.fitting.solve import Solution
from mixedeffects.inference.coordinates import AbstractCoordinates, coordinates
from mixedeffects.inference.general_coordinates import general_coordinates
from mixedeffects.inference.parameters import Parameter

Floats = NDArray[np.float64]

# Share of a parameter that lies along directions without a finite estimate and counts.
DRIFT = 1e-3


class AbstractSurface(ABC):
    """−2 log-likelihood by y, with the optimum on it; ``value`` there.

    It owns the workspace of its objective.
    """

    value: float

    @abstractmethod
    def coordinates(self, parameter: Parameter) -> AbstractCoordinates:
        """Coordinates of y in which a parameter is one; turns the axes of y to it."""

    @abstractmethod
    def optimum(self) -> Floats:
        """y of the optimum, along the present axes."""

    @abstractmethod
    def evaluate(self, y: Floats) -> Evaluation:
        """Value, exact gradient and Hessian."""

    @abstractmethod
    def plain(self, y: Floats) -> Floats:
        """y of the plain axes."""

    @abstractmethod
    def along(self, y: Floats) -> Floats:
        """y of the present axes, for plain y."""

    @abstractmethod
    def start(self, y: Floats) -> Floats:
        """From where a fit may start, for y."""

    def drifts(self, direction: Floats) -> bool:
        """Whether the likelihood has no maximum along a direction of y."""
        return False


class GaussianSurface(AbstractSurface):
    """y = (θ, log σ) of a linear model, its coefficients profiled out."""

    def __init__(self, problem: Problem, solution: Solution) -> None:
        self._objective, self._solution = Objective(problem), solution
        self.value = solution.optimum.value

    def coordinates(self, parameter: Parameter) -> AbstractCoordinates:
        return coordinates(parameter, self._objective)

    def optimum(self) -> Floats:
        plain = np.append(self._solution.optimum.theta, np.log(self._solution.sigma))
        return self.along(plain)

    def evaluate(self, y: Floats) -> Evaluation:
        return self._objective.unprofiled(y[:-1], y[-1])

    def plain(self, y: Floats) -> Floats:
        return np.append(self._objective.plain(y[:-1]), y[-1])

    def along(self, y: Floats) -> Floats:
        return np.append(self._objective.along_axes(y[:-1]), y[-1])

    def start(self, y: Floats) -> Floats:
        return self.plain(y)[:-1]


class GeneralSurface(AbstractSurface):
    """y = ψ = (θ, β) of a generalized model.

    The objective's own Hessian is approximate: what it lacks at the optimum is added everywhere.
    """

    def __init__(self, problem: GeneralProblem, solution: GeneralSolution) -> None:
        self._problem, self._solution = problem, solution
        self._objective = objective_of(problem, solution.u)
        self.value = solution.optimum.value
        self._lacking: Floats | None = None

    def coordinates(self, parameter: Parameter) -> AbstractCoordinates:
        axes = self._objective.axes
        found = general_coordinates(parameter, self._problem, axes)
        y = self.optimum()
        here = self._objective.refine(y)
        if not np.isfinite(here.value):
            return found
        plain = not axes.rotated and not self._solution.turned
        exact = (
            self._solution.optimum.hessian
            if plain
            else differenced_hessian(self._objective, y, here)[0]
        )
        self._lacking = exact - here.hessian
        return found

    def optimum(self) -> Floats:
        return self.along(self._solution.optimum.theta)

    def evaluate(self, y: Floats) -> Evaluation:
        with np.errstate(all="ignore"):  # far away, where the likelihood may end
            here = self._objective(y)
        if not (np.isfinite(here.value) and np.all(np.isfinite(here.hessian))):
            return unknown_evaluation(np.inf, len(y))
        hessian = here.hessian if self._lacking is None else here.hessian + self._lacking
        return Evaluation(here.value, here.gradient, hessian, hessian)

    def plain(self, y: Floats) -> Floats:
        m = self._problem.n_parameters
        return np.concatenate([self._objective.axes.plain(y[:m]), y[m:]])

    def along(self, y: Floats) -> Floats:
        m = self._problem.n_parameters
        return np.concatenate([self._objective.axes.along(y[:m]), y[m:]])

    def start(self, y: Floats) -> Floats:
        return self.plain(y)

    def drifts(self, direction: Floats) -> bool:
        along = self._solution.drifting.T @ direction[self._problem.n_parameters :]
        return bool(np.linalg.norm(along) > DRIFT * np.linalg.norm(direction))
