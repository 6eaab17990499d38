"""Stable functions and link functions at ordinary points and where digits are easily lost."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from mixedeffects.families import special as own
from mixedeffects.families.links import LINKS

FAR = np.array([-700.0, -40.0, -30.0, -5.0, -0.1, 0.0, 0.1, 5.0, 30.0, 40.0, 700.0])
WEIGHTS = np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280])


def difference(function, x, order, step=0.005):
    """Derivatives of the derivative of one order lower."""
    return sum(
        w * (function(x + j * step, 3)[order - 1] - function(x - j * step, 3)[order - 1]) / step
        for j, w in enumerate(WEIGHTS, start=1)
    )


FUNCTIONS = {
    "softplus": (own.softplus, FAR),
    "log_expit": (own.log_expit, FAR),
    "log1mexp": (own.log1mexp, np.array([-600.0, -30.0, -1.0, -0.72, -0.5, -0.3])),
    "log_normal_cdf": (own.log_normal_cdf, np.array([-1e3, -40, -8, -4.1, -3.9, 0, 3, 9])),
    "stirling": (own.stirling, np.array([-30.0, -5, -1, 0, 1, 2.05, 2.1, 3, 8, 20])),
    "log_rising": (
        lambda x, order: own.log_rising(np.array(7.0), x, order),
        np.array([-25.0, -5, -1, 0, 1, 2.1, 3, 8, 18]),
    ),
    "log_gamma": (own.log_gamma, np.array([0.4, 1.0, 3.3, 40.0])),
    "log1p": (own.log1p, np.array([-0.5, 0.0, 3.0, 1e6])),
    "expm1": (own.expm1, np.array([-30.0, -1.0, 0.0, 2.0])),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives(name):
    function, x = FUNCTIONS[name]
    found = function(x, 3)
    assert len(found) == 4
    assert len(function(x, 1)) == 2
    for order in (1, 2, 3):
        expected = difference(function, x, order)
        rounding = 1e-13 * (1 + np.abs(found[order - 1])) / 0.005
        assert np.all(np.abs(found[order] - expected) <= 1e-7 * np.abs(expected) + rounding)


def test_log1mexp_keeps_small_numbers():
    x = -np.array([1e-300, 1e-20, 1e-5, 0.6, 0.8, 50.0])
    expected = np.log(-np.expm1(x))
    expected[-1] = np.log1p(-np.exp(-50.0))
    np.testing.assert_allclose(own.log1mexp(x)[0], expected, rtol=1e-14)


def test_log1pmx_is_minus_half_the_square_near_zero():
    x = np.array([1e-12, -1e-9, 1e-5])
    np.testing.assert_allclose(own.log1pmx(x), -x * x / 2 + x**3 / 3, rtol=1e-9)
    x = np.array([-0.999, -0.3, -0.0999, 0.0999, 0.1001, 0.4, 30.0])
    np.testing.assert_allclose(own.log1pmx(x), np.log1p(x) - x, rtol=2e-13)


def test_stirling_completes_the_gamma_function():
    x = np.array([1e-8, 0.3, 1.0, 7.99, 8.0, 8.01, 40.0, 1e6])
    plain = (x - 0.5) * np.log(x) - x + own.HALF_LOG_2PI
    value, first, second, third = own.stirling(np.log(x), 3)
    np.testing.assert_allclose(value + plain, special.gammaln(x), rtol=1e-14, atol=1e-14)
    digamma = (first - 0.5) / x + np.log(x)
    np.testing.assert_allclose(digamma, special.psi(x), rtol=1e-12)
    large = x > 30
    np.testing.assert_allclose(second[large], 1 / (12 * x[large]), rtol=2e-3)
    np.testing.assert_allclose(third[large], -1 / (12 * x[large]), rtol=1e-2)


def test_log_rising_is_a_ratio_of_gamma_functions():
    y, x = np.meshgrid([0.0, 0.5, 1.0, 7.0, 300.0], [1e-6, 0.2, 3.0, 50.0])
    expected = special.gammaln(x + y) - special.gammaln(x) - y * np.log(x)
    (found,) = own.log_rising(y, np.log(x))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_log_rising_vanishes_without_cancellation():
    y, x = 30.0, 1e10
    expected = y * (y - 1) / (2 * x)  # log Π(1 + k/x), to the first order
    found = own.log_rising(np.array(y), np.log(np.array(x)), 3)
    for value, sign in zip(found[1:], (-1, 1, -1), strict=True):
        assert float(value) == pytest.approx(sign * expected, rel=1e-6)


def test_numbers_too_small_to_be_written():
    log_x = np.array([-800.0, -1e5])
    value, *slopes = own.stirling(log_x, 3)  # Γ(x) ~ 1/x
    np.testing.assert_allclose(value, -0.5 * log_x - own.HALF_LOG_2PI, rtol=1e-12)
    np.testing.assert_allclose(slopes, [[-0.5] * 2, [0.0] * 2, [0.0] * 2], atol=1e-12)
    with np.errstate(all="ignore"):
        value, *slopes = own.log_rising(np.array(3.0), log_x, 3)  # Γ(3)·x, less 3 log x
    np.testing.assert_allclose(value, np.log(2.0) - 2.0 * log_x, rtol=1e-12)
    np.testing.assert_allclose(slopes, [[-2.0] * 2, [0.0] * 2, [0.0] * 2], atol=1e-12)


def test_log_rising_of_one_size_is_looked_up():
    y = np.resize([0.0, 3.0, 8.0], 500)
    size = np.full(500, 0.7)
    slow = [own.log_rising(y[:3], size[:3], 3)[k] for k in range(4)]
    fast = own.log_rising(y, size, 3)
    for a, b in zip(fast, slow, strict=True):
        np.testing.assert_allclose(a[:3], b, rtol=1e-13)


def test_normal_tail_far_out():
    x = np.array([-1e4])
    _, first, second, third = own.log_normal_cdf(x, 3)
    z = -x  # λ = z + 1/z − 2/z³ + 10/z⁵ …, an alternating series
    np.testing.assert_allclose(first, z + 1 / z, rtol=1e-14)
    np.testing.assert_allclose(second, -1 + 1 / z**2, rtol=1e-12)
    np.testing.assert_allclose(third, 2 / z**3, rtol=1e-6)


# -------------------------------------------------------------------- links
MEANS = {"identity": (-2.0, 3.0), "probability": (1e-6, 0.2, 0.5, 0.999), "positive": (0.01, 4.0)}
PROBABILITY = ("logit", "probit", "cloglog", "loglog", "cauchit")


def means(link):
    kind = "identity" if link == "identity" else "positive"
    return np.array(MEANS["probability" if link in PROBABILITY else kind])


@pytest.mark.parametrize("link", LINKS)
def test_links_and_their_inverses(link):
    g = LINKS[link]
    assert g.name == link
    mu = means(link)
    np.testing.assert_allclose(g.inverse(g.forward(mu)), mu, rtol=1e-12)
    np.testing.assert_allclose(g.complement(g.forward(mu)), 1 - mu, rtol=1e-9)


@pytest.mark.parametrize("link", LINKS)
def test_slopes_of_links(link):
    g = LINKS[link]
    eta = g.forward(means(link))

    def chain(x, order):
        return (g.inverse(x), *(np.broadcast_to(s, x.shape) for s in g.slopes(x)))

    for order in (1, 2, 3):
        expected = difference(chain, eta, order, step=0.0005)
        np.testing.assert_allclose(chain(eta, 3)[order], expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("link", PROBABILITY)
@pytest.mark.parametrize("scale", ["logit", "log"])
def test_curves_of_probability_links(link, scale):
    g = LINKS[link]
    eta = np.array([-3.0, -0.5, 0.0, 0.7, 1.9]) * (-1 if link == "loglog" else 1)
    if scale == "logit" and link != "cauchit":
        eta = np.append(eta, [-6.0, 6.0] if link == "probit" else [-25.0] * int(eta[0] < 0))

    def chain(x, order):
        return tuple(np.broadcast_to(v, x.shape) for v in g.curve(scale, x))

    mu = g.inverse(eta)
    expected = np.log(mu) - (np.log(g.complement(eta)) if scale == "logit" else 0.0)
    np.testing.assert_allclose(chain(eta, 3)[0], expected, rtol=1e-10, atol=1e-12)
    for order in (1, 2, 3):
        expected = difference(chain, eta, order)
        np.testing.assert_allclose(chain(eta, 3)[order], expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "loglog"])
def test_curves_are_finite_far_out(link):
    for value in LINKS[link].curve("logit", np.array([-35.0, 35.0])):
        assert np.isfinite(value).all()
