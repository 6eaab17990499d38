"""Posterior draws of linear mixed models with one residual variance, by what costs less."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra._collapsed_density import FUNCTIONS, MOST_DENSITIES, Pool
from mixedeffects.algebra.blas_threads import single_threaded_blas
from mixedeffects.bayes.collapsed import CollapsedPosterior, PlainDensity, collapse
from mixedeffects.bayes.collapsed_draws import (
    Points,
    complete,
    log_priors_of_coefficients,
    points_at,
)
from mixedeffects.bayes.compiled_density import compiled_density, is_compilable
from mixedeffects.bayes.draws import Draws, Settings
from mixedeffects.bayes.importance_draws import PARETO_K, Weighted, weighted_points
from mixedeffects.bayes.independent import Independent
from mixedeffects.bayes.normal_approximation import Density, NormalApproximation, approximate
from mixedeffects.bayes.nuts import Chains, Progress, run_compiled, run_nuts
from mixedeffects.bayes.prior_model import PriorModel
from mixedeffects.bayes.priors import Laplace, StudentT
from mixedeffects.fitting.replicates import affordable_threads
from mixedeffects.formula.design import Design

Floats = NDArray[np.float64]

# Draws for tuning: the posterior is whitened, and step sizes settle soon.
TUNE = 300
# Steps so short seldom diverge in the corners that few levels leave to their variances.
ACCEPTANCE = 0.9
# What NUTS takes for a draw, in factorizations: five gradients of four times the work.
PER_DRAW = 20.0
# Multiplications from which NUTS is dear: minutes.
DEAR = 1e11
# Degrees of freedom of a t distribution that is much like a Laplace one.
SOFT = 4.0


def sample_gaussian(
    design: Design,
    priors: PriorModel,
    settings: Settings,
    progress: Progress | None = None,
) -> Draws:
    """Draw from the posterior of a linear mixed model with one residual variance.

    The random effects are integrated out, and so are the coefficients where their priors are
    normal or flat; what is left is drawn by NUTS, or by importance sampling where a density is
    dear, and then β and u exactly.

    Parameters
    ----------
    design : Design
    priors : PriorModel
    settings : Settings
        At most `TUNE` of the tuning draws are made.
    progress : function of the number of draws made so far, optional

    Raises
    ------
    ModelError
        If the model cannot be estimated from these data.
    KeyboardInterrupt
        If the user stops it before there are draws worth keeping.
    """
    posterior = collapse(design, priors)
    settings = replace(settings, tune=min(settings.tune, TUNE))
    normal = approximate(density_of(softened(posterior)), posterior.start())
    reason = ""
    if is_dear(posterior, settings):
        found = weighted_points(posterior, normal, settings, progress)
        if found.pareto_k <= PARETO_K:
            return weighted_draws(posterior, found, settings)
        reason = (
            f"; importance sampling, which would cost less, has weights that cannot be trusted "
            f"(Pareto k {found.pareto_k:.2f})"
        )
    chains = run_chains(posterior, normal, settings, progress)
    return chain_draws(posterior, chains, settings, reason)


def density_of(posterior: CollapsedPosterior) -> Density:
    """Compiled where it can be."""
    return compiled_density(posterior) if is_compilable(posterior) else PlainDensity(posterior)


def softened(posterior: CollapsedPosterior) -> CollapsedPosterior:
    """The posterior with Student's t in place of Laplace priors, at whose edge is no curvature."""
    model = posterior.priors
    own = model.coefficients.independent.priors
    if not any(isinstance(p, Laplace) for p in own):
        return posterior
    soft = [StudentT(SOFT, p.mean, p.scale) if isinstance(p, Laplace) else p for p in own]
    coefficients = replace(model.coefficients, independent=Independent(soft))
    return replace(posterior, priors=replace(model, coefficients=coefficients))


def is_dear(posterior: CollapsedPosterior, settings: Settings) -> bool:
    """Whether the operations that NUTS would take are too many."""
    draws = settings.chains * (settings.tune + settings.draws)
    return posterior.problem.plan.operations * draws * PER_DRAW > DEAR


