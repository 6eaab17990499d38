"""Draws of linear mixed models: against quadrature, and one way against the other."""

import os
import signal
import time

import numpy as np
import pandas as pd
import pytest

import mixedeffects as me
from dense_posterior import gaussian_model
from mixedeffects.bayes import gaussian
from mixedeffects.bayes.collapsed import PlainDensity, collapse
from mixedeffects.bayes.compiled_density import compiled_density
from mixedeffects.bayes.diagnostics import ess_mean, r_hat
from mixedeffects.bayes.draws import Settings
from mixedeffects.bayes.gaussian import is_dear, run_chains, sample_gaussian, weighted_draws
from mixedeffects.bayes.importance_draws import weighted_points
from mixedeffects.bayes.normal_approximation import approximate
from mixedeffects.bayes.priors import Flat, HalfNormal, Laplace, Normal, StudentT
from mixedeffects.errors import ModelError

SLEEPSTUDY = "Reaction ~ Days + (Days | Subject)"


def scalars(draws):
    """Draws (C, S, m) of coefficients, log variances and correlations."""
    found = [draws.beta[..., i] for i in range(draws.beta.shape[2])]
    found.append(np.log(draws.sigma))
    for covariance in draws.covariances:
        sd = np.sqrt(np.diagonal(covariance, axis1=2, axis2=3))
        found += list(np.moveaxis(np.log(sd), -1, 0))
        rows, columns = np.tril_indices(covariance.shape[-1], -1)
        found += [
            np.arctanh(covariance[..., i, j] / sd[..., i] / sd[..., j])
            for i, j in zip(rows, columns, strict=True)
        ]
    return np.stack(found, axis=-1)


def check_moments(found, expected, limit=4.5):
    """Means of draws (C, S, m) against those of other draws."""
    means = [d.mean(axis=(0, 1)) for d in (found, expected)]
    errors = [d.std(axis=(0, 1)) / np.sqrt(ess_mean(d)) for d in (found, expected)]
    assert np.all(np.abs(means[0] - means[1]) < limit * np.hypot(*errors))
    spreads = [d.std(axis=(0, 1)) for d in (found, expected)]
    assert np.allclose(spreads[0], spreads[1], rtol=0.12)


def machines():
    return me.datasets.load("machines")


def by_importance(design, priors, settings):
    posterior = collapse(design, priors)
    normal = approximate(compiled_density(posterior), posterior.start())
    found = weighted_points(posterior, normal, settings)
    return weighted_draws(posterior, found, settings)


