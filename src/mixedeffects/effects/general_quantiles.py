"""Where the responses of a generalized fit lie in their fitted marginal distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.general_rows import linear_predictors, own_general_rows
from mixedeffects.families import AbstractFamily, Response
from mixedeffects.fitting.general_estimates import designs_of
from mixedeffects.fitting.general_fit import GeneralFit

Floats = NDArray[np.float64]

# Nodes of the trapezoidal rule in each direction, by the number of directions, and its reach in
# standard deviations. The rule is all but exact where no distribution function moves by more
# than STEEP from node to node; else more nodes are tried.
NODES = {0: (1,), 1: (61, 241, 961), 2: (25,)}
FEWEST_NODES = (13,)
REACH = 5.0
STEEP = 0.4


def general_quantile_residuals(fit: GeneralFit, rng: np.random.Generator) -> Floats:
    """F(y) (nobs,), with F the marginal distribution of each row over new random effects.

    A response with a positive probability is placed at random in the step that F has there
    (Dunn and Smyth 1996, J. Comput. Graph. Stat. 5, 236-244): uniform if the model holds.
    """
    eta = linear_predictors(fit, own_general_rows(fit), [])
    covariances = [term.covariance for term in fit.estimates.terms]
    return drawn_places(fit, fit.problem.response, eta, covariances, rng)


def drawn_places(
    fit: GeneralFit,
    response: Response,
    eta: Sequence[Floats],
    covariances: Sequence[Floats],
    rng: np.random.Generator,
) -> Floats:
    """Places (nobs,) of a response in the rows' marginal distributions.

    ``eta`` (nobs,) of the predictors without random effects; ``covariances`` (k, k) of the terms.
    """
    variances = predictor_variances(fit, covariances)
    below, mass = marginal_places(fit.family, response, eta, variances)
    places: Floats = below + rng.random(len(below)) * mass
    return places


def predictor_variances(fit: GeneralFit, covariances: Sequence[Floats]) -> dict[int, Floats]:
    """z'Σz (n,) of the rows used, by predictor, times the level's own relationship."""
    designs = designs_of(fit.design, fit.family)
    random = [r for _, own in designs if own is not None for r in own.random]
    variances: dict[int, Floats] = {}
    for term, design, covariance in zip(fit.problem.terms, random, covariances, strict=True):
        own = np.einsum("ij,jk,ik->i", design.values, covariance, design.values)
        if design.matrix is not None:
            own = own * np.diagonal(design.matrix)[design.codes]
        a = fit.problem.predictor[term.grouping]
        variances[a] = variances.get(a, 0.0) + own
    return variances


def marginal_places(
    family: AbstractFamily,
    response: Response,
    eta: Sequence[Floats],
    variances: Mapping[int, Floats],
) -> tuple[Floats, Floats]:
    """P(Y < y) and P(Y = y), (n,) each, over normal predictors with means η and variances."""
    deviations = {a: np.sqrt(v) for a, v in variances.items()}
    for count in NODES.get(len(deviations), FEWEST_NODES):
        reached, mass, steepest = _integrated(family, response, eta, deviations, count)
        if steepest < STEEP:
            break
    return np.maximum(reached - mass, 0.0), mass


def _integrated(
    family: AbstractFamily,
    response: Response,
    eta: Sequence[Floats],
    deviations: Mapping[int, Floats],
    count: int,
) -> tuple[Floats, Floats, float]:
    """P(Y ≤ y) and P(Y = y), (n,) each, and the largest move from a node to the next."""
    atoms = np.flatnonzero(family.atoms(response))
    whole = response.take(atoms)
    reached, mass, steepest, last = np.zeros(len(response.y)), np.zeros(len(response.y)), 0.0, None
    for shifts, weight in _nodes(len(deviations), count):
        moved = list(eta)
        for (a, deviation), shift in zip(deviations.items(), shifts, strict=True):
            moved[a] = eta[a] + shift * deviation
        here = family.cdf(response, tuple(moved))
        reached += weight * here
        steepest = max(steepest, 0.0 if last is None else float(np.abs(here - last).max()))
        last = here
        if len(atoms):
            some = tuple(np.broadcast_to(m, reached.shape)[atoms] for m in moved)
            mass[atoms] += weight * np.exp(family.log_density(whole, some))
    return reached, mass, steepest


def _nodes(directions: int, count: int) -> list[tuple[tuple[float, ...], float]]:
    """Nodes and weights of the standard normal distribution in so many directions."""
    if directions == 0:
        return [((), 1.0)]
    at = np.linspace(-REACH, REACH, count)
    weights = np.exp(-0.5 * at * at)
    weights /= weights.sum()
    return [
        (tuple(float(at[i]) for i in place), float(np.prod(weights[list(place)])))
        for place in product(range(count), repeat=directions)
    ]
