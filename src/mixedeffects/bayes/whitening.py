"""Coordinates in which a posterior is about a standard normal: its Laplace approximation's.

The mode is that of the coefficients and covariances ψ with the random effects integrated out by
Laplace.  About it, w = J(ψ − ψ̂) + K R⁻¹z with R'R the Hessian in u, so that neither ψ and the
random effects nor those of crossed factors are correlated any more; what depends on the
covariances, the levels' own standardization has taken up (see `joint`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.cholesky import BlockFactor
from mixedeffects.bayes.coordinates import AbstractTermCoordinates
from mixedeffects.bayes.joint import JointDensity, Target, Told
from mixedeffects.bayes.stretched import StretchedCoordinates, fitted_shape
from mixedeffects.errors import ModelError
from mixedeffects.fitting.general_start import likelihood, start_of_fixed
from mixedeffects.fitting.laplace import LaplaceObjective
from mixedeffects.fitting.optimize import Evaluation, minimize, unknown_evaluation

Floats = NDArray[np.float64]

# Standard deviations of the random effects, in the problem's basis, where searches begin.
STARTS = (0.5, 0.1, 0.01)
# Steps of differences: of the priors', which are smooth; and of the posterior's, in conditional
# standard deviations, wide enough to tell what the posterior is like where its mass is.
FINE_STEP, STEP = 1e-5, 0.3
# Standard deviations over which the bend of the modes is measured.
WIDE = 1.5
TOLERANCE = 1e-3
EVALUATIONS = 200
# Curvature, as a share of the conditional one, below which a direction is not bounded.
FLAT = 1e-8
# Standard errors up to which the other parameters go with one.
REGRESSION = 2.0


class MarginalPosterior:
    """−2 log p(ψ | y), the random effects integrated out by Laplace, with its exact gradient.

    The Hessian is approximate, as that of `LaplaceObjective`.
    """

    def __init__(self, target: Target, objective: LaplaceObjective | None = None) -> None:
        self.target = target
        self.objective = objective or LaplaceObjective(target.problem)

    def __call__(self, psi: Floats) -> Evaluation:
        theta, carry = self.theta(psi)
        found = self.objective(theta)
        if not np.isfinite(found.value):
            return unknown_evaluation(np.inf, len(psi))
        value, gradient = self.target.prior(psi)
        information = carry.T @ found.information @ carry - 2.0 * self._prior_curvature(psi)
        slope = carry.T @ found.gradient - 2.0 * gradient
        return Evaluation(found.value - 2.0 * value, slope, information, information)

    def value(self, psi: Floats) -> float:
        """The value alone; infinite where there is none."""
        found = self.objective(self.theta(psi)[0]).value
        return found - 2.0 * self.target.prior(psi)[0]

    def gradient(self, psi: Floats) -> Floats:
        """The exact gradient alone."""
        theta, carry = self.theta(psi)
        return carry.T @ self.objective.gradient(theta) - 2.0 * self.target.prior(psi)[1]

    def refine(self, psi: Floats) -> None:
        """Evaluate at ψ, with modes from now on found as finely as differences need."""
        self.objective.refine(self.theta(psi)[0])

    def theta(self, psi: Floats) -> tuple[Floats, Floats]:
        """The objective's parameters at ψ, and their derivatives by it."""
        target, m = self.target, self.target.problem.n_parameters
        p = target.problem.n_fixed
        theta, carry = np.empty(m + p), np.zeros((m + p, len(psi)))
        theta[m:] = psi[:p]
        carry[m:, :p] = np.eye(p)
        for number, (term, place) in enumerate(
            zip(target.problem.terms, target.places, strict=True)
        ):
            parameters = partial(_parameters, target, number)
            theta[term.parameters] = parameters(psi[place])
            carry[term.parameters, place] = differences(parameters, psi[place], FINE_STEP)
        return theta, carry

    def _prior_curvature(self, psi: Floats) -> Floats:
        return differences(lambda at: self.target.prior(at)[1], psi, FINE_STEP)

    def modes(self, psi: Floats) -> Floats:
        """u (q,), the random effects' mode at ψ."""
        return self.objective.modes(self.theta(psi)[0])[0]