class TestNuts:
    def test_a_posterior_by_quadrature(self):
        """Two variances and nothing else: all moments are integrals over two numbers."""
        rng = np.random.default_rng(2)
        g = np.repeat(np.arange(8), 4)
        y = 1.0 + rng.normal(0, 0.8, 8)[g] + rng.normal(0, 1.0, 32)
        priors = {"Intercept": Normal(0, 3), "sd": HalfNormal(1), "sigma": HalfNormal(2)}
        model = gaussian_model("y ~ 1 + (1 | g)", pd.DataFrame({"y": y, "g": g}), priors)
        draws = sample_gaussian(*model, Settings(4, 1500, 500, 1))
        posterior = collapse(*model)
        density = compiled_density(posterior)
        logs = np.linspace(-6.0, 2.5, 200), np.linspace(-1.2, 1.2, 150)
        grid = np.stack(np.meshgrid(*logs, indexing="ij"), axis=-1).reshape(-1, 2)
        values = np.array([density(x)[0] for x in grid])
        weights = np.exp(values - values.max())
        weights /= weights.sum()
        found = np.exp(scalars(draws)[..., [2, 1]])
        expected = np.exp(grid)
        for i in range(2):
            mean = weights @ expected[:, i]
            sd = np.sqrt(weights @ (expected[:, i] - mean) ** 2)
            own = found[..., i]
            error = sd / np.sqrt(ess_mean(own[..., None])[0])
            assert abs(own.mean() - mean) < 4.0 * error
            assert own.std() == pytest.approx(sd, rel=0.1)

    def test_shapes_and_words(self):
        data = me.datasets.load("sleepstudy")
        draws = sample_gaussian(*gaussian_model(SLEEPSTUDY, data), Settings(2, 100, 100, 1))
        assert draws.beta.shape == (2, 100, 2)
        assert draws.covariances[0].shape == (2, 100, 2, 2)
        assert draws.modes[0].shape == (2, 100, 18, 2)
        assert draws.sigma.shape == draws.log_prior.shape == (2, 100)
        assert draws.extras.shape == (2, 100, 0)
        assert draws.way.startswith("NUTS over 4 parameters of variances, coefficients and random")
        assert np.isnan(draws.pareto_k)
        assert draws.max_depth == 10
        assert not draws.interrupted

    def test_the_fit_is_near(self):
        """With flat priors of the coefficients and data that tell much, posterior and fit agree."""
        data = me.datasets.load("sleepstudy")
        model = gaussian_model(SLEEPSTUDY, data, {"b": Flat(), "Intercept": Flat()})
        draws = sample_gaussian(*model, Settings(4, 1000, 300, 1))
        fit = me.fit(SLEEPSTUDY, data)
        sd = draws.beta.std(axis=(0, 1))
        assert np.all(np.abs(draws.beta.mean(axis=(0, 1)) - fit.beta) < 0.1 * sd)
        assert np.median(draws.sigma) == pytest.approx(fit.sigma, rel=0.03)
        modes = draws.modes[0].mean(axis=(0, 1))
        assert np.corrcoef(modes[:, 1], fit._fit.estimates.terms[0].modes[:, 1])[0, 1] > 0.99

    def test_effective_draws(self):
        data = me.datasets.load("sleepstudy")
        draws = sample_gaussian(*gaussian_model(SLEEPSTUDY, data), Settings(4, 1000, 1000, 1))
        assert ess_mean(scalars(draws)).min() > 2500
        assert r_hat(scalars(draws)).max() < 1.01
        assert not draws.stats["diverging"].any()
        assert draws.stats["n_steps"].mean() < 6

    def test_the_seed_decides(self):
        data = me.datasets.load("sleepstudy")
        model = gaussian_model(SLEEPSTUDY, data)
        runs = [sample_gaussian(*model, Settings(2, 50, 50, seed)) for seed in (3, 3, 4)]
        assert np.array_equal(runs[0].beta, runs[1].beta)
        assert np.array_equal(runs[0].modes[0], runs[1].modes[0])
        assert not np.array_equal(runs[0].beta, runs[2].beta)

    def test_compiled_and_plain_sample_alike(self, monkeypatch):
        data = me.datasets.load("penicillin")
        model = gaussian_model("diameter ~ 1 + (1 | plate) + (1 | sample)", data)
        settings = Settings(2, 300, 300, 1)
        compiled = sample_gaussian(*model, settings)
        monkeypatch.setattr(gaussian, "is_compilable", lambda posterior: False)
        plain = sample_gaussian(*model, settings)
        # The same trajectories, until rounding parts them.
        assert np.allclose(plain.beta[:, :3], compiled.beta[:, :3], rtol=1e-6)
        check_moments(scalars(plain), scalars(compiled))

    @pytest.mark.parametrize(
        "formula", ["Reaction ~ Days + ar1(Days | Subject)", "Reaction ~ Days + id(Days | Subject)"]
    )
    def test_structures(self, formula):
        data = me.datasets.load("sleepstudy")
        draws = sample_gaussian(*gaussian_model(formula, data), Settings(2, 150, 150, 1))
        covariance = draws.covariances[0][0, 0]
        if "id" in formula:
            assert np.allclose(covariance, covariance[0, 0] * np.eye(2))
        else:
            ratio = covariance[0, 1] / covariance[0, 0]
            assert covariance[0, 2] == pytest.approx(covariance[0, 0] * ratio**2)
        assert np.isfinite(draws.beta).all()


