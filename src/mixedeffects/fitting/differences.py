"""The Hessian of a generalized model's likelihood, by differences of its exact gradient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixedeffects.families.no_residual import NoResidual
from mixedeffects.fitting.optimize import Evaluation
from mixedeffects.fitting.plain import GeneralObjective

Floats = NDArray[np.float64]

# Step of the forward differences, in standard errors: its share is what they err by; the
# gradient's own rounding, divided by it, is less.
STEP = 2e-6
# And of the central ones where rows have next to no variance of their own, which makes the
# rounding the larger: they err by its square.
LONG_STEP = 1e-3


def differenced_hessian(
    objective: GeneralObjective, psi: Floats, here: Evaluation
) -> tuple[Floats, int]:
    """The Hessian (m + p, m + p) at ψ, where the objective was evaluated last.

    And for how many parameters the approximate one stands in, as neither side has a gradient.
    """
    sizes = np.sqrt(2.0 / np.maximum(np.abs(np.diagonal(here.hessian)), 2e-4))
    hessian, lacking = here.hessian.copy(), 0
    central = isinstance(objective.problem.family, NoResidual)
    for i, size in enumerate(sizes):
        if central:
            slope = _central(objective, psi, i, LONG_STEP * size)
        else:
            slope = _one_sided(objective, psi, here.gradient, i, STEP * size)
        if slope is None:
            lacking += 1
        else:
            hessian[i] = slope
    symmetric: Floats = 0.5 * (hessian + hessian.T)
    return symmetric, lacking


def _one_sided(
    objective: GeneralObjective, psi: Floats, gradient: Floats, i: int, size: float
) -> Floats | None:
    """Forwards, or backwards where a mean leaves its range; None if that is no way either."""
    for step in (size, -size):
        moved = psi.copy()
        moved[i] += step
        slope: Floats = (objective.gradient(moved) - gradient) / step
        if np.isfinite(slope).all():
            return slope
    return None


def _central(objective: GeneralObjective, psi: Floats, i: int, size: float) -> Floats | None:
    step = np.zeros_like(psi)
    step[i] = size
    slope: Floats = (objective.gradient(psi + step) - objective.gradient(psi - step)) / (2 * size)
    return slope if np.isfinite(slope).all() else None
