"""The collapsed posterior's density without Python inside, for the models that it knows."""

from __future__ import annotations

from functools import singledispatch

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from mixedeffects.algebra._collapsed_density import CollapsedDensity
from mixedeffects.bayes.collapsed import CollapsedPosterior
from mixedeffects.bayes.coordinates import AbstractTermCoordinates, UnstructuredCoordinates
from mixedeffects.bayes.priors import (
    AbstractPrior,
    Exponential,
    Flat,
    Gamma,
    HalfNormal,
    HalfStudentT,
)
from mixedeffects.covariance import AbstractCovariance

Floats = NDArray[np.float64]
Covariance = tuple[Floats, Floats | None, Floats, Floats]

# Terms that it has room for.
MOST_TERMS = 64


def is_compilable(posterior: CollapsedPosterior) -> bool:
    """Whether the compiled density knows the structures, and coefficients are integrated out."""
    known = all(
        isinstance(own, UnstructuredCoordinates) or not len(own.shapes)
        for own in posterior.priors.terms
    )
    return known and not posterior.n_held and len(posterior.places) <= MOST_TERMS


def compiled_density(posterior: CollapsedPosterior) -> CollapsedDensity:
    """One serves one thread."""
    assert posterior.priors.sigma is not None
    sigma = posterior.priors.sigma.prior
    constant = posterior.constant + _constant_of(sigma)
    covariances = []
    for term, own in zip(posterior.problem.terms, posterior.priors.terms, strict=True):
        covariances.append((term.map, *_described(own, term.covariance)))
        constant += sum(_constant_of(prior) for prior in own.deviations.priors)
        constant += float(np.sum(np.log(2.0) - betaln(own.shapes, own.shapes)))
    return CollapsedDensity(
        posterior.own_arguments(),
        covariances,
        np.array(coefficients_of(sigma)),
        float(np.log(posterior.problem.scale)),
        constant,
    )


def _described(
    own: AbstractTermCoordinates, covariance: AbstractCovariance
) -> tuple[Floats | None, Floats, Floats]:
    linear = None
    if not isinstance(own, UnstructuredCoordinates):
        linear = covariance.jacobian(covariance.start())
    priors = np.array([coefficients_of(prior) for prior in own.deviations.priors])
    return linear, priors, own.shapes


def _constant_of(prior: AbstractPrior) -> float:
    """What a prior's log-density has beside the terms of ``coefficients_of``."""
    a, b, c, d, e = coefficients_of(prior)
    s = _typical(prior)
    terms = (a - 1.0) * np.log(s) - b * s - c * s**2 - d * np.log1p(s**2 / e)
    return float(prior.log_density(s) - terms)


@singledispatch
def coefficients_of(prior: AbstractPrior) -> tuple[float, float, float, float, float]:
    """a, b, c, d, e of (a − 1) log s − b s − c s² − d log(1 + s²/e), for a positive s."""
    raise NotImplementedError(type(prior).__name__)


@coefficients_of.register
def _(prior: HalfNormal) -> tuple[float, float, float, float, float]:
    return 1.0, 0.0, 0.5 / prior.sd**2, 0.0, 1.0


@coefficients_of.register
def _(prior: HalfStudentT) -> tuple[float, float, float, float, float]:
    return 1.0, 0.0, 0.0, 0.5 * (prior.df + 1.0), prior.df * prior.scale**2


@coefficients_of.register
def _(prior: Exponential) -> tuple[float, float, float, float, float]:
    return 1.0, prior.rate, 0.0, 0.0, 1.0


@coefficients_of.register
def _(prior: Gamma) -> tuple[float, float, float, float, float]:
    return prior.shape, prior.rate, 0.0, 0.0, 1.0


@coefficients_of.register
def _(prior: Flat) -> tuple[float, float, float, float, float]:
    return 1.0, 0.0, 0.0, 0.0, 1.0


@singledispatch
def _typical(prior: AbstractPrior) -> float:
    return 1.0


@_typical.register
def _(prior: HalfNormal) -> float:
    return prior.sd


@_typical.register
def _(prior: HalfStudentT) -> float:
    return prior.scale


@_typical.register(Exponential)
@_typical.register(Gamma)
def _(prior: Exponential | Gamma) -> float:
    return 1.0 / prior.rate
