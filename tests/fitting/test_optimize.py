"""The optimizer on functions whose minima are known."""

from __future__ import annotations

import numpy as np
import pytest

from mixedeffects.fitting.optimize import AWAY, Evaluation, minimize, newton_step


def problem(value, gradient, hessian):
    def evaluate(x):
        H = np.array(hessian(x), dtype=float)
        return Evaluation(float(value(x)), np.array(gradient(x), dtype=float), H, H)

    return evaluate


ROSENBROCK = problem(
    lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2,
    lambda x: [
        -400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]),
        200 * (x[1] - x[0] ** 2),
    ],
    lambda x: [[1200 * x[0] ** 2 - 400 * x[1] + 2, -400 * x[0]], [-400 * x[0], 200]],
)
# Minima at (0, ±1), a saddle at the origin: what a zero variance looks like.
SADDLE = problem(
    lambda x: x[0] ** 2 - 2 * x[1] ** 2 + x[1] ** 4,
    lambda x: [2 * x[0], -4 * x[1] + 4 * x[1] ** 3],
    lambda x: [[2, 0], [0, -4 + 12 * x[1] ** 2]],
)
# A valley: only the sum of the parameters matters.
FLAT = problem(
    lambda x: (x[0] + x[1] - 3) ** 2,
    lambda x: 2 * (x[0] + x[1] - 3) * np.ones(2),
    lambda x: 2 * np.ones((2, 2)),
)
QUARTIC = problem(lambda x: x[0] ** 4, lambda x: [4 * x[0] ** 3], lambda x: [[12 * x[0] ** 2]])


@pytest.mark.parametrize("start", [(-1.2, 1.0), (3.0, -4.0), (0.0, 0.0)])
def test_rosenbrock(start):
    optimum = minimize(ROSENBROCK, np.array(start))
    assert optimum.status == "converged"
    np.testing.assert_allclose(optimum.theta, [1, 1], atol=1e-5)
    assert optimum.evaluations <= 40
    assert len(optimum.trace) == optimum.evaluations - 1


@pytest.mark.parametrize("start", [(1.0, 1e-3), (2.0, -1e-2), (0.0, 0.3), (5.0, 4.0)])
def test_saddle_is_left(start):
    optimum = minimize(SADDLE, np.array(start))
    assert optimum.status == "converged"
    assert optimum.value == pytest.approx(-1.0, abs=1e-9)
    assert abs(optimum.theta[1]) == pytest.approx(1.0, abs=1e-5)


def test_singular_hessian():
    optimum = minimize(FLAT, np.array([10.0, -4.0]))
    assert optimum.status == "converged"
    assert optimum.theta.sum() == pytest.approx(3.0, abs=1e-5)


def test_degenerate_minimum():
    optimum = minimize(QUARTIC, np.array([1.0]))
    assert optimum.status == "converged"
    assert optimum.value < 1e-8


def test_quadratic_takes_one_step():
    H = np.array([[3.0, 1.0], [1.0, 2.0]])
    quadratic = problem(lambda x: x @ H @ x / 2, lambda x: H @ x, lambda x: H)
    optimum = minimize(quadratic, np.array([0.5, -0.4]))
    assert optimum.evaluations == 2
    np.testing.assert_allclose(optimum.theta, 0, atol=1e-12)


def test_values_that_do_not_exist_are_stepped_back_from():
    def evaluate(x):
        if x[0] <= 0:
            nan = np.full((1, 1), np.nan)
            return Evaluation(np.inf, nan[0], nan, nan)
        H = np.array([[1 / x[0] ** 2]])
        return Evaluation(float(x[0] - np.log(x[0])), np.array([1 - 1 / x[0]]), H, H)

    optimum = minimize(evaluate, np.array([3.0]))
    assert optimum.status == "converged"
    assert optimum.theta[0] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("shift", [1e6, -1e10])
