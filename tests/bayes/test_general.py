"""Draws of generalized posteriors against brute force, and what must not matter for them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mixedeffects.algebra.crossproducts import Grouping
from mixedeffects.bayes.draws import Settings
from mixedeffects.bayes.general import is_nested, sample_general
from mixedeffects.bayes.prior_model import build_priors
from mixedeffects.bayes.priors import Exponential, Flat, HalfNormal, Normal
from mixedeffects.errors import ModelError
from mixedeffects.families import ZeroInflated, build
from mixedeffects.formula.design import build_design

SETTINGS = Settings(chains=2, draws=800, tune=200, seed=4)
G, R = 6, 5


def sampled(formula, data, family, priors=None, others=None, settings=SETTINGS, **options):
    family = build(family)
    kind = family.response_kind
    if "zero_inflation" in (others or {}):
        family = ZeroInflated(family)
    design = build_design(formula, data, kind=kind, others=others, **options)
    return sample_general(design, family, build_priors(design, family, priors), settings)


def small_data(family, seed=3):
    """Six groups of five rows."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(G), R)
    eta = 0.3 + 0.9 * rng.normal(size=G)[g]
    y = {
        "binomial": lambda: rng.binomial(1, 1 / (1 + np.exp(-eta))),
        "poisson": lambda: rng.poisson(np.exp(eta)),
        "nbinom2": lambda: rng.negative_binomial(2, 2 / (2 + np.exp(eta))),
        "cumulative": lambda: np.digitize(eta + rng.logistic(size=len(g)), [-0.5, 1.0]),
    }[family]()
    return {"y": y, "g": g}


