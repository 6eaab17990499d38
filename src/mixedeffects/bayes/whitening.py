"""Coordinates in which a posterior is about a standard normal: its Laplace approximation's.

The mode is that of the coefficients and covariances ψ with the random effects integrated out by
Laplace.  About it, w = J(ψ − ψ̂) + K R⁻¹z with R'R the Hessian in u, so that neither ψ and the
random effects nor those of crossed factors are correlated any more; what depends on the
covariances, the levels' own standardization has taken up (see `joint`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.cholesky import BlockFactor
from mixedeffects.bayes.coordinates import AbstractTermCoordinates
from mixedeffects.bayes.joint import JointDensity, Target, Told
from mixedeffects.bayes.posterior_mode import (
    STARTS,
    MarginalPosterior,
    found_mode,
    start_of,
)
from mixedeffects.bayes.stretched import StretchedCoordinates, fitted_shape
from mixedeffects.errors import ModelError
from mixedeffects.fitting.laplace import LaplaceObjective

Floats = NDArray[np.float64]

# Steps of differences, in conditional standard deviations: wide enough to tell what the posterior
# is like where its mass is; and those over which the bend of the modes is measured.
STEP, WIDE = 0.3, 1.5
# Curvature, as a share of the conditional one, below which a direction is not bounded.
FLAT = 1e-8
# Standard errors up to which the other parameters go with one.
REGRESSION = 2.0


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
    spread = cast(Floats, np.linalg.cholesky(inverse_of(0.5 * hessian)))
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
    inverse = (vectors / np.maximum(np.abs(values), FLAT)) @ vectors.T
    return cast(Floats, inverse / np.outer(sizes, sizes))


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
