"""R² and intraclass correlation at each draw, by the definitions that fits use."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.predictors import Effects, predictors
from mixedeffects.bayes.rows import own_rows
from mixedeffects.bayes.sampled import Sampled
from mixedeffects.bayes.summaries import quantiles
from mixedeffects.effects.explained import ExplainedVariance, IntraclassCorrelation
from mixedeffects.effects.link_variance import Approximation, check_mean, variance_on_link
from mixedeffects.effects.variance_parts import predictor_moments
from mixedeffects.inference.wald import check_level

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PartDraws:
    """The variance of the response by what it comes from, (N,) each.

    ``fixed`` of xβ; ``random`` (N, G) of each of the ``groups``; ``residual``.
    """

    fixed: Floats
    random: Floats
    residual: Floats
    groups: tuple[str, ...]

    @property
    def between(self) -> Floats:
        """Of all groups."""
        return np.asarray(self.random.sum(axis=1))

    @property
    def total(self) -> Floats:
        """Of all parts."""
        return self.fixed + self.between + self.residual


def part_draws(sampled: Sampled, approximation: Approximation | None = None) -> PartDraws:
    """The parts on the scale of the link, of the conditional predictor.

    Raises
    ------
    ModelError
        If the response's variance has no counterpart on that scale.
    """
    design, part = sampled.design, sampled.parts[0]
    counts = None if sampled.is_linear else design.weights
    moments = predictor_moments(design, part.kept, counts)
    beta = sampled.flat_coefficients[:, part.place]
    fixed = np.einsum("np,pq,nq->n", beta, moments.fixed, beta, optimize=True)
    residual = _linear(sampled) if sampled.is_linear else _general(sampled, approximation)
    groups: dict[str, Floats] = {}
    for term, moment in zip(sampled.terms, moments.random, strict=False):
        own = np.einsum("nij,ij->n", term.covariances, moment)
        if not sampled.is_linear and len(term.design.levels) == len(design.y):
            residual = residual + own
        else:
            groups[term.design.group] = groups.get(term.design.group, 0.0) + own
    random = np.column_stack([*groups.values()]) if groups else np.zeros((len(fixed), 0))
    return PartDraws(fixed, random, residual, tuple(groups))


def _linear(sampled: Sampled) -> Floats:
    """σ²/weight (N,), averaged over the rows."""
    assert sampled.draws.sigma is not None
    weights = sampled.design.weights
    share = 1.0 if weights is None else float(np.mean(1.0 / weights))
    return np.asarray(sampled.draws.sigma.ravel() ** 2 * share)


def _general(sampled: Sampled, approximation: Approximation | None) -> Floats:
    """What stands for the variance about the mean on the scale of the link, (N,)."""
    check_mean(sampled.family)
    rows = replace(own_rows(sampled), values=(), codes=(), new_codes=())
    response, weights = sampled.response, sampled.design.weights

    def at(draw: int) -> float:
        # the conditional predictor does not matter, so no random effects of it do
        eta = predictors(sampled, rows, slice(draw, draw + 1), Effects(None))
        own = tuple(e[0] for e in eta)
        return variance_on_link(sampled.family, response, weights, own, approximation)

    alone = len(sampled.parts) == 1 and not sampled.extra_names
    if alone:
        return np.full(sampled.size, at(0))
    return np.array([at(draw) for draw in range(sampled.size)])


def explained_variance(sampled: Sampled, parts: PartDraws, level: float) -> ExplainedVariance:
    """Marginal and conditional R²: posterior means with central intervals."""
    check_level(level)
    shares = np.column_stack([parts.fixed, parts.fixed + parts.between]) / parts.total[:, None]
    mean = shares.mean(axis=0)
    return ExplainedVariance(
        float(mean[0]), float(mean[1]), _limits(shares, level), None, sampled.design.frame
    )


def intraclass_correlation(
    sampled: Sampled, parts: PartDraws, level: float
) -> IntraclassCorrelation:
    """Adjusted and unadjusted ICC, with the share of each grouping factor."""
    check_level(level)
    adjusted = parts.random / (parts.between + parts.residual)[:, None]
    unadjusted = parts.random / parts.total[:, None]
    sums = np.column_stack([adjusted.sum(axis=1), unadjusted.sum(axis=1)])
    mean = sums.mean(axis=0)
    return IntraclassCorrelation(
        float(mean[0]),
        float(mean[1]),
        parts.groups,
        adjusted.mean(axis=0),
        unadjusted.mean(axis=0),
        _limits(sums, level),
        None,
        sampled.design.frame,
    )


def _limits(shares: Floats, level: float) -> Floats:
    """Lower and upper limits (k, 2) of shares (N, k)."""
    return quantiles(shares, [0.5 - 0.5 * level, 0.5 + 0.5 * level]).T
