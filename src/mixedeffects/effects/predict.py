"""Predictions with all that is uncertain in them: β, b, σ, and on request θ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.modes import draw_modes
from mixedeffects.effects.rows import NewLevels, Rows, own_rows
from mixedeffects.fitting.conditional import coefficient_slopes
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.uncertainty import uncertainty
from mixedeffects.inference.wald import quantile

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]
Random = Literal["conditional", "population"]
Interval = Literal["confidence", "prediction"]
Seed = int | np.random.Generator | None


@dataclass(frozen=True, slots=True)
class Request:
    """What to predict: see ``MixedFit.predict``."""

    random: Random
    interval: Interval | None
    std_error: bool
    new_levels: NewLevels
    level: float
    include_theta: bool
    seed: Seed

    @property
    def needs_random(self) -> bool:
        """Whether the rows' groups matter."""
        return self.random == "conditional" or self.interval == "prediction"


def predict(fit: Fit, rows: Rows, request: Request) -> dict[str, Floats]:
    """Columns ``estimate`` and, where asked for, ``std_error conf_low conf_high``."""
    modes, drawn = modes_of(fit) if request.random == "conditional" else [], None
    if modes and request.new_levels == "sample":
        counts = [int(codes.max(initial=-1)) + 1 for codes in rows.new_codes]
        rng = np.random.default_rng(request.seed)
        drawn = draw_modes(fit.estimates, counts, [None] * len(counts), rng)
    estimate = mean(rows, fit.estimates.beta, modes, drawn)
    columns = {"estimate": estimate}
    if request.std_error or request.interval is not None:
        total = variance(fit, rows, request.random, request.interval)
        if request.include_theta:
            total = total + theta_variance(fit, rows, request.random)
        columns["std_error"] = np.sqrt(total)
    if request.interval is not None:
        half = quantile(np.inf, request.level) * columns["std_error"]
        columns |= {"conf_low": estimate - half, "conf_high": estimate + half}
    return {name: rows.spread(column) for name, column in columns.items()}


def fitted_values(fit: Fit) -> Floats:
    """Xβ̂ + Zb̂ + offset of the rows used, (nobs,)."""
    return mean(own_rows(fit), fit.estimates.beta, modes_of(fit))


def modes_of(fit: Fit) -> list[Floats]:
    """Conditional modes (L, k) of each term."""
    return [term.modes for term in fit.estimates.terms]


def mean(
    rows: Rows, beta: Floats, modes: Sequence[Floats], new_modes: Sequence[Floats] | None = None
) -> Floats:
    """xβ + zb + offset, (n,).

    ``modes`` per term (L, k); empty for the population mean.  ``new_modes`` per term (N, k),
    of unseen levels, which otherwise count as zero.
    """
    result = rows.X @ beta
    if rows.offset is not None:
        result = result + rows.offset
    for number, b in enumerate(modes):
        result = result + _contribution(rows.values[number], rows.codes[number], b)
        if new_modes is not None:
            result = result + _contribution(
                rows.values[number], rows.new_codes[number], new_modes[number]
            )
    return result


def _contribution(values: Floats, codes: Integers, b: Floats) -> Floats:
    known = codes >= 0
    if known.all():
        product: Floats = np.einsum("ij,ij->i", values, b[codes])
        return product
    result = np.zeros(len(codes))
    result[known] = np.einsum("ij,ij->i", values[known], b[codes[known]])
    return result


def variance(fit: Fit, rows: Rows, random: Random, interval: Interval | None) -> Floats:
    """Variance (n,) of what is predicted about its prediction, θ taken as known.

    Conditional: of xβ + zb, where an unseen level's b varies by its fitted covariance.
    Population: of xβ; a prediction interval adds the random effects of a new group.  A
    prediction interval adds σ².
    """
    estimates = fit.estimates
    nobody = tuple(np.full_like(c, -1) for c in rows.codes)
    conditional = random == "conditional"
    codes = rows.codes if conditional else nobody
    result = estimates.sigma**2 * fit.factor.variances(rows.X, rows.values, codes)
    for term, values, own in zip(estimates.terms, rows.values, codes, strict=True):
        if conditional or interval == "prediction":
            unknown = own < 0
            spread = np.einsum("ij,jk,ik->i", values, term.covariance, values)
            result = result + np.where(unknown, spread, 0.0)
    if interval == "prediction":
        result = result + estimates.sigma**2
    return result


def theta_variance(fit: Fit, rows: Rows, random: Random) -> Floats:
    """J Cov(θ̂) J' of the predictions, (n,)."""
    slopes = coefficient_slopes(fit.problem, fit.solution.optimum.theta)
    bare = replace(rows, offset=None)
    columns = [mean(bare, beta, b if random == "conditional" else []) for beta, b in slopes]
    jacobian = np.column_stack(columns or [np.zeros((len(rows.X), 0))])
    covariance = uncertainty(fit).theta_covariance
    result: Floats = np.einsum("ik,kl,il->i", jacobian, covariance, jacobian)
    return result
