"""Posteriors of small models whose draws come from narrow priors: all arithmetic, no sampler."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import mixedeffects as me
from mixedeffects.bayes.quantities import named_draws

NARROW = {"b": me.priors.Normal(0, 0.3), "sd": me.priors.HalfNormal(0.4)}


def table(n: int = 48, seed: int = 3) -> dict[str, np.ndarray]:
    """Columns of every kind of response, with a factor, a covariate, and two groupings."""
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(2.0, 1.0, n),
        "f": np.array(["a", "b", "c"])[np.arange(n) % 3],
        "g": np.array([f"g{i}" for i in np.arange(n) // 6]),
        "h": np.arange(n) % 4,
        "w": rng.uniform(0.5, 2.0, n),
        "y": rng.normal(3.0, 2.0, n),
        "count": rng.poisson(2.0, n).astype(float),
        "k": rng.binomial(8, 0.4, n).astype(float),
        "size": np.full(n, 8.0),
        "rate": np.round(rng.uniform(0.1, 0.9, n), 3),
        "grade": np.array(["low", "mid", "high"])[np.r_[0, 1, 2, rng.integers(0, 3, n - 3)]],
    }


def drawn(formula, data=None, *, chains=2, draws=60, seed=5, priors=None, **options):
    """Draws of the prior, as a posterior to compute with."""
    own = dict(NARROW if priors is None else priors)
    return me.sample(
        formula,
        table() if data is None else data,
        priors=own,
        chains=chains,
        draws=draws,
        seed=seed,
        prior_only=True,
        on_check="ignore",
        **options,
    )


def as_posterior(post):
    """The same draws, taken for those of a posterior."""
    return type(post)(replace(post._sampled, prior_only=False))


def draws_of(post) -> dict[str, np.ndarray]:
    """Draws (N,) by name."""
    return {name: values.ravel() for name, values in named_draws(post._sampled)}


def modes_of(post, number: int = 0) -> np.ndarray:
    """b (N, L, k) of a term."""
    return post._sampled.terms[number].modes
