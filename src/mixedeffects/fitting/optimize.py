"""Trust-region Newton on a value with its exact gradient and its information."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv

Floats = NDArray[np.float64]
Status = Literal["converged", "no_progress", "limit"]

# A step that promises less than this (objective: −2 log-likelihood) starts near the optimum.
NEAR = 0.1
# A step along negative curvature multiplies the distance from a saddle by 1 + 1/AWAY.
AWAY = 0.25

# Of a Cholesky factor's diagonal the least over the largest from which eigenvalues are not asked.
EVEN = 1e-3

# What an optimum must be below a known one to be looked for (objective: −2 log-likelihood).
WORTH = 1e-5


class Evaluation(NamedTuple):
    """A point's value, gradient (m,), Hessian (m, m) and average information (m, m).

    The information is the better model far from the optimum, the Hessian near it; the
    latter may be the information again where it is dear.
    """

    value: float
    gradient: Floats
    hessian: Floats
    information: Floats


def unknown_evaluation(value: float, m: int) -> Evaluation:
    """Where nothing is known of an objective but its value."""
    unknown = np.full((m, m), np.nan)
    return Evaluation(value, np.full(m, np.nan), unknown, unknown)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the trace: the value reached, the decrease predicted, the step's length."""

    value: float
    predicted: float
    length: float
    accepted: bool


@dataclass(frozen=True, slots=True)
class Optimum:
    """Where the optimizer stopped.

    ``theta`` (m,), ``value``, ``gradient`` (m,), ``hessian`` (m, m) in the optimizer's
    coordinates; ``evaluations`` of value with gradient; ``status``; ``trace`` of the steps.
    """

    theta: Floats
    value: float
    gradient: Floats
    hessian: Floats
    evaluations: int
    status: Status
    trace: tuple[Step, ...]


def minimize(
    evaluate: Callable[[Floats], Evaluation],
    start: Floats,
    *,
    tolerance: float = 1e-10,
    max_evaluations: int = 200,
    lower: Floats | None = None,
    recenter: Callable[[Floats], tuple[Floats, Evaluation] | None] | None = None,
    known: float = np.inf,
    on_step: Callable[[int, float], None] | None = None,
) -> Optimum:
    """Minimize from ``start`` until a Newton step promises less than ``tolerance``.

    θ stays at or above ``lower`` (m,), where ``start`` lies.  ``recenter`` may express a
    point that was reached in other coordinates of the same size.  The Hessian's eigenvalues
    enter by their absolute values, so that a step leaves a saddle; the trust region keeps
    what the quadratic model has not earned.  What a Hessian that is only the average
    information lacks is learned from the gradients along the way.  The search is given up once
    the model promises no less than a ``known`` value.
    """
    theta = np.array(start, dtype=np.float64)
    here = evaluate(theta)
    correction = np.zeros_like(here.hessian)
    trace: list[Step] = []
    radius = 1.0 + float(np.linalg.norm(theta))
    status: Status = "limit" if np.isfinite(here.value) else "no_progress"
    evaluations, disappointed, learned = 1, False, False
    while status == "limit" and evaluations < max_evaluations:
        room = None if lower is None else theta - lower
        step, predicted = bounded_step(here.gradient, here.information, radius, room)
        near = predicted < NEAR or disappointed
        if near and (learned or here.hessian is not here.information):
            hessian = here.hessian + correction
            step, predicted = bounded_step(here.gradient, hessian, radius, room)
        noise = rounding(here.value)
        if predicted < max(tolerance, noise):
            status = "converged"
            break
        if predicted < NEAR and here.value - predicted > known - WORTH:
            status = "no_progress"
            break
        there = evaluate(theta + step)
        evaluations += 1
        length = float(np.linalg.norm(step))
        gain = (here.value - there.value) / predicted if np.isfinite(there.value) else -1.0
        accepted = gain > 1e-4 or (
            there.value <= here.value + noise and _shrinks(there.gradient, here.gradient)
        )
        trace.append(Step(there.value, predicted, length, bool(accepted)))
        disappointed = gain < 0.5
        radius = _next_radius(radius, gain, length)
        if accepted:
            change = there.gradient - here.gradient
            theta, here = theta + step, there
            moved = recenter(theta) if recenter is not None else None
            learned = near and moved is None
            correction = (
                _secant(correction, step, change, here.hessian)
                if learned
                else np.zeros_like(correction)
            )
            if moved is not None:
                theta, here = moved
            if on_step is not None:
                on_step(evaluations, here.value)
        elif length < 1e-12 * (1.0 + float(np.linalg.norm(theta))):
            status = "converged" if predicted < 10 * noise else "no_progress"
            break
    return Optimum(
        theta, here.value, here.gradient, here.hessian, evaluations, status, tuple(trace)
    )


