"""Coordinates of profiles: their way back, their derivatives, their values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedeffects as me
from mixedeffects.fitting.lmm import Objective
from mixedeffects.inference.coordinates import coordinates
from mixedeffects.inference.parameters import natural_parameters, natural_value

FORMULAS = (
    "y ~ x + (x + z | g)",
    "y ~ x + (x + z || g) + (1 | h)",
    "y ~ x + cs(0 + f | g)",
    "y ~ x + homcs(0 + f | g)",
    "y ~ x + ar1(0 + f | g)",
    "y ~ x + toep(0 + f | g)",
)


def fitted(formula):
    rng = np.random.default_rng(8)
    n = 90
    g, h, t = rng.integers(0, 10, n), rng.integers(0, 6, n), rng.integers(0, 4, n)
    x, z = rng.normal(3.0, 1.0, n), rng.normal(size=n)
    b = rng.normal(size=(10, 4)) @ (0.5 * np.eye(4) + 0.3)
    y = x + b[g, 0] + b[g, 1] * x + b[g, 2] * z + b[g, t] + rng.normal(size=n)
    data = pd.DataFrame({"y": y, "x": x, "z": z, "g": g, "h": h, "f": t.astype(str)})
    return me.fit(formula, data, reml=False)


@pytest.fixture(scope="module", params=FORMULAS)
def fit(request):
    return fitted(request.param)._fit


def in_coordinates(fit, parameter):
    """The coordinates, and a point of them beside the optimum, at no edge."""
    objective = Objective(fit.problem)
    chart = coordinates(parameter, objective)
    inside = 0.5 * fit.solution.optimum.theta + 0.5 * start_of(fit)
    y = np.append(objective.along_axes(inside), np.log(fit.solution.sigma))
    return chart, *chart.split(y), y


def start_of(fit):
    return np.concatenate([t.covariance.start() for t in fit.problem.terms])


def variances_of(fit):
    return [p for p in natural_parameters(fit) if p.kind != "fixed"]


def test_way_back(fit):
    for parameter in variances_of(fit):
        chart, x, t, y = in_coordinates(fit, parameter)
        np.testing.assert_allclose(chart.join(x, t), y, atol=1e-12, err_msg=parameter.name)


def test_derivatives(fit):
    """First and second derivatives against central differences, which err by step²."""
    step = 1e-4
    for parameter in variances_of(fit):
        chart, x, t, _ = in_coordinates(fit, parameter)
        z, size = np.append(x, t), len(x) + 1

        def at(point, chart=chart):
            return chart.join(point[:-1], point[-1])

        def slopes(point, chart=chart):
            return chart.jacobian(point[:-1], point[-1])

        units = step * np.eye(size)
        expected = np.stack([(at(z + u) - at(z - u)) / (2 * step) for u in units], axis=1)
        got = slopes(z)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5, err_msg=parameter.name)
        weights = np.arange(1.0, size + 1)
        second = [weights @ (slopes(z + u) - slopes(z - u)) / (2 * step) for u in units]
        bend = chart.bend(x, t, weights)
        got = np.zeros((size, size)) if bend is None else bend
        np.testing.assert_allclose(got, second, rtol=1e-4, atol=1e-4, err_msg=parameter.name)


def test_values_are_the_fits_own(fit):
    """At the optimum t is the parameter that ``varcorr`` reports."""
    for parameter in variances_of(fit):
        objective = Objective(fit.problem)
        chart = coordinates(parameter, objective)
        theta = objective.along_axes(fit.solution.optimum.theta)
        _, t = chart.split(np.append(theta, np.log(fit.solution.sigma)))
        assert chart.low <= t <= chart.high
        expected = natural_value(fit, parameter)
        assert chart.value(t) == pytest.approx(expected, rel=1e-8, abs=1e-8), parameter.name
