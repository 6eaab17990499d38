"""The normal distribution about the mode of a density in few dimensions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.fitting.optimize import Evaluation, minimize, unknown_evaluation

Floats = NDArray[np.float64]
Density = Callable[[Floats], tuple[float, Floats]]

# Step of the differences of gradients, and what a Newton step promises less of at the mode.
STEP, TOLERANCE = 1e-4, 1e-4
# Directions are taken to be no longer than this.
LONGEST = 10.0


@dataclass(frozen=True, slots=True)
class NormalApproximation:
    """``centre`` (d,), the mode, and ``spread`` S (d, d), SS' the inverse of −∂² log p there."""

    centre: Floats
    spread: Floats

    def points(self, z: Floats) -> Floats:
        """x (..., d) at the standardized deviations z (..., d)."""
        return self.centre + z @ self.spread.T


def approximate(density: Density, start: Floats) -> NormalApproximation:
    """By Newton's method on the exact gradient."""

    def evaluate(x: Floats) -> Evaluation:
        value, gradient = density(x)
        if not np.isfinite(value):
            return unknown_evaluation(np.inf, len(x))
        hessian = np.empty((len(x), len(x)))
        for i in range(len(x)):
            moved = x.copy()
            moved[i] += STEP
            hessian[i] = (density(moved)[1] - gradient) / STEP
        hessian = -(hessian + hessian.T)
        return Evaluation(-2.0 * value, -2.0 * gradient, hessian, hessian)

    optimum = minimize(evaluate, start, tolerance=TOLERANCE)
    values, vectors = np.linalg.eigh(0.5 * optimum.hessian)
    lengths = 1.0 / np.sqrt(np.maximum(np.abs(values), LONGEST**-2))
    return NormalApproximation(optimum.theta, vectors * lengths)
