"""Profile likelihood curves: ζ along each parameter, for plots and for intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import make_table
from mixedeffects.inference.intervals import interval_table, profile_intervals
from mixedeffects.inference.parameters import AnyFit, Parameter, identification
from mixedeffects.inference.paths import AbstractPath
from mixedeffects.inference.profile import along_paths, first_step, following, levels_off, zeta

Floats = NDArray[np.float64]

# Curves go this far (99.7% of a normal distribution) in steps of about this much.
TOP, STEP = 3.0, 0.5
# Points on one side.
MOST = 40


@dataclass(frozen=True, slots=True)
class ProfileCurve:
    """ζ along one parameter.

    Attributes
    ----------
    parameter : Parameter
    values : ndarray, shape (n,)
        The parameter, increasing, in the user's units.
    zeta : ndarray, shape (n,)
        ±√(profile − minimum of −2 log-likelihood), negative below the estimate.
    estimate : float
        The maximum likelihood estimate, where ζ = 0.
    """

    parameter: Parameter
    values: Floats
    zeta: Floats
    estimate: float


@dataclass(frozen=True)
class Profile:
    """Profile likelihood of a fit, by maximum likelihood.

    Attributes
    ----------
    curves : tuple of ProfileCurve
    """

    curves: tuple[ProfileCurve, ...]
    _fit: AnyFit = field(repr=False)

    def __repr__(self) -> str:
        names = ", ".join(curve.parameter.name for curve in self.curves)
        return f"<Profile of {names}: {sum(len(c.zeta) for c in self.curves)} points>"

    @property
    def table(self) -> Any:
        """One row a point: ``term kind group term1 term2 value zeta``."""
        repeated = [c.parameter for c in self.curves for _ in c.zeta]
        columns: dict[str, Any] = {
            **identification(repeated),
            "value": np.concatenate([c.values for c in self.curves] or [np.empty(0)]),
            "zeta": np.concatenate([c.zeta for c in self.curves] or [np.empty(0)]),
        }
        return make_table(columns, self._fit.design.frame)

    def confint(self, level: float = 0.95) -> Any:
        """Intervals of these parameters, each limit solved for, as ``fit.confint`` gives them."""
        parameters = [curve.parameter for curve in self.curves]
        limits = profile_intervals(self._fit, parameters, level)
        return make_table(interval_table(self._fit, parameters, limits), self._fit.design.frame)


def profile_curves(fit: AnyFit, parameters: Sequence[Parameter]) -> Profile:
    """Trace the profile of each parameter up to ζ = ±3 or its bound."""
    traced = along_paths(fit, parameters, _trace)
    curves = tuple(
        ProfileCurve(parameter, *parts) for parameter, parts in zip(parameters, traced, strict=True)
    )
    return Profile(curves, fit)


def _trace(way: AbstractPath) -> tuple[Floats, Floats, float]:
    below = _side(way, -1.0)
    points = [*reversed(below), (way.best.t, 0.0), *_side(way, 1.0)]
    values = np.array([way.value_of(t) for t, _ in points])
    return values, np.array([z for _, z in points]), way.value_of(way.best.t)


def _side(way: AbstractPath, sign: float) -> list[tuple[float, float]]:
    """(t, ζ) on one side of the optimum, outwards."""
    if np.isnan(way.curvature):
        return []
    bound = way.high if sign > 0 else way.low
    points: list[tuple[float, float]] = []
    near, t = way.best, way.best.t + sign * first_step(way, STEP)
    while near.t != bound and len(points) < MOST and (not points or abs(points[-1][1]) < TOP):
        t = bound if sign * (t - bound) >= 0.0 else t
        if t == near.t:
            break
        point = way.at(t, near)
        distance = zeta(way, point)
        if not np.isfinite(distance):
            break
        points.append((t, sign * distance))
        if levels_off(way, near, point, TOP):
            break
        near, t = point, following(way, point, distance, sign, distance + STEP)
    return points