def test_rounding_of_a_large_value_is_no_progress(shift):
    def evaluate(x):
        here = ROSENBROCK(x)
        return here._replace(value=here.value + shift)

    optimum = minimize(evaluate, np.array([-1.2, 1.0]))
    assert optimum.status == "converged"
    np.testing.assert_allclose(optimum.theta, [1, 1], atol=1e-1)
    assert optimum.evaluations <= 60


def test_information_far_from_the_hessian_still_converges():
    """An information that is three times too large: the secant and the Hessian make up."""

    def evaluate(x):
        here = ROSENBROCK(x)
        return here._replace(information=3 * np.abs(here.hessian) + np.eye(2))

    optimum = minimize(evaluate, np.array([-1.2, 1.0]))
    assert optimum.status == "converged"
    np.testing.assert_allclose(optimum.theta, [1, 1], atol=1e-4)


@pytest.mark.parametrize("start", [(-1.2, 1.0), (0.3, 3.0), (-2.0, 0.0)])
def test_bounds_hold(start):
    """Rosenbrock with its second parameter at or above 2: the minimum lies on the bound."""
    lower, seen = np.array([-np.inf, 2.0]), []

    def evaluate(x):
        seen.append(x[1])
        return ROSENBROCK(x)

    optimum = minimize(evaluate, np.maximum(start, lower), lower=lower)
    assert optimum.status == "converged"
    assert min(seen) >= 2.0
    assert optimum.theta[1] == 2.0
    assert optimum.gradient[1] > 0
    assert optimum.gradient[0] == pytest.approx(0, abs=1e-3)
    assert optimum.evaluations <= 30


def test_bounds_far_away_change_nothing():
    plain = minimize(ROSENBROCK, np.array([-1.2, 1.0]))
    bounded = minimize(ROSENBROCK, np.array([-1.2, 1.0]), lower=np.full(2, -100.0))
    np.testing.assert_array_equal(bounded.theta, plain.theta)
    assert bounded.evaluations == plain.evaluations


def test_limit_of_evaluations():
    optimum = minimize(ROSENBROCK, np.array([-1.2, 1.0]), max_evaluations=4)
    assert optimum.status == "limit"
    assert optimum.evaluations == 4


def test_wrong_gradient_makes_no_progress():
    def evaluate(x):
        here = ROSENBROCK(x)
        return here._replace(gradient=-here.gradient)

    optimum = minimize(evaluate, np.array([-1.2, 1.0]))
    assert optimum.status != "converged"


def test_no_parameters():
    empty = problem(lambda x: 7.0, lambda x: [], lambda x: np.empty((0, 0)))
    optimum = minimize(empty, np.empty(0))
    assert (optimum.status, optimum.value, optimum.evaluations) == ("converged", 7.0, 1)


def test_steps_are_reported():
    seen = []
    optimum = minimize(ROSENBROCK, np.array([-1.2, 1.0]), on_step=lambda n, v: seen.append((n, v)))
    counts, values = zip(*seen, strict=True)
    assert list(counts) == sorted(counts)
    assert counts[-1] <= optimum.evaluations
    assert values[-1] == optimum.value
    assert np.all(np.diff(values) <= 0)


@pytest.mark.parametrize("seed", range(5))
def test_newton_step_solves_its_subproblem(seed):
    rng = np.random.default_rng(seed)
    H = rng.normal(size=(4, 4))
    H, g = H + H.T, rng.normal(size=4)
    values, vectors = np.linalg.eigh(H)
    absolute = (vectors * np.where(values < 0, -AWAY * values, values)) @ vectors.T
    step, predicted = newton_step(g, H, 1e9)
    np.testing.assert_allclose(absolute @ step, -g, atol=1e-8)
    assert predicted == pytest.approx(-(g @ step + step @ absolute @ step / 2))
    radius = 0.1 * np.linalg.norm(step)
    short, promised = newton_step(g, H, radius)
    assert np.linalg.norm(short) == pytest.approx(radius, rel=2e-3)
    assert 0 < promised < predicted
    for _ in range(50):  # no other step of that length promises more
        other = rng.normal(size=4)
        other *= radius / np.linalg.norm(other)
        assert -(g @ other + other @ absolute @ other / 2) <= promised * (1 + 1e-2)
