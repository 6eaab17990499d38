"""Independent draws from the prior alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.draws import Draws, Settings
from mixedeffects.bayes.prior_model import PriorModel
from mixedeffects.bayes.sampled import random_terms
from mixedeffects.errors import ModelError
from mixedeffects.families import AbstractFamily
from mixedeffects.formula.design import Design

Floats = NDArray[np.float64]


def draw_prior(
    design: Design, family: AbstractFamily, priors: PriorModel, settings: Settings
) -> Draws:
    """Draws of all parameters from their prior, each independent of the others.

    Parameters
    ----------
    design, family
        Those of ``priors``.
    priors : PriorModel
    settings : Settings
        Of which ``tune`` is not used.

    Raises
    ------
    ModelError
        If a prior is flat, of which nothing can be drawn.
    """
    _check_proper(priors)
    terms = random_terms(design, family)
    relationships = [_root(t.matrix) for t in terms]
    shape = (settings.chains, settings.draws)
    columns = [len(t.names) for t in terms]
    beta = np.empty((*shape, len(priors.coefficients.names)))
    covariances = [np.empty((*shape, k, k)) for k in columns]
    modes = [np.empty((*shape, len(t.levels), k)) for t, k in zip(terms, columns, strict=True)]
    sigma = None if priors.sigma is None else np.empty(shape)
    extras = np.empty((*shape, len(priors.extras.names)))
    log_prior = np.empty(shape)
    for chain, stream in enumerate(np.random.SeedSequence(settings.seed).spawn(shape[0])):
        rng = np.random.default_rng(stream)
        for i in range(shape[1]):
            at = chain, i
            beta[at] = priors.coefficients.draw(rng)
            log_prior[at] = priors.coefficients.log_density(beta[at])[0]
            for number, coordinates in enumerate(priors.terms):
                x = coordinates.draw(rng)
                root = coordinates.root(x)[0]
                covariances[number][at] = root @ root.T
                modes[number][at] = _effects(
                    root, modes[number].shape[2], relationships[number], rng
                )
                log_prior[at] += coordinates.log_prior(x)[0]
            if sigma is not None and priors.sigma is not None:
                sigma[at] = priors.sigma.draw(rng)
                log_prior[at] += priors.sigma.log_density(float(np.log(sigma[at])))[0]
            extras[at] = priors.extras.draw(rng, beta[at])
            psi = priors.extras.transform.from_user(extras[at])
            log_prior[at] += priors.extras.log_density(psi, beta[at])[0]
    return Draws(
        beta=beta,
        covariances=tuple(covariances),
        modes=tuple(modes),
        sigma=sigma,
        extras=extras,
        log_prior=log_prior,
        stats={},
        way="independent draws from the prior",
    )


def _root(relationship: Floats | None) -> Floats | None:
    return None if relationship is None else np.asarray(np.linalg.cholesky(relationship))


def _effects(
    root: Floats, n_levels: int, relationship: Floats | None, rng: np.random.Generator
) -> Floats:
    """b (L, k) from N(0, Σ), or N(0, Σ ⊗ K) where levels are related."""
    b: Floats = rng.standard_normal((n_levels, len(root))) @ root.T
    return b if relationship is None else relationship @ b


def _check_proper(priors: PriorModel) -> None:
    flat: Sequence[str] = [a.parameter.name for a in priors.assigned if not a.is_proper]
    if flat:
        raise ModelError(
            f"prior_only=True needs priors that can be drawn from; Flat() is the prior of "
            f"{', '.join(map(repr, flat))}. Give a proper prior, such as a wide Normal."
        )