def rounding(value: float) -> float:
    """By how much rounding alone moves an objective of this size."""
    return 1e-13 * (abs(value) + 1.0)


def _next_radius(radius: float, gain: float, length: float) -> float:
    if gain < 0.25:
        return 0.25 * length if gain < 0 else 0.5 * length
    return max(radius, 2.5 * length) if gain > 0.75 else radius


def _secant(correction: Floats, step: Floats, change: Floats, hessian: Floats) -> Floats:
    """Symmetric rank-one update, so that (hessian + correction) step = change of gradient.

    Conn, Gould and Toint (1991), Math. Programming 50, 177-195.
    """
    rest = change - (hessian + correction) @ step
    product = float(rest @ step)
    if abs(product) <= 1e-8 * float(np.linalg.norm(rest) * np.linalg.norm(step)):
        return correction
    updated: Floats = correction + np.outer(rest, rest) / product
    return updated


def bounded_step(
    gradient: Floats, hessian: Floats, radius: float, room: Floats | None
) -> tuple[Floats, float]:
    """The Newton step that goes down by no more than ``room`` (m,), and what it promises."""
    if room is None:
        return newton_step(gradient, hessian, radius)
    step, predicted = np.zeros(len(gradient)), 0.0
    free = ~((room <= 0.0) & (gradient > 0.0))
    while True:
        slope = gradient + hessian @ np.where(free, 0.0, step)
        step[free], rest = newton_step(slope[free], hessian[np.ix_(free, free)], radius)
        low = free & (step < -room)
        if not low.any():
            return step, predicted + rest
        free &= ~low
        step[low] = -room[low]
        predicted = -float(gradient[~free] @ step[~free])
        predicted -= 0.5 * float(step[~free] @ hessian[np.ix_(~free, ~free)] @ step[~free])


def newton_step(gradient: Floats, hessian: Floats, radius: float) -> tuple[Floats, float]:
    """The step −(|H| + μ)⁻¹ g within ``radius``, and the decrease that it promises.

    In |H| negative eigenvalues count by ``AWAY`` of their size.
    """
    if len(gradient) == 0:
        return np.zeros(0), 0.0
    factor, step, failed = dposv(hessian, gradient)
    if not failed and step @ step <= radius * radius and _even(factor.diagonal()):
        return -step, 0.5 * float(gradient @ step)
    values, vectors = np.linalg.eigh(hessian)
    values = np.where(values < 0.0, -AWAY * values, values)
    values = np.maximum(values, 1e-10 * values.max() + 1e-300)
    along = vectors.T @ gradient
    shifted = values
    step = along / shifted
    if step @ step > radius * radius:
        shifted = values + _shift(along, values, radius)
        step = along / shifted
    return -(vectors @ step), float(along @ step - 0.5 * (step * values) @ step)


def _even(diagonal: Floats) -> bool:
    """Whether the diagonal of a Cholesky factor shows no direction next to without curvature."""
    return bool(diagonal.min() > EVEN * diagonal.max())


def _shift(along: Floats, values: Floats, radius: float) -> float:
    """μ with ‖(|H| + μ)⁻¹ g‖ = radius, by Newton on 1/‖·‖ (Moré and Sorensen 1983)."""
    mu = 0.0
    for _ in range(20):
        step = along / (values + mu)
        norm = float(np.sqrt(step @ step))
        if abs(norm - radius) < 1e-3 * radius:
            break
        slope = float((step * step / (values + mu)).sum())
        mu = max(mu + (norm - radius) / radius * norm * norm / slope, 0.0)
    return mu


def _shrinks(new: Floats, old: Floats) -> bool:
    return float(np.linalg.norm(new)) < float(np.linalg.norm(old))
