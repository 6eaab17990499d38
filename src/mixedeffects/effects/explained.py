"""Shares of the variance: marginal and conditional R², intraclass correlations.

Nakagawa and Schielzeth (2013), Methods Ecol. Evol. 4, 133-142; random slopes as in Johnson
(2014), ibid. 5, 944-946.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import FrameKind, make_table
from mixedeffects.fitting.fit import Fit

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class VarianceParts:
    """The variance of the response, averaged over the rows, by what it comes from.

    ``fixed``, the sample variance of xβ̂ (without the offset); ``random``, per term the mean of
    z'Σz, times the level's own relationship where it is known; ``residual``, the mean of
    σ²/weight.
    """

    fixed: float
    random: tuple[float, ...]
    residual: float

    @property
    def total(self) -> float:
        """The sum, of which R² and unadjusted ICC are shares."""
        return self.fixed + sum(self.random) + self.residual


@dataclass(frozen=True, slots=True)
class RowMoments:
    """What the rows say of the parts, whatever the parameters.

    ``fixed`` (p, p), the sample covariance of X; ``random`` per term (k, k), the mean of zz';
    ``residual``, the mean of 1/weight.
    """

    fixed: Floats
    random: tuple[Floats, ...]
    residual: float

    def parts(self, beta: Floats, covariances: Sequence[Floats], sigma: float) -> VarianceParts:
        """The parts at β (p,), the terms' covariances (k, k) and σ."""
        spread = zip(self.random, covariances, strict=True)
        return VarianceParts(
            fixed=float(beta @ self.fixed @ beta),
            random=tuple(float(np.sum(moment * covariance)) for moment, covariance in spread),
            residual=sigma**2 * self.residual,
        )


def row_moments(fit: Fit) -> RowMoments:
    """The moments of the rows that a fit used."""
    design, n = fit.design, len(fit.design.y)
    X = design.X[:, fit.estimates.kept]
    centred = X - X.mean(axis=0)
    random = []
    for term in design.random:
        own = 1.0 if term.matrix is None else np.diagonal(term.matrix)[term.codes, None]
        random.append((term.values * own).T @ term.values / n)
    residual = 1.0 if design.weights is None else float(np.mean(1.0 / design.weights))
    return RowMoments(centred.T @ centred / max(n - 1, 1), tuple(random), residual)


def variance_parts(fit: Fit) -> VarianceParts:
    """The parts at the fit's estimates."""
    estimates = fit.estimates
    return row_moments(fit).parts(
        estimates.beta, [t.covariance for t in estimates.terms], estimates.sigma
    )


def r2_of(fit: Fit) -> Floats:
    """Marginal and conditional R² (2,): what a bootstrap of them computes of each refit."""
    parts = variance_parts(fit)
    return np.array([parts.fixed, parts.fixed + sum(parts.random)]) / parts.total


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
    """

    marginal: float
    conditional: float
    limits: Floats | None = None
    frame: FrameKind = field(default=FrameKind(), repr=False)

    @property
    def table(self) -> Any:
        """Columns ``statistic estimate``, and ``conf_low conf_high`` with intervals."""
        columns: dict[str, Any] = {
            "statistic": ["marginal", "conditional"],
            "estimate": np.array([self.marginal, self.conditional]),
        }
        if self.limits is not None:
            columns |= {"conf_low": self.limits[:, 0], "conf_high": self.limits[:, 1]}
        return make_table(columns, self.frame)


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
    """

    adjusted: float
    unadjusted: float
    groups: tuple[str, ...]
    adjusted_by_group: Floats
    unadjusted_by_group: Floats
    frame: FrameKind = field(default=FrameKind(), repr=False)

    @property
    def table(self) -> Any:
        """Columns ``group adjusted unadjusted``: each grouping factor, then their total."""
        columns: dict[str, Any] = {
            "group": [*self.groups, "Total"],
            "adjusted": np.append(self.adjusted_by_group, self.adjusted),
            "unadjusted": np.append(self.unadjusted_by_group, self.unadjusted),
        }
        return make_table(columns, self.frame)


def explained_variance(fit: Fit, limits: Floats | None = None) -> ExplainedVariance:
    """Marginal and conditional R² at the fit's estimates."""
    marginal, conditional = r2_of(fit)
    return ExplainedVariance(float(marginal), float(conditional), limits, fit.design.frame)


def intraclass_correlation(fit: Fit) -> IntraclassCorrelation:
    """Adjusted and unadjusted ICC, with the share of each grouping factor."""
    parts = variance_parts(fit)
    between: dict[str, float] = {}
    for term, variance in zip(fit.estimates.terms, parts.random, strict=True):
        between[term.group] = between.get(term.group, 0.0) + variance
    variances = np.array(list(between.values()))
    adjusted = variances / (parts.total - parts.fixed)
    unadjusted = variances / parts.total
    return IntraclassCorrelation(
        float(adjusted.sum()),
        float(unadjusted.sum()),
        tuple(between),
        adjusted,
        unadjusted,
        fit.design.frame,
    )
