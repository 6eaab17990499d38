"""The prior of a whole model: of every parameter, addressed by name or by default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.coefficient_priors import (
    CoefficientPriors,
    functions_of,
    predictor_columns,
)
from mixedeffects.bayes.coordinates import AbstractTermCoordinates, term_coordinates
from mixedeffects.bayes.improper import check_posterior
from mixedeffects.bayes.independent import Independent, PositiveIndependent
from mixedeffects.bayes.prior_addresses import Assigned, assign
from mixedeffects.bayes.prior_parameters import ModelParts, has_free_correlations, parameters_of
from mixedeffects.bayes.priors import LKJ, AbstractPrior
from mixedeffects.bayes.shared_priors import (
    ExtrasPrior,
    SigmaPrior,
    coordinates_of,
    dispersion_power,
)
from mixedeffects.covariance import AbstractCovariance
from mixedeffects.data.frames import FrameKind, make_table
from mixedeffects.families import AbstractFamily
from mixedeffects.formula.design import Design

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PriorModel:
    """The prior of every parameter of a model, in the user's units.

    Attributes
    ----------
    coefficients : CoefficientPriors
        Of the coefficients of all linear predictors that have a design, one after the other.
    terms : tuple of AbstractTermCoordinates
        Of each random term: those of the conditional predictor, then of the others.
    deviation_names : tuple of tuple of str
        Of each term's standard deviations.
    sigma : SigmaPrior or None
        Of the one dispersion of all rows; None without dispersion or with a formula of it.
    extras : ExtrasPrior
        Of the family's extra parameters.
    assigned : tuple of Assigned
        Every parameter with its prior, in the order of the table.
    frame : FrameKind
        The library of the table.
    """

    coefficients: CoefficientPriors
    terms: tuple[AbstractTermCoordinates, ...]
    deviation_names: tuple[tuple[str, ...], ...]
    sigma: SigmaPrior | None
    extras: ExtrasPrior
    assigned: tuple[Assigned, ...] = field(repr=False)
    frame: FrameKind = field(repr=False)

    def table(self) -> Any:
        """A row for each parameter: its address, its prior, and whether that was given.

        Columns ``parameter prior source``; a prior marked "at the means" is that of the
        predictor where all columns have their means.
        """
        return make_table(self.columns(), self.frame)

    def columns(self) -> dict[str, list[str]]:
        """The columns of the table."""
        means = self._at_means()
        return {
            "parameter": [own.parameter.name for own in self.assigned],
            "prior": [
                str(own.prior) + (" at the means" if own.parameter.name in means else "")
                for own in self.assigned
            ],
            "source": [own.source for own in self.assigned],
        }

    def _at_means(self) -> set[str]:
        """Parameters whose prior is of the predictor at the means of the columns."""
        functions, extras = self.coefficients.functions, self.extras
        intercepts = np.flatnonzero(np.count_nonzero(functions, axis=1) > 1)
        names = {self.coefficients.names[i] for i in intercepts}
        return names | {extras.names[j] for j in np.flatnonzero(extras.shifts.any(axis=1))}


def build_priors(
    design: Design,
    family: AbstractFamily,
    priors: Mapping[str, AbstractPrior] | None = None,
) -> PriorModel:
    """The prior of each parameter: the one given for it or for its class, or the default.

    Parameters
    ----------
    design : Design
        With those of further predictors in ``others``.
    family : AbstractFamily
        ``ZeroInflated`` where the design has a zero inflation.
    priors : mapping of str to AbstractPrior, optional
        By address: a parameter ("Days", "sd(Days | Subject)", "cor(Subject)", "sigma", "1|2",
        "dispersion: x") or a class of them ("b", "sd(Subject)", "sd", "cor", "threshold").

    Raises
    ------
    ModelError
        For an address that the model does not have, a prior of the wrong kind, or one that
        leaves no posterior.

    Examples
    --------
    >>> from mixedeffects.bayes.priors import Normal
    >>> from mixedeffects.data import datasets
    >>> from mixedeffects.families import build
    >>> from mixedeffects.formula.design import build_design
    >>> design = build_design("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
    >>> build_priors(design, build("gaussian"), {"Days": Normal(0, 20)}).table()
                     parameter                              prior   source
    0                Intercept  Normal(298.5, 140.4) at the means  default
    1                     Days                      Normal(0, 20)    given
    2  sd(Intercept | Subject)             HalfStudentT(3, 104.4)  default
    3       sd(Days | Subject)             HalfStudentT(3, 19.56)  default
    4             cor(Subject)                             LKJ(1)  default
    5                    sigma             HalfStudentT(3, 56.17)  default
    """
    response = family.response(design.y, design.trials, design.response, design.rows)
    extras = family.extras(response)
    with np.errstate(all="ignore"):  # of values that no fit takes, see fitting/refusals.py
        predictors = predictor_columns(design, family)
        model = ModelParts(design, family, response, extras, predictors)
        parameters = parameters_of(model)
    assigned = assign(parameters, priors)
    found = _assembled(model, assigned)
    check_posterior(model, found)
    return found


def _assembled(model: ModelParts, assigned: Sequence[Assigned]) -> PriorModel:
    left = iter(assigned)
    own = [next(left) for p in model.predictors for _ in p.names]
    coefficients = CoefficientPriors(
        names=tuple(a.parameter.name for a in own),
        functions=functions_of(
            model.predictors,
            [p.intercept and own[p.first].source == "default" for p in model.predictors],
        ),
        independent=Independent([a.prior for a in own]),
    )
    terms = [_coordinates(covariance, left) for _, _, covariance in model.terms]
    sigma = None
    if model.has_sigma:
        sigma = SigmaPrior(next(left).prior, dispersion_power(model.family))
    return PriorModel(
        coefficients=coefficients,
        terms=tuple(coordinates for coordinates, _ in terms),
        deviation_names=tuple(names for _, names in terms),
        sigma=sigma,
        extras=_extras(model, list(left), len(own)),
        assigned=tuple(assigned),
        frame=model.design.frame,
    )


def _coordinates(
    covariance: AbstractCovariance, left: Iterator[Assigned]
) -> tuple[AbstractTermCoordinates, tuple[str, ...]]:
    """Those of the next term among the priors left, and the names of its deviations."""
    own = [next(left) for _ in range(covariance.n_deviations or covariance.n_columns)]
    correlation = next(left).prior if has_free_correlations(covariance) else LKJ(1)
    assert isinstance(correlation, LKJ)
    deviations = PositiveIndependent([a.prior for a in own])
    names = tuple(a.parameter.name for a in own)
    return term_coordinates(covariance, deviations, correlation), names


def _extras(model: ModelParts, own: Sequence[Assigned], n_coefficients: int) -> ExtrasPrior:
    kinds, ordered = coordinates_of(model.family, model.extras)
    shifts, constant = np.zeros((len(own), n_coefficients)), np.zeros(len(own))
    for predictor in model.predictors:
        for j, a in enumerate(own if predictor.thresholds else ()):
            if a.source == "default" and a.parameter.values == "real":
                shifts[j, predictor.coefficients] = predictor.X.mean(axis=0)
                constant[j] = predictor.offset
    return ExtrasPrior(
        names=tuple(a.parameter.name for a in own),
        coordinates=kinds,
        ordered=ordered,
        independent=Independent([a.prior for a in own]),
        shifts=shifts,
        constant=constant,
        transform=model.extras,
    )
