"""The collapsed posterior against dense matrices, differences, quadrature and the fit."""

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize

import mixedeffects as me
from dense_posterior import DensePosterior, gaussian_model, log_prior
from mixedeffects.bayes.collapsed import PlainDensity, collapse
from mixedeffects.bayes.collapsed_draws import (
    complete,
    log_densities,
    log_priors_of_coefficients,
    points_at,
)
from mixedeffects.bayes.compiled_density import compiled_density, is_compilable
from mixedeffects.bayes.priors import (
    LKJ,
    Exponential,
    Flat,
    Gamma,
    HalfNormal,
    HalfStudentT,
    Laplace,
    Normal,
    StudentT,
)

N_ROWS = 60
FORMULAS = [
    "y ~ x + (1 | g)",
    "y ~ x + (1 + x | g)",
    "y ~ x + (1 + x || g)",
    "y ~ x + (1 | g) + (1 + x | h)",
    "y ~ x + (0 + x | g) + (1 | g)",
    "y ~ x + diag(0 + f | g)",
    "y ~ x + id(0 + f | g)",
    "y ~ x + cs(0 + f | g)",
    "y ~ x + ar1(t | g)",
    "y ~ x + toep(0 + f | g)",
    "y ~ x + (1 + x | g) + ar1(t | h)",
    "y ~ 0 + (1 + x | g)",
    "y ~ x + I(2 * x) + (1 | g)",
]
PRIORS = {
    "x": Normal(1.0, 0.7),
    "sd": HalfStudentT(4, 1.5),
    "cor": LKJ(2),
    "sigma": Gamma(2, 1.5),
}


