"""Profiled ML and REML of Gaussian mixed models: value, gradient, information.

Notation: M(θ) = [Λ'Z'WZΛ + I, Λ'Z'W[X y]; ·, [X y]'W[X y]] = R'R, log|R_uu|², ρ² = R_yy²;
ν = n, or n − p for REML (Bates, Mächler, Bolker and Walker 2015, J. Stat. Softw. 67(1)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra._terms import express, slopes
from mixedeffects.algebra.cholesky import BlockFactor, columns_of
from mixedeffects.fitting.curvature import TraceCurvature
from mixedeffects.fitting.optimize import Evaluation
from mixedeffects.fitting.problem import Problem, Term
from mixedeffects.fitting.start import moment_covariances, start_of

Floats = NDArray[np.float64]

# A diagonal entry of T is kept this far from zero, in units of σ a unit-sized column: the
# likelihood moves by less than n·1e-16, and T⁻¹ exists where a variance is zero.
FLOOR = 1e-8
# A free term turns to its principal axes when its deviations differ by more than this ratio.
LEAN = 0.1
# Up to this many random effects the Hessian is exact, beyond it the average information.
EXACT = 200


@dataclass(frozen=True, slots=True)
class Point:
    """What an evaluation knows of the covariances, whatever parameters describe them.

    Per term: ``factors`` T (k, k), ``slopes`` half of ∂/∂T, ``by_covariance`` ∂/∂(TT').
    ``information`` (m, m) average information along the directions of TT' given σ, ``curvature``
    (m, m) the exact one, or the same where that is dear; ``mixed`` (m,) with log σ².
    """

    value: float
    factors: list[Floats]
    slopes: list[Floats]
    by_covariance: list[Floats]
    information: Floats
    curvature: Floats
    mixed: Floats


class Objective:
    """−2 log-likelihood (or REML criterion) of a problem as a function of θ.

    θ is in the standardized basis.  A free (unstructured) term's factor is T = Q T̃(θ) with a
    rotation Q that ``rotate`` sets to the principal axes of T: directions without variance
    then come last in the triangle T̃, where their parameters are not redundant.

    ``exact`` allows the exact Hessian where it is affordable.

    The object owns the factor's workspace and remembers its last point, so it belongs to
    one fit and one thread.
    """

    def __init__(self, problem: Problem, exact: bool = True) -> None:
        self.problem = problem
        self.factor = BlockFactor(problem.plan, problem.arranged)
        self._rotations = [np.eye(t.covariance.n_columns) for t in problem.terms]
        self._rotated = False
        self._free = [t.covariance.closure == "affine" for t in problem.terms]
        self._point: Point | None = None
        self._at = np.full(problem.n_parameters, np.nan)
        self._roots: list[Floats] | None = None
        counts = [t.covariance.n_parameters for t in problem.terms]
        plan = problem.plan
        self._places = [
            (
                int(plan.factor_ptr[t.grouping]),
                int(plan.factor_ptr[t.grouping + 1]),
                int(plan.factor_size[t.grouping]),
                t.columns,
            )
            for t in problem.terms
        ]
        self._owner = np.repeat([t.grouping for t in problem.terms], counts).astype(np.int32)
        squares = plan.factor_size.astype(np.int64)[self._owner] ** 2
        self._direction_ptr = np.concatenate([[0], np.cumsum(squares)]).astype(np.int64)
        self._directions = np.zeros(self._direction_ptr[-1])
        small = exact and plan.offset[-1] <= EXACT and problem.n_parameters > 0
        self._curvature = TraceCurvature(problem.plan, problem.arranged) if small else None
        for term, free in zip(problem.terms, self._free, strict=True):
            if free:
                self._set_directions(term, _symmetric_basis(term.covariance.n_columns))

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
        return self._rotated

    @property
    def exact(self) -> bool:
        """Whether evaluations carry the exact Hessian, not only the average information."""
        return self._curvature is not None

    def value(self, theta: Floats) -> float:
        """The objective alone; infinite where the system cannot be factored."""
        return self._value(self._factors(theta))

    def __call__(self, theta: Floats) -> Evaluation:
        """Value, exact gradient and average information carried to θ."""
        factors = self._factors(theta)
        value = self._value(factors)
        if not np.isfinite(value):
            return _unknown(value, self.problem.n_parameters)
        variance = self.factor.rss / self.problem.dof
        self._point = self._evaluate(theta, value, factors, variance)
        self._at, self._roots = theta.copy(), factors
        return self._express(self._point, theta)

    def unprofiled(self, theta: Floats, log_sigma: float) -> Evaluation:
        """The objective by (θ, log σ) (m + 1,), σ in units of the scaled response."""
        factors = self._factors(theta)
        value, m = self._value(factors), self.problem.n_parameters
        if not np.isfinite(value):
            return _unknown(value, m + 1)
        variance, dof = float(np.exp(2.0 * log_sigma)), self.problem.dof
        ratio = self.factor.rss / (dof * variance)
        value += dof * (ratio - 1.0 - np.log(ratio))
        point = self._evaluate(theta, value, factors, variance)
        self._point, self._at, self._roots = None, theta.copy(), factors
        gradient, correction, carry = self._chain(point, theta)
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
        self._rotations[number] = axes
        self._rotated = True
        self._point = self._roots = None

    def along_axes(self, theta: Floats) -> Floats:
        """θ of the present axes for plain θ (m,)."""
        return self._moved(theta, [axes.T for axes in self._rotations])

    def plain(self, theta: Floats) -> Floats:
        """Plain θ for θ (m,) of the present axes."""
        return self._moved(theta, self._rotations)

    def _moved(self, theta: Floats, turns: Sequence[Floats]) -> Floats:
        moved = theta.copy()
        for term, turn, free in zip(self.problem.terms, turns, self._free, strict=True):
            if free:
                T = turn @ term.covariance.factor(theta[term.parameters])
                moved[term.parameters] = term.covariance.parameters(T)
        return moved

    def rotate(self, theta: Floats) -> tuple[Floats, Evaluation] | None:
        """Turn free terms to their principal axes; the same point in the new parameters.

        None where no term is near enough to a singular one to need it.
        """
        for term, free in zip(self.problem.terms, self._free, strict=True):
            if free and term.covariance.n_columns > 1:
                sizes = np.abs(theta[term.parameters][_diagonal(term.covariance.n_columns)])
                if sizes.min() < LEAN * sizes.max():
                    return self._turn(theta, upright=False)
        return None

    def principal(self, theta: Floats) -> Evaluation:
        """The point θ (without rotations) along the principal axes of the free terms."""
        _, evaluation = self._turn(theta, upright=False)
        self._turn(self._at, upright=True)
        return evaluation

    def upright(self, theta: Floats) -> tuple[Floats, Evaluation]:
        """Undo all rotations; the same point in the plain parameters."""
        return self._turn(theta, upright=True)

    def _turn(self, theta: Floats, upright: bool) -> tuple[Floats, Evaluation]:
        point = self._known_point(theta)
        factors, halves, moved = list(point.factors), list(point.slopes), theta.copy()
        for number, term in enumerate(self.problem.terms):
            k = term.covariance.n_columns
            if not self._free[number] or k == 1:
                continue
            T = factors[number]
            # T·turn is another root of TT', with ∂/∂(T·turn) = (∂/∂T)·turn.
            if upright:
                turn, root = np.linalg.qr(T.T)
                axes, inner = np.eye(k), root.T
            else:
                axes, sizes, others = np.linalg.svd(T)
                turn, inner = others.T, np.diag(sizes)
            self._rotations[number] = axes
            factors[number], halves[number] = axes @ inner, halves[number] @ turn
            moved[term.parameters] = inner[_triangle_by_column(k)]
        self._rotated = not upright
        self._point = replace(point, factors=factors, slopes=halves)
        self._at = moved
        return moved, self._express(self._point, moved)

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

    def _factors(self, theta: Floats) -> list[Floats]:
        return [
            np.dot(rotation, _floored(term.covariance.factor(theta[term.parameters])))
            for term, rotation in zip(self.problem.terms, self._rotations, strict=True)
        ]

    def _value(self, factors: Sequence[Floats]) -> float:
        problem, factor = self.problem, self.factor
        self._roots = None
        flat = np.zeros(len(factor.T))
        for number, T in enumerate(factors):
            self._block(flat, number)[:] = T
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
        problem, factor = self.problem, self.factor
        factor.solve()
        factor.invert(problem.reml)
        traces, scores = factor.contract()
        pairs = [
            slopes(self._block(traces, number), self._block(scores, number), T, variance)
            for number, T in enumerate(factors)
        ]
        for term, T, free in zip(problem.terms, factors, self._free, strict=True):
            if not free:
                moved = term.covariance.jacobian(theta[term.parameters]) @ T.T
                self._set_directions(term, moved + moved.transpose(0, 2, 1))
        information, dot = factor.information(self._owner, self._directions, self._direction_ptr)
        information = information / variance
        curvature = information
        if self._curvature is not None:
            curvature = 2.0 * information - self._traces(self._curvature)
        return Point(
            value,
            factors,
            [slope for slope, _ in pairs],
            [by_covariance for _, by_covariance in pairs],
            information,
            curvature,
            dot / variance,
        )

    def _traces(self, curvature: TraceCurvature) -> Floats:
        """tr(PΣ̇_kPΣ̇_l) of the directions."""
        trace = np.zeros((len(self._owner), len(self._owner)))
        members = [np.flatnonzero(self._owner == f) for f in range(len(curvature.sizes))]
        flat = [self._directions_of(m, k) for m, k in zip(members, curvature.sizes, strict=True)]
        sums = curvature(self.factor, self.problem.reml)
        for f, rows in enumerate(members):
            for g, columns in enumerate(members):
                trace[np.ix_(rows, columns)] = flat[f] @ sums[f][g] @ flat[g].T
        return trace

    def _directions_of(self, members: NDArray[np.intp], k: int) -> Floats:
        starts = self._direction_ptr[members]
        flat: Floats = self._directions[starts[:, None] + np.arange(k * k)]
        return flat

    def _express(self, point: Point, theta: Floats) -> Evaluation:
        """The point by θ, σ profiled out."""
        gradient, correction, carry = self._chain(point, theta)
        profiled = np.outer(point.mixed, point.mixed) / self.problem.dof
        information = carry.T @ (point.information - profiled) @ carry + correction
        hessian = information
        if self._curvature is not None:
            hessian = carry.T @ (point.curvature - profiled) @ carry + correction
        return Evaluation(point.value, gradient, hessian, information)

    def _chain(self, point: Point, theta: Floats) -> tuple[Floats, Floats, Floats]:
        """The chain rule from covariances to θ: gradient, second term (DESIGN section 4), carry."""
        m = self.problem.n_parameters
        gradient, correction = np.empty(m), np.zeros((m, m))
        carry = np.eye(m)
        for number, term in enumerate(self.problem.terms):
            own = theta[term.parameters]
            express(
                term.covariance.jacobian(own),
                self._rotations[number],
                point.factors[number],
                point.slopes[number],
                point.by_covariance[number],
                self._free[number],
                term.first,
                gradient,
                correction,
                carry,
            )
            second = term.covariance.second(own)
            if second is not None:
                added = 2.0 * np.tensordot(second, point.slopes[number], 2)
                correction[term.parameters, term.parameters] += added
        return gradient, correction, carry

    def _block(self, flat: Floats, number: int) -> Floats:
        """A term's (k, k) part of what is stored per grouping factor."""
        start, stop, size, columns = self._places[number]
        return flat[start:stop].reshape(size, size)[columns, columns]

    def _set_directions(self, term: Term, directions: Floats) -> None:
        """Directions (m, k, k) of the term's TT', inside its grouping factor's matrix."""
        size = int(self.problem.plan.factor_size[term.grouping])
        start, m = int(self._direction_ptr[term.first]), len(directions)
        view = self._directions[start : start + m * size * size].reshape(m, size, size)
        view[:, term.columns, term.columns] = directions


def _unknown(value: float, m: int) -> Evaluation:
    unknown = np.full((m, m), np.nan)
    return Evaluation(value, np.full(m, np.nan), unknown, unknown)


@lru_cache
def _triangle(k: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    rows, columns = np.tril_indices(k)
    return rows, columns


@lru_cache
def _triangle_by_column(k: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    columns, rows = np.triu_indices(k)
    return rows, columns


@lru_cache
def _diagonal(k: int) -> NDArray[np.intp]:
    """Where the diagonal of a triangle stands in its parameters, which go by column."""
    rows, columns = _triangle_by_column(k)
    return np.flatnonzero(rows == columns)


@lru_cache
def _symmetric_basis(k: int) -> Floats:
    """The symmetric matrices (k(k + 1)/2, k, k) of which every other is a combination."""
    rows, columns = _triangle(k)
    basis = np.zeros((len(rows), k, k))
    basis[np.arange(len(rows)), rows, columns] = 1.0
    basis[np.arange(len(rows)), columns, rows] = 1.0
    return basis


def _floored(T: Floats) -> Floats:
    diagonal = T.diagonal()
    low = np.abs(diagonal) < FLOOR
    if not low.any():
        return T
    T = T.copy()
    T.flat[:: len(T) + 1] = np.where(low, np.where(diagonal < 0, -FLOOR, FLOOR), diagonal)
    return T
