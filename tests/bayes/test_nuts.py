"""The sampler on densities whose moments are known."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from mixedeffects.bayes.draws import Settings
from mixedeffects.bayes.libraries import arviz
from mixedeffects.bayes.nuts import _worth_keeping, run_nuts
from mixedeffects.errors import ModelError

ARVIZ_NAMES = {
    "diverging",
    "energy",
    "tree_depth",
    "n_steps",
    "step_size",
    "acceptance_rate",
    "lp",
}


def gaussian(precision):
    return lambda: lambda x: (-0.5 * float(x @ precision @ x), -precision @ x)


def standard_normal(dimension):
    return lambda rng: rng.normal(size=dimension)


def test_moments_of_a_correlated_gaussian():
    covariance = np.array([[1.0, 0.6, 0.0], [0.6, 4.0, -0.5], [0.0, -0.5, 0.25]])
    density = gaussian(np.linalg.inv(covariance))
    found = run_nuts(density, 3, standard_normal(3), Settings(4, 1500, 500, 1), cores=1)
    flat = found.x.reshape(-1, 3)
    effective = arviz().ess(found.x[..., 1])
    assert effective > 400
    deviations = np.sqrt(np.diagonal(covariance))
    # Four standard errors.
    assert np.all(np.abs(flat.mean(axis=0)) < 4.0 * deviations / np.sqrt(effective))
    scaled = np.cov(flat.T) / np.outer(deviations, deviations)
    expected = covariance / np.outer(deviations, deviations)
    assert np.all(np.abs(scaled - expected) < 4.0 * np.sqrt(2.0 / effective))


@pytest.mark.parametrize("dimension", [1, 2000])
def test_any_dimension(dimension):
    deviations = np.linspace(0.5, 2.0, dimension)

    def density(x):
        scaled = x / deviations
        return -0.5 * float(scaled @ scaled), -scaled / deviations

    found = run_nuts(
        lambda: density, dimension, standard_normal(dimension), Settings(2, 200, 200, 3), cores=1
    )
    assert found.x.shape == (2, 200, dimension)
    scaled = found.x / deviations
    # Standard error of a deviation from about 100 effective draws each.
    assert abs(scaled.std() - 1.0) < 4.0 / np.sqrt(200.0 * dimension)
    assert not found.interrupted


def test_the_statistics_have_arviz_names():
    found = run_nuts(gaussian(np.eye(2)), 2, standard_normal(2), Settings(2, 50, 50, 3), cores=1)
    assert set(found.stats) == ARVIZ_NAMES
    assert all(values.shape == (2, 50) for values in found.stats.values())
    assert found.stats["diverging"].dtype == bool
    assert np.allclose(found.stats["lp"], -0.5 * (found.x**2).sum(axis=2))
    assert np.all(found.stats["n_steps"] >= 1)
    assert np.all(found.stats["tree_depth"] <= found.max_depth)


def test_the_seed_decides_whatever_the_cores():
    runs = [
        run_nuts(
            gaussian(np.eye(2)), 2, standard_normal(2), Settings(3, 60, 60, seed), cores=cores
        ).x
        for seed, cores in [(5, 1), (5, 1), (5, 3), (6, 1)]
    ]
    assert np.array_equal(runs[0], runs[1])
    assert np.array_equal(runs[0], runs[2])
    assert not np.array_equal(runs[0], runs[3])
    assert not np.array_equal(runs[0][0], runs[0][1])


@pytest.mark.parametrize("progress", [None, lambda made: None])
def test_an_interrupt_keeps_the_draws(progress):
    calls = []

    def density(x):
        calls.append(1)
        if len(calls) == 5000:
            os.kill(os.getpid(), signal.SIGINT)
        return -0.5 * float(x @ x), -x

    found = run_nuts(
        lambda: density,
        2,
        standard_normal(2),
        Settings(2, 10**6, 20, 1),
        progress=progress,
        cores=2,
    )
    assert found.interrupted
    assert 0 < found.x.shape[1] < 10**6
    assert found.stats["lp"].shape == found.x.shape[:2]


def test_progress_counts_all_draws():
    told = []
    run_nuts(
        gaussian(np.eye(2)),
        2,
        standard_normal(2),
        Settings(2, 30, 20, 1),
        progress=told.append,
        cores=1,
    )
    assert told[-1] == 2 * (30 + 20)


def test_where_there_is_no_density_the_trajectory_diverges():
    def half(x):
        if x[0] < 0.0:
            return float("nan"), np.zeros_like(x)
        return -0.5 * float(x @ x), -x

    found = run_nuts(lambda: half, 2, standard_normal(2), Settings(2, 200, 200, 1), cores=1)
    assert np.all(found.x[..., 0] >= 0.0)
    assert found.stats["diverging"].any()


def test_an_exception_of_the_density_comes_out():
    calls = []

    def failing(x):
        calls.append(1)
        if len(calls) > 200:
            raise ZeroDivisionError("of ours")
        return -0.5 * float(x @ x), -x

    with pytest.raises(ZeroDivisionError, match="of ours"):
        run_nuts(lambda: failing, 2, standard_normal(2), Settings(2, 100, 100, 1), cores=1)


def test_nowhere_a_density_is_refused_in_words():
    with pytest.raises(ModelError, match="not finite where the chains start"):
        run_nuts(
            lambda: lambda x: (float("nan"), x),
            2,
            standard_normal(2),
            Settings(1, 10, 10, 1),
        )


def test_a_first_use_gives_no_warning():
    script = (
        "from mixedeffects.bayes.draws import Settings\n"
        "from mixedeffects.bayes.nuts import run_nuts\n"
        "run_nuts(lambda: lambda x: (-0.5 * float(x @ x), -x), 2, lambda rng: rng.normal(size=2),"
        " Settings(1, 20, 20, 1))\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""


def test_of_unequal_chains_the_most_draws_are_kept():
    assert _kept([100, 90, 10]) == ([0, 1], 90)
    assert _kept([3, 100, 40]) == ([1], 100)
    assert _kept([50, 50]) == ([0, 1], 50)
    assert _kept([0, 0])[1] == 0


def _kept(lengths):
    chains, length = _worth_keeping(np.array(lengths))
    return list(chains), length
