"""Coordinates of covariances: their way back, their derivatives, their prior."""

import numpy as np
import pytest
from scipy import stats

from mixedeffects.bayes.coordinates import AbstractTermCoordinates, term_coordinates
from mixedeffects.bayes.independent import PositiveIndependent
from mixedeffects.bayes.priors import LKJ, Exponential, Gamma, HalfNormal, HalfStudentT
from mixedeffects.covariance import build

STRUCTURES = [
    *(("us", k) for k in (1, 2, 3, 5)),
    *(("diag", 3), ("id", 3), ("cs", 2), ("cs", 4), ("homcs", 3)),
    *(("ar1", 2), ("ar1", 4), ("toep", 2), ("toep", 4), ("exp", 4), ("gau", 3), ("ou", 3)),
]
KINDS = [HalfStudentT(3, 2.0), Exponential(1.0), Gamma(2.0, 1.5), HalfNormal(2.0)]
# Central differences of step 1e-6 err by about 1e-9.
CLOSE = 1e-7
# Draws are those of fixed seeds: 1 of 1000 of right distributions would fail, a wrong one does.
RARE = 1e-3


def coordinates(structure: str, k: int, eta: float = 1.7) -> AbstractTermCoordinates:
    covariance = build(structure, k, np.arange(float(k)))
    n = covariance.n_deviations or k
    priors = [KINDS[i % len(KINDS)] for i in range(n)]
    return term_coordinates(covariance, PositiveIndependent(priors), LKJ(eta))


