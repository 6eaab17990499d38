"""Stretched deviations: derivatives, their way back, and that they make a density normal."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mixedeffects.algebra._joint import stretch
from mixedeffects.bayes.coordinates import term_coordinates
from mixedeffects.bayes.independent import PositiveIndependent
from mixedeffects.bayes.priors import LKJ, HalfStudentT
from mixedeffects.bayes.stretched import StretchedCoordinates, fitted_shape
from mixedeffects.covariance import build

SHAPE = np.array([[0.3, -1.0], [0.4, 0.1], [0.5, 0.0], [0.0, 0.3]])


def curve(y):
    found = np.empty((3, 2))
    stretch(SHAPE, y, *found)
    return found


def coordinates():
    priors = PositiveIndependent([HalfStudentT(3, 1.0)] * 2)
    return StretchedCoordinates(term_coordinates(build("us", 2, None), priors, LKJ(2)), SHAPE)


@pytest.mark.parametrize("y", [-30.0, -3.0, -0.2, 0.0, 1.5, 30.0])
def test_curve_and_its_derivatives(y):
    at, step = np.array([y, 0.5 * y]), 1e-5
    x, first, second = curve(at)
    a, s, left, right = SHAPE
    expected = a + s * at - left * np.logaddexp(0, -at) ** 2 + right * np.logaddexp(0, at) ** 2
    np.testing.assert_allclose(x, expected, rtol=1e-13)
    above, below = curve(at + step), curve(at - step)
    np.testing.assert_allclose(first, (above[0] - below[0]) / (2 * step), rtol=1e-6)
    np.testing.assert_allclose(second, (above[1] - below[1]) / (2 * step), rtol=1e-5, atol=1e-9)


def test_root_and_prior_are_those_of_the_logarithms():
    own, y = coordinates(), np.array([-1.2, 0.7, 0.4])
    x = own.plain(y)
    np.testing.assert_array_equal(own.root(y)[0], own.inner.root(x)[0])
    np.testing.assert_allclose(own.of_root(own.root(y)[0]), y, rtol=1e-9)
    value, gradient = own.log_prior(y)
    assert value == pytest.approx(own.inner.log_prior(x)[0] + np.log(curve(y[:2])[1]).sum())
    weights, step = np.array([[1.0, 0.0], [0.3, -0.7]]), 1e-6
    by_y = own.root(y)[1](weights)
    for i, move in enumerate(step * np.eye(3)):
        ends = [own.log_prior(y + sign * move)[0] for sign in (1, -1)]
        assert gradient[i] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6)
        roots = [np.sum(weights * own.root(y + sign * move)[0]) for sign in (1, -1)]
        assert by_y[i] == pytest.approx((roots[0] - roots[1]) / (2 * step), rel=1e-6)


@pytest.mark.parametrize(
    "density",
    [
        stats.norm(0.0, 0.3),
        # log of a half-normal deviation, which may be zero
        stats.loggamma(0.5),
        # log of a deviation of few groups
        stats.gumbel_r(0.0, 0.4),
    ],
    ids=["normal", "to-zero", "to-infinity"],
)
def test_fitted_shape_makes_a_density_about_normal(density):
    mode = float(density.ppf(0.5))
    shape = fitted_shape(lambda t: float(density.logpdf(mode + t)), float(density.std()))
    y = np.linspace(-2.5, 2.5, 11)
    x, first, _ = np.empty((3, 11))
    stretch(np.repeat(shape[:, None], 11, axis=1), y, x, first, np.empty(11))
    # log-density of y, up to a constant, against the normal's
    logs = density.logpdf(mode + x) + np.log(first) + 0.5 * y**2
    assert np.ptp(logs) < 0.6