def simulated(seed=1, n=N_ROWS):
    rng = np.random.default_rng(seed)
    g, h = np.arange(n) % 6, rng.integers(0, 5, n)
    x = rng.normal(3.0, 2.0, n)
    y = 5.0 + 0.8 * x + rng.normal(0, 1.0, 6)[g] + rng.normal(0, 0.7, 5)[h] + rng.normal(0, 1.3, n)
    return pd.DataFrame(
        {
            "y": y,
            "x": x,
            "g": g,
            "h": h,
            "f": np.array(list("abc"))[(np.arange(n) // 6) % 3],
            "t": (np.arange(n) // 6) % 4,
            "w": rng.uniform(0.5, 3.0, n),
            "o": rng.normal(0, 2.0, n),
        }
    )


def point(posterior, seed=0):
    """Some x that is not special."""
    rng = np.random.default_rng(seed)
    x = posterior.start() + 0.2 * rng.normal(size=posterior.dimension)
    return x


def possible(formula, priors):
    """Those of parameters that the model has."""
    correlated = any(word in formula for word in ("(1 + x |", "cs(", "ar1(", "toep("))
    lacking = set() if correlated and "||" not in formula else {"cor"}
    if "~ x" not in formula:
        lacking |= {"Intercept", "x"}
    return {name: prior for name, prior in priors.items() if name not in lacking}


def differences(density, x, step=1e-5):
    return np.array(
        [
            (density(x + step * e)[0] - density(x - step * e)[0]) / (2.0 * step)
            for e in np.eye(len(x))
        ]
    )


all_formulas = pytest.mark.parametrize("formula", FORMULAS)


class TestDensity:
    @all_formulas
    @pytest.mark.parametrize("extra", [{}, {"weights": "w", "offset": "o"}])
    def test_is_the_integral_over_coefficients_and_effects(self, formula, extra):
        design, model = gaussian_model(formula, simulated(), possible(formula, PRIORS), **extra)
        posterior = collapse(design, model)
        dense = DensePosterior(_kept(design, posterior), model)
        x = point(posterior)
        roots = [root[0] for root in posterior.roots(x[None])]
        expected = dense.log_marginal(roots, np.exp(x[posterior.at_sigma]))
        found = PlainDensity(posterior)(x)[0]
        # Rounding of dense matrices of 60 rows.
        assert found - log_prior(posterior, x) == pytest.approx(expected, abs=1e-8)

    @all_formulas
    @pytest.mark.parametrize("extra", [{}, {"weights": "w", "offset": "o"}])
    @pytest.mark.parametrize(
        "priors", [PRIORS, {"x": Flat(), "Intercept": Flat()}, {"x": StudentT(3, 0, 1)}]
    )
    def test_gradient(self, formula, priors, extra):
        priors = possible(formula, priors)
        posterior = collapse(*gaussian_model(formula, simulated(), priors, **extra))
        density, x = PlainDensity(posterior), point(posterior)
        gradient = density(x)[1]
        # Central differences of values near -200, of which 13 digits are known.
        assert np.allclose(gradient, differences(density, x), rtol=1e-6, atol=1e-5)

    @pytest.mark.parametrize("formula", [f for f in FORMULAS if "~ x" in f])
    def test_given_coefficients(self, formula):
        priors = {"x": Laplace(0.5, 1.0)}
        design, model = gaussian_model(formula, simulated(), priors, weights="w", offset="o")
        posterior = collapse(design, model)
        dense = DensePosterior(_kept(design, posterior), model)
        x = point(posterior)
        beta = posterior.beta(x[None])[0]
        roots = [root[0] for root in posterior.roots(x[None])]
        expected = dense.log_likelihood(beta, roots, np.exp(x[posterior.at_sigma]))
        expected += model.coefficients.log_density(beta)[0] + log_prior(posterior, x)
        assert PlainDensity(posterior)(x)[0] == pytest.approx(expected, abs=1e-8)

    def test_related_levels(self):
        data = simulated()
        rng = np.random.default_rng(4)
        A = rng.normal(size=(6, 9))
        K = pd.DataFrame(A @ A.T / 9 + 0.1 * np.eye(6), index=range(6), columns=range(6))
        design, model = gaussian_model("y ~ x + known(1 | g, K) + (1 | h)", data, known={"K": K})
        posterior = collapse(design, model)
        dense, x = DensePosterior(design, model), point(posterior)
        roots = [root[0] for root in posterior.roots(x[None])]
        expected = dense.log_marginal(roots, np.exp(x[posterior.at_sigma]))
        density = PlainDensity(posterior)
        assert density(x)[0] - log_prior(posterior, x) == pytest.approx(expected, abs=1e-8)
        assert np.allclose(density(x)[1], differences(density, x), rtol=1e-6, atol=1e-5)

    def test_integral_over_a_coefficient_by_quadrature(self):
        """What is integrated out is the integral of what is not."""
        data = simulated()
        formula, priors = "y ~ 0 + x + (1 | g)", {"x": Normal(0.5, 0.2)}
        posterior = collapse(*gaussian_model(formula, data, priors))
        x = point(posterior)
        log_integrated = PlainDensity(posterior)(x)[0]
        # The same prior, as Student's t with so many degrees of freedom, is not integrated out.
        given = collapse(*gaussian_model(formula, data, {"x": StudentT(1e9, 0.5, 0.2)}))
        density = PlainDensity(given)
        problem = given.problem
        scale = problem.scale / problem.basis.map[0, 0]
        integral, error = quad(
            lambda b: np.exp(density(np.append(x, b))[0] - log_integrated) * scale,
            -2.0,
            2.0,
            points=[0.0],
        )
        assert integral == pytest.approx(1.0, abs=1e-6)
        assert error < 1e-7

    def test_units_of_the_response_move_it_by_a_constant(self):
        data = simulated()
        scaled = data.assign(y=1000.0 * data.y)
        values = []
        for unit, own in ((1.0, data), (1000.0, scaled)):
            priors = {
                "x": Normal(unit, unit),
                "Intercept": Normal(0, 10 * unit),
                "sd": HalfNormal(unit),
                "sigma": HalfNormal(unit),
            }
            posterior = collapse(*gaussian_model("y ~ x + (1 + x | g)", own, priors))
            x = np.array([0.3, -0.5, 0.2, 0.1])
            x[[0, 1, 3]] += np.log(unit)
            values.append(PlainDensity(posterior)(x)[0])
        # The density of y; that of log σ and log sd does not change.
        assert values[0] - values[1] == pytest.approx(N_ROWS * np.log(1000.0), abs=1e-6)


class TestCompiled:
    PRIORS = (
        {"sd": HalfStudentT(3, 2), "sigma": HalfNormal(2)},
        {"sd": Gamma(2, 0.7), "sigma": Exponential(0.5)},
        {"sd": Flat(), "sigma": Flat()},
        {"x": StudentT(4, 0.3, 0.5)},
        {"x": Laplace(0.3, 0.5), "Intercept": Flat()},
    )

    @all_formulas
    @pytest.mark.parametrize("priors", PRIORS)
    def test_is_the_plain_one(self, formula, priors):
        posterior = collapse(
            *gaussian_model(formula, simulated(), possible(formula, priors), weights="w")
        )
        if not is_compilable(posterior):
            assert any(word in formula for word in ("cs(", "ar1(", "toep("))
            return
        x = point(posterior)
        plain, compiled = PlainDensity(posterior), compiled_density(posterior)
        values, gradients = zip(plain(x), compiled(x), strict=True)
        assert values[1] == pytest.approx(values[0], abs=1e-9)
        assert np.allclose(*gradients, rtol=1e-9, atol=1e-9)

    def test_along_other_axes(self):
        posterior = collapse(*gaussian_model("y ~ x + (1 + x | g)", simulated()))
        rng = np.random.default_rng(5)
        centre, spread = point(posterior), rng.normal(size=(4, 4))
        z = 0.1 * rng.normal(size=4)
        compiled = compiled_density(posterior)
        value, gradient = compiled(centre + spread @ z)
        compiled.whiten(centre, spread)
        found = compiled(z)
        assert found[0] == pytest.approx(value, abs=1e-9)
        assert np.allclose(found[1], spread.T @ gradient)

    def test_nowhere_is_nan(self):
        posterior = collapse(*gaussian_model("y ~ x + (1 + x | g)", simulated()))
        for density in (compiled_density(posterior), PlainDensity(posterior)):
            with np.errstate(all="ignore"):
                assert np.isnan(density(np.full(4, np.nan))[0])
                assert not np.isfinite(density(np.array([800.0, 0.0, 0.0, -800.0]))[0])


class TestFit:
    @pytest.mark.parametrize(
        ("formula", "dataset"),
        [
            ("Reaction ~ Days + (Days | Subject)", "sleepstudy"),
            ("diameter ~ 1 + (1 | plate) + (1 | sample)", "penicillin"),
            ("score ~ 0 + Machine + (1 | Worker)", "machines"),
        ],
    )
    def test_flat_priors_have_the_reml_optimum_as_mode(self, formula, dataset):
        data = me.datasets.load(dataset)
        posterior = collapse(*gaussian_model(formula, data, _flat(formula, data)))
        density = PlainDensity(posterior)

        def criterion(x):
            """−2 log p(y | Λ, σ) and its gradient."""
            value, gradient = density(x)
            value -= log_prior(posterior, x)
            return -2.0 * value, -2.0 * (gradient - _prior_gradient(posterior, x))

        found = minimize(criterion, posterior.start(), jac=True, tol=1e-12)
        fit = me.fit(formula, data)
        assert found.fun == pytest.approx(fit.objective, abs=1e-7)
        assert np.exp(found.x[posterior.at_sigma]) == pytest.approx(fit.sigma, rel=1e-5)
        covariances = [r[0] @ r[0].T for r in posterior.roots(found.x[None])]
        for covariance, term in zip(covariances, fit._fit.estimates.terms, strict=True):
            scale = np.abs(term.covariance).max()
            assert np.allclose(covariance, term.covariance, atol=1e-4 * scale)

    def test_flat_priors_given_coefficients_are_maximum_likelihood(self):
        formula, data = "Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy")
        # As wide as flat.
        wide = {"Days": Laplace(0.0, 1e6), "Intercept": Flat()}
        posterior = collapse(*gaussian_model(formula, data, wide))
        density = PlainDensity(posterior)

        def criterion(x):
            value, gradient = density(x)
            slope = np.append(_prior_gradient(posterior, x), np.zeros(2))
            return -2.0 * (value - log_prior(posterior, x)), -2.0 * (gradient - slope)

        found = minimize(criterion, posterior.start(), jac=True, tol=1e-12)
        fit = me.fit(formula, data, reml=False)
        assert found.fun - 2.0 * np.log(2e6) == pytest.approx(fit.objective, abs=1e-4)
        assert np.allclose(posterior.beta(found.x[None])[0], fit.beta, rtol=1e-5)


class TestDraws:
    N = 20_000

    @pytest.mark.parametrize(
        "formula",
        ["y ~ x + (1 + x | g)", "y ~ x + (1 | g) + (1 + x | h)", "y ~ x + ar1(t | g) + (1 | h)"],
    )
    def test_moments_given_the_variances(self, formula):
        design, model = gaussian_model(formula, simulated(), PRIORS, weights="w", offset="o")
        self._check(design, model)

    def test_related_levels(self):
        K = pd.DataFrame(0.4 * np.ones((6, 6)) + 0.6 * np.eye(6), range(6), range(6))
        design, model = gaussian_model("y ~ x + known(1 | g, K)", simulated(), known={"K": K})
        self._check(design, model)

    def _check(self, design, model):
        posterior = collapse(design, model)
        x = point(posterior)
        roots = [root[0] for root in posterior.roots(x[None])]
        dense = DensePosterior(design, model)
        mean, covariance = dense.conditional(roots, np.exp(x[posterior.at_sigma]))
        points = points_at(posterior, x[None]).take(np.zeros(self.N, dtype=np.intp))
        drawn = complete(posterior, points, 3)
        whole = np.hstack([drawn.beta, *(m.reshape(self.N, -1) for m in drawn.modes)])
        errors = np.sqrt(np.diagonal(covariance) / self.N)
        # The largest of some thirty standard normal errors, and of some five hundred.
        assert np.abs((whole.mean(axis=0) - mean) / errors).max() < 4.5
        sizes = np.sqrt(np.diagonal(covariance))
        apart = (np.cov(whole.T) - covariance) / np.outer(sizes, sizes)
        assert np.abs(apart).max() < 5.5 * np.sqrt(2.0 / self.N)

    def test_equal_rows_share_a_factor_and_differ_in_noise(self):
        posterior = collapse(*gaussian_model("y ~ x + (1 | g)", simulated()))
        x = point(posterior)
        points = points_at(posterior, np.array([x, x, x + 0.1, x]))
        drawn = complete(posterior, points, 3)
        alone = complete(posterior, points.take(np.array([0])), 3)
        assert np.array_equal(drawn.beta[0], alone.beta[0])
        assert len(np.unique(drawn.beta[:, 0])) == 4

    @all_formulas
    def test_densities_are_those_of_the_sampler(self, formula):
        for priors in ({}, {"sigma": Gamma(3, 1)}):
            posterior = collapse(*gaussian_model(formula, simulated(), priors))
            x = np.array([point(posterior, seed) for seed in range(4)])
            found = log_densities(posterior, points_at(posterior, x))
            density = PlainDensity(posterior)
            expected = np.array([density(own)[0] for own in x])
            assert np.allclose(np.diff(found), np.diff(expected), atol=1e-8)

    def test_densities_given_coefficients(self):
        posterior = collapse(*gaussian_model("y ~ x + (1 | g)", simulated(), {"b": Laplace(0, 1)}))
        x = np.array([point(posterior, seed) for seed in range(4)])
        points = points_at(posterior, x)
        density = PlainDensity(posterior)
        expected = np.array([density(own)[0] for own in x])
        found = log_densities(posterior, points)
        assert np.allclose(np.diff(found), np.diff(expected), atol=1e-8)
        priors = log_priors_of_coefficients(posterior, points.beta)
        one = posterior.priors.coefficients.log_density(points.beta[0])[0]
        assert priors[0] == pytest.approx(one)


def _flat(formula, data):
    names = gaussian_model(formula, data)[1].coefficients.names
    return {name: Flat() for name in names}


def _kept(design, posterior):
    """The design without the columns that others determine."""
    from dataclasses import replace

    return replace(design, X=design.X[:, posterior.problem.basis.kept])


def _prior_gradient(posterior, x):
    gradient = np.zeros(posterior.at_sigma + 1)
    for own, place in zip(posterior.priors.terms, posterior.places, strict=True):
        gradient[place] = own.log_prior(x[place])[1]
    gradient[-1] = posterior.priors.sigma.log_density(x[posterior.at_sigma])[1]
    return gradient