class TestPriorsThatAreNotNormal:
    def test_a_student_t_that_is_normal(self):
        """As a normal prior, though nothing of β is integrated out."""
        data = me.datasets.load("sleepstudy")
        settings = Settings(4, 400, 300, 1)
        normal = {"Days": Normal(5, 2), "Intercept": Normal(250, 20)}
        student = {"Days": StudentT(1e8, 5, 2), "Intercept": StudentT(1e8, 250, 20)}
        one, other = (
            sample_gaussian(*gaussian_model(SLEEPSTUDY, data, priors), settings)
            for priors in (normal, student)
        )
        assert "2 coefficients" in other.way
        check_moments(scalars(one), scalars(other))
        spreads = [d.log_prior.std() for d in (one, other)]
        assert spreads[0] == pytest.approx(spreads[1], rel=0.1)

    def test_a_narrow_laplace_shrinks(self):
        data = me.datasets.load("sleepstudy")
        model = gaussian_model(SLEEPSTUDY, data, {"Days": Laplace(0, 0.3)})
        draws = sample_gaussian(*model, Settings(2, 200, 200, 1))
        assert abs(draws.beta[..., 1].mean()) < 2.0


class TestImportance:
    @pytest.mark.parametrize(
        ("formula", "dataset"),
        [
            (SLEEPSTUDY, "sleepstudy"),
            ("diameter ~ 1 + (1 | plate) + (1 | sample)", "penicillin"),
        ],
    )
    def test_agrees_with_nuts(self, formula, dataset):
        model = gaussian_model(formula, me.datasets.load(dataset))
        weighted = by_importance(*model, Settings(4, 1000, 0, 1))
        chains = sample_gaussian(*model, Settings(4, 2000, 300, 2))
        assert weighted.pareto_k < 0.7
        assert 0.5 < weighted.efficiency <= 1.0
        check_moments(scalars(weighted), scalars(chains))
        flat = [d.modes[0].reshape(*d.modes[0].shape[:2], -1) for d in (weighted, chains)]
        check_moments(*flat)
        assert weighted.stats == {}
        assert "importance sampling" in weighted.way
        points = "1,024" if dataset == "penicillin" else "4,096"
        assert f"4,000 draws from {points} points" in weighted.way

    def test_shared_points_cost_no_accuracy(self):
        """In three dimensions, runs differ no more than those of so many independent draws."""
        rng = np.random.default_rng(3)
        g, h = rng.integers(0, 60, 900), rng.integers(0, 40, 900)
        y = rng.normal(size=60)[g] + 0.5 * rng.normal(size=40)[h] + rng.normal(size=900)
        model = gaussian_model("y ~ 1 + (1 | g) + (1 | h)", pd.DataFrame({"y": y, "g": g, "h": h}))
        found = [by_importance(*model, Settings(4, 1000, 0, seed)) for seed in range(16)]
        assert all("from 1,024 points" in draws.way for draws in found)
        runs = [scalars(draws) for draws in found]
        sd = np.mean([run.std(axis=(0, 1)) for run in runs], axis=0)
        # 1% of the χ² distribution with 15 degrees of freedom lies above 2.04 of its mean.
        means = np.array([run.mean(axis=(0, 1)) for run in runs])
        assert np.all(means.var(axis=0, ddof=1) < 2.04 * sd**2 / 4000)
        spreads = np.array([run.std(axis=(0, 1)) for run in runs])
        assert np.all(spreads.var(axis=0, ddof=1) < 2.04 * sd**2 / 8000)

    def test_points_are_added_where_weights_are_uneven(self):
        """Seven dimensions and six levels: the draws are worth what they say."""
        model = gaussian_model("score ~ Machine + (0 + Machine | Worker)", machines())
        draws = by_importance(*model, Settings(2, 512, 0, 1))
        assert "1,024 draws from 4,096 points" in draws.way
        assert 0.4 < draws.efficiency <= 1.0

    @pytest.mark.slow
    def test_seventy_thousand_crossed_rows_have_the_fit_inside(self):
        """With 1,128 levels and more, priors and skewness hardly move anything off the fit."""
        formula, data = "y ~ service + (1 | s) + (1 | d)", me.datasets.load("insteval")
        draws = sample_gaussian(*gaussian_model(formula, data), Settings(4, 250, 250, 1))
        fit = me.fit(formula, data)
        assert draws.way.startswith("importance sampling of 3 parameters")
        assert draws.pareto_k < 0.5
        assert draws.efficiency > 0.8
        sd = draws.beta.std(axis=(0, 1))
        assert np.all(np.abs(draws.beta.mean(axis=(0, 1)) - fit.beta) < 0.2 * sd)
        assert np.allclose(sd, np.sqrt(np.diagonal(fit._fit.estimates.vcov)), rtol=0.1)
        for covariance, term in zip(draws.covariances, fit._fit.estimates.terms, strict=True):
            assert covariance.mean() == pytest.approx(term.covariance[0, 0], rel=0.02)
        for modes, term in zip(draws.modes, fit._fit.estimates.terms, strict=True):
            mean = modes.mean(axis=(0, 1))[:, 0]
            assert np.corrcoef(mean, term.modes[:, 0])[0, 1] > 0.99

    def test_the_seed_decides_whatever_the_threads(self, monkeypatch):
        model = gaussian_model(SLEEPSTUDY, me.datasets.load("sleepstudy"))
        settings = Settings(2, 600, 0, 5)
        one = by_importance(*model, settings)
        monkeypatch.setattr("mixedeffects.bayes.collapsed_draws.affordable_threads", lambda p: 3)
        other = by_importance(*model, settings)
        assert np.array_equal(one.beta, other.beta)
        assert not np.array_equal(one.beta, by_importance(*model, Settings(2, 600, 0, 6)).beta)

    def test_is_taken_where_a_density_is_dear(self, monkeypatch):
        model = gaussian_model(SLEEPSTUDY, me.datasets.load("sleepstudy"))
        monkeypatch.setattr(gaussian, "DEAR", 1.0)
        told = []
        draws = sample_gaussian(*model, Settings(2, 100, 100, 5), told.append)
        assert draws.way.startswith("importance sampling")
        assert told[-1] == 200

    def test_bad_weights_are_left_for_nuts_in_words(self, monkeypatch):
        model = gaussian_model(SLEEPSTUDY, me.datasets.load("sleepstudy"))
        monkeypatch.setattr(gaussian, "DEAR", 1.0)
        monkeypatch.setattr(gaussian, "PARETO_K", -10.0)
        draws = sample_gaussian(*model, Settings(2, 100, 100, 5))
        assert draws.way.startswith("NUTS")
        assert "cannot be trusted (Pareto k" in draws.way
        assert draws.stats

    def test_few_levels_have_a_long_tail_that_weights_tell(self):
        """One variance of three levels is far from log-normal."""
        rng = np.random.default_rng(3)
        g = np.repeat(np.arange(3), 20)
        data = pd.DataFrame({"y": rng.normal(size=3)[g] + rng.normal(size=60), "g": g})
        model = gaussian_model("y ~ 1 + (1 | g)", data)
        weighted = by_importance(*model, Settings(4, 1000, 0, 1))
        chains = sample_gaussian(*model, Settings(4, 2000, 500, 2))
        if weighted.pareto_k <= 0.7:
            check_moments(scalars(weighted), scalars(chains))
        assert weighted.efficiency < 0.95


