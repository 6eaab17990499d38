"""A simulation whose responses are tested, and what a test makes of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.problem import Problem
from mixedeffects.fitting.replicates import Progress, Replicates, fit_responses
from mixedeffects.inference.draws import Draws

Floats = NDArray[np.float64]
Results = tuple[Floats, dict[int, str]]


@dataclass(frozen=True, slots=True)
class Run:
    """One simulation: the model that makes responses, n of them, and how they are fitted."""

    truth: Fit
    draws: Draws
    n: int
    threads: int | None
    progress: Progress | None

    def source(self, first: int, last: int) -> Floats:
        """Responses (nobs, last − first), less the offset."""
        return self.draws.mean[:, None] + self.draws.deviations(first, last)

    def fits(self, problem: Problem, *, told: bool = True) -> Replicates:
        """All responses fitted; whether progress is told."""
        progress = self.progress if told else None
        return fit_responses(problem, self.source, self.n, threads=self.threads, progress=progress)


class AbstractPowerTest(ABC):
    """A test of a fitted model."""

    @property
    @abstractmethod
    def text(self) -> str:
        """What is tested and how, for a reader."""

    @abstractmethod
    def p_values(self, run: Run) -> Results:
        """p values (n,), and why a replicate has none, by number."""
