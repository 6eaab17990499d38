"""Log-densities, distribution functions and moments against SciPy's and against definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit, gammaln, logsumexp

from families.points import COUNTS, NAMES, POSITIVE, TRUNCATED, grid
from mixedeffects.families import ZeroInflated, build

SCIPY = {
    "gaussian": lambda mu, d: stats.norm(mu, np.exp(0.5 * d)),
    "poisson": lambda mu: stats.poisson(mu),
    "nbinom1": lambda mu, d: stats.nbinom(mu * np.exp(-d), 1 / (1 + np.exp(d))),
    "nbinom2": lambda mu, d: stats.nbinom(np.exp(d), 1 / (1 + mu * np.exp(-d))),
    "gamma": lambda mu, d: stats.gamma(np.exp(d), scale=mu * np.exp(-d)),
    "inverse_gaussian": lambda mu, d: stats.invgauss(mu * np.exp(d), scale=np.exp(-d)),
    "lognormal": lambda mu, d: stats.lognorm(
        np.sqrt(np.log1p(np.exp(2 * d) / mu**2)),
        scale=mu / np.sqrt(1 + np.exp(2 * d) / mu**2),
    ),
    "beta": lambda mu, d: stats.beta(mu * np.exp(d), (1 - mu) * np.exp(d)),
    "student_t": lambda mu, d, psi: stats.t(np.exp(psi), mu, np.exp(d)),
}


@pytest.mark.parametrize("name", SCIPY)
def test_against_scipy(name):
    family = build(name)
    response, predictors = grid(family)
    other = SCIPY[name](family.mean(predictors), *predictors[1:])
    expected = (other.logpmf if family.discrete else other.logpdf)(response.y)
    density = family.log_density(response, predictors)
    np.testing.assert_allclose(density, expected, rtol=1e-9, atol=1e-12)
    below = family.cdf(response, predictors)
    np.testing.assert_allclose(below, other.cdf(response.y), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(family.variance(response, predictors), other.var(), rtol=1e-9)


@pytest.mark.parametrize("name", ["binomial", "betabinomial"])
def test_successes_against_scipy(name):
    family = build(name)
    response, predictors = grid(family)
    n, p = response.trials, family.mean(predictors)
    if name == "binomial":
        other = stats.binom(n, p)
    else:
        phi = np.exp(predictors[1])
        other = stats.betabinom(n, p * phi, (1 - p) * phi)
    density = family.log_density(response, predictors)
    np.testing.assert_allclose(density, other.logpmf(response.y), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(family.cdf(response, predictors), other.cdf(response.y), rtol=1e-9)
    variance = other.var() / n**2
    np.testing.assert_allclose(family.variance(response, predictors), variance, rtol=1e-9)


@pytest.mark.parametrize("name", sorted(TRUNCATED))
def test_truncated_counts_are_those_given_that_they_are_not_zero(name):
    family, whole = build(name), build(name.removeprefix("truncated_"))
    response, predictors = grid(family)
    zero = whole.response(np.zeros_like(response.y))
    none = np.exp(whole.log_density(zero, predictors))
    expected = whole.log_density(response, predictors) - np.log1p(-none)
    np.testing.assert_allclose(family.log_density(response, predictors), expected, rtol=1e-10)


def test_generalized_poisson_by_its_definition():
    family = build("genpois")
    response, predictors = grid(family)
    mu, y = family.mean(predictors), response.y
    s = np.exp(-0.5 * predictors[1])
    theta, lam = mu * s, 1 - s
    expected = np.log(theta) + (y - 1) * np.log(theta + lam * y) - theta - lam * y
    np.testing.assert_allclose(
        family.log_density(response, predictors), expected - gammaln(y + 1), rtol=1e-10
    )


def test_conway_maxwell_poisson_by_its_definition():
    family = build("compois")
    response, predictors = grid(family)
    counts = np.arange(3000.0)
    expected = []
    for y, t, d in zip(response.y, *predictors, strict=True):
        nu = np.exp(-d)

        def log_weights(xi, nu=nu):
            return xi * counts - nu * gammaln(counts + 1)

        def mean(xi, of=log_weights):
            return np.exp(of(xi) - logsumexp(of(xi))) @ counts

        xi = brentq(lambda xi, t=t, mean=mean: np.log(mean(xi)) - t, -10, 10, xtol=1e-14)
        expected.append(xi * y - nu * gammaln(y + 1) - logsumexp(log_weights(xi)))
    density = family.log_density(response, predictors)
    np.testing.assert_allclose(density, expected, rtol=1e-9, atol=1e-9)


def test_conway_maxwell_poisson_without_dispersion_is_poisson():
    y = np.array([0.0, 3.0, 90.0])
    eta = np.array([-2.0, 1.0, 4.6])
    one, two = build("compois"), build("poisson")
    expected = two.log_density(two.response(y), (eta,))
    found = one.log_density(one.response(y), (eta, np.zeros(3)))
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_tweedie_is_a_poisson_sum_of_gamma_values():
    family = build("tweedie")
    response, (eta, delta, psi) = grid(family)
    mu, phi, p = np.exp(eta), np.exp(delta), 1.01 + 0.98 * expit(psi)
    rate = mu ** (2 - p) / (phi * (2 - p))
    shape, scale = (2 - p) / (p - 1), phi * (p - 1) * mu ** (p - 1)
    total = sum(
        stats.poisson.pmf(j, rate) * stats.gamma.pdf(response.y, j * shape, scale=scale)
        for j in range(1, 400)
    )
    expected = np.where(response.y == 0, np.exp(-rate), total)
    density = np.exp(family.log_density(response, (eta, delta, psi)))
    np.testing.assert_allclose(density, expected, rtol=1e-10)


def test_ordered_beta_by_its_definition():
    family = build("ordbeta")
    response, (eta, delta, first, gap) = grid(family)
    low, high = expit(eta - first), expit(eta - first - np.exp(gap))
    mu, phi = expit(eta), np.exp(delta)
    with np.errstate(all="ignore"):
        inside = stats.beta.pdf(response.y, mu * phi, (1 - mu) * phi)
    expected = np.select([response.y == 0, response.y == 1], [1 - low, high], (low - high) * inside)
    density = np.exp(family.log_density(response, (eta, delta, first, gap)))
    np.testing.assert_allclose(density, expected, rtol=1e-10)


CUMULATIVE = {
    "logit": stats.logistic,
    "probit": stats.norm,
    "cloglog": stats.gumbel_l,
    "loglog": stats.gumbel_r,
    "cauchit": stats.cauchy,
}


@pytest.mark.parametrize("link", CUMULATIVE)
@pytest.mark.parametrize("threshold", ["flexible", "equidistant"])
def test_cumulative_by_its_definition(link, threshold):
    family = type(build("cumulative"))(link=link, threshold=threshold)
    response, (eta, *psi) = grid(family)
    extras = family.extras(response)
    user, _ = extras.to_user(np.array([p[0] for p in psi]))
    tau = user if threshold == "flexible" else user[0] + user[1] * np.arange(3)
    cdf = CUMULATIVE[link].cdf
    below = np.column_stack([np.zeros(len(eta)), *(cdf(t - eta) for t in tau), np.ones(len(eta))])
    probabilities = np.diff(below, axis=1)
    expected = np.log(probabilities[np.arange(len(eta)), response.y.astype(int)])
    np.testing.assert_allclose(family.log_density(response, (eta, *psi)), expected, rtol=1e-9)
    np.testing.assert_allclose(
        family.probabilities(response, (eta, *psi)), probabilities, rtol=1e-9
    )


# -------------------------------------------------------------------- sums and integrals
def support(name):
    """Values and weights with which sums over a family's support are integrals."""
    u = np.linspace(-40.0, 40.0, 8001)
    if name in COUNTS:
        return np.arange(1500.0), np.ones(1500)
    if name in TRUNCATED:
        return np.arange(1.0, 1500.0), np.ones(1499)
    if name in {"beta", "ordbeta"}:
        u = u[np.abs(u) < 36.5]
        return expit(u), expit(u) * expit(-u) * 0.01
    if name in POSITIVE | {"tweedie"}:
        u = u[np.abs(u) < 30] if name in POSITIVE else u[u < 5.5]
        return np.exp(u), np.exp(u) * 0.01
    return np.sinh(u), np.cosh(u) * 0.01