def _parameters(target: Target, number: int, x: Floats) -> Floats:
    """θ of a term at its coordinates x."""
    return target.problem.terms[number].covariance.parameters(target.root(number, x)[0])


def differences(function: Callable[[Floats], Floats], x: Floats, step: float) -> Floats:
    """The Jacobian by central differences."""
    columns = []
    for i in range(len(x)):
        move = np.zeros(len(x))
        move[i] = step
        columns.append((function(x + move) - function(x - move)) / (2.0 * step))
    return np.array(columns).T if columns else np.empty((len(function(x)), 0))


def start_of(target: Target, deviation: float) -> Floats:
    """ψ at which the search for the mode begins, the effects' standard deviation as given."""
    problem = target.problem
    psi = np.zeros(target.dimension)
    psi[: problem.n_fixed] = penalized_start(target)
    for coordinates, term, place in zip(
        target.coordinates, problem.terms, target.places, strict=True
    ):
        psi[place] = coordinates.of_root(deviation * np.linalg.inv(term.map))
    return psi


def penalized_start(target: Target) -> Floats:
    """The coefficients (p,) of largest posterior density without random effects."""

    def evaluate(beta: Floats) -> Evaluation:
        found = likelihood(target.problem, beta)
        value, gradient = target.log_prior(beta)
        curvature = differences(lambda at: target.log_prior(at)[1], beta, FINE_STEP)
        hessian = found.hessian - 2.0 * curvature
        return Evaluation(
            found.value - 2.0 * value, found.gradient - 2.0 * gradient, hessian, hessian
        )

    start = start_of_fixed(target.problem)
    return minimize(evaluate, start, tolerance=0.1, max_evaluations=50).theta


@dataclass(frozen=True, slots=True)
class Whitening:
    """A map from z to (ψ, w), under which the posterior is about standard normal.

    ``target`` the posterior in the coordinates that it is whitened in; ``psi`` its centre;
    ``spread`` (d, d) and ``along`` (q, d) take z's first d elements to ψ less that and to w;
    those of the coordinates of covariances move w along ``bent`` (q, ·) besides, see `_bow`;
    ``told``, A and r of each factor's levels; ``crossing`` applies K R⁻¹ to the rest of z, None
    where that is the identity, up to a rotation; ``centring``, how far each factor's effects are
    centred, 0 to 1, by the mean share of what they vary that rows explain.
    """

    target: Target
    psi: Floats
    spread: Floats
    along: Floats
    bent: Floats
    told: tuple[Told, ...]
    crossing: Crossing | None
    centring: tuple[float, ...]

    @property
    def dimension(self) -> int:
        return len(self.psi) + len(self.along)

    def points(self, z: Floats) -> tuple[Floats, Floats]:
        """ψ (d, m) and w (q, m) at z (d + q, m)."""
        d = len(self.psi)
        rest = z[d:] if self.crossing is None else self.crossing.apply(z[d:])
        bow = _bow(z[d - self.bent.shape[1] : d])[0]
        psi = self.psi[:, None] + self.spread @ z[:d]
        return psi, self.along @ z[:d] + self.bent @ bow + rest

    def pull(self, z: Floats, by_psi: Floats, by_w: Floats) -> Floats:
        """Derivatives by z (d + q,), from those by ψ and w."""
        d, rest = len(self.psi), by_w
        if self.crossing is not None:
            rest = self.crossing.apply_transposed(by_w[:, None])[:, 0]
        by_z = self.spread.T @ by_psi + self.along.T @ by_w
        first = d - self.bent.shape[1]
        by_z[first:] += _bow(z[first:d])[1] * (by_w @ self.bent)
        return np.concatenate([by_z, rest])


def _bow(z: Floats) -> tuple[Floats, Floats]:
    """√(1 + z²) − 1, which is even, and straight far out; and its derivative."""
    length = np.sqrt(1.0 + z * z)
    return length - 1.0, z / length


