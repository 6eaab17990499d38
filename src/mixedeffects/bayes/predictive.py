"""New responses drawn from a posterior, and where those observed lie among them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.predictors import (
    EVERY,
    Predictors,
    fresh_effects,
    own_effects,
    per_draw,
    predictors,
)
from mixedeffects.bayes.rows import own_rows, some_rows
from mixedeffects.bayes.sampled import Sampled, row_blocks
from mixedeffects.effects.general_rows import GeneralRows
from mixedeffects.errors import ModelError
from mixedeffects.families import Response

Floats = NDArray[np.float64]
Groups = Literal["conditional", "marginal"]


def simulated(sampled: Sampled, n: int, random: Groups, rng: np.random.Generator) -> Floats:
    """n responses (n, nobs), each at another draw as long as there are enough.

    ``random``: of the groups at hand, or of new ones.
    """
    check_weights(sampled)
    rounds = [rng.permutation(sampled.size) for _ in range(-(-n // sampled.size))]
    chosen = np.concatenate(rounds)[:n]
    rows = own_rows(sampled)
    effects = (
        own_effects(sampled, chosen)
        if random == "conditional"
        else fresh_effects(sampled, chosen, rng)
    )
    parts = []
    for block in row_blocks(rows.n, n):
        own = some_rows(rows, block)
        eta = predictors(sampled, own, chosen, effects)
        parts.append(drawn_responses(sampled, sampled.response.take(block), eta, rng, block))
    return np.concatenate(parts, axis=1)


def drawn_responses(
    sampled: Sampled,
    response: Response,
    eta: Predictors,
    rng: np.random.Generator,
    block: slice | None = None,
) -> Floats:
    """A response (N, n) at each draw; ``block``, which of the rows used they are, for weights.

    Proportions where trials stand behind them and the rows are new.
    """
    weighted = eta if block is None else with_weights(sampled, eta, block)
    draws = per_draw(partial(sampled.family.draw, rng, response), weighted)
    if block is None and response.trials is not None:
        draws = draws / response.trials
    return draws


def response_of(sampled: Sampled, rows: GeneralRows) -> Response:
    """A response of the shape of these rows, whose values do not matter.

    Raises
    ------
    ModelError
        If proportions have no number of trials.
    """
    base, n = sampled.response, rows.n
    stand_in = base.take(np.zeros(n, dtype=np.intp))
    if base.trials is None:
        return stand_in
    if rows.trials is None:
        raise ModelError(
            "interval='prediction' of proportions in new data needs the numbers of trials behind "
            "them: pass trials=, one number or one for each row."
        )
    return replace(stand_in, trials=rows.trials)


def with_weights(sampled: Sampled, eta: Predictors, block: slice) -> Predictors:
    """The predictors, with σ²/weight in a linear model."""
    weights = sampled.design.weights
    if weights is None or not sampled.is_linear:
        return eta
    return (eta[0], eta[1] - np.log(weights[block]), *eta[2:])


def check_weights(sampled: Sampled) -> None:
    """Refuse weights that count rows, and say nothing of one response."""
    weights = sampled.design.weights
    if not sampled.is_linear and weights is not None and not (weights == 1.0).all():
        raise ModelError(
            "The weights of this model multiply the rows' log-likelihoods, and a row that counts "
            "several times has no single response to simulate: repeat the rows instead."
        )


def places(sampled: Sampled, rng: np.random.Generator) -> Floats:
    """F(y) (nobs,), F the posterior predictive distribution of each row in a new group.

    A value with a positive probability is placed at random in the step that F has there (Dunn
    and Smyth 1996). F is an average of distribution functions over the draws.
    """
    rows = own_rows(sampled)
    effects = fresh_effects(sampled, EVERY, rng)
    family, found = sampled.family, []
    for block in row_blocks(rows.n, sampled.size):
        eta = predictors(sampled, some_rows(rows, block), EVERY, effects)
        eta, response = with_weights(sampled, eta, block), sampled.response.take(block)
        reached = per_draw(partial(family.cdf, response), eta).mean(axis=0)
        mass = np.zeros_like(reached)
        if family.atoms(response).any():
            density = per_draw(partial(family.log_density, response), eta)
            mass = np.where(family.atoms(response), np.exp(density).mean(axis=0), 0.0)
        found.append(np.maximum(reached - mass, 0.0) + rng.random(len(reached)) * mass)
    return np.concatenate(found)
