"""Independent priors of several numbers, evaluated together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.priors import AbstractPrior, stacked

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

    def log_density_of_logs(self, logs: Floats) -> tuple[float, Floats]:
        """The same of positive numbers as a density of their logarithms (m,), by those."""
        x = np.exp(np.clip(logs, -FARTHEST, FARTHEST))
        value, gradient = self.log_density(x)
        return value + float(np.sum(logs)), gradient * x + 1.0

    def draw(self, rng: np.random.Generator) -> Floats:
        """One vector (m,)."""
        drawn = np.empty(len(self))
        for place, prior in self._groups:
            drawn[place] = prior.draw(rng, drawn[place].shape)
        return drawn
