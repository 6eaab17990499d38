"""What of a generalized model is predicted: a function of its linear predictors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from mixedeffects.errors import ModelError
from mixedeffects.families import AbstractFamily, Cumulative, Response, ZeroInflated
from mixedeffects.families.links import LINKS, AbstractLink

Floats = NDArray[np.float64]
Predictors = Sequence[Floats]
Component = Literal["response", "conditional", "zero_inflation", "dispersion"]

# Step of the differences of a target by the predictors, which are of order one.
STEP = 1e-5
# A predictor with a larger standard error than this is at the end of its range, where the
# likelihood is flat on one side: on the scales of logarithms and logits nothing is known of it.
FLAT = 20.0


@dataclass(frozen=True, slots=True)
class Target:
    """A function of the linear predictors.

    ``value`` gives (n,), or (n, K) for K categories; ``link``, the scale on which limits lie
    symmetrically; ``place``, the predictor that it follows; ``plain``, whether it is the link's
    inverse of that predictor and of nothing else.
    """

    value: Callable[[Predictors], Floats]
    link: AbstractLink
    place: int
    plain: bool = False

    def slopes(self, eta: Predictors) -> Floats:
        """Derivatives by the predictors, (n, A) or (n, K, A), by differences unless plain."""
        if self.plain:
            slopes = np.zeros((len(eta[0]), len(eta)))
            slopes[:, self.place] = self.link.slopes(eta[self.place])[0]
            return slopes
        columns = []
        for a in range(len(eta)):
            up, down = (
                [e + sign * STEP if b == a else e for b, e in enumerate(eta)]
                for sign in (1.0, -1.0)
            )
            columns.append((self.value(up) - self.value(down)) / (2.0 * STEP))
        return np.stack(columns, axis=-1)

    def limits(
        self, eta: Predictors, slopes: Floats, covariance: Floats, width: float
    ) -> tuple[Floats, Floats]:
        """Limits ``width`` standard errors away on the link's scale.

        What follows one predictor alone has that predictor's limits, exactly; else the standard
        error on the link's scale is the delta method's.
        """
        others = np.delete(slopes, self.place, axis=-1)
        if slopes.ndim == 2 and not others.any():
            half = width * np.sqrt(covariance[:, self.place, self.place])
            with np.errstate(over="ignore"):  # of a parameter at the end of its range
                low, high = (
                    self.value([e + s * half if a == self.place else e for a, e in enumerate(eta)])
                    for s in (-1.0, 1.0)
                )
        else:
            low, high = self._delta_limits(eta, slopes, covariance, width)
        return np.minimum(low, high), np.maximum(low, high)

    def _delta_limits(
        self, eta: Predictors, slopes: Floats, covariance: Floats, width: float
    ) -> tuple[Floats, Floats]:
        value, spread = self.value(eta), np.sqrt(delta_variance(slopes, covariance))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            t = self.link.forward(value)
            half = width * spread / np.abs(self.link.slopes(t)[0])
            low, high = (
                np.where(spread > 0.0, self.link.inverse(t + s * half), value) for s in (-1.0, 1.0)
            )
        if value.ndim == 1:
            return low, high
        # probabilities of 0 or 1 have no slopes: where nothing is known of η, neither is of them
        flat = covariance[:, self.place, self.place, None] > FLAT**2
        return np.where(flat, 0.0, low), np.where(flat, 1.0, high)


def mean_follows_link(family: AbstractFamily) -> bool:
    """Whether the mean is the inverse link of the conditional predictor."""
    return type(family).mean is AbstractFamily.mean


def delta_variance(slopes: Floats, covariance: Floats) -> Floats:
    """s'Cs for slopes (n, A) or (n, K, A) and covariances (n, A, A) of the predictors."""
    if slopes.ndim == 2:
        return delta_variance(slopes[:, None], covariance)[:, 0]
    variance: Floats = np.einsum("nka,nab,nkb->nk", slopes, covariance, slopes)
    return np.maximum(variance, 0.0)


def target_of(
    family: AbstractFamily, response: Response, component: Component, scale: str
) -> Target:
    """The target that a user asks for.

    Raises
    ------
    ModelError
        If the model has no such component.
    """
    names = family.predictors()
    place = names.index(component) if component in names else 0
    if component not in ("response", "conditional") and not place:
        raise ModelError(_without(family, component))
    if scale == "link":
        return Target(lambda eta: eta[place], LINKS["identity"], place, True)
    if component == "dispersion":
        return Target(lambda eta: family.sigma(eta[place]), LINKS["log"], place)
    if component == "zero_inflation":
        return Target(lambda eta: np.asarray(expit(eta[place])), LINKS["logit"], place, True)
    if isinstance(family, Cumulative):
        return Target(lambda eta: family.probabilities(response, tuple(eta)), LINKS["logit"], 0)
    if component == "conditional" and isinstance(family, ZeroInflated):
        base, out = family.base, family.place
        return Target(
            lambda eta: base.mean(tuple(e for a, e in enumerate(eta) if a != out)),
            family.g,
            0,
            mean_follows_link(base),
        )
    return Target(lambda eta: family.mean(tuple(eta)), family.g, 0, mean_follows_link(family))


def _without(family: AbstractFamily, component: Component) -> str:
    what = "dispersion" if component == "dispersion" else "zero inflation"
    name = family.base.name if isinstance(family, ZeroInflated) else family.name
    return (
        f"component={component!r}: this model of family {name!r} has no {what}; its predictors "
        f"are {', '.join(map(repr, family.predictors()))}."
    )