@dataclass(frozen=True, slots=True)
class Crossing:
    """K R⁻¹ at the mode: what the effects of several factors share."""

    joint: JointDensity
    factor: BlockFactor

    def apply(self, z: Floats) -> Floats:
        """K R⁻¹z (q, m)."""
        solved = np.array(z, order="C")
        self.factor.backward(solved)
        return self.joint.multiply(solved, False)

    def apply_transposed(self, slopes: Floats) -> Floats:
        """R⁻ᵀK' slopes (q, m)."""
        found = self.joint.multiply(slopes, True)
        self.factor.forward(found)
        return found


def whiten(target: Target) -> Whitening:
    """The posterior's mode, and the standard coordinates about it.

    Raises
    ------
    ModelError
        If no mode is found, or the posterior is not bounded in some direction.
    """
    plain = MarginalPosterior(target)
    mode = found_mode(plain, [start_of(target, deviation) for deviation in STARTS])
    target = stretched(plain, mode)
    marginal = MarginalPosterior(target, plain.objective)
    mode = found_mode(marginal, [in_coordinates(target, plain.target, mode)])
    information, exact = level_information(marginal.objective)
    nothing = [(A, np.zeros(A.shape[:2])) for A in information]
    joint = JointDensity(target, nothing).about(mode, marginal.modes(mode))
    hessian, along = changes(marginal, joint, mode)
    spread = np.linalg.cholesky(inverse_of(0.5 * hessian))
    bent = bends(marginal, joint, mode, spread)
    joint.standardize(mode, marginal.modes(mode))  # leaves the factor and K of there
    alone = exact and len(joint.levels) == 1
    return Whitening(
        target=target,
        psi=mode,
        spread=spread,
        along=along @ spread,
        bent=bent,
        told=joint.told,
        crossing=None if alone else Crossing(joint, marginal.objective.rows.factor),
        centring=tuple(levels.centring for levels in joint.levels),
    )


def found_mode(marginal: MarginalPosterior, starts: Sequence[Floats]) -> Floats:
    """ψ of largest density, the random effects integrated out by Laplace.

    The marginal's factor is of there afterwards.

    Raises
    ------
    ModelError
        If there is none.
    """
    for start in starts:
        optimum = minimize(marginal, start, tolerance=TOLERANCE, max_evaluations=EVALUATIONS)
        if np.isfinite(optimum.value):
            marginal.refine(optimum.theta)
            return optimum.theta
    raise ModelError(
        "No mode of the posterior was found: the likelihood could not be computed where the "
        "search began. Simplify the model, or give priors that keep its means in the family's "
        "range."
    )


def stretched(marginal: MarginalPosterior, mode: Floats) -> Target:
    """The target with logarithms of deviations stretched, each by the marginal along itself."""
    target, hessian = marginal.target, marginal(mode).hessian
    covariance = inverse_of(0.5 * hessian)
    changed: list[AbstractTermCoordinates | StretchedCoordinates] = []
    for inner, place in zip(target.coordinates, target.places, strict=True):
        assert not isinstance(inner, StretchedCoordinates)
        shapes = [
            shape_along(marginal, mode, covariance[i], i)
            for i in range(place.start, place.start + len(inner.deviations))
        ]
        changed.append(StretchedCoordinates(inner, np.array(shapes).T.copy()))
    return replace(target, coordinates=tuple(changed))


def shape_along(marginal: MarginalPosterior, mode: Floats, covariance: Floats, i: int) -> Floats:
    """The curve (4,) of ψ's element ``i``; the others go with it as ``covariance`` (d,) says."""
    size = float(np.sqrt(covariance[i]))

    def log_density(t: float) -> float:
        moved = mode + np.clip(t, -REGRESSION * size, REGRESSION * size) * covariance / size**2
        moved[i] = mode[i] + t
        return -0.5 * marginal.value(moved)

    shape = fitted_shape(log_density, size)
    shape[0] += mode[i]
    return shape


def in_coordinates(target: Target, before: Target, psi: Floats) -> Floats:
    """ψ of another target for the same point."""
    moved = psi.copy()
    for new, old, place in zip(target.coordinates, before.coordinates, target.places, strict=True):
        moved[place] = new.of_root(old.root(psi[place])[0])
    return moved


