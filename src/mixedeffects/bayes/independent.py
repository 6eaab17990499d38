"""Independent priors of several numbers, evaluated together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.prior_base import AbstractPositivePrior, AbstractPrior, stacked
from mixedeffects.bayes.priors import Flat

Floats = NDArray[np.float64]

# Logarithms beyond these over- or underflow when squared.
FARTHEST = 340.0


class Independent:
    """Priors of the m elements of a vector, those of a kind as one array operation."""

    __slots__ = ("_groups", "priors")

    def __init__(self, priors: Sequence[AbstractPrior]) -> None:
        self.priors = tuple(priors)
        kinds = dict.fromkeys(type(prior) for prior in priors)
        self._groups = [
            (
                slice(None) if len(kinds) == 1 else np.flatnonzero([type(p) is k for p in priors]),
                stacked([p for p in priors if type(p) is k]),
            )
            for k in kinds
        ]

    def __len__(self) -> int:
        return len(self.priors)

    def log_density(self, x: Floats) -> tuple[float, Floats]:
        """Value, and gradient (m,), at x (m,)."""
        value, gradient = 0.0, np.empty(len(x))
        for place, prior in self._groups:
            own = x[place]
            value += float(np.sum(prior.log_density(own)))
            gradient[place] = prior.gradient(own)
        return value, gradient

    def draw(self, rng: np.random.Generator) -> Floats:
        """One vector (m,)."""
        drawn = np.empty(len(self))
        for place, prior in self._groups:
            drawn[place] = prior.draw(rng, drawn[place].shape)
        return drawn


class PositiveIndependent(Independent):
    """Priors of m positive numbers, as densities of their logarithms."""

    __slots__ = ("_constant", "_terms")

    def __init__(self, priors: Sequence[AbstractPrior]) -> None:
        super().__init__(priors)
        known = [p for p in priors if isinstance(p, AbstractPositivePrior | Flat)]
        assert len(known) == len(self.priors)
        self._terms = [p.terms for p in known]
        self._constant = float(sum(p.log_constant for p in known))

    def log_density_of_logs(self, logs: Floats) -> tuple[float, Floats]:
        """Value, Jacobian included, and gradient (m,), at logarithms (m,)."""
        # a loop: they are few, and an array operation costs more than ten of numbers
        value, slopes = self._constant, []
        for x, (a, b, c, d, e) in zip(logs.tolist(), self._terms, strict=True):
            s = math.exp(min(max(x, -FARTHEST), FARTHEST))
            ratio = s * s / e
            value += a * x - b * s - c * s * s - d * math.log1p(ratio)
            slopes.append(a - b * s - 2.0 * (c * s * s + d * (1.0 - 1.0 / (1.0 + ratio))))
        return value, np.array(slopes)
