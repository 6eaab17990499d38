"""Shares of the variance: marginal and conditional R², intraclass correlations.

Nakagawa and Schielzeth (2013), Methods Ecol. Evol. 4, 133-142; random slopes as in Johnson
(2014), ibid. 5, 944-946; other responses than Gaussian ones as in Nakagawa, Johnson and
Schielzeth (2017), J. R. Soc. Interface 14: 20170213.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import FrameKind, make_table
from mixedeffects.effects.link_variance import Approximation
from mixedeffects.effects.variance_parts import (
    VarianceParts,
    general_variance_parts,
    row_moments,
    variance_parts,
)
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.fitting.replicates import fit_responses
from mixedeffects.inference.bootstrap import Bootstrap, bootstrap
from mixedeffects.inference.draws import parametric_draws
from mixedeffects.inference.streams import Seed, Streams

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Intervals:
    """What a bootstrap interval needs: its level, the number of replicates, a seed."""

    level: float
    n: int
    seed: Seed


def r2_of(parts: VarianceParts) -> Floats:
    """Marginal and conditional R² (2,)."""
    return np.array([parts.fixed, parts.fixed + sum(parts.random)]) / parts.total


def icc_of(parts: VarianceParts) -> Floats:
    """Adjusted and unadjusted ICC (2,)."""
    between = sum(parts.random)
    return np.array([between / (between + parts.residual), between / parts.total])


@dataclass(frozen=True, slots=True)
class ExplainedVariance:
    """Nakagawa's R² of a mixed model.

    Attributes
    ----------
    marginal : float
        Share of the variance that the fixed effects explain.
    conditional : float
        Share that fixed and random effects explain together.
    limits : ndarray, shape (2, 2), or None
        Lower and upper limits of the two, where intervals were asked for.
    bootstrap : Bootstrap or None
        The replicates behind the limits.
    """

    marginal: float
    conditional: float
    limits: Floats | None = None
    bootstrap: Bootstrap | None = field(default=None, repr=False)
    frame: FrameKind = field(default=FrameKind(), repr=False)

    def __repr__(self) -> str:
        return f"<R²: marginal {self.marginal:.4f}, conditional {self.conditional:.4f}>"

    @property
    def table(self) -> Any:
        """Columns ``statistic estimate``, and ``conf_low conf_high`` with intervals."""
        estimate = np.array([self.marginal, self.conditional])
        return _table(("marginal", "conditional"), estimate, self.limits, self.frame)


@dataclass(frozen=True, slots=True)
class IntraclassCorrelation:
    """Shares of the variance that lie between groups.

    Attributes
    ----------
    adjusted : float
        Of the variance that the fixed effects leave.
    unadjusted : float
        Of all variance.
    groups : tuple of str
        Grouping factors (G).
    adjusted_by_group, unadjusted_by_group : ndarray, shape (G,)
        The share of each; they add up to the two above.
    limits : ndarray, shape (2, 2), or None
        Lower and upper limits of adjusted and unadjusted, where intervals were asked for.
    bootstrap : Bootstrap or None
        The replicates behind the limits.
    """

    adjusted: float
    unadjusted: float
    groups: tuple[str, ...]
    adjusted_by_group: Floats
    unadjusted_by_group: Floats
    limits: Floats | None = None
    bootstrap: Bootstrap | None = field(default=None, repr=False)
    frame: FrameKind = field(default=FrameKind(), repr=False)

    def __repr__(self) -> str:
        return f"<ICC: adjusted {self.adjusted:.4f}, unadjusted {self.unadjusted:.4f}>"

    @property
    def table(self) -> Any:
        """Columns ``statistic estimate``, and ``conf_low conf_high`` with intervals."""
        estimate = np.array([self.adjusted, self.unadjusted])
        return _table(("adjusted", "unadjusted"), estimate, self.limits, self.frame)

    @property
    def by_group(self) -> Any:
        """Columns ``group adjusted unadjusted``."""
        columns: dict[str, Any] = {
            "group": self.groups,
            "adjusted": self.adjusted_by_group,
            "unadjusted": self.unadjusted_by_group,
        }
        return make_table(columns, self.frame)


def _table(names: Sequence[str], estimate: Floats, limits: Floats | None, frame: FrameKind) -> Any:
    columns: dict[str, Any] = {"statistic": names, "estimate": estimate}
    if limits is not None:
        columns |= {"conf_low": limits[:, 0], "conf_high": limits[:, 1]}
    return make_table(columns, frame)


def explained_variance(
    parts: VarianceParts, frame: FrameKind, replicates: Bootstrap | None = None, level: float = 0.95
) -> ExplainedVariance:
    """Marginal and conditional R² of the parts, with the limits of a bootstrap of both."""
    marginal, conditional = r2_of(parts)
    limits = None if replicates is None else replicates.limits(level)
    return ExplainedVariance(float(marginal), float(conditional), limits, replicates, frame)


def intraclass_correlation(
    parts: VarianceParts, frame: FrameKind, replicates: Bootstrap | None = None, level: float = 0.95
) -> IntraclassCorrelation:
    """Adjusted and unadjusted ICC of the parts, with the share of each grouping factor."""
    between: dict[str, float] = {}
    for group, variance in zip(parts.groups, parts.random, strict=True):
        between[group] = between.get(group, 0.0) + variance
    variances = np.array(list(between.values()))
    adjusted, unadjusted = icc_of(parts)
    return IntraclassCorrelation(
        float(adjusted),
        float(unadjusted),
        tuple(between),
        variances / (parts.total - parts.fixed),
        variances / parts.total,
        None if replicates is None else replicates.limits(level),
        replicates,
        frame,
    )


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of the variance, by name."""

    names: tuple[str, ...]
    of: Callable[[VarianceParts], Floats]