def quadrature(log_probability, data, grids, log_prior):
    """Posterior means and sds of what all rows share, by sums over grids and Gauss-Hermite nodes.

    ``grids``, the last of the random intercept's log sd; ``log_probability(y, b, point)`` of a
    value where that intercept is b (nodes, points); ``log_prior`` of points, by coordinates.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(30)
    points = np.array([axis.ravel() for axis in np.meshgrid(*grids, indexing="ij")])
    b = np.exp(points[-1]) * nodes[:, None]
    groups = np.zeros((G, *b.shape))
    for value in np.unique(data["y"]):
        counts = np.bincount(data["g"], data["y"] == value)
        groups += counts[:, None, None] * log_probability(value, b, points)
    logs = log_prior(points) + np.log(np.einsum("n,gnp->gp", weights, np.exp(groups))).sum(axis=0)
    mass = np.exp(logs - logs.max())
    mass /= mass.sum()
    mean = points @ mass
    return mean, np.sqrt((points - mean[:, None]) ** 2 @ mass)


def normal(x, sd):
    return -0.5 * (x / sd) ** 2


def half_normal_of_log(x, sd):
    return -0.5 * (np.exp(x) / sd) ** 2 + x


def close_to(draws, mean, sd):
    """Within Monte Carlo error: 1,600 draws that are worth at least 300 independent ones."""
    assert draws.mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(300))
    assert draws.std() == pytest.approx(sd, rel=4 / np.sqrt(300))


def logistic(x):
    return 1.0 / (1.0 + np.exp(-x))


PROBABILITY = {
    "binomial": lambda y, b, at: np.log(logistic((2 * y - 1) * (at[0] + b))),
    "poisson": lambda y, b, at: stats.poisson.logpmf(y, np.exp(at[0] + b)),
    "nbinom2": lambda y, b, at: stats.nbinom.logpmf(
        y, np.exp(at[1]), 1.0 / (1.0 + np.exp(at[0] + b - at[1]))
    ),
    "cumulative": lambda y, b, at: np.log(
        (
            logistic(at[0] - b),
            np.maximum(logistic(at[0] + np.exp(at[1]) - b) - logistic(at[0] - b), 1e-300),
            logistic(b - at[0] - np.exp(at[1])),
        )[y]
    ),
}


@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_random_intercept_against_quadrature(family):
    data = small_data(family)
    priors = {"Intercept": Normal(0, 1.5), "sd": HalfNormal(1.0)}
    draws = sampled("y ~ 1 + (1 | g)", data, family, priors)
    mean, sd = quadrature(
        PROBABILITY[family],
        data,
        (np.linspace(-4, 4, 81), np.linspace(-7, 1.5, 81)),
        lambda at: normal(at[0], 1.5) + half_normal_of_log(at[1], 1.0),
    )
    close_to(draws.beta[..., 0], mean[0], sd[0])
    close_to(0.5 * np.log(draws.covariances[0][..., 0, 0]), mean[1], sd[1])
    assert not draws.stats["diverging"].any()


def test_dispersion_against_quadrature():
    data = small_data("nbinom2")
    priors = {"Intercept": Normal(0, 1.5), "sd": HalfNormal(0.5), "sigma": Exponential(0.5)}
    draws = sampled("y ~ 1 + (1 | g)", data, "nbinom2", priors)
    mean, sd = quadrature(
        PROBABILITY["nbinom2"],
        data,
        (np.linspace(-2, 3, 25), np.linspace(-3, 3.5, 25), np.linspace(-6, 0.8, 25)),
        lambda at: (
            normal(at[0], 1.5) - 0.5 * np.exp(at[1]) + at[1] + half_normal_of_log(at[2], 0.5)
        ),
    )
    close_to(draws.beta[..., 0], mean[0], sd[0])
    close_to(np.log(draws.sigma), mean[1], sd[1])
    close_to(0.5 * np.log(draws.covariances[0][..., 0, 0]), mean[2], sd[2])


def test_thresholds_against_quadrature():
    data = small_data("cumulative")
    priors = {"threshold": Normal(0, 1.5), "sd": HalfNormal(1.0)}
    draws = sampled("y ~ 1 + (1 | g)", data, "cumulative", priors)
    mean, sd = quadrature(
        PROBABILITY["cumulative"],
        data,
        (np.linspace(-4, 3, 25), np.linspace(-2.5, 2.5, 25), np.linspace(-7, 1.5, 25)),
        # the second threshold's density by the log distance has that distance for its Jacobian
        lambda at: (
            normal(at[0], 1.5)
            + normal(at[0] + np.exp(at[1]), 1.5)
            + at[1]
            + half_normal_of_log(at[2], 1.0)
        ),
    )
    close_to(draws.extras[..., 0], mean[0], sd[0])
    close_to(np.log(np.diff(draws.extras, axis=2)[..., 0]), mean[1], sd[1])
    close_to(0.5 * np.log(draws.covariances[0][..., 0, 0]), mean[2], sd[2])


def grouped(seed=2, groups=12, rows=8):
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(groups), rows), rng.normal(size=groups * rows)
    b = rng.normal(size=(groups, 2)) * [0.7, 0.4]
    mean = np.exp(0.8 + 0.3 * x + b[g, 0] + b[g, 1] * x)
    extra = rng.random(len(g)) < 1 / (1 + np.exp(1.0 - 0.8 * rng.normal(size=groups)[g]))
    return {"y": rng.poisson(mean), "z": np.where(extra, 0, rng.poisson(mean)), "x": x, "g": g}


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.2, 1e8])
def test_centring_does_not_matter(share, monkeypatch):
    """All effects centred, or hardly any, give what the rows' information gives."""
    import mixedeffects.bayes.whitening as whitening

    data, short = grouped(), Settings(2, 500, 200, 1)
    usual = sampled("y ~ x + (1 + x | g)", data, "poisson", settings=short)
    original = whitening.level_information

    def changed(objective):
        found, _ = original(objective)
        return tuple(share * A for A in found), False

    monkeypatch.setattr(whitening, "level_information", changed)
    other = sampled("y ~ x + (1 + x | g)", data, "poisson", settings=short)
    # 1,000 draws each, worth at least 200 independent ones
    for a, b in zip(
        (usual.beta, usual.covariances[0].reshape(2, 500, 4), usual.modes[0].reshape(2, 500, 24)),
        (other.beta, other.covariances[0].reshape(2, 500, 4), other.modes[0].reshape(2, 500, 24)),
        strict=True,
    ):
        limit = 4.5 * a.std(axis=(0, 1)) * np.sqrt(2 / 200)
        assert (np.abs(a.mean(axis=(0, 1)) - b.mean(axis=(0, 1))) < limit).all()


