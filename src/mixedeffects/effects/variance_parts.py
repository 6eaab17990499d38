"""The variance of the response, by what it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
