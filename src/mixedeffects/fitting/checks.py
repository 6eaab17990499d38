"""The certificate of an optimum: what must hold there, what does, and what to do if not.

It replaces convergence warnings: first-order and second-order conditions, and for each
variance at zero the sign of the derivative with respect to the variance itself.  Deciding
to warn is elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# A Newton step from the optimum may move no parameter by more than this share of its
# standard error; curvature below this share of the largest is none.
GRADIENT = 1e-3
FLAT = 1e-10
# A flat direction's curvature is rounding of about this share, of either sign.
NOISE = 1e-6
# The derivative by a zero variance, in units of the objective a unit of σ² (a column of unit
# size), relative to the number of rows.
BOUNDARY = -1e-7


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of the certificate.

    ``name``; ``passed``; the ``value`` that was measured and the ``tolerance`` that it was
    compared with; ``message``, what it means and, where it fails, the next step.
    """

    name: str
    passed: bool
    value: float
    tolerance: float
    message: str


def certify(
    gradient: Floats,
    hessian: Floats,
    zeros: Sequence[tuple[str, float]],
    n_rows: int,
    exact: bool,
    lacking: int = 0,
) -> tuple[Check, ...]:
    """Check an optimum.

    Parameters
    ----------
    gradient, hessian
        (m,) and (m, m) along the principal axes of the covariances.
    zeros
        Name of each variance at zero, with the derivative of the objective by it.
    n_rows
        Number of observations, the scale of derivatives by a variance.
    exact
        Whether the Hessian is exact, or carried from the average information.
    lacking
        Of an exact Hessian, how many parameters could be moved to neither side, so that the
        average information stands in for their second derivatives.
    """
    values, vectors = np.linalg.eigh(hessian) if len(hessian) else (np.ones(1), np.zeros((0, 1)))
    checks = [_gradient(vectors.T @ gradient, values), _curvature(values, _source(exact, lacking))]
    checks += [_boundary(name, slope, n_rows) for name, slope in zeros]
    return tuple(checks)


def _gradient(along: Floats, values: Floats) -> Check:
    """``along`` (m,) the gradient along the Hessian's axes, ``values`` (m,) its eigenvalues."""
    sizes = np.maximum(np.abs(values), 1e-10 * np.abs(values).max() + 1e-300)
    # Length of the Newton step in standard errors (objective: −2 log-likelihood).
    value = float(np.sqrt(0.5 * (along**2 / sizes).sum()))
    passed = value <= GRADIENT
    message = (
        "a Newton step would move the parameters by less than a thousandth of a standard error"
        if passed
        else "the optimizer stopped early: refit with start=fit.theta, centre and scale "
        "covariates, or simplify the random effects"
    )
    return Check("gradient", passed, value, GRADIENT, message)


def _source(exact: bool, lacking: int) -> str:
    if not exact:
        return "average information"
    if not lacking:
        return "exact Hessian"
    return f"exact Hessian, average information for {lacking} parameters at the family's edge"


def _curvature(values: Floats, source: str) -> Check:
    least = float(values.min() / np.abs(values).max()) if np.any(values) else 0.0
    if least >= FLAT:
        message = f"a minimum in every direction ({source}); least eigenvalue over the largest"
    elif least >= -NOISE:
        message = (
            "the likelihood is flat in some direction: the data cannot tell the variance "
            "parameters apart; simplify the random effects"
        )
    else:
        message = "the optimizer stopped at a saddle point: refit from another start"
    return Check("curvature", least >= FLAT, least, FLAT, message)


def _boundary(name: str, slope: float, n_rows: int) -> Check:
    tolerance = BOUNDARY * n_rows
    passed = slope >= tolerance
    message = (
        "estimated as zero: the likelihood falls when it grows; the data show no such "
        "variation, consider leaving the term out"
        if passed
        else "stopped at zero although the likelihood grows with it: refit from another start"
    )
    return Check(f"boundary: {name}", bool(passed), slope, tolerance, message)