def test_same_seed_same_draws():
    data, short = grouped(), Settings(2, 30, 50, 9)
    first = sampled("y ~ x + (1 | g)", data, "poisson", settings=short)
    again = sampled("y ~ x + (1 | g)", data, "poisson", settings=short)
    np.testing.assert_array_equal(first.beta, again.beta)
    np.testing.assert_array_equal(first.modes[0], again.modes[0])
    assert not np.array_equal(first.beta[0], first.beta[1])


def test_shapes_with_random_zero_inflation():
    draws = sampled(
        "z ~ x + (1 + x | g)",
        grouped(),
        "poisson",
        others={"zero_inflation": "~ 1 + (1 | g)"},
        settings=Settings(2, 100, 200, 1),
    )
    assert draws.beta.shape == (2, 100, 3)
    assert [c.shape for c in draws.covariances] == [(2, 100, 2, 2), (2, 100, 1, 1)]
    assert [m.shape for m in draws.modes] == [(2, 100, 12, 2), (2, 100, 12, 1)]
    assert draws.sigma is None
    assert draws.extras.shape == (2, 100, 0)
    assert np.isfinite(draws.log_prior).all()
    assert "NUTS over 7 parameters and 36 random effects" in draws.way


def test_gaussian_with_dispersion_formula():
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(15), 10), rng.normal(size=150)
    y = 20.0 + 3.0 * x + 4.0 * rng.normal(size=15)[g] + np.exp(0.5 + 0.4 * x) * rng.normal(size=150)
    draws = sampled(
        "y ~ x + (1 | g)", {"y": y, "x": x, "g": g}, "gaussian", others={"dispersion": "~ x"}
    )
    mean, sd = draws.beta.mean(axis=(0, 1)), draws.beta.std(axis=(0, 1))
    assert (np.abs(mean - [20.0, 3.0, 1.0, 0.8]) < 3.5 * sd).all()
    assert draws.sigma is None
    assert np.sqrt(draws.covariances[0]).mean() == pytest.approx(4.0, abs=2.5)


def separated():
    """All successes where x is 1."""
    rng = np.random.default_rng(5)
    g, x = np.repeat(np.arange(8), 10), np.tile([0.0, 1.0], 40)
    y = np.where(x == 1.0, 1, rng.binomial(1, 0.5, 80))
    return {"y": y, "x": x, "g": g}


def test_separation_has_a_posterior_by_its_prior():
    draws = sampled("y ~ x + (1 | g)", separated(), "binomial", {"x": Normal(0, 2.5)})
    slope = draws.beta[..., 1]
    assert 1.5 < slope.mean() < 6.0
    assert slope.min() > -2.0
    assert draws.stats["diverging"].mean() < 0.01


def test_separation_without_prior_is_refused_by_name():
    priors = {"Intercept": Normal(0, 2.5), "x": Flat()}
    with pytest.raises(ModelError, match=r"'x'.*prior"):
        sampled("y ~ x + (1 | g)", separated(), "binomial", priors)


def test_prior_of_an_intercept_at_the_means_bounds_a_separating_slope():
    """As that slope goes to infinity, so does the predictor at the means, or rows contradict it."""
    draws = sampled("y ~ x + (1 | g)", separated(), "binomial", {"x": Flat()})
    at_means = draws.beta[..., 0] + 0.5 * draws.beta[..., 1]
    assert np.abs(at_means).max() < 15.0


def test_nesting_is_seen():
    outer, inner = np.repeat(np.arange(4), 6), np.repeat(np.arange(12), 2)
    groups = [
        Grouping(codes.astype(np.int32), np.ones((24, 1)), int(codes.max()) + 1, None)
        for codes in (outer, inner, np.arange(24) % 6)
    ]
    assert is_nested(groups[0], groups[1])
    assert is_nested(groups[1], groups[0])
    assert not is_nested(groups[0], groups[2])
