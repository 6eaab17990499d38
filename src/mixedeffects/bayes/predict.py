"""Posterior expectations of rows, and new observations, summarized draw by draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.predictive import drawn_responses, response_of
from mixedeffects.bayes.predictors import (
    EVERY,
    Effects,
    fresh_effects,
    own_effects,
    per_draw,
    predictors,
    unseen_effects,
)
from mixedeffects.bayes.rows import some_rows
from mixedeffects.bayes.sampled import Sampled, row_blocks
from mixedeffects.bayes.summaries import quantiles
from mixedeffects.effects.general_predict import check_observable
from mixedeffects.effects.general_predictors import GeneralRequest
from mixedeffects.effects.general_rows import GeneralRows
from mixedeffects.effects.general_targets import target_of

Floats = NDArray[np.float64]


def predict(sampled: Sampled, rows: GeneralRows, request: GeneralRequest) -> dict[str, Floats]:
    """The columns asked for, (n,) each, or (n, K) for the probabilities of K categories."""
    if request.interval == "prediction":
        check_observable(sampled.family, request)
    rng = np.random.default_rng(request.seed)
    effects = _effects(sampled, rows, request, rng)
    target = target_of(sampled.family, sampled.response, request.component, request.scale)
    typical = _typical(effects, request)
    parts = []
    for block in row_blocks(rows.n, sampled.size):
        own = some_rows(rows, block)
        eta = predictors(sampled, own, EVERY, effects)
        values = per_draw(target.value, eta)
        columns = {"estimate": values.mean(axis=0)} | _spread(values, request)
        if typical is not None:
            at_zero = predictors(sampled, own, EVERY, typical)
            columns["estimate"] = per_draw(target.value, at_zero).mean(axis=0)
        if request.interval == "prediction":
            new = drawn_responses(sampled, response_of(sampled, own), eta, rng)
            columns |= _spread(new, request)
            # how far new observations lie from what is expected
            columns["std_error"] = np.sqrt(np.mean((new - columns["estimate"]) ** 2, axis=0))
        parts.append(columns)
    return {
        name: rows.spread(np.concatenate([part[name] for part in parts]))
        for name in _columns(request)
    }


def _columns(request: GeneralRequest) -> tuple[str, ...]:
    """Those asked for."""
    if request.interval is not None:
        return ("estimate", "std_error", "conf_low", "conf_high")
    return ("estimate",) if request.bare else ("estimate", "std_error")


def _spread(draws: Floats, request: GeneralRequest) -> dict[str, Floats]:
    """Standard deviations and limits (n,) of draws (N, n), as far as they are asked for."""
    columns = {}
    if not request.bare:
        columns["std_error"] = draws.std(axis=0, ddof=1)
    if request.interval is not None:
        tail = 0.5 - 0.5 * request.level
        columns["conf_low"], columns["conf_high"] = quantiles(draws, [tail, 1.0 - tail])
    return columns


def _effects(
    sampled: Sampled,
    rows: GeneralRows,
    request: GeneralRequest,
    rng: np.random.Generator,
) -> Effects:
    """The random effects that the request wants the rows to have."""
    if request.random == "population":
        if request.interval != "prediction":
            return Effects(None)
        known = fresh_effects(sampled, EVERY, rng).known
        return Effects(known, unseen_effects(sampled, rows, EVERY, rng))
    known = own_effects(sampled, EVERY).known
    if not any((codes >= 0).any() for codes in rows.new_codes):
        return Effects(known)
    return Effects(known, unseen_effects(sampled, rows, EVERY, rng))


def _typical(effects: Effects, request: GeneralRequest) -> Effects | None:
    """Those of a typical group in place of new ones, where expectations are of it."""
    if request.random == "population":
        return None if effects.known is None else Effects(None)
    if request.new_levels == "population" and effects.new is not None:
        return Effects(effects.known)
    return None