R2 = Shares(("marginal", "conditional"), r2_of)
ICC = Shares(("adjusted", "unadjusted"), icc_of)


def bootstrapped(fit: Fit, shares: Shares, intervals: Intervals) -> Bootstrap:
    """Parametric bootstrap of shares (k,), whose replicates are fitted without Python.

    Raises
    ------
    ModelError
        If the replicates that could be fitted are too few for the level.
    """
    draws = parametric_draws(fit, "marginal", Streams(intervals.seed))
    found = fit_responses(fit.problem, draws.deviations, intervals.n)
    covariances = found.covariances(fit.problem)
    moments, beta = row_moments(fit), fit.estimates.beta + found.beta
    values = [
        shares.of(moments.parts(beta[r], [c[r] for c in covariances], float(found.sigma[r])))
        for r in range(intervals.n)
    ]
    worked = np.ones(intervals.n, dtype=bool)
    worked[list(found.reasons)] = False
    result = Bootstrap(
        names=shares.names,
        estimate=shares.of(variance_parts(fit)),
        values=np.array(values),
        reasons=found.reasons,
        singular=float(np.mean(found.singular[worked])) if worked.any() else 0.0,
        method="parametric",
        frame=fit.design.frame,
    )
    result.confint(intervals.level)  # refuses too few
    return result


def general_bootstrapped(
    fit: GeneralFit, shares: Shares, approximation: Approximation | None, intervals: Intervals
) -> Bootstrap:
    """Parametric bootstrap of shares (k,) of a generalized fit, through complete refits.

    Raises
    ------
    ModelError
        If the replicates that could be fitted are too few for the level.
    """

    def statistic(other: Any) -> dict[str, float]:
        found = shares.of(general_variance_parts(other, approximation))
        return dict(zip(shares.names, found.tolist(), strict=True))

    result = bootstrap(fit, intervals.n, statistic=statistic, seed=intervals.seed)
    result.confint(intervals.level)  # refuses too few
    return result
