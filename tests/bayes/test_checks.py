"""What must hold of draws: each condition fails where it should, with a next step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawn_posteriors import drawn
from mixedeffects.bayes.checks import check_draws

CHAINS, DRAWS = 4, 250


@pytest.fixture(scope="module")
def sampled():
    """Independent draws with the statistics of a sampler that had no trouble."""
    found = drawn("y ~ x + (1 | g)", chains=CHAINS, draws=DRAWS)._sampled
    energy = np.random.default_rng(1).standard_normal((CHAINS, DRAWS))
    stats = {
        "diverging": np.zeros((CHAINS, DRAWS), dtype=bool),
        "energy": energy,
        "tree_depth": np.full((CHAINS, DRAWS), 3),
    }
    return replace(found, draws=replace(found.draws, stats=stats, max_depth=10))


def failing(sampled, **changes):
    """Names and messages of the checks that fail once the draws are changed so."""
    draws = replace(sampled.draws, **changes)
    checks = check_draws(replace(sampled, draws=draws))
    return {check.name: check for check in checks if not check.passed}


def stats(sampled, **changes):
    return {"stats": {**sampled.draws.stats, **changes}}


def test_good_draws(sampled):
    checks = check_draws(sampled)
    assert [check.name for check in checks] == [
        "divergences",
        "R-hat",
        "bulk effective draws",
        "tail effective draws",
        "energy (BFMI)",
        "tree depth",
    ]
    assert not failing(sampled)
    assert all(check.message for check in checks)


def test_divergences(sampled):
    diverging = np.zeros((CHAINS, DRAWS), dtype=bool)
    diverging[2, 5:8] = True
    (found,) = failing(sampled, **stats(sampled, diverging=diverging)).values()
    assert (found.name, found.value) == ("divergences", 3.0)
    assert "narrower prior" in found.message


def test_chains_apart(sampled):
    beta = sampled.draws.beta.copy()
    beta[1, :, 1] += 2.0
    found = failing(sampled, beta=beta)
    assert "disagree on x" in found["R-hat"].message
    assert found["R-hat"].value > 1.01
    assert "bulk effective draws" in found


def test_halves_of_one_chain_apart(sampled):
    draws = sampled.draws
    one = replace(
        sampled,
        draws=replace(
            draws,
            beta=np.linspace(0.0, 1.0, DRAWS)[None, :, None] + draws.beta[:1],
            covariances=tuple(c[:1] for c in draws.covariances),
            modes=tuple(b[:1] for b in draws.modes),
            sigma=draws.sigma[:1],
            log_prior=draws.log_prior[:1],
            stats={name: values[:1] for name, values in draws.stats.items()},
        ),
    )
    assert "the halves of the only chain disagree on" in failing(one)["R-hat"].message


def test_random_effects_apart(sampled):
    modes = sampled.draws.modes[0].copy()
    modes[1] += 5.0
    found = failing(sampled, modes=(modes,))
    assert list(found) == ["R-hat"]
    assert "a random effect" in found["R-hat"].message


def test_too_few_draws(sampled):
    beta = np.repeat(sampled.draws.beta[:, ::10], 10, axis=1)
    found = failing(sampled, beta=beta)
    assert "ask for more draws" in found["bulk effective draws"].message
    assert found["tail effective draws"].value < 400


def test_slow_energy(sampled):
    energy = np.cumsum(sampled.draws.stats["energy"], axis=1)
    (found,) = failing(sampled, **stats(sampled, energy=energy)).values()
    assert found.name == "energy (BFMI)"
    assert found.value < 0.3


def test_trees_cut_off(sampled):
    depth = np.full((CHAINS, DRAWS), 3)
    depth[0, :4] = 10
    (found,) = failing(sampled, **stats(sampled, tree_depth=depth)).values()
    assert (found.name, found.value) == ("tree depth", 4.0)
    assert "depth 10" in found.message


def test_an_interrupt_is_told(sampled):
    settings = replace(sampled.settings, draws=1000)
    (found,) = failing(replace(sampled, settings=settings), interrupted=True).values()
    assert (found.value, found.tolerance) == (250.0, 1000.0)
    assert "stopped by the user after 250 of 1,000" in found.message


def test_weighted_draws(sampled):
    found = failing(sampled, stats={}, pareto_k=0.9, efficiency=0.3)
    assert list(found) == ["Pareto k", "effective draws"]
    assert found["effective draws"].value == 300.0
    assert not failing(sampled, stats={}, pareto_k=0.2, efficiency=0.9)


def test_what_does_not_vary_is_no_disagreement(sampled):
    beta = sampled.draws.beta.copy()
    beta[..., 1] = 0.5
    assert not failing(sampled, beta=beta)