def level_information(objective: LaplaceObjective) -> tuple[tuple[Floats, ...], bool]:
    """A (L, k, k) of each factor's levels at the last evaluation, none of them negative.

    And whether none was.
    """
    rows, exact = objective.rows, True
    found = []
    for columns, starts in zip(rows.columns, rows.squares, strict=True):
        k = columns.shape[1]
        A = rows.products.diagonal[starts[:, None] + np.arange(k * k)].reshape(-1, k, k)
        A = 0.5 * (A + A.transpose(0, 2, 1))
        values, vectors = np.linalg.eigh(A)
        if (values < 0.0).any():
            exact = False
            A = (vectors * np.maximum(values, 0.0)[:, None]) @ vectors.transpose(0, 2, 1)
        found.append(np.ascontiguousarray(A))
    return tuple(found), exact


def changes(
    marginal: MarginalPosterior, joint: JointDensity, mode: Floats
) -> tuple[Floats, Floats]:
    """The Hessian (d, d) of −2 log p(ψ | y) about the mode, and ∂ŵ/∂ψ (q, d)."""
    here = marginal(mode)
    sizes = STEP * np.sqrt(2.0 / np.maximum(np.abs(np.diagonal(here.hessian)), 1e-8))
    hessian, along = here.hessian.copy(), np.zeros((joint.n_effects, len(mode)))
    for i, size in enumerate(sizes):
        move = np.zeros(len(mode))
        move[i] = size
        ends = [end_of(marginal, joint, mode + sign * move) for sign in (1.0, -1.0)]
        slope, change = ((a - b) / (2.0 * size) for a, b in zip(*ends, strict=True))
        if np.isfinite(slope).all() and np.isfinite(change).all():
            hessian[i], along[:, i] = slope, change
    return 0.5 * (hessian + hessian.T), along


def bends(marginal: MarginalPosterior, joint: JointDensity, mode: Floats, spread: Floats) -> Floats:
    """How (q, ·) ŵ bends along the coordinates of covariances, in units of `_bow`."""
    columns = []
    for k in range(marginal.target.problem.n_fixed, len(mode)):
        move = WIDE * spread[:, k]
        ends = [end_of(marginal, joint, mode + sign * move)[1] for sign in (1.0, -1.0)]
        bend = 0.5 * (ends[0] + ends[1]) / _bow(np.array(WIDE))[0]
        columns.append(bend if np.isfinite(bend).all() else np.zeros(joint.n_effects))
    return np.array(columns).T.reshape(joint.n_effects, -1)


def end_of(marginal: MarginalPosterior, joint: JointDensity, psi: Floats) -> tuple[Floats, Floats]:
    """The gradient (d,) of −2 log p(ψ | y), and ŵ (q,) there; NaN where there is no mode."""
    try:
        return marginal.gradient(psi), joint.standardize(psi, marginal.modes(psi))
    except ModelError:
        return np.full(len(psi), np.nan), np.full(joint.n_effects, np.nan)


def inverse_of(hessian: Floats) -> Floats:
    """The inverse (d, d), by the absolute curvatures, in units of the conditional deviations."""
    sizes = np.sqrt(np.maximum(np.abs(np.diagonal(hessian)), 1e-300))
    values, vectors = np.linalg.eigh(hessian / np.outer(sizes, sizes))
    inverse: Floats = (vectors / np.maximum(np.abs(values), FLAT)) @ vectors.T
    return inverse / np.outer(sizes, sizes)


class WhitenedDensity:
    """The joint log-density at z, with its gradient; one thread's own."""

    def __init__(self, whitening: Whitening) -> None:
        self.joint = JointDensity(whitening.target, whitening.told)
        self._white = whitening

    def __call__(self, z: Floats) -> tuple[float, Floats]:
        with np.errstate(all="ignore"):
            psi, w = self._white.points(z[:, None])
            value, by_psi, by_w = self.joint(psi[:, 0], np.ascontiguousarray(w[:, 0]))
        if not np.isfinite(value):
            return float("nan"), np.zeros_like(z)
        return value, self._white.pull(z, by_psi, by_w)
