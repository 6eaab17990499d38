"""The parameters of a model that have a prior: their addresses, ranges and defaults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mixedeffects.bayes.coefficient_priors import PredictorColumns
from mixedeffects.bayes.prior_addresses import PriorParameter, Range
from mixedeffects.bayes.prior_defaults import (
    coefficient_defaults,
    deviation_defaults,
    extra_default,
    sigma_default,
    size_of,
)
from mixedeffects.bayes.priors import LKJ
from mixedeffects.bayes.shared_priors import Coordinate, coordinates_of
from mixedeffects.covariance import AbstractCovariance
from mixedeffects.families import AbstractFamily, Response
from mixedeffects.families.base import Extras
from mixedeffects.fitting.estimates import prefix_of
from mixedeffects.fitting.fit import term_arrays
from mixedeffects.fitting.general_estimates import extra_names
from mixedeffects.formula.design import Design
from mixedeffects.formula.effects import RandomDesign

CONDITIONAL = "conditional"


@dataclass(frozen=True, slots=True)
class ModelParts:
    """A model as its prior sees it."""

    design: Design
    family: AbstractFamily
    response: Response
    extras: Extras
    predictors: tuple[PredictorColumns, ...]

    def design_of(self, name: str) -> Design:
        """Of a linear predictor."""
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
        """Whether one dispersion is that of all rows."""
        return self.family.has_dispersion and "dispersion" not in self.design.others


def parameters_of(model: ModelParts) -> list[PriorParameter]:
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


def _of_predictor(
    model: ModelParts, predictor: PredictorColumns
) -> list[tuple[str, PriorParameter]]:
    own, prefix = predictor.name, prefix_of(predictor.name)
    size = size_of(own, model.design_of(own), model.family, model.response)
    defaults = coefficient_defaults(predictor, size)
    found = []
    for j, (name, default) in enumerate(zip(predictor.names, defaults, strict=True)):
        classes = () if j == 0 and predictor.intercept else (f"{prefix}b",)
        parameter = PriorParameter(f"{prefix}{name}", (), tuple(classes), "real", default)
        found.append((f"{own}: {name}", parameter))
    return found


def _of_term(
    model: ModelParts, name: str, random: RandomDesign, covariance: AbstractCovariance
) -> list[tuple[str, PriorParameter]]:
    prefix, group = prefix_of(name), random.group
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
    if has_free_correlations(covariance):
        found.append(_correlation(model, name, random))
    return found


def _correlation(model: ModelParts, name: str, random: RandomDesign) -> tuple[str, PriorParameter]:
    """By its group where it is the only one of it, else by its term."""
    prefix = prefix_of(name)
    by_label = f"{prefix}cor({random.label})"
    by_group, wide = f"{prefix}cor({random.group})", f"{prefix}cor"
    groups = [r.group for n, r, c in model.terms if n == name and has_free_correlations(c)]
    if groups.count(random.group) > 1:
        own = PriorParameter(by_label, (), (by_group, wide), "correlation", LKJ(1))
    else:
        own = PriorParameter(by_group, (), (wide,), "correlation", LKJ(1))
    return by_label, own


def has_free_correlations(covariance: AbstractCovariance) -> bool:
    """Whether correlations are among its parameters."""
    deviations = covariance.n_deviations or covariance.n_columns
    return covariance.n_parameters > deviations


def _of_extras(model: ModelParts) -> list[tuple[str, PriorParameter]]:
    component = model.family.extra_component
    kinds, ordered = coordinates_of(model.family, model.extras)
    ranges: dict[Coordinate, Range] = {"real": "real", "log": "positive", "logit": "interval"}
    wide = "threshold" if model.family.has_thresholds else "cutpoint"
    shown = extra_names(model.extras.names, model.design.categories, model.family)
    found = []
    for raw, name, kind in zip(model.extras.names, shown, kinds, strict=True):
        classes = (wide,) if ordered else ()
        values = "real" if ordered else ranges[kind]
        parameter = PriorParameter(name, (), classes, values, extra_default(raw))
        found.append((f"{component}: {name}", parameter))
    return found
