"""What the search for an optimum asks of an objective, whichever likelihood it is."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mixedeffects.fitting.optimize import Evaluation
from mixedeffects.fitting.problem import Term

Floats = NDArray[np.float64]


class AbstractProblem(Protocol):
    """A model as arrays: its random terms, ``n_rows``, and m = ``n_parameters`` of θ."""

    @property
    def terms(self) -> tuple[Term, ...]: ...
    @property
    def n_rows(self) -> int: ...
    @property
    def n_parameters(self) -> int: ...


class AbstractObjective(Protocol):
    """−2 log-likelihood of parameters ψ, of which the first m are θ.

    Free terms can be turned to their principal axes, where no parameter is void.
    """

    @property
    def problem(self) -> AbstractProblem: ...
    @property
    def rotated(self) -> bool: ...
    def __call__(self, psi: Floats, /) -> Evaluation: ...
    def rotate(self, psi: Floats, /) -> tuple[Floats, Evaluation] | None: ...
    def upright(self, psi: Floats, /) -> tuple[Floats, Evaluation]: ...
    def principal(self, psi: Floats, /) -> Evaluation: ...
    def by_covariance(self, psi: Floats, /) -> list[Floats]: ...
