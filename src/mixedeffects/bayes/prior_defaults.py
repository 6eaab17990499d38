"""Default priors: weakly informative, on the scale of the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.coefficient_priors import PredictorColumns
from mixedeffects.bayes.priors import (
    AbstractPrior,
    Flat,
    Gamma,
    HalfStudentT,
    Normal,
    StudentT,
)
from mixedeffects.covariance import AbstractCovariance
from mixedeffects.families import AbstractFamily, Response
from mixedeffects.fitting.general import MEASURED
from mixedeffects.formula.design import Design
from mixedeffects.formula.effects import RandomDesign

Floats = NDArray[np.float64]

# Standard deviations of a coefficient's prior, in units of response per unit of column.
WIDE = 2.5
# Families whose dispersion is the larger, the less the response varies.
PRECISIONS = ("nbinom2", "truncated_nbinom2", "beta", "ordbeta", "betabinomial")
# Families of counts whose dispersion is near 1, or measured by it.
OF_COUNTS = ("nbinom1", "truncated_nbinom1", "genpois", "compois")


@dataclass(frozen=True, slots=True)
class Size:
    """Where a linear predictor lies, and its unit: how far it ranges."""

    location: float
    unit: float


def size_of(name: str, design: Design, family: AbstractFamily, response: Response) -> Size:
    """Of the predictor ``name``, from the response alone.

    Where the link has the response's unit (or a power of it), the spread of the response on the
    link's scale; for logarithms, logits and their like, 1.
    """
    offset = 0.0 if design.offset is None else float(np.mean(design.offset))
    if name == "dispersion":
        return Size(family.initial_dispersion(response) - offset, 1.0)
    if name == "zero_inflation" or family.has_thresholds:
        return Size(0.0, 1.0)
    if family.link in MEASURED:
        eta = family.initial_eta(response)
        eta = eta if design.offset is None else eta - design.offset
        location, unit = float(np.mean(eta)), float(np.std(eta))
        return Size(location, _usable(unit, _usable(abs(location), 1.0)))
    mean = np.asarray(np.mean(family.start_mean(response)))
    return Size(float(family.g.forward(mean)) - offset, 1.0)


def coefficient_defaults(predictor: PredictorColumns, size: Size) -> list[AbstractPrior]:
    """A prior for each column; the intercept's is of the predictor at the columns' means."""
    X, unit = predictor.X, size.unit
    centred = predictor.intercept or predictor.thresholds
    if not centred:
        # nothing takes up the location
        unit = float(np.hypot(unit, size.location))
    priors: list[AbstractPrior] = [Normal(0.0, WIDE * unit / s) for s in _spreads(X, centred)]
    if predictor.intercept:
        priors[0] = Normal(size.location, WIDE * unit)
        if predictor.name == "zero_inflation":
            # about the logistic distribution: a probability that is nearly uniform
            priors[0] = StudentT(7, 0, 1.55)
    return priors


def deviation_defaults(
    random: RandomDesign, covariance: AbstractCovariance, size: Size
) -> list[AbstractPrior]:
    """Of the standard deviations of a random term, one each or one for all its columns."""
    k = len(random.names)
    at = random.names.index("Intercept") if "Intercept" in random.names else None
    others = [j for j in range(k) if j != at]
    spreads = np.ones(k)
    spreads[others] = (
        _of_nonzero(random.values) if at is None else _spreads(random.values[:, others], True)
    )
    if at is not None and covariance.closure == "affine":
        # far from zero, intercepts vary by what slopes do on the way there
        far = random.values[:, others].mean(axis=0) / spreads[others]
        spreads[at] = 1.0 / np.sqrt(1.0 + far @ far)
    if covariance.n_deviations == 1:
        spreads = np.array([np.sqrt(np.mean(spreads**2))])
    return [HalfStudentT(3, size.unit / s) for s in _sizes(spreads)]


def sigma_default(design: Design, family: AbstractFamily, response: Response) -> AbstractPrior:
    """Of the dispersion as it is reported."""
    if family.name in PRECISIONS:
        return HalfStudentT(1, 10)
    if family.name == "gamma":
        return HalfStudentT(3, 1)
    if family.name == "gaussian" and family.link == "identity":
        return HalfStudentT(3, _residual_scale(design))
    scale = _usable(float(family.sigma(family.initial_dispersion(response))), 1.0)
    return HalfStudentT(3, max(scale, 1.0) if family.name in OF_COUNTS else scale)


def extra_default(name: str) -> AbstractPrior:
    """Of an extra parameter."""
    if name == "df":
        return Gamma(2, 0.1)
    if name == "power":
        return Flat()
    if name == "spacing":
        return HalfStudentT(3, WIDE)
    return StudentT(3, 0, WIDE)


def _residual_scale(design: Design) -> float:
    """Standard deviation of the response, of a row of weight 1."""
    y = design.y if design.offset is None else design.y - design.offset
    w = np.ones(len(y)) if design.weights is None else design.weights
    scale = float(np.sqrt(np.mean(w * (y - np.average(y, weights=w)) ** 2)))
    return _usable(scale, 1.0)


def _spreads(X: Floats, centred: bool) -> Floats:
    """Standard deviations of columns (n, p), or root mean squares."""
    sizes = np.sqrt(np.mean(X * X, axis=0))
    spreads = np.std(X, axis=0) if centred else sizes
    return _sizes(np.where(spreads > 1e-10 * sizes, spreads, sizes))


def _of_nonzero(values: Floats) -> Floats:
    """Root mean squares of the values that are not zero: 1 for indicators."""
    counts = np.maximum(np.count_nonzero(values, axis=0), 1)
    return _sizes(np.sqrt(np.sum(values * values, axis=0) / counts))


def _sizes(found: Floats) -> Floats:
    """Those that can be divided by; what cannot be fitted at all is refused elsewhere."""
    return np.where((found > 0.0) & np.isfinite(found), found, 1.0)


def _usable(scale: float, otherwise: float) -> float:
    return scale if 0.0 < scale < np.inf else otherwise
