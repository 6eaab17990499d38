"""Posterior expectations of rows, and new observations, summarized draw by draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
from mixedeffects.bayes.summaries import summary
from mixedeffects.effects.general_rows import GeneralRows
from mixedeffects.effects.general_targets import Component, target_of
from mixedeffects.effects.predict import Interval, Random, Seed
from mixedeffects.effects.rows import NewLevels
from mixedeffects.errors import ModelError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Request:
    """What to predict: see ``Posterior.predict``."""

    random: Random
    interval: Interval | None
    std_error: bool
    new_levels: NewLevels
    scale: Literal["response", "link"]
    component: Component
    level: float
    seed: Seed

    @property
    def needs_random(self) -> bool:
        """Whether the rows' groups matter."""
        return self.random == "conditional" or self.interval == "prediction"

    @property
    def columns(self) -> tuple[str, ...]:
        """Those asked for."""
        if self.interval is not None:
            return ("estimate", "std_error", "conf_low", "conf_high")
        return ("estimate", "std_error") if self.std_error else ("estimate",)


def predict(sampled: Sampled, rows: GeneralRows, request: Request) -> dict[str, Floats]:
    """The columns asked for, (n,) each, or (n, K) for the probabilities of K categories."""
    if request.interval == "prediction":
        _check_observable(sampled, request)
    rng = np.random.default_rng(request.seed)
    effects = _effects(sampled, rows, request, rng)
    target = target_of(sampled.family, sampled.response, request.component, request.scale)
    parts = []
    for block in row_blocks(rows.n, sampled.size):
        own = some_rows(rows, block)
        eta = predictors(sampled, own, EVERY, effects)
        values = per_draw(target.value, eta)
        columns = summary(values, request.level)
        if request.interval == "prediction":
            new = drawn_responses(sampled, response_of(sampled, own), eta, rng)
            columns |= _about(columns["estimate"], new, request.level)
        parts.append(columns)
    return {
        name: rows.spread(np.concatenate([part[name] for part in parts]))
        for name in request.columns
    }


def _about(estimate: Floats, draws: Floats, level: float) -> dict[str, Floats]:
    """Limits of new observations (N, n), and how far they lie from what is expected."""
    columns = summary(draws, level)
    spread = np.sqrt(np.mean((draws - estimate) ** 2, axis=0))
    return {"std_error": spread, "conf_low": columns["conf_low"], "conf_high": columns["conf_high"]}


def _effects(
    sampled: Sampled,
    rows: GeneralRows,
    request: Request,
    rng: np.random.Generator,
) -> Effects:
    """The random effects that the request wants the rows to have."""
    if request.random == "population":
        if request.interval != "prediction":
            return Effects(None)
        known = fresh_effects(sampled, EVERY, rng).known
        return Effects(known, unseen_effects(sampled, rows, EVERY, rng))
    own = own_effects(sampled, EVERY)
    if request.new_levels != "sample":
        return own
    return Effects(own.known, unseen_effects(sampled, rows, EVERY, rng))


def _check_observable(sampled: Sampled, request: Request) -> None:
    """Refuse prediction intervals of what is not observed."""
    if sampled.family.response_kind == "ordinal":
        raise ModelError(
            "interval='prediction': the categories' probabilities already say how a new "
            "observation varies; interval='confidence' says how well they are known."
        )
    if request.scale != "response" or request.component != "response":
        raise ModelError(
            "interval='prediction' is of a new observation, and only the response is observed: "
            "use scale='response' and component='response', or interval='confidence'."
        )


def fitted_draws(sampled: Sampled, rows: GeneralRows, block: slice) -> Floats:
    """Expectations (N, n) of the response of a block of rows, given the effects drawn."""
    eta = predictors(sampled, some_rows(rows, block), EVERY, own_effects(sampled, EVERY))
    target = target_of(sampled.family, sampled.response, "response", "response")
    return per_draw(target.value, eta)
