"""The collapsed posterior's density without Python inside, for the models that it knows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from mixedeffects.algebra._collapsed_density import CollapsedDensity
from mixedeffects.bayes.collapsed import CollapsedPosterior
from mixedeffects.bayes.coordinates import AbstractTermCoordinates, UnstructuredCoordinates
from mixedeffects.bayes.prior_base import AbstractPositivePrior
from mixedeffects.bayes.priors import (
    AbstractPrior,
    Flat,
    Laplace,
    Normal,
    StudentT,
)
from mixedeffects.covariance import AbstractCovariance

Floats = NDArray[np.float64]


def is_compilable(posterior: CollapsedPosterior) -> bool:
    """Whether the compiled density knows the structures."""
    return all(
        isinstance(own, UnstructuredCoordinates) or not len(own.shapes)
        for own in posterior.priors.terms
    )


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
    coefficients = _held(posterior) if posterior.n_held else None
    if coefficients is not None:
        priors = posterior.priors.coefficients.independent.priors
        constant += sum(float(own.log_density(real_terms(own)[0])) for own in priors)
    return CollapsedDensity(
        posterior.own_arguments(), covariances, of_sigma, scale, constant, coefficients
    )


def _held(posterior: CollapsedPosterior) -> tuple[Floats, Floats, Floats]:
    """Functions (P, P) of the β in x, their shift (P,), and the terms (P, 6) of their priors."""
    prior, problem = posterior.priors.coefficients, posterior.problem
    functions = cast(Floats, np.linalg.solve(problem.basis.map.T, prior.functions.T).T)
    described = np.array([real_terms(own) for own in prior.independent.priors])
    return problem.scale * functions, functions @ problem.least_squares, described


@singledispatch
def real_terms(prior: AbstractPrior) -> tuple[float, float, float, float, float, float]:
    """Mean, scale and a, b, c, e of −a z²/2 − b log(1 + z²/e) − c|z| for z = (v − mean)/scale."""
    raise NotImplementedError(type(prior).__name__)


@real_terms.register
def _(prior: Normal) -> tuple[float, float, float, float, float, float]:
    return prior.mean, prior.sd, 1.0, 0.0, 0.0, 1.0


@real_terms.register
def _(prior: StudentT) -> tuple[float, float, float, float, float, float]:
    return prior.mean, prior.scale, 0.0, 0.5 * (prior.df + 1.0), 0.0, prior.df


@real_terms.register
def _(prior: Laplace) -> tuple[float, float, float, float, float, float]:
    return prior.mean, prior.scale, 0.0, 0.0, 1.0, 1.0


@real_terms.register
def _(prior: Flat) -> tuple[float, float, float, float, float, float]:
    return 0.0, 1.0, 0.0, 0.0, 0.0, 1.0


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
