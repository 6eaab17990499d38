"""Slopes: derivatives of the fixed part by a covariate, averaged over a reference grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.means.averages import asked_for, average
from mixedeffects.effects.means.grid import (
    Grid,
    build_grid,
    evaluate,
    unknown_variable,
    variables,
)
from mixedeffects.effects.means.means import MarginalMeans, Request, estimated, finished
from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.formula.design import Design
from mixedeffects.inference.freedom import AbstractFreedom

Floats = NDArray[np.float64]

# Of five points a step apart; exact for polynomials up to the fourth degree.
_CENTRAL = (np.arange(-2, 3), np.array([1.0, -8.0, 0.0, 8.0, -1.0]) / 12.0)
_FORWARD = (np.arange(5), np.array([-25.0, 48.0, -36.0, 16.0, -3.0]) / 12.0)
_BACKWARD = (-_FORWARD[0], -_FORWARD[1])
_STEP = 1e-3


def slopes(
    fit: Fit, freedom: AbstractFreedom, variable: Any, by: Any, request: Request
) -> MarginalMeans:
    """Slopes of a covariate in each combination of the variables in ``by``.

    Raises
    ------
    ModelError
        If the variable is no covariate of the fixed part, or a slope is not estimable.
    """
    design = fit.design
    _check(design, variable)
    rows, _ = asked_for(design, by, None, request.at)
    grid = build_grid(design, request.at)
    if len(grid.axes[grid.axis(variable)].values) > 1 and variable not in rows:
        rows.append(variable)
    margin = average(design, grid, derivative(design, grid, variable), rows, request.weights)
    kept, context = estimated(fit, margin, request)
    return finished(fit, freedom, grid, kept, request, context, slope=variable)


def derivative(design: Design, grid: Grid, name: str) -> Floats:
    """Derivatives (N, P) of the fixed part's columns by a covariate.

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
    result = np.zeros((len(x), len(design.x_names)))
    for o, w in zip(offsets.T, weights.T, strict=True):
        result += (w / h)[:, None] * evaluate(design, grid, {name: o * h})
    return result


def _step(data: Floats, x: Floats) -> Floats:
    """A power of two, so that neighbours are exact, small beside the spread and beside x."""
    spread = data.std()
    size = np.where(x == 0.0, spread, np.minimum(spread, np.abs(x)))
    step: Floats = np.exp2(np.floor(np.log2(_STEP * size)))
    return step


def _check(design: Design, variable: Any) -> None:
    if not isinstance(variable, str):
        raise ModelError(f"variable={variable!r}: give one covariate's name.")
    factors, covariates = variables(design)
    if variable in factors:
        raise ModelError(
            f"{variable!r} is a factor, so it has no slope: compare its means with"
            f" emmeans({variable!r}).contrast()."
        )
    if variable not in covariates:
        raise unknown_variable(design, variable)
