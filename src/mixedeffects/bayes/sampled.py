"""What was sampled: a model, its priors, and draws of all its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.standardize import fixed_basis
from mixedeffects.bayes.draws import Draws, Settings
from mixedeffects.bayes.shared_priors import dispersion_power
from mixedeffects.families import AbstractFamily, Response
from mixedeffects.fitting.general_estimates import designs_of, extra_names
from mixedeffects.formula.design import Design
from mixedeffects.formula.effects import RandomDesign

if TYPE_CHECKING:
    from mixedeffects.bayes.prior_model import PriorModel

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Part:
    """One linear predictor.

    ``design`` of its columns, None where it is the same for all rows; ``kept`` (p,) of these
    columns; ``x_names`` of the coefficients; ``place``, theirs among those of all predictors.
    """

    name: str
    design: Design | None
    kept: NDArray[np.intp]
    x_names: tuple[str, ...]
    place: slice


@dataclass(frozen=True, slots=True)
class TermDraws:
    """A random term with its draws, the N of all chains one after the other.

    ``component``, the predictor that it belongs to, of number ``predictor``; ``covariances``
    (N, k, k); ``modes`` (N, L, k).
    """

    component: str
    predictor: int
    design: RandomDesign
    covariances: Floats
    modes: Floats


@dataclass(frozen=True)
class Sampled:
    """Everything that is known of a posterior, or of a prior.

    Attributes
    ----------
    design : Design
        Of the conditional predictor, with those of the others.
    family : AbstractFamily
    response : Response
    priors : PriorModel
    settings : Settings
    draws : Draws
    prior_only : bool
        Whether the draws are of the prior.
    """

    design: Design
    family: AbstractFamily
    response: Response
    priors: PriorModel
    settings: Settings
    draws: Draws
    prior_only: bool

    @property
    def is_linear(self) -> bool:
        """Whether it is a linear model with one residual variance."""
        return is_linear(self.design, self.family)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The linear predictors, in the family's order."""
        return predictor_parts(self.design, self.family)

    @cached_property
    def coefficients(self) -> Floats:
        """Coefficients (C, S, P) of all predictors, a constant dispersion among them."""
        beta = self.draws.beta
        constant = [i for i, part in enumerate(self.parts) if part.design is None]
        if not constant or beta.shape[2] == self.parts[-1].place.stop:
            return beta
        assert self.draws.sigma is not None
        place = self.parts[constant[0]].place.start
        delta = np.log(self.draws.sigma) / dispersion_power(self.family)
        return np.insert(beta, place, delta, axis=2)

    @cached_property
    def flat_coefficients(self) -> Floats:
        """The coefficients (N, P) of all chains, one after the other."""
        return flat(self.coefficients)

    @cached_property
    def extra_names(self) -> tuple[str, ...]:
        """Of the family's extra parameters, thresholds by the categories that they part."""
        names = self.family.extras(self.response).names
        return extra_names(names, self.design.categories, self.family) if names else ()

    @cached_property
    def unconstrained_extras(self) -> Floats:
        """The extra parameters (N, e) as the family's densities take them."""
        return self.family.extras(self.response).from_user(flat(self.draws.extras))

    @cached_property
    def terms(self) -> tuple[TermDraws, ...]:
        """The random terms of all predictors."""
        owners = [
            (part.name, number, term)
            for number, part in enumerate(self.parts)
            for term in (() if part.design is None else part.design.random)
        ]
        draws = zip(owners, self.draws.covariances, self.draws.modes, strict=True)
        return tuple(TermDraws(*owner, flat(c), flat(b)) for owner, c, b in draws)

    @property
    def shape(self) -> tuple[int, int]:
        """Chains and draws of each."""
        return self.draws.beta.shape[:2]

    @property
    def size(self) -> int:
        """Draws of all chains."""
        chains, draws = self.shape
        return chains * draws

    def __getstate__(self) -> dict[str, Any]:
        names = ("design", "family", "response", "priors", "settings", "draws", "prior_only")
        return {name: self.__dict__[name] for name in names}


def is_linear(design: Design, family: AbstractFamily) -> bool:
    """Whether it is a linear model with one residual variance."""
    return family.name == "gaussian" and family.link == "identity" and not design.others


def random_terms(design: Design, family: AbstractFamily) -> list[RandomDesign]:
    """Those of all linear predictors, in the family's order."""
    return [t for _, own in designs_of(design, family) if own is not None for t in own.random]


def predictor_parts(design: Design, family: AbstractFamily) -> tuple[Part, ...]:
    """The linear predictors with the columns that others do not determine."""
    parts, first = [], 0
    for name, own in designs_of(design, family):
        kept = np.arange(1) if own is None else _kept(own, family, name == "conditional")
        names = ("Intercept",) if own is None else tuple(own.x_names[i] for i in kept)
        parts.append(Part(name, own, kept, names, slice(first, first + len(kept))))
        first += len(kept)
    return tuple(parts)


def _kept(design: Design, family: AbstractFamily, conditional: bool) -> NDArray[np.intp]:
    """Columns (p,) with a coefficient; thresholds stand in for an intercept."""
    dropped = int(family.has_thresholds and conditional and design.has_intercept)
    intercept = 0 if design.has_intercept and not dropped else None
    return fixed_basis(design.X[:, dropped:], design.weights, intercept).kept + dropped


def flat(values: Floats) -> Floats:
    """Draws (C, S, ...) of all chains one after the other, (C·S, ...)."""
    chains, draws, *rest = values.shape
    return values.reshape(chains * draws, *rest)


def contiguous(draws: Draws) -> Draws:
    """The same draws laid out as files hold them, so that sums come out the same bit by bit."""
    return replace(
        draws,
        beta=np.ascontiguousarray(draws.beta),
        covariances=tuple(map(np.ascontiguousarray, draws.covariances)),
        modes=tuple(map(np.ascontiguousarray, draws.modes)),
        extras=np.ascontiguousarray(draws.extras),
    )


def row_blocks(n: int, size: int, most: int = 4_000_000) -> Sequence[slice]:
    """Pieces of n rows, of which ``size`` draws each are at most so many numbers."""
    step = max(1, most // max(size, 1))
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]
