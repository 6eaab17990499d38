"""The variance of the response, by what it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.link_variance import Approximation, link_variance
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.formula.design import Design

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class VarianceParts:
    """The variance of the response, averaged over the rows, by what it comes from.

    ``fixed``, the sample variance of xβ̂ (without the offset); ``random``, per term of the
    ``groups`` the mean of z'Σz, times the level's own relationship where it is known;
    ``residual``, the mean of σ²/weight, or what stands in for it on the scale of a link.
    """

    fixed: float
    random: tuple[float, ...]
    residual: float
    groups: tuple[str, ...]

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
    groups: tuple[str, ...]

    def parts(self, beta: Floats, covariances: Sequence[Floats], sigma: float) -> VarianceParts:
        """The parts at β (p,), the terms' covariances (k, k) and σ."""
        spread = zip(self.random, covariances, strict=True)
        return VarianceParts(
            fixed=float(beta @ self.fixed @ beta),
            random=tuple(float(np.sum(moment * covariance)) for moment, covariance in spread),
            residual=sigma**2 * self.residual,
            groups=self.groups,
        )


def row_moments(fit: Fit) -> RowMoments:
    """The moments of the rows that a fit used."""
    weights = fit.design.weights
    moments = predictor_moments(fit.design, fit.estimates.kept, None)
    return moments if weights is None else replace(moments, residual=float(np.mean(1.0 / weights)))


def predictor_moments(design: Design, kept: NDArray[np.intp], counts: Floats | None) -> RowMoments:
    """The moments of a predictor's rows, each of which counts (n,) times, once where omitted."""
    n = len(design.y)
    X = design.X[:, kept]
    share = np.full((n, 1), 1.0 / n) if counts is None else counts[:, None] / counts.sum()
    centred = X - (share * X).sum(axis=0)
    random = []
    for term in design.random:
        own = 1.0 if term.matrix is None else np.diagonal(term.matrix)[term.codes, None]
        random.append((share * term.values * own).T @ term.values)
    groups = tuple(term.group for term in design.random)
    fixed = (share * centred).T @ centred * (n / max(n - 1, 1))
    return RowMoments(fixed, tuple(random), 1.0, groups)


def variance_parts(fit: Fit) -> VarianceParts:
    """The parts at the fit's estimates."""
    estimates = fit.estimates
    return row_moments(fit).parts(
        estimates.beta, [t.covariance for t in estimates.terms], estimates.sigma
    )


def general_variance_parts(
    fit: GeneralFit, approximation: Approximation | None = None
) -> VarianceParts:
    """The parts on the scale of the link, of the conditional predictor.

    Random effects of single rows are variance about the mean: they count as residual. Rows count
    as often as their prior weights say, as they do in the likelihood.

    Raises
    ------
    ModelError
        If the response's variance has no counterpart on that scale.
    """
    residual = link_variance(fit, approximation)
    terms = [t for t in fit.estimates.terms if t.component == "conditional"]
    moments = predictor_moments(fit.design, fit.estimates.kept, fit.problem.weights)
    parts = moments.parts(fit.estimates.beta, [t.covariance for t in terms], 0.0)
    single = [len(term.levels) == fit.estimates.nobs for term in terms]
    of_rows = sum(v for v, alone in zip(parts.random, single, strict=True) if alone)
    kept = [i for i, alone in enumerate(single) if not alone]
    return VarianceParts(
        fixed=parts.fixed,
        random=tuple(parts.random[i] for i in kept),
        residual=residual + of_rows,
        groups=tuple(parts.groups[i] for i in kept),
    )