def run_chains(
    posterior: CollapsedPosterior,
    normal: NormalApproximation,
    settings: Settings,
    progress: Progress | None,
) -> Chains:
    """NUTS, whitened; x of the chains are those of the posterior."""
    d = posterior.dimension

    def start(rng: np.random.Generator) -> Floats:
        return rng.standard_normal(d)

    if not is_compilable(posterior):
        # Threads would wait for each other: most of the time is Python's.
        found = run_nuts(
            lambda: whitened(PlainDensity(posterior), normal),
            d,
            start,
            settings,
            progress=progress,
            cores=1,
            target_acceptance=ACCEPTANCE,
        )
        return replace(found, x=normal.points(found.x))
    cores = min(settings.chains, affordable_threads(posterior.problem), MOST_DENSITIES)
    densities = [compiled_density(posterior) for _ in range(cores)]
    for density in densities:
        density.whiten(normal.centre, normal.spread)
    with single_threaded_blas() if cores > 1 else nullcontext():
        found = run_compiled(
            FUNCTIONS,
            Pool(densities),
            d,
            start,
            settings,
            progress=progress,
            cores=cores,
            target_acceptance=ACCEPTANCE,
        )
    return replace(found, x=normal.points(found.x))


def whitened(density: Density, normal: NormalApproximation) -> Density:
    """The density of the standardized deviations from a mode."""

    def at(z: Floats) -> tuple[float, Floats]:
        value, gradient = density(normal.points(z))
        return value, gradient @ normal.spread

    return at


def chain_draws(
    posterior: CollapsedPosterior, chains: Chains, settings: Settings, reason: str
) -> Draws:
    """The draws of chains, with coefficients and random effects."""
    count, length, d = chains.x.shape
    points = points_at(posterior, chains.x.reshape(-1, d))
    return completed(
        posterior,
        points,
        replace(settings, chains=count, draws=length),
        np.arange(count * length),
        stats=chains.stats,
        way=f"NUTS over {described(posterior)}{reason}",
        max_depth=chains.max_depth,
        interrupted=chains.interrupted,
    )


def weighted_draws(posterior: CollapsedPosterior, found: Weighted, settings: Settings) -> Draws:
    """Draws from weighted points, each with its own coefficients and random effects."""
    rng = np.random.default_rng((settings.seed, 1))
    n, wanted = len(found.weights), settings.chains * settings.draws
    if found.interrupted:
        settings = replace(settings, draws=max(1, min(wanted, n) // settings.chains))
    count = settings.chains * settings.draws
    rows = found.resampled(count, rng)
    way = (
        f"importance sampling of {described(posterior)}: {count:,} draws from {n:,} points of a "
        f"t distribution about the mode (Pareto k {found.pareto_k:.2f})"
    )
    return completed(
        posterior,
        found.points.take(rows),
        settings,
        rng.permutation(count),
        stats={},
        way=way,
        pareto_k=found.pareto_k,
        efficiency=found.efficiency(count),
        interrupted=found.interrupted,
    )


def described(posterior: CollapsedPosterior) -> str:
    """What is sampled, and what is integrated out."""
    n = len(posterior.problem.basis.kept)
    covariances = posterior.at_sigma + 1
    if posterior.n_held:
        return (
            f"{covariances} parameters of variances and {n} coefficients, the random effects "
            "integrated out and then drawn exactly"
        )
    return (
        f"{covariances} parameters of variances, coefficients and random effects integrated out "
        "and then drawn exactly"
    )


def completed(
    posterior: CollapsedPosterior,
    points: Points,
    settings: Settings,
    order: NDArray[np.intp],
    **told: Any,
) -> Draws:
    """The points' draws, put in the given order, as chains."""
    whole = complete(posterior, points, settings.seed)
    shape = (settings.chains, settings.draws)

    def chained(values: Floats) -> Floats:
        return values[order].reshape(*shape, *values.shape[1:])

    of_beta = log_priors_of_coefficients(posterior, whole.beta)
    return Draws(
        beta=chained(whole.beta),
        covariances=tuple(chained(root @ root.swapaxes(1, 2)) for root in points.roots),
        modes=tuple(chained(modes) for modes in whole.modes),
        sigma=chained(np.exp(points.log_sigma)),
        extras=np.empty((*shape, 0)),
        log_prior=chained(points.log_prior + of_beta),
        **told,
    )
