"""The joint prior of the coefficients of all linear predictors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.standardize import fixed_basis
from mixedeffects.bayes.independent import Independent
from mixedeffects.bayes.priors import Flat, Normal
from mixedeffects.families import AbstractFamily
from mixedeffects.formula.design import Design

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PredictorColumns:
    """The columns of a linear predictor whose coefficients are estimated.

    ``X`` (n, p) and their ``names``; whether the first is the ``intercept``; ``offset``, the
    mean of the offset; ``thresholds``, whether those stand in for the intercept; ``first``,
    the place of its first coefficient among all.
    """

    name: str
    X: Floats = field(repr=False)
    names: tuple[str, ...]
    intercept: bool
    offset: float
    thresholds: bool
    first: int

    @property
    def coefficients(self) -> slice:
        """Their place among the coefficients of all predictors."""
        return slice(self.first, self.first + len(self.names))


def predictor_columns(design: Design, family: AbstractFamily) -> tuple[PredictorColumns, ...]:
    """Those of each predictor that has a design; aliased columns are left out as in a fit."""
    found: list[PredictorColumns] = []
    first = 0
    for name in family.predictors():
        own = design if name == "conditional" else design.others.get(name)
        if own is None:
            continue
        thresholds = family.has_thresholds and name == "conditional"
        dropped = int(thresholds and own.has_intercept)
        intercept = own.has_intercept and not dropped
        X = own.X[:, dropped:]
        kept = fixed_basis(X, design.weights, 0 if intercept else None).kept
        names = tuple(own.x_names[dropped + j] for j in kept)
        offset = 0.0 if own.offset is None else float(np.mean(own.offset))
        X = X if len(kept) == X.shape[1] else X[:, kept]
        found.append(PredictorColumns(name, X, names, intercept, offset, thresholds, first))
        first += len(names)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class CoefficientPriors:
    """Independent priors of the linear functions Aβ of all coefficients β (P,).

    Attributes
    ----------
    names : tuple of str
        Of the coefficients, as they are addressed.
    functions : array (P, P)
        A: the identity but for the rows of intercepts whose prior is of the value of the
        predictor at the means of its columns; |det A| = 1.
    independent : Independent
        The priors of Aβ.
    """

    names: tuple[str, ...]
    functions: Floats = field(repr=False)
    independent: Independent

    def log_density(self, beta: Floats) -> tuple[float, Floats]:
        """Value, and gradient (P,), at β (P,) of the user's columns."""
        value, by_functions = self.independent.log_density(self.functions @ beta)
        return value, by_functions @ self.functions

    def draw(self, rng: np.random.Generator) -> Floats:
        """β (P,) from the prior."""
        return self._inverse(self.independent.draw(rng))

    @property
    def gaussian_root(self) -> tuple[Floats, Floats] | None:
        """R (r, P) and t (r,) of a density proportional to exp(−½|Rβ − t|²); else None.

        A flat prior has no row.
        """
        priors = self.independent.priors
        if not all(isinstance(p, Normal | Flat) for p in priors):
            return None
        normal = [(i, p) for i, p in enumerate(priors) if isinstance(p, Normal)]
        rows = self.functions[[i for i, _ in normal]]
        sd = np.array([p.sd for _, p in normal])
        return rows / sd[:, None], np.array([p.mean for _, p in normal]) / sd

    def _inverse(self, values: Floats) -> Floats:
        """A⁻¹ of values (P,): (A − I)² = 0, for A moves nothing but intercepts, by the others."""
        return 2.0 * values - self.functions @ values


def functions_of(predictors: Sequence[PredictorColumns], centred: Sequence[bool]) -> Floats:
    """A (P, P): coefficients as they are, but for the intercepts of the ``centred`` predictors."""
    functions = np.eye(sum(len(p.names) for p in predictors))
    for predictor, at_means in zip(predictors, centred, strict=True):
        if at_means and predictor.intercept:
            functions[predictor.first, predictor.coefficients] = predictor.X.mean(axis=0)
            functions[predictor.first, predictor.first] = 1.0
    return functions