def predictors_of(family):
    """One ordinary point, extras included."""
    y = np.array([0.0, 1.0, 2.0]) if family.name == "cumulative" else np.array([1.0])
    response = family.response(y if family.name != "beta" else np.array([0.5]))
    extras = tuple(family.extras(response).start)
    if family.name == "student_t":
        extras = (np.log(6.0),)
    delta = (0.8,) if family.has_dispersion else ()
    return tuple(np.asarray(float(p)) for p in (0.4, *delta, *extras))


def moments(family, y, weights, predictors):
    density = weights * np.exp(family.log_density(family.response(y), predictors))
    points = np.array([0.0, 1.0]) if family.name == "ordbeta" else np.array([0.0])
    if family.name in {"ordbeta", "tweedie"}:
        density = np.append(
            density, np.exp(family.log_density(family.response(points), predictors))
        )
        y = np.append(y, points)
    total, mean = density.sum(), density @ y
    return total, mean, density @ y**2 - mean**2


@pytest.mark.parametrize(
    "name", [n for n in NAMES if n not in {"binomial", "betabinomial", "cumulative"}]
)
def test_total_probability_mean_and_variance(name):
    family = build(name)
    predictors = predictors_of(family)
    total, mean, variance = moments(family, *support(name), predictors)
    assert total == pytest.approx(1.0, rel=1e-8)
    assert float(family.mean(predictors)) == pytest.approx(mean, rel=1e-8)
    some = family.response(np.array([0.5 if name in {"beta", "ordbeta"} else 1.0]))
    assert float(np.ravel(family.variance(some, predictors))[0]) == pytest.approx(
        variance, rel=1e-7
    )


