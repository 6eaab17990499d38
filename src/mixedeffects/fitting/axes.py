"""The covariances' parameters: from θ to the terms' factors T, and from derivatives by T back.

A free (unstructured) term's factor is T = Q T̃(θ) with a rotation Q, which can be set to the
principal axes of T: directions without variance then come last in the triangle T̃, where their
parameters are not redundant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra._terms import express, slopes
from mixedeffects.algebra.cholesky import Plan
from mixedeffects.fitting.problem import Term

Floats = NDArray[np.float64]

# A diagonal entry of T is kept this far from zero, in units of σ a unit-sized column: the
# likelihood moves by less than n·1e-16, and T⁻¹ exists where a variance is zero.
FLOOR = 1e-8
# A free term turns to its principal axes when its deviations differ by more than this ratio.
LEAN = 0.1


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


class Axes:
    """The axes along which the parameters of each term's covariance are measured.

    ``owner`` (m,), ``directions`` and ``direction_ptr`` are the directions of TT' per
    parameter, as ``BlockFactor.information`` takes them.
    """

    def __init__(self, terms: Sequence[Term], plan: Plan) -> None:
        self.terms = terms
        self.rotated = False
        self._rotations = [np.eye(t.covariance.n_columns) for t in terms]
        self._free = [t.covariance.closure == "affine" for t in terms]
        counts = [t.covariance.n_parameters for t in terms]
        self.n_parameters = sum(counts)
        self._length = int(plan.factor_ptr[-1])
        self._places = [
            (
                int(plan.factor_ptr[t.grouping]),
                int(plan.factor_ptr[t.grouping + 1]),
                int(plan.factor_size[t.grouping]),
                t.columns,
            )
            for t in terms
        ]
        self.owner = np.repeat([t.grouping for t in terms], counts).astype(np.int32)
        squares = plan.factor_size.astype(np.int64)[self.owner] ** 2
        self.direction_ptr = np.concatenate([[0], np.cumsum(squares)]).astype(np.int64)
        self.directions = np.zeros(self.direction_ptr[-1])
        for number, free in enumerate(self._free):
            if free:
                self._set_directions(number, _symmetric_basis(terms[number].covariance.n_columns))

    def factors(self, theta: Floats) -> list[Floats]:
        """T (k, k) of each term."""
        return [
            np.dot(rotation, _floored(term.covariance.factor(theta[term.parameters])))
            for term, rotation in zip(self.terms, self._rotations, strict=True)
        ]

    def rotation(self, number: int) -> Floats:
        """Q (k, k) in a term's T = Q T̃."""
        return self._rotations[number]

    def flat(self, factors: Sequence[Floats]) -> Floats:
        """The terms' T inside those of their grouping factors, concatenated."""
        flat = np.zeros(self._length)
        for number, T in enumerate(factors):
            self.block(flat, number)[:] = T
        return flat

    def block(self, flat: Floats, number: int) -> Floats:
        """A term's (k, k) part of what is stored per grouping factor."""
        start, stop, size, columns = self._places[number]
        return flat[start:stop].reshape(size, size)[columns, columns]

    def by_factor(
        self, factors: Sequence[Floats], traces: Floats, scores: Floats, variance: float
    ) -> tuple[list[Floats], list[Floats]]:
        """Half of ∂/∂T and ∂/∂(TT') of each term, from sums per grouping factor."""
        pairs = [
            slopes(self.block(traces, number), self.block(scores, number), T, variance)
            for number, T in enumerate(factors)
        ]
        return [slope for slope, _ in pairs], [by_covariance for _, by_covariance in pairs]

    def direct(self, theta: Floats, factors: Sequence[Floats]) -> None:
        """Set the directions of the terms whose covariances are not linear in θ."""
        for number, (term, T) in enumerate(zip(self.terms, factors, strict=True)):
            if not self._free[number]:
                moved = term.covariance.jacobian(theta[term.parameters]) @ T.T
                self._set_directions(number, moved + moved.transpose(0, 2, 1))

    def directions_of(self, members: NDArray[np.intp], k: int) -> Floats:
        """Directions (m, k²) of some parameters of one grouping factor."""
        starts = self.direction_ptr[members]
        flat: Floats = self.directions[starts[:, None] + np.arange(k * k)]
        return flat

    def express(self, point: Point, theta: Floats) -> tuple[Floats, Floats, Floats]:
        """The chain rule from covariances to θ (DESIGN section 4).

        Returns the gradient (m,), the Hessian's second term (m, m), and ∂(TT')/∂θ (m, m) along
        the directions.
        """
        m = self.n_parameters
        gradient, correction, carry = np.empty(m), np.zeros((m, m)), np.eye(m)
        for number, term in enumerate(self.terms):
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

    def leaning(self, theta: Floats) -> bool:
        """Whether a free term is near enough to a singular one to be turned."""
        for term, free in zip(self.terms, self._free, strict=True):
            if free and term.covariance.n_columns > 1:
                sizes = np.abs(theta[term.parameters][_diagonal(term.covariance.n_columns)])
                if sizes.min() < LEAN * sizes.max():
                    return True
        return False

    def orient(self, number: int, axes: Floats) -> None:
        """Let θ describe T̃ in T = Q T̃ of a free term from now on, Q the ``axes`` (k, k)."""
        self._rotations[number] = axes
        self.rotated = True

    def along(self, theta: Floats) -> Floats:
        """θ of the present axes, in canonical form, for plain θ (m,)."""
        return self._moved(theta, [axes.T for axes in self._rotations])

    def plain(self, theta: Floats) -> Floats:
        """Plain θ, in canonical form, for θ (m,) of the present axes."""
        return self._moved(theta, self._rotations)

    def _moved(self, theta: Floats, turns: Sequence[Floats]) -> Floats:
        moved = theta.copy()
        for term, turn in zip(self.terms, turns, strict=True):
            T = turn @ term.covariance.factor(theta[term.parameters])
            moved[term.parameters] = term.covariance.parameters(T)
        return moved

    def turn(self, point: Point, theta: Floats, upright: bool) -> tuple[Floats, Point]:
        """Turn the free terms to their principal axes, or back; the same point there."""
        factors, halves, moved = list(point.factors), list(point.slopes), theta.copy()
        for number, term in enumerate(self.terms):
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
        self.rotated = not upright
        return moved, replace(point, factors=factors, slopes=halves)

    def _set_directions(self, number: int, directions: Floats) -> None:
        """Directions (m, k, k) of a term's TT', inside its grouping factor's matrix."""
        size, columns = self._places[number][2:]
        start, m = int(self.direction_ptr[self.terms[number].first]), len(directions)
        view = self.directions[start : start + m * size * size].reshape(m, size, size)
        view[:, columns, columns] = directions


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
