"""The collapsed posterior's density without Python inside, for the models that it knows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from mixedeffects.algebra._collapsed_density import CollapsedDensity
from mixedeffects.bayes.collapsed import CollapsedPosterior
from mixedeffects.bayes.coordinates import AbstractTermCoordinates, UnstructuredCoordinates
from mixedeffects.bayes.priors import AbstractPositivePrior, AbstractPrior, Flat
from mixedeffects.covariance import AbstractCovariance

Floats = NDArray[np.float64]

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
    of_sigma, constant = _positive([posterior.priors.sigma.prior])
    constant += posterior.constant
    covariances = []
    for term, own in zip(posterior.problem.terms, posterior.priors.terms, strict=True):
        of_deviations, more = _positive(own.deviations.priors)
        covariances.append(
            (term.map, _linear_root(own, term.covariance), of_deviations, own.shapes)
        )
        constant += more + float(np.sum(np.log(2.0) - betaln(own.shapes, own.shapes)))
    scale = float(np.log(posterior.problem.scale))
    return CollapsedDensity(posterior.own_arguments(), covariances, of_sigma, scale, constant)


def _positive(priors: Sequence[AbstractPrior]) -> tuple[Floats, float]:
    """The terms (m, 5) of priors of positive numbers, and their constant."""
    known = [p for p in priors if isinstance(p, AbstractPositivePrior | Flat)]
    assert len(known) == len(priors)
    return np.array([p.terms for p in known]), float(sum(p.log_constant for p in known))


def _linear_root(own: AbstractTermCoordinates, covariance: AbstractCovariance) -> Floats | None:
    """The derivatives (d, k, k) of a root that is linear in its deviations; None of a free one."""
    if isinstance(own, UnstructuredCoordinates):
        return None
    return covariance.jacobian(covariance.start())
