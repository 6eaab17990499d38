"""The coefficients of one linear predictor, as hypotheses name them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.standardize import FixedBasis, fixed_basis
from mixedeffects.errors import ModelError
from mixedeffects.fitting.estimates import ComponentEstimate
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_estimates import designs_of
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.formula.design import Design
from mixedeffects.inference.freedom import AbstractFreedom

Floats = NDArray[np.float64]
AnyFit = Fit | GeneralFit


@dataclass(frozen=True, slots=True)
class Coefficients:
    """The coefficients of a linear predictor, or the parameters that all rows share.

    ``estimate``, those kept; ``design`` of the predictor, None where it is a constant;
    ``names`` of all columns; ``terms`` of its formula, and the term that each column belongs to,
    ``term_of``; ``first``, how many columns before the estimated ones thresholds stand in for.
    """

    estimate: ComponentEstimate
    design: Design | None
    names: tuple[str, ...]
    terms: tuple[str, ...]
    term_of: tuple[int, ...]
    first: int

    def columns_of(self, number: int) -> list[int]:
        """Which of the coefficients kept belong to a term."""
        return [j for j, c in enumerate(self.estimate.kept) if self.term_of[c] == number]

    def freedom(self, freedom: AbstractFreedom) -> AbstractFreedom:
        """The degrees of freedom of the conditional predictor's, for these coefficients."""
        own = self.estimate
        if own.name == "conditional":
            return freedom
        return replace(freedom, beta=own.beta, map=own.map, root=own.root)


def coefficients(fit: AnyFit, component: str = "conditional") -> Coefficients:
    """The coefficients of one of a fit's linear predictors.

    Raises
    ------
    ModelError
        If the model has no such predictor.
    """
    known = {own.name: own for own in fit.estimates.components}
    if component not in known:
        listed = ", ".join(repr(name) for name in known)
        raise ModelError(f"component={component!r} is not in the model. It has: {listed}.")
    own, design = known[component], _designs(fit).get(component)
    if design is None:
        names = own.x_names
        terms = ("1",) if names == ("Intercept",) else names
        return Coefficients(own, None, names, terms, tuple(range(len(names))), 0)
    spec, first = design.spec.fixed, int(_without_intercept(design, own))
    return Coefficients(own, design, design.x_names, spec.terms, spec.term_of, first)


def full_basis(fit: AnyFit, own: Coefficients) -> FixedBasis:
    """The basis of a predictor's X, with the intercept that thresholds may stand in for."""
    assert own.design is not None
    if isinstance(fit, GeneralFit):
        if own.first:
            return fixed_basis(own.design.X, fit.problem.weights, 0)
        return next(p.basis for p in fit.problem.predictors if p.name == own.estimate.name)
    return fit.problem.basis


def _designs(fit: AnyFit) -> dict[str, Any]:
    if isinstance(fit, GeneralFit):
        return dict(designs_of(fit.design, fit.family))
    return {"conditional": fit.design}


def _without_intercept(design: Design, own: ComponentEstimate) -> bool:
    return design.has_intercept and 0 not in {*own.kept} and design.x_names[0] not in own.aliased
