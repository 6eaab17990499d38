"""Slopes: derivatives of the fixed part by a covariate, averaged over a reference grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.means.averages import asked_for
from mixedeffects.effects.means.grid import Grid, build_grid, unknown_variable, variables
from mixedeffects.effects.means.means import MarginalMeans, Request
from mixedeffects.effects.means.surface import AbstractSurface
from mixedeffects.errors import ModelError

Floats = NDArray[np.float64]

# Of five points a step apart; exact for polynomials up to the fourth degree.
_CENTRAL = (np.arange(-2, 3), np.array([1.0, -8.0, 0.0, 8.0, -1.0]) / 12.0)
_FORWARD = (np.arange(5), np.array([-25.0, 48.0, -36.0, 16.0, -3.0]) / 12.0)
_BACKWARD = (-_FORWARD[0], -_FORWARD[1])
_STEP = 1e-3


def slopes(surface: AbstractSurface, variable: Any, by: Any, request: Request) -> MarginalMeans:
    """Slopes of a covariate in each combination of the variables in ``by``.

    Raises
    ------
    ModelError
        If the variable is no covariate of the fixed part, or a slope is not estimable.
    """
    _check(surface, variable)
    rows, _ = asked_for(surface.designs, by, None, request.at)
    grid = build_grid(surface.designs, request.at)
    if len(grid.axes[grid.axis(variable)].values) > 1 and variable not in rows:
        rows.append(variable)
    values = derivative(surface, grid, variable)
    return surface.averaged(grid, values, rows, request, slope=variable)


def derivative(surface: AbstractSurface, grid: Grid, name: str) -> Floats:
    """Derivatives (N, C) of a surface's numbers by a covariate.

    One-sided at the ends of the data, beyond which a spline may not be known.
    """
    axis = grid.axes[grid.axis(name)]
    data, x = axis.column.values, axis.values[grid.position(name)]
    h = _step(data, x)
    low, high = x - 2.0 * h < data.min(), x + 2.0 * h > data.max()
    inside = (data.min() <= x) & (x <= data.max())
    offsets, weights = (np.tile(part, (len(x), 1)).astype(float) for part in _CENTRAL)
    for where, points in ((low & inside, _FORWARD), (high & inside & ~low, _BACKWARD)):
        offsets[where], weights[where] = points
    terms = [
        (w / h)[:, None] * surface.evaluate(grid, {name: o * h})
        for o, w in zip(offsets.T, weights.T, strict=True)
    ]
    result: Floats = np.sum(terms, axis=0)
    return result


def _step(data: Floats, x: Floats) -> Floats:
    """A power of two, so that neighbours are exact, small beside the spread and beside x."""
    spread = data.std()
    size = np.where(x == 0.0, spread, np.minimum(spread, np.abs(x)))
    step: Floats = np.exp2(np.floor(np.log2(_STEP * size)))
    return step


def _check(surface: AbstractSurface, variable: Any) -> None:
    if not isinstance(variable, str):
        raise ModelError(f"variable={variable!r}: give one covariate's name.")
    factors, covariates = variables(surface.designs)
    if variable in factors:
        raise ModelError(
            f"{variable!r} is a factor, so it has no slope: compare its means with"
            f" emmeans({variable!r}).contrast()."
        )
    if variable not in covariates:
        raise unknown_variable(surface.designs, variable)
