"""Conditional AIC: for predictions in the same groups, not in new ones.

Vaida and Blanchard (2005), Biometrika 92, 351-370; corrected for estimated variance parameters
as in Greven and Kneib (2010), Biometrika 97, 773-789.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.leverage import leverage
from mixedeffects.effects.predict import fitted_values, mean
from mixedeffects.effects.rows import own_rows
from mixedeffects.fitting.conditional import coefficient_slopes
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.uncertainty import uncertainty

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ConditionalAIC:
    """Conditional AIC of a fit.

    Attributes
    ----------
    loglik : float
        Log-likelihood of the response given the conditional modes.
    effective_df : float
        tr(∂ŷ/∂y), variance parameters re-estimated with y, plus one for σ.
    leverage_df : float
        Its part at fixed variance parameters: the sum of the leverages.
    aic : float
        −2·loglik + 2·effective_df.
    """

    loglik: float
    effective_df: float
    leverage_df: float
    aic: float


def conditional_aic(fit: Fit) -> ConditionalAIC:
    """Conditional log-likelihood, effective degrees of freedom and their AIC."""
    loglik = _conditional_loglik(fit)
    fixed = float(leverage(fit).sum())
    df = fixed + _estimation_df(fit) + 1.0
    return ConditionalAIC(loglik, df, fixed, -2.0 * loglik + 2.0 * df)


def _conditional_loglik(fit: Fit) -> float:
    sigma, weights = fit.estimates.sigma, fit.design.weights
    error = fit.design.y - fitted_values(fit)
    square = float(error @ error if weights is None else error @ (weights * error))
    constant = 0.0 if weights is None else float(np.log(weights).sum())
    n = len(error)
    return 0.5 * (constant - n * float(np.log(2.0 * np.pi * sigma**2)) - square / sigma**2)


def _estimation_df(fit: Fit) -> float:
    """Σ_kl (∂ŷ/∂θ_k)'(∂θ̂_k/∂y), the part that comes from estimating θ.

    θ̂ solves g(θ, y) = 0, so ∂θ̂/∂y = −F⁻¹∂g/∂y with the Hessian F.  With r_k = ∂ŷ/∂θ_k, the
    conditional residual e = W⁻¹Py and Ṗ_k y = −W r_k, the profiled objective gives
    ∂g_k/∂y = −(2ν/ρ²)[W r_k − W e (y'W r_k)/ρ²].  A zero variance has r = 0 and drops out.
    """
    rows, sigma, nu = own_rows(fit), fit.estimates.sigma, fit.problem.dof
    slopes = coefficient_slopes(fit.problem, fit.solution.optimum.theta)
    if not slopes:
        return 0.0
    root = 1.0 if fit.design.weights is None else np.sqrt(fit.design.weights)
    bare = replace(rows, offset=None)
    r = np.stack([root * mean(bare, beta, modes) for beta, modes in slopes])
    error = root * (fit.design.y - fitted_values(fit))
    # y enters through y'Wr, in which Xβ counts nothing.
    response = root * (fit.design.y - mean(rows, fit.estimates.beta, []))
    square = nu * sigma**2
    pull = r @ r.T - np.outer(r @ error, r @ response) / square
    inverse = uncertainty(fit).theta_covariance / 2.0
    return float(2.0 * nu / square * np.sum(inverse * pull))