def differences(function, x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    moves = step * np.eye(len(x))
    return np.array([(function(x + m) - function(x - m)) / (2 * step) for m in moves]).T


@pytest.mark.parametrize(("structure", "k"), STRUCTURES)
def test_there_and_back(structure: str, k: int) -> None:
    own, rng = coordinates(structure, k), np.random.default_rng(1)
    assert own.n_columns == k
    for _ in range(5):
        x = own.draw(rng)
        assert x.shape == (own.dimension,)
        root = own.root(x)[0]
        np.testing.assert_allclose(np.triu(root, 1), 0.0)
        np.testing.assert_allclose(own.of_root(root), x, rtol=1e-7, atol=1e-9)
        turned = root @ np.linalg.qr(rng.normal(size=(k, k)))[0]
        np.testing.assert_allclose(own.of_root(turned), x, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("structure", "k"), STRUCTURES)
def test_derivatives(structure: str, k: int) -> None:
    own, rng = coordinates(structure, k), np.random.default_rng(2)
    for _ in range(3):
        x = own.draw(rng)
        slope = rng.normal(size=(k, k))
        _, pullback = own.root(x)
        by_differences = differences(lambda at, s=slope: np.sum(s * own.root(at)[0]), x)
        np.testing.assert_allclose(pullback(slope), by_differences, rtol=CLOSE, atol=CLOSE)
        _, gradient = own.log_prior(x)
        by_differences = differences(lambda at: own.log_prior(at)[0], x)
        np.testing.assert_allclose(gradient, by_differences, rtol=CLOSE, atol=CLOSE)


def natural(own: AbstractTermCoordinates, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations (k,) and correlation matrix (k, k)."""
    root = own.root(x)[0]
    covariance = root @ root.T
    sd = np.sqrt(np.diagonal(covariance))
    return sd, covariance / np.outer(sd, sd)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("eta", [1.0, 2.3])
def test_prior_is_that_of_deviations_and_correlations(k: int, eta: float) -> None:
    own, rng = coordinates("us", k, eta), np.random.default_rng(3)
    below = np.tril_indices(k, -1)
    for _ in range(3):
        x = own.draw(rng)

        def parameters(at: np.ndarray) -> np.ndarray:
            sd, correlation = natural(own, at)
            return np.concatenate([sd, correlation[below]])

        sd, correlation = natural(own, x)
        priors = own.deviations.priors
        density = sum(float(p.log_density(s)) for p, s in zip(priors, sd, strict=True))
        if k > 1:
            density += float(LKJ(eta).log_density(correlation))
        jacobian = np.linalg.slogdet(differences(parameters, x))[1]
        assert own.log_prior(x)[0] == pytest.approx(density + jacobian, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("eta", [1.0, 2.3])
def test_prior_of_toeplitz_is_that_of_its_lags(eta: float) -> None:
    own, rng = coordinates("toep", 4, eta), np.random.default_rng(4)

    def parameters(at: np.ndarray) -> np.ndarray:
        sd, correlation = natural(own, at)
        return np.concatenate([sd, correlation[1:, 0]])

    constants = []
    for _ in range(4):
        x = own.draw(rng)
        sd, correlation = natural(own, x)
        density = sum(
            float(p.log_density(s)) for p, s in zip(own.deviations.priors, sd, strict=True)
        )
        density += (eta - 1.0) * np.linalg.slogdet(correlation)[1]
        density += np.linalg.slogdet(differences(parameters, x))[1]
        constants.append(own.log_prior(x)[0] - density)
    np.testing.assert_allclose(constants, constants[0], atol=1e-6)


# The correlation between the first two columns, and its range; columns lie 1 apart.
ONE_CORRELATION = {
    ("cs", 2): (-1.0, 1.0),
    ("cs", 4): (-1 / 3, 1.0),
    ("homcs", 3): (-1 / 2, 1.0),
    ("ar1", 4): (-1.0, 1.0),
    ("exp", 2): (0.0, 1.0),
    ("ou", 2): (0.0, 1.0),
}


@pytest.mark.parametrize(("structure", "k"), ONE_CORRELATION)
@pytest.mark.parametrize("eta", [1.0, 2.3])
def test_prior_of_one_correlation(structure: str, k: int, eta: float) -> None:
    own, rng = coordinates(structure, k, eta), np.random.default_rng(5)
    low, high = ONE_CORRELATION[structure, k]
    known = stats.beta(eta, eta, loc=low, scale=high - low)
    n = len(own.deviations)

    def parameters(at: np.ndarray) -> np.ndarray:
        sd, correlation = natural(own, at)
        return np.append(sd[:n], correlation[1, 0])

    x = own.draw(rng)
    sd, correlation = natural(own, x)
    density = sum(
        float(p.log_density(s)) for p, s in zip(own.deviations.priors, sd[:n], strict=True)
    )
    density += known.logpdf(correlation[1, 0])
    jacobian = np.linalg.slogdet(differences(parameters, x))[1]
    assert own.log_prior(x)[0] == pytest.approx(density + jacobian, rel=1e-6, abs=1e-6)
    drawn = [natural(own, own.draw(rng))[1][1, 0] for _ in range(500)]
    assert stats.kstest(drawn, known.cdf).pvalue > RARE


def test_draws_are_of_the_prior() -> None:
    own, rng = coordinates("us", 3, 1.5), np.random.default_rng(6)
    drawn = [natural(own, own.draw(rng)) for _ in range(3000)]
    sd = np.array([s for s, _ in drawn])
    assert stats.kstest(sd[:, 1], stats.expon().cdf).pvalue > RARE
    assert stats.kstest(sd[:, 2], stats.gamma(2.0, scale=1 / 1.5).cdf).pvalue > RARE
    marginal = stats.beta(2.0, 2.0, loc=-1, scale=2)  # eta + k/2 − 1
    for i, j in ((1, 0), (2, 0), (2, 1)):
        assert stats.kstest([r[i, j] for _, r in drawn], marginal.cdf).pvalue > RARE


def test_density_integrates_to_one() -> None:
    own = coordinates("us", 2, 1.5)
    # by importance sampling from a distribution with wider tails
    rng = np.random.default_rng(7)
    wide = stats.t(3, scale=1.5)
    x = wide.rvs((20_000, 3), random_state=rng)
    values = np.array([own.log_prior(row)[0] for row in x])
    weights = np.exp(values - wide.logpdf(x).sum(axis=1))
    error = weights.std() / np.sqrt(len(weights))
    assert error < 0.03
    assert abs(weights.mean() - 1.0) < 4 * error


@pytest.mark.parametrize(("structure", "k"), STRUCTURES)
def test_boundaries_have_coordinates(structure: str, k: int) -> None:
    own = coordinates(structure, k)
    for root in (np.zeros((k, k)), np.tril(np.ones((k, k))) * np.eye(1, k), 1e-30 * np.eye(k)):
        x = own.of_root(root)
        assert np.isfinite(x).all()
        assert np.isfinite(own.log_prior(x)[0])
        assert np.isfinite(own.root(x)[0]).all()


@pytest.mark.parametrize(("structure", "k"), STRUCTURES)
def test_far_out_all_is_finite(structure: str, k: int) -> None:
    own = coordinates(structure, k)
    for x in (np.full(own.dimension, 60.0), np.full(own.dimension, -60.0)):
        root, pullback = own.root(x)
        assert np.isfinite(root).all()
        assert np.isfinite(pullback(np.ones((k, k)))).all()
        value, gradient = own.log_prior(x)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
