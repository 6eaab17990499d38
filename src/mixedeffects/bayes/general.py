"""Posterior draws of models that are not collapsed: of coefficients, covariances and effects."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.crossproducts import Grouping
from mixedeffects.bayes.draws import Draws, Settings
from mixedeffects.bayes.joint import JointDensity, Target
from mixedeffects.bayes.nuts import Chains, Progress, run_nuts
from mixedeffects.bayes.prior_model import PriorModel
from mixedeffects.bayes.sampled import random_terms
from mixedeffects.bayes.standard_prior import StandardPrior
from mixedeffects.bayes.whitening import WhitenedDensity, Whitening, whiten
from mixedeffects.families import AbstractFamily
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.general_fit import general_problem_of
from mixedeffects.formula.design import Design

Floats = NDArray[np.float64]

# Draws for tuning: the posterior is whitened, and step sizes settle soon.
TUNE = 300
# The acceptance at which trajectories in many dimensions cost least (Beskos et al. 2013, Bernoulli
# 19, 1501-1534); and what is asked for in few, where each draw's share in the errors is larger, and
# where nested factors vie for one variance, which no standardization at a mode takes up.
ACCEPTANCE, CAREFUL = 0.65, 0.9
FEW = 100
# Columns of z that are mapped at a time.
BLOCK = 512


def sample_general(
    design: Design,
    family: AbstractFamily,
    prior_model: PriorModel,
    settings: Settings,
    progress: Progress | None = None,
) -> Draws:
    """Draw from the posterior by NUTS, whitened by the Laplace approximation at its mode.

    Parameters
    ----------
    design : Design
        With those of further predictors in ``others``.
    family : AbstractFamily
    prior_model : PriorModel
    settings : Settings
        At most `TUNE` of the tuning draws are made.
    progress : function of the number of draws made so far, optional

    Returns
    -------
    Draws

    Raises
    ------
    DataError, ModelError
        If the model cannot be estimated, or its posterior is not proper.
    """
    problem = general_problem_of(design, family)
    prior = StandardPrior(problem, design, prior_model)
    white = whiten(Target(problem, prior, prior_model.terms))
    chains = run_nuts(
        lambda: WhitenedDensity(white),
        white.dimension,
        lambda rng: rng.standard_normal(white.dimension),
        replace(settings, tune=min(settings.tune, TUNE)),
        progress=progress,
        target_acceptance=acceptance_for(problem, white),
    )
    return draws_of(design, prior, white, chains)


def acceptance_for(problem: GeneralProblem, white: Whitening) -> float:
    """The mean acceptance that step sizes are tuned for."""
    if any(
        problem.predictor[f] == problem.predictor[h] and is_nested(one, other)
        for (f, one), (h, other) in combinations(enumerate(problem.groupings), 2)
    ):
        return CAREFUL
    return CAREFUL if white.dimension < FEW else ACCEPTANCE


def is_nested(one: Grouping, other: Grouping) -> bool:
    """Whether each level of one grouping occurs in one level of the other only."""
    pairs = np.unique(one.codes.astype(np.int64) * other.n_levels + other.codes)
    return len(pairs) == max(one.n_levels, other.n_levels)


def draws_of(design: Design, prior: StandardPrior, white: Whitening, chains: Chains) -> Draws:
    """The chains' draws in the user's units."""
    shape, target = chains.x.shape[:2], white.target
    psi, modes, covariances, log_prior = user_draws(white, chains.x)
    coefficients = psi[:, : target.problem.n_fixed] @ prior.to_user.T
    family = target.problem.family
    to_user = family.extras(target.problem.response).to_user
    sigma = None
    if len(prior.dispersion):
        sigma = family.sigma(coefficients[:, prior.dispersion[0]]).reshape(shape)
    shared = coefficients[:, prior.extras]
    values = np.array([to_user(own)[0] for own in shared]) if shared.size else shared
    return Draws(
        beta=coefficients[:, prior.own].reshape(*shape, -1),
        covariances=tuple(own.reshape(*shape, *own.shape[1:]) for own in covariances),
        modes=tuple(own.reshape(*shape, *own.shape[1:]) for own in modes),
        sigma=sigma,
        extras=values.reshape(*shape, -1),
        log_prior=log_prior.reshape(shape),
        stats=chains.stats,
        way=way_of(design, target.problem, white),
        max_depth=chains.max_depth,
        interrupted=chains.interrupted,
    )


def user_draws(white: Whitening, x: Floats) -> tuple[Floats, list[Floats], list[Floats], Floats]:
    """ψ (N, d), then modes (N, L, k) and covariances (N, k, k) of each term, and log-priors (N,).

    Of draws x (C, S, d + q), all chains one after the other.
    """
    target, z = white.target, x.reshape(-1, x.shape[2])
    joint = JointDensity(target, white.told)
    n, terms = len(z), target.problem.terms
    psi, log_prior = np.empty((n, target.dimension)), np.empty(n)
    b = [np.empty((n, *levels.b.shape)) for levels in joint.levels]
    T = [np.empty((n, *levels.T.shape)) for levels in joint.levels]
    for start in range(0, n, BLOCK):
        rows = slice(start, min(start + BLOCK, n))
        points, w = white.points(np.ascontiguousarray(z[rows].T))
        psi[rows] = points.T
        for i, own in enumerate(np.ascontiguousarray(w.T), start):
            log_prior[i] = target.plain_prior(psi[i])
            joint.set_effects(psi[i], own)
            for f, levels in enumerate(joint.levels):
                b[f][i], T[f][i] = levels.b, levels.T
    modes, covariances = [], []
    for term in terms:
        back = np.linalg.inv(term.map)
        root = back @ T[term.grouping][:, term.columns, term.columns]
        modes.append(b[term.grouping][:, :, term.columns] @ back.T)
        covariances.append(root @ root.transpose(0, 2, 1))
    return psi, modes, covariances, log_prior


def way_of(design: Design, problem: GeneralProblem, white: Whitening) -> str:
    """How the draws were made, in a sentence."""
    designs = random_terms(design, problem.family)
    names = {t.grouping: own.group for t, own in zip(problem.terms, designs, strict=True)}
    shares = ", ".join(f"{names[f]} {share:.0%}" for f, share in enumerate(white.centring))
    return (
        f"NUTS over {len(white.psi):,} parameters and {len(white.along):,} random effects, "
        f"whitened by the Laplace approximation at the posterior's mode; centred: {shares}"
    )