class TestCosts:
    def test_small_models_are_cheap_and_crossed_ones_dear(self):
        settings = Settings(4, 1000, 300, 1)
        posterior = collapse(*gaussian_model(SLEEPSTUDY, me.datasets.load("sleepstudy")))
        assert not is_dear(posterior, settings)
        rng = np.random.default_rng(1)
        data = pd.DataFrame(
            {
                "y": rng.normal(size=8000),
                "g": rng.integers(0, 700, 8000),
                "h": rng.integers(0, 600, 8000),
            }
        )
        posterior = collapse(*gaussian_model("y ~ 1 + (1 | g) + (1 | h)", data))
        assert is_dear(posterior, settings)


class TestInterrupt:
    def test_nuts_keeps_what_it_has(self):
        model = gaussian_model(SLEEPSTUDY, me.datasets.load("sleepstudy"))
        sent = []

        def stop(done):
            if done > 2000 and not sent:
                sent.append(os.kill(os.getpid(), signal.SIGINT))

        draws = sample_gaussian(*model, Settings(2, 10**6, 100, 1), stop)
        assert draws.interrupted
        assert 0 < draws.beta.shape[1] < 10**6
        assert draws.modes[0].shape[:2] == draws.beta.shape[:2] == draws.log_prior.shape

    def test_importance_keeps_its_points(self, monkeypatch):
        model = gaussian_model(SLEEPSTUDY, me.datasets.load("sleepstudy"))
        monkeypatch.setattr(gaussian, "DEAR", 1.0)
        monkeypatch.setattr("mixedeffects.bayes.collapsed_draws.CHUNK", 100)

        def stop(done):
            if done >= 488:
                raise KeyboardInterrupt

        draws = sample_gaussian(*model, Settings(2, 500, 100, 1), stop)
        assert draws.interrupted
        assert draws.beta.shape[:2] == (2, 250)
        assert draws.modes[0].shape[:2] == (2, 250)

    def test_too_early_is_an_interrupt(self, monkeypatch):
        model = gaussian_model(SLEEPSTUDY, me.datasets.load("sleepstudy"))
        monkeypatch.setattr(gaussian, "DEAR", 1.0)
        monkeypatch.setattr("mixedeffects.bayes.collapsed_draws.CHUNK", 20)

        def stop(done):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            sample_gaussian(*model, Settings(2, 500, 100, 1), stop)


