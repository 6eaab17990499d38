"""Predictions of generalized fits: on the link and the response scale, with what is uncertain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.general_rows import GeneralRows, linear_predictors
from mixedeffects.effects.modes import draw_modes
from mixedeffects.effects.predict import Interval, Random, Seed
from mixedeffects.effects.rows import NewLevels
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.inference.wald import quantile

Floats = NDArray[np.float64]
Scale = Literal["response", "link"]

# Step of the differences of a mean by its predictors, which are of order one.
STEP = 1e-5


@dataclass(frozen=True, slots=True)
class GeneralRequest:
    """What to predict: see ``MixedFit.predict``."""

    random: Random
    interval: Interval | None
    std_error: bool
    new_levels: NewLevels
    scale: Scale
    level: float
    seed: Seed

    @property
    def needs_random(self) -> bool:
        """Whether the rows' groups matter."""
        return self.random == "conditional" or self.interval == "prediction"


def predictors_at(
    fit: GeneralFit, rows: GeneralRows, request: GeneralRequest
) -> tuple[Floats, ...]:
    """All linear predictors (n,) of rows, as the request wants their random effects."""
    if request.random == "population":
        return linear_predictors(fit, rows, [])
    modes, drawn = [term.modes for term in fit.estimates.terms], None
    if request.new_levels == "sample":
        counts = [int(codes.max(initial=-1)) + 1 for codes in rows.new_codes]
        rng = np.random.default_rng(request.seed)
        drawn = draw_modes(fit.estimates, counts, [None] * len(counts), rng)
    return linear_predictors(fit, rows, modes, drawn)


def mean_of(fit: GeneralFit, eta: Sequence[Floats]) -> Floats:
    """The mean of the response (n,), or the probability of each category (n, K)."""
    mean: Floats = fit.family.mean(tuple(eta))
    return mean


def mean_slopes(fit: GeneralFit, eta: Sequence[Floats]) -> list[Floats]:
    """Derivatives of the mean by each predictor, (n,) or (n, K), by central differences."""
    slopes = []
    for a in range(len(eta)):
        up, down = (
            [e + sign * STEP if b == a else e for b, e in enumerate(eta)] for sign in (1.0, -1.0)
        )
        slopes.append((mean_of(fit, up) - mean_of(fit, down)) / (2.0 * STEP))
    return slopes


def weighted_variance(
    fit: GeneralFit, rows: GeneralRows, random: Random, weights: Sequence[Floats]
) -> Floats:
    """Variance (n,) of Σ w_a (η̂_a − η_a) over the predictors a, with weights (n,) each.

    Conditional: unseen levels' effects vary by their fitted covariance; population: the fixed
    effects alone.
    """
    problem = fit.problem
    X = rows.X.copy()
    for a, predictor in enumerate(problem.predictors):
        X[:, predictor.coefficients] *= weights[a][:, None]
    owners = [problem.predictor[t.grouping] for t in problem.terms]
    values = [v * weights[a][:, None] for v, a in zip(rows.values, owners, strict=True)]
    codes = rows.codes if random == "conditional" else [np.full_like(c, -1) for c in rows.codes]
    result = fit.factor.variances(X, values, codes)
    if random == "conditional":
        for term, own, levels in zip(fit.estimates.terms, values, codes, strict=True):
            spread = np.einsum("ij,jk,ik->i", own, term.covariance, own)
            result = result + np.where(levels < 0, spread, 0.0)
    return result


def link_table(
    fit: GeneralFit, rows: GeneralRows, eta: Sequence[Floats], request: GeneralRequest
) -> dict[str, Floats]:
    """Columns of predictions of the conditional predictor."""
    weights = [np.full(rows.n, float(a == 0)) for a in range(len(eta))]
    columns = {"estimate": eta[0]}
    if request.std_error or request.interval is not None:
        columns["std_error"] = np.sqrt(weighted_variance(fit, rows, request.random, weights))
    if request.interval is not None:
        half = quantile(np.inf, request.level) * columns["std_error"]
        columns |= {"conf_low": eta[0] - half, "conf_high": eta[0] + half}
    return columns


def predict(fit: GeneralFit, rows: GeneralRows, request: GeneralRequest) -> dict[str, Floats]:
    """Columns ``estimate`` and, where asked for, ``std_error conf_low conf_high``."""
    eta = predictors_at(fit, rows, request)
    if request.scale == "link":
        columns = link_table(fit, rows, eta, request)
    else:
        columns = response_table(fit, rows, eta, request)
    return {name: rows.spread(column) for name, column in columns.items()}


def response_table(
    fit: GeneralFit, rows: GeneralRows, eta: Sequence[Floats], request: GeneralRequest
) -> dict[str, Floats]:
    """Columns of predictions of the mean; limits of a mean of η alone are those of η."""
    mean = mean_of(fit, eta)
    columns = {"estimate": mean}
    if request.std_error or request.interval is not None:
        slopes = mean_slopes(fit, eta)
        columns["std_error"] = np.sqrt(weighted_variance(fit, rows, request.random, slopes))
    if request.interval is not None:
        link = link_table(fit, rows, eta, request)
        limits = [mean_of(fit, [link[side], *eta[1:]]) for side in ("conf_low", "conf_high")]
        columns |= {"conf_low": np.minimum(*limits), "conf_high": np.maximum(*limits)}
    return columns
