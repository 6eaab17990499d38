"""The objective by (θ, log σ) against the profiled one and against differences."""

from __future__ import annotations

import numpy as np
import pytest

from designs import Spec, make_model
from mixedeffects.fitting.lmm import Objective
from mixedeffects.fitting.problem import build_problem

MODELS = {
    "slopes": ("one", [Spec("us", 2, 0)]),
    "crossed": ("crossed", [Spec("us", 1, 0), Spec("diag", 2, 1)]),
    "structures": ("nested", [Spec("cs", 3, 1), Spec("us", 1, 0)]),
}


@pytest.fixture(params=MODELS)
def objective(request):
    kind, specs = MODELS[request.param]
    model = make_model(kind, specs, seed=4, weighted=True)
    problem = build_problem(model.response, model.X, model.terms, reml=False, weights=model.weights)
    return Objective(problem)


def test_least_by_sigma_is_the_profiled_objective(objective):
    theta = objective.start()
    expected = objective.value(theta)
    log_sigma = 0.5 * np.log(objective.variance(theta))
    there = objective.unprofiled(theta, log_sigma)
    assert there.value == pytest.approx(expected, rel=1e-13)
    assert there.gradient[-1] == pytest.approx(0.0, abs=1e-9)
    assert objective.unprofiled(theta, log_sigma + 0.1).value > expected + 0.5


@pytest.mark.parametrize("turned", [False, True])
def test_derivatives(objective, turned):
    """Central differences of value and gradient: they err by step², about 1e-8 of the whole."""
    if turned and objective.problem.terms[0].covariance.n_columns == 2:
        objective.orient(0, np.array([[0.6, -0.8], [0.8, 0.6]]))
    y, step = np.append(1.2 * objective.start(), -0.3), 1e-4

    def at(y):
        return objective.unprofiled(y[:-1], y[-1])

    here = at(y)
    moved = [(at(y + unit), at(y - unit)) for unit in step * np.eye(len(y))]
    gradient = [(a.value - b.value) / (2 * step) for a, b in moved]
    hessian = [(a.gradient - b.gradient) / (2 * step) for a, b in moved]
    np.testing.assert_allclose(here.gradient, gradient, rtol=1e-6, atol=1e-4)
    scale = np.abs(here.hessian).max()
    np.testing.assert_allclose(here.hessian, hessian, atol=1e-6 * scale)


def test_axes_and_back(objective):
    theta = objective.start()
    before = objective.value(theta)
    if objective.problem.terms[0].covariance.n_columns == 2:
        objective.orient(0, np.array([[0.6, -0.8], [0.8, 0.6]]))
    turned = objective.along_axes(theta)
    assert objective.value(turned) == pytest.approx(before, rel=1e-12)
    np.testing.assert_allclose(objective.plain(turned), theta, atol=1e-10)
