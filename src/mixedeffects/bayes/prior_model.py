"""The prior of a whole model: of every parameter, addressed by name or by default."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.coefficient_priors import (
    CoefficientPriors,
    PredictorColumns,
    functions_of,
    predictor_columns,
)
from mixedeffects.bayes.coordinates import AbstractTermCoordinates, term_coordinates
from mixedeffects.bayes.improper import check_posterior
from mixedeffects.bayes.independent import Independent, PositiveIndependent
from mixedeffects.bayes.prior_addresses import Assigned, PriorParameter, Range, assign
from mixedeffects.bayes.prior_defaults import (
    coefficient_defaults,
    deviation_defaults,
    extra_default,
    sigma_default,
    size_of,
)
from mixedeffects.bayes.priors import LKJ, AbstractPrior
from mixedeffects.bayes.shared_priors import (
    Coordinate,
    ExtrasPrior,
    SigmaPrior,
    coordinates_of,
    dispersion_power,
)
from mixedeffects.covariance import AbstractCovariance
from mixedeffects.data.frames import FrameKind, make_table
from mixedeffects.families import AbstractFamily, Response
from mixedeffects.families.base import Extras
from mixedeffects.fitting.fit import term_arrays
from mixedeffects.fitting.general_estimates import extra_names
from mixedeffects.formula.design import Design
from mixedeffects.formula.effects import RandomDesign

Floats = NDArray[np.float64]

CONDITIONAL = "conditional"


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
        model = _Model(design, family, response, extras, predictors)
        parameters = _parameters(model)
    assigned = assign(parameters, priors)
    found = _assembled(model, assigned)
    check_posterior(design, family, response, found)
    return found


@dataclass(frozen=True, slots=True)
class _Model:
    """What the prior is about."""

    design: Design
    family: AbstractFamily
    response: Response
    extras: Extras
    predictors: tuple[PredictorColumns, ...]

    def design_of(self, name: str) -> Design:
        return self.design if name == CONDITIONAL else self.design.others[name]

    @property
    def terms(self) -> list[tuple[str, RandomDesign, AbstractCovariance]]:
        """Random terms of all predictors with their structures, and whose they are."""
        return [
            (p.name, random, arrays.covariance)
            for p in self.predictors
            for own in [self.design_of(p.name)]
            for random, arrays in zip(own.random, term_arrays(own), strict=True)
        ]

    @property
    def has_sigma(self) -> bool:
        return self.family.has_dispersion and "dispersion" not in self.design.others


def _parameters(model: _Model) -> list[PriorParameter]:
    """All parameters with their addresses and defaults: coefficients, deviations and
    correlations term by term, the dispersion, extra parameters."""
    found: list[tuple[str, PriorParameter]] = []
    for predictor in model.predictors:
        found += _of_predictor(model, predictor)
    for name, random, covariance in model.terms:
        found += _of_term(model, name, random, covariance)
    if model.has_sigma:
        default = sigma_default(model.design, model.family, model.response)
        sigma = PriorParameter("sigma", (), (), "positive", default)
        found.append(("dispersion: sigma", sigma))
    found += _of_extras(model)
    return _unambiguous(found)


def _unambiguous(found: Sequence[tuple[str, PriorParameter]]) -> list[PriorParameter]:
    """Parameters by their short names where those are theirs alone, else by their full ones."""
    counts = Counter(parameter.name for _, parameter in found)
    return [
        PriorParameter(
            parameter.name if counts[parameter.name] == 1 else full,
            (parameter.name, full, *parameter.aliases),
            parameter.classes,
            parameter.values,
            parameter.default,
        )
        for full, parameter in found
    ]


def _of_predictor(model: _Model, predictor: PredictorColumns) -> list[tuple[str, PriorParameter]]:
    own, prefix = predictor.name, _prefix(predictor.name)
    size = size_of(own, model.design_of(own), model.family, model.response)
    defaults = coefficient_defaults(predictor, size)
    found = []
    for j, (name, default) in enumerate(zip(predictor.names, defaults, strict=True)):
        classes = [] if j == 0 and predictor.intercept else [f"{prefix}b"]
        parameter = PriorParameter(f"{prefix}{name}", (), tuple(classes), "real", default)
        found.append((f"{own}: {name}", parameter))
    return found


def _of_term(
    model: _Model, name: str, random: RandomDesign, covariance: AbstractCovariance
) -> list[tuple[str, PriorParameter]]:
    prefix, group = _prefix(name), random.group
    size = size_of(name, model.design_of(name), model.family, model.response)
    defaults = deviation_defaults(random, covariance, size)
    shared = len(defaults) < len(random.names)
    columns = ("all",) if shared else random.names
    found = []
    for column, default in zip(columns, defaults, strict=True):
        address = f"{prefix}sd({column} | {group})"
        classes = (f"{prefix}sd({group})", f"{prefix}sd")
        full = f"{prefix}sd({column} in {random.label})"
        found.append((full, PriorParameter(address, (), classes, "positive", default)))
    if _correlated(covariance):
        groups = Counter(r.group for n, r, c in model.terms if n == name and _correlated(c))
        alone = groups[group] == 1
        by_label = f"{prefix}cor({random.label})"
        address = f"{prefix}cor({group})"
        wide = f"{prefix}cor"
        own = (
            PriorParameter(address, (), (wide,), "correlation", LKJ(1))
            if alone
            else PriorParameter(by_label, (), (address, wide), "correlation", LKJ(1))
        )
        found.append((by_label, own))
    return found


def _correlated(covariance: AbstractCovariance) -> bool:
    deviations = covariance.n_deviations or covariance.n_columns
    return covariance.n_parameters > deviations


def _of_extras(model: _Model) -> list[tuple[str, PriorParameter]]:
    component = model.family.extra_component
    kinds, ordered = coordinates_of(model.family, model.extras)
    ranges: dict[Coordinate, Range] = {"real": "real", "log": "positive", "logit": "interval"}
    shown = extra_names(model.extras.names, model.design.categories, model.family)
    found = []
    for raw, name, kind in zip(model.extras.names, shown, kinds, strict=True):
        classes = (
            (("threshold",) if model.family.has_thresholds else ("cutpoint",)) if ordered else ()
        )
        values = "real" if ordered else ranges[kind]
        parameter = PriorParameter(name, (), classes, values, extra_default(raw))
        found.append((f"{component}: {name}", parameter))
    return found


def _prefix(component: str) -> str:
    return "" if component == CONDITIONAL else f"{component}: "


# -- from priors to densities --------------------------------------------------------------


def _assembled(model: _Model, assigned: Sequence[Assigned]) -> PriorModel:
    left = iter(assigned)
    own = [next(left) for p in model.predictors for _ in p.names]
    coefficients = CoefficientPriors(
        names=tuple(a.parameter.name for a in own),
        predictors=model.predictors,
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
    correlation = next(left).prior if _correlated(covariance) else LKJ(1)
    assert isinstance(correlation, LKJ)
    deviations = PositiveIndependent([a.prior for a in own])
    names = tuple(a.parameter.name for a in own)
    return term_coordinates(covariance, deviations, correlation), names


def _extras(model: _Model, own: Sequence[Assigned], n_coefficients: int) -> ExtrasPrior:
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
