"""Log-densities and distribution functions against SciPy's and against sums and integrals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from families.points import grid
from mixedeffects.families import build


def scipy_distribution(name, mu, delta):
    """SciPy's distribution of mean mu and dispersion predictor delta, or None."""
    phi = np.exp(delta)
    known = {
        "gaussian": lambda: stats.norm(mu, np.sqrt(phi)),
        "poisson": lambda: stats.poisson(mu),
        "nbinom2": lambda: stats.nbinom(phi, phi / (phi + mu)),
        "gamma": lambda: stats.gamma(phi, scale=mu / phi),
    }
    return known[name]() if name in known else None


@pytest.mark.parametrize("name", ["gaussian", "poisson", "nbinom2", "gamma"])
def test_density_and_distribution_function_are_scipys(name):
    family = build(name)
    response, predictors = grid(family)
    delta = predictors[1] if family.has_dispersion else np.zeros(1)
    other = scipy_distribution(name, family.mean(predictors), delta)
    expected = (other.logpmf if family.discrete else other.logpdf)(response.y)
    np.testing.assert_allclose(family.log_density(response, predictors), expected, rtol=1e-10)
    np.testing.assert_allclose(family.cdf(response, predictors), other.cdf(response.y), rtol=1e-10)
    np.testing.assert_allclose(family.variance(response, predictors), other.var(), rtol=1e-10)


def test_binomial_is_scipys():
    family = build("binomial")
    response, predictors = grid(family, far=True)
    p = family.mean(predictors)
    other = stats.binom(response.trials, p)
    usual = np.abs(predictors[0]) < 20
    np.testing.assert_allclose(
        family.log_density(response, predictors)[usual],
        other.logpmf(response.y)[usual],
        rtol=1e-8,
        atol=1e-12,
    )
    np.testing.assert_allclose(family.cdf(response, predictors), other.cdf(response.y), rtol=1e-9)
    np.testing.assert_allclose(
        family.variance(response, predictors)[usual],
        (other.var() / response.trials**2)[usual],
        rtol=1e-7,
    )