@pytest.mark.parametrize("name", NAMES)
def test_draws_follow_the_distribution_function(name):
    family = build(name)
    predictors = predictors_of(family)
    n = 20_000
    trials = np.full(n, 7.0) if name in {"binomial", "betabinomial"} else None
    start = np.resize([0.0, 1.0, 2.0], n) if name == "cumulative" else np.ones(n)
    start = start * 0.5 if name in {"beta", "ordbeta"} else start
    response = family.response(start, trials)
    predictors = (np.full(n, predictors[0]), *predictors[1:])
    y = family.draw(np.random.default_rng(5), response, predictors)
    assert y.dtype == float
    drawn = family.response(y, trials)
    # Kolmogorov's distance exceeds this once in a million times
    values = np.unique(y)
    shares = np.searchsorted(np.sort(y), values, side="right") / n
    short = tuple(np.asarray(p.flat[0]) for p in predictors)
    order = np.unique(y, return_index=True)[1]
    below = family.cdf(drawn.take(order), tuple(np.full(len(order), p) for p in short))
    assert np.abs(shares - below).max() < 2.7 / np.sqrt(n)
    mean, variance = family.mean(predictors), family.variance(response, predictors)
    error = drawn.observed.mean() - np.mean(mean)
    assert abs(error) < 5 * np.sqrt(np.mean(variance) / n)


# -------------------------------------------------------------------- zero inflation
INFLATED = [n for n in NAMES if n not in {"cumulative", "binomial", "betabinomial"}]


@pytest.mark.parametrize("name", INFLATED)
def test_zero_inflation_by_its_definition(name):
    base = build(name)
    family = ZeroInflated(base)
    response, own = grid(base)
    y = np.append(response.y, np.zeros(4))
    own = tuple(np.append(p, p[:4]) for p in own)
    inflated = family.response(y)
    zeta = np.linspace(-3, 2, len(y))
    predictors = (*own[: family.place], zeta, *own[family.place :])
    extra = expit(zeta)
    expected = np.where(y == 0, extra, 0.0)
    rows = np.arange(len(y)) if base.zero_mass else np.flatnonzero(y)
    inside = base.log_density(base.response(y[rows]), tuple(p[rows] for p in own))
    expected[rows] += (1 - extra[rows]) * np.exp(inside)
    density = family.log_density(inflated, predictors)
    np.testing.assert_allclose(np.exp(density), expected, rtol=1e-10)
    mean = (1 - extra) * base.mean(own)
    np.testing.assert_allclose(family.mean(predictors), mean, rtol=1e-12)


@pytest.mark.parametrize("name", ["nbinom2", "truncated_poisson", "gamma", "tweedie"])
def test_draws_of_zero_inflation(name):
    family = ZeroInflated(build(name))
    own = predictors_of(family.base)
    own = (*own[: family.place], np.asarray(-0.5), *own[family.place :])
    n = 20_000
    response = family.response(np.resize([0.0, 1.0], n))
    predictors = tuple(np.full(n, p) for p in own)
    y = family.draw(np.random.default_rng(3), response, predictors)
    mean, variance = family.mean(predictors)[0], family.variance(response, predictors)[0]
    assert abs(y.mean() - mean) < 5 * np.sqrt(variance / n)
    assert y.var() == pytest.approx(variance, rel=0.1)
    drawn = family.response(y)
    values = np.unique(y)
    shares = np.searchsorted(np.sort(y), values, side="right") / n
    order = np.unique(y, return_index=True)[1]
    below = family.cdf(drawn.take(order), tuple(p[order] for p in predictors))
    assert np.abs(shares - below).max() < 2.7 / np.sqrt(n)
