"""Profiled ML and REML of Gaussian mixed models: value, gradient, information.

Notation: M(θ) = [Λ'Z'WZΛ + I, Λ'Z'W[X y]; ·, [X y]'W[X y]] = R'R, log|R_uu|², ρ² = R_yy²;
ν = n, or n − p for REML (Bates, Mächler, Bolker and Walker 2015, J. Stat. Softw. 67(1)).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.cholesky import BlockFactor, columns_of
from mixedeffects.fitting.axes import Axes, Point
from mixedeffects.fitting.curvature import TraceCurvature
from mixedeffects.fitting.optimize import Evaluation, unknown_evaluation
from mixedeffects.fitting.problem import Problem
from mixedeffects.fitting.start import moment_covariances, start_of

Floats = NDArray[np.float64]

# Up to this many random effects the Hessian is exact, beyond it the average information.
EXACT = 200


class Objective:
    """−2 log-likelihood (or REML criterion) of a problem as a function of θ.

    θ is in the standardized basis, along ``axes``; ``rotate`` turns them.  ``exact`` allows the
    exact Hessian where it is affordable.

    The object owns the factor's workspace and remembers its last point, so it belongs to
    one fit and one thread.
    """

    def __init__(self, problem: Problem, exact: bool = True) -> None:
        self.problem = problem
        self.factor = BlockFactor(problem.plan, problem.arranged)
        self.axes = Axes(problem.terms, problem.plan)
        self._point: Point | None = None
        self._at = np.full(problem.n_parameters, np.nan)
        self._roots: list[Floats] | None = None
        small = exact and problem.plan.offset[-1] <= EXACT and problem.n_parameters > 0
        self._curvature = TraceCurvature(problem.plan, problem.arranged) if small else None

    def start(self) -> Floats:
        """Where a fit begins: at the covariances that the moments suggest."""
        terms, equations = self.problem.terms, self.problem.moments
        if equations is None:
            starts = [t.covariance.start() for t in terms]
        else:
            moments = moment_covariances(equations, self.problem.products)
            starts = [
                start_of(t.covariance, moments[t.grouping][t.columns, t.columns]) for t in terms
            ]
        return np.concatenate(starts) if starts else np.empty(0)

    @property
    def rotated(self) -> bool:
        """Whether some term's parameters are along turned axes."""
        return self.axes.rotated

    @property
    def exact(self) -> bool:
        """Whether evaluations carry the exact Hessian, not only the average information."""
        return self._curvature is not None

    def value(self, theta: Floats) -> float:
        """The objective alone; infinite where the system cannot be factored."""
        return self._value(self.axes.factors(theta))

    def __call__(self, theta: Floats) -> Evaluation:
        """Value, exact gradient and average information carried to θ."""
        factors = self.axes.factors(theta)
        value = self._value(factors)
        if not np.isfinite(value):
            return unknown_evaluation(value, self.problem.n_parameters)
        variance = self.factor.rss / self.problem.dof
        self._point = self._evaluate(theta, value, factors, variance)
        self._at, self._roots = theta.copy(), factors
        return self._express(self._point, theta)

    def unprofiled(self, theta: Floats, log_sigma: float) -> Evaluation:
        """The objective by (θ, log σ) (m + 1,), σ in units of the scaled response."""
        factors = self.axes.factors(theta)
        value, m = self._value(factors), self.problem.n_parameters
        if not np.isfinite(value):
            return unknown_evaluation(value, m + 1)
        variance, dof = float(np.exp(2.0 * log_sigma)), self.problem.dof
        ratio = self.factor.rss / (dof * variance)
        value += dof * (ratio - 1.0 - np.log(ratio))
        point = self._evaluate(theta, value, factors, variance)
        self._point, self._at, self._roots = None, theta.copy(), factors
        gradient, correction, carry = self.axes.express(point, theta)
        mixed = 2.0 * point.mixed @ carry
        hessians = []
        for inner in (point.curvature, point.information):
            whole = np.empty((m + 1, m + 1))
            whole[:m, :m] = carry.T @ inner @ carry + correction
            whole[m, :m] = whole[:m, m] = mixed
            whole[m, m] = 4.0 * dof * ratio
            hessians.append(whole)
        return Evaluation(value, np.append(gradient, 2.0 * dof * (1.0 - ratio)), *hessians)

    def orient(self, number: int, axes: Floats) -> None:
        """Let θ describe T̃ in T = Q T̃ of a free term from now on, Q the ``axes`` (k, k)."""
        self.axes.orient(number, axes)
        self._point = self._roots = None

    def along_axes(self, theta: Floats) -> Floats:
        """θ of the present axes for plain θ (m,)."""
        return self.axes.along(theta)

    def plain(self, theta: Floats) -> Floats:
        """Plain θ for θ (m,) of the present axes."""
        return self.axes.plain(theta)

    def rotate(self, theta: Floats) -> tuple[Floats, Evaluation] | None:
        """Turn free terms to their principal axes; the same point in the new parameters.

        None where no term is near enough to a singular one to need it.
        """
        return self._turn(theta, upright=False) if self.axes.leaning(theta) else None

    def principal(self, theta: Floats) -> Evaluation:
        """The point θ (without rotations) along the principal axes of the free terms."""
        _, evaluation = self._turn(theta, upright=False)
        self._turn(self._at, upright=True)
        return evaluation

    def upright(self, theta: Floats) -> tuple[Floats, Evaluation]:
        """Undo all rotations; the same point in the plain parameters."""
        return self._turn(theta, upright=True)

    def _turn(self, theta: Floats, upright: bool) -> tuple[Floats, Evaluation]:
        self._at, self._point = self.axes.turn(self._known_point(theta), theta, upright)
        return self._at, self._express(self._point, self._at)

    def coefficients(self, theta: Floats) -> tuple[Floats, Floats]:
        """β̂ (p,) and b̂ = Λû (q,) at θ, for the standardized columns and response."""
        self._factor_at(theta)
        assert self._roots is not None
        b = np.empty_like(self.factor.u)
        for term, T in zip(self.problem.terms, self._roots, strict=True):
            columns = columns_of(self.problem.plan, term.grouping)[:, term.columns]
            b[columns] = self.factor.u[columns] @ T.T
        return self.factor.beta.copy(), b

    def variance(self, theta: Floats) -> float:
        """σ̂² at θ, in units of the scaled response."""
        self._factor_at(theta)
        return float(self.factor.rss) / self.problem.dof

    def fixed_root(self, theta: Floats) -> Floats:
        """Upper Cholesky factor (p, p) of X'V⁻¹X at θ, standardized."""
        self._factor_at(theta)
        p, n = self.problem.plan.n_fixed, self.factor.dense.shape[0]
        root: Floats = np.triu(self.factor.dense[n - 1 - p : n - 1, n - 1 - p : n - 1])
        return root

    def _factor_at(self, theta: Floats) -> None:
        if self._roots is None or not np.array_equal(self._at, theta):
            self(theta)

    def by_covariance(self, theta: Floats) -> list[Floats]:
        """Derivative (k, k) of the objective by each term's relative covariance TT'."""
        return self._known_point(theta).by_covariance

    def _known_point(self, theta: Floats) -> Point:
        if self._point is None or not np.array_equal(self._at, theta):
            self(theta)
        assert self._point is not None
        return self._point

    def _value(self, factors: Sequence[Floats]) -> float:
        problem, factor = self.problem, self.factor
        self._roots = None
        flat = self.axes.flat(factors)
        if not np.all(np.isfinite(flat)) or factor.factorize(flat) != 0 or factor.rss <= 0.0:
            return np.inf
        dof = problem.dof
        return float(
            factor.log_determinant
            + factor.log_determinant_x * problem.reml
            + dof * (1.0 + np.log(2.0 * np.pi * factor.rss / dof))
            + 2.0 * dof * np.log(problem.scale)
            + problem.constant
        )

    def _evaluate(
        self, theta: Floats, value: float, factors: list[Floats], variance: float
    ) -> Point:
        problem, factor, axes = self.problem, self.factor, self.axes
        factor.solve()
        factor.invert(problem.reml)
        halves, by_covariance = axes.by_factor(factors, *factor.contract(), variance)
        axes.direct(theta, factors)
        information, dot = factor.information(axes.owner, axes.directions, axes.direction_ptr)
        information = information / variance
        curvature = information
        if self._curvature is not None:
            curvature = 2.0 * information - self._traces(self._curvature)
        return Point(value, factors, halves, by_covariance, information, curvature, dot / variance)

    def _traces(self, curvature: TraceCurvature) -> Floats:
        """tr(PΣ̇_kPΣ̇_l) of the directions."""
        trace = np.zeros((len(self.axes.owner), len(self.axes.owner)))
        members = [np.flatnonzero(self.axes.owner == f) for f in range(len(curvature.sizes))]
        flat = [
            self.axes.directions_of(m, k) for m, k in zip(members, curvature.sizes, strict=True)
        ]
        sums = curvature(self.factor, self.problem.reml)
        for f, rows in enumerate(members):
            for g, columns in enumerate(members):
                trace[np.ix_(rows, columns)] = flat[f] @ sums[f][g] @ flat[g].T
        return trace

    def _express(self, point: Point, theta: Floats) -> Evaluation:
        """The point by θ, σ profiled out."""
        gradient, correction, carry = self.axes.express(point, theta)
        profiled = np.outer(point.mixed, point.mixed) / self.problem.dof
        information = carry.T @ (point.information - profiled) @ carry + correction
        hessian = information
        if self._curvature is not None:
            hessian = carry.T @ (point.curvature - profiled) @ carry + correction
        return Evaluation(point.value, gradient, hessian, information)
