"""The linear predictors that a prediction asks for, and how uncertain they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.general_rows import GeneralRows, linear_predictors
from mixedeffects.effects.general_targets import Component
from mixedeffects.effects.modes import draw_modes
from mixedeffects.effects.predict import Interval, Random, Seed
from mixedeffects.effects.rows import NewLevels
from mixedeffects.fitting.general_fit import GeneralFit

Floats = NDArray[np.float64]
Scale = Literal["response", "link"]


@dataclass(frozen=True, slots=True)
class GeneralRequest:
    """What to predict: see ``GeneralizedFit.predict``."""

    random: Random
    interval: Interval | None
    std_error: bool
    new_levels: NewLevels
    scale: Scale
    component: Component
    level: float
    seed: Seed

    @property
    def needs_random(self) -> bool:
        """Whether the rows' groups matter."""
        return self.random == "conditional" or self.interval == "prediction"

    @property
    def bare(self) -> bool:
        """Whether the estimates alone are wanted."""
        return self.interval is None and not self.std_error


def predictors_at(
    fit: GeneralFit, rows: GeneralRows, request: GeneralRequest, rng: np.random.Generator
) -> tuple[Floats, ...]:
    """All linear predictors (n,) of rows, as the request wants their random effects."""
    if request.random == "population":
        return linear_predictors(fit, rows, [])
    modes, drawn = [term.modes for term in fit.estimates.terms], None
    if request.new_levels == "sample":
        counts = [int(codes.max(initial=-1)) + 1 for codes in rows.new_codes]
        drawn = draw_modes(fit.estimates, counts, [None] * len(counts), rng)
    return linear_predictors(fit, rows, modes, drawn)


def predictor_covariance(fit: GeneralFit, rows: GeneralRows, request: GeneralRequest) -> Floats:
    """Cov(η̂ − η) of the rows' predictors, (n, A, A), parameters' uncertainty included.

    Conditional: unseen levels' effects vary by their fitted covariance. Population: of the fixed
    parts alone, to which a new observation adds the effects of a new group.
    """
    conditional = request.random == "conditional"
    codes = rows.codes if conditional else [np.full_like(c, -1) for c in rows.codes]
    covariance = fit.factor.covariances(rows.X, rows.values, codes)
    if not request.needs_random:
        return covariance
    problem = fit.problem
    for given, term, z, levels in zip(
        problem.terms, fit.estimates.terms, rows.values, codes, strict=True
    ):
        a = problem.predictor[given.grouping]
        spread = np.einsum("ij,jk,ik->i", z, term.covariance, z)
        covariance[:, a, a] += np.where(levels < 0, spread, 0.0)
    return covariance
