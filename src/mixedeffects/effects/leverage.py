"""Leverages of the rows and their pull on the coefficients, from the factor.

With C = [Z X], M the matrix of the mixed model equations and e the conditional residuals,
ŷ = Hy with H = C M⁻¹C'W (Demidenko and Stukel 2005, Stat. Med. 24, 893-909).
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.rows import own_rows
from mixedeffects.fitting.fit import Fit

Floats = NDArray[np.float64]

# A row with less left of it than this is fitted exactly: some coefficient rests on it alone.
ALONE = 1e-10


def leverage(fit: Fit) -> Floats:
    """Diagonal of H, (nobs,): how much each fitted value follows its own observation."""
    rows = own_rows(fit)
    variances = fit.factor.variances(rows.X, rows.values, rows.codes)
    return variances if fit.design.weights is None else variances * fit.design.weights


def left_over(fit: Fit) -> Floats:
    """1 − h (nobs,), NaN where a row is fitted exactly."""
    left = 1.0 - leverage(fit)
    return np.where(left > ALONE, left, np.nan)


def coefficient_gains(fit: Fit) -> Floats:
    """The rows of C M⁻¹ for β in the user's columns, (nobs, p); ∂β̂/∂y over the weight.

    The factor gives quadratic forms c'M⁻¹c only; their differences give the bilinear form:
    (c + d)'M⁻¹(c + d) − (c − d)'M⁻¹(c − d) = 4 d'M⁻¹c.
    """
    rows, basis = own_rows(fit), fit.problem.basis
    gains = np.empty(rows.X.shape)
    for j, direction in enumerate(basis.map):  # the j-th standardized column, in the user's
        ahead, behind = (
            fit.factor.variances(rows.X + sign * direction, rows.values, rows.codes)
            for sign in (1.0, -1.0)
        )
        gains[:, j] = (ahead - behind) / 4.0
    return cast(Floats, np.linalg.solve(basis.map, gains.T).T)