class TestApproximation:
    def test_of_a_normal_density_is_the_density(self):
        rng = np.random.default_rng(1)
        A = rng.normal(size=(3, 3))
        precision, mean = A @ A.T + np.eye(3), rng.normal(size=3)
        found = approximate(
            lambda x: (-0.5 * (x - mean) @ precision @ (x - mean), -precision @ (x - mean)),
            np.zeros(3),
        )
        assert np.allclose(found.centre, mean, atol=1e-3)
        assert np.allclose(found.spread @ found.spread.T, np.linalg.inv(precision), rtol=1e-4)

    def test_a_variance_at_zero_still_has_a_mode(self):
        data = me.datasets.load("dyestuff2")
        posterior = collapse(*gaussian_model("Yield ~ 1 + (1 | Batch)", data))
        density = PlainDensity(posterior)
        found = approximate(density, posterior.start())
        assert np.abs(found.spread.T @ density(found.centre)[1]).max() < 0.02
        assert np.exp(found.centre[0]) < 2.0


def test_what_cannot_be_fitted_is_refused():
    data = pd.DataFrame({"y": [1.0, 2.0, 3.0, 5.0], "g": [1, 2, 3, 4]})
    with pytest.raises(ModelError):
        sample_gaussian(*gaussian_model("y ~ 1 + (1 | g)", data), Settings(2, 50, 50, 1))


def test_without_coefficients():
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(10), 6)
    data = pd.DataFrame({"y": rng.normal(size=10)[g] + rng.normal(size=60), "g": g})
    post = me.sample("y ~ 0 + (1 | g)", data, seed=1)
    assert len(post.fixef()) == 0
    assert list(post.fixef().columns)[:3] == ["term", "estimate", "std_error"]
    assert len(post.varcorr()) == 2


def test_too_many_terms_are_refused():
    data = pd.DataFrame({"y": np.arange(80.0) ** 2 % 7, "g": np.arange(80) % 8})
    terms = [f"z{i}" for i in range(66)]
    for i, term in enumerate(terms):
        data[term] = (np.arange(80) + i) % 5
    formula = "y ~ 1 + " + " + ".join(f"(1 | {term})" for term in terms)
    with pytest.raises(ModelError, match="up to 64 can be sampled"):
        collapse(*gaussian_model(formula, data))


def test_sleepstudy_takes_no_time():
    """Far above what any machine needs, far below what Python between evaluations would."""
    model = gaussian_model(SLEEPSTUDY, me.datasets.load("sleepstudy"))
    posterior = collapse(*model)
    normal = approximate(compiled_density(posterior), posterior.start())
    start = time.process_time()
    run_chains(posterior, normal, Settings(4, 1000, 300, 1), None)
    assert time.process_time() - start < 2.0
