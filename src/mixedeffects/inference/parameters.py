"""The natural parameters of a fit: coefficients, standard deviations, correlations, σ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance import AbstractCovariance, AbstractDecay, AbstractSpatial
from mixedeffects.errors import ModelError, suggestion
from mixedeffects.fitting.estimates import ComponentEstimate, RandomTermEstimate
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.fitting.problem import Term

Floats = NDArray[np.float64]
AnyFit = Fit | GeneralFit
Kind = Literal["fixed", "sd", "corr", "sigma"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One natural parameter, by the name that it has in tables.

    Attributes
    ----------
    name : str
        ``Days``, ``sd(Days | Subject)``, ``corr(Intercept, Days | Subject)``, ``sigma``; after
        ``zero_inflation: `` where it belongs to that predictor.
    kind : {"fixed", "sd", "corr", "sigma"}
    group : str or None
        Grouping variable, ``Residual`` for σ, None for a coefficient.
    term1, term2 : str or None
        Columns as in ``varcorr()``; None where a structure's parameter belongs to all.
    number : int
        Of the random term; of a coefficient, its place among those kept.
    columns : tuple of int
        Columns of the random term that show it: (i,) or (i, j).
    position : int or None
        Its place in θ of its term, where it is one of θ.
    component : str
        The linear predictor that it belongs to.
    """

    name: str
    kind: Kind
    group: str | None
    term1: str | None
    term2: str | None
    number: int = 0
    columns: tuple[int, ...] = ()
    position: int | None = None
    component: str = "conditional"


def natural_parameters(fit: AnyFit) -> tuple[Parameter, ...]:
    """All of a fit: coefficients, deviations and correlations term by term, then σ."""
    found = [
        Parameter(name, "fixed", None, name, None, j, component=own.name)
        for own in fit.estimates.components
        for j, name in enumerate(own.x_names)
    ]
    terms = zip(fit.problem.terms, fit.estimates.terms, strict=True)
    for number, (term, names) in enumerate(terms):
        of_term = _free if term.covariance.closure == "affine" else _structured
        parameters = of_term(number, names, term.covariance)
        found += [replace(p, component=names.component) for p in parameters]
    if has_sigma(fit):
        component = "conditional" if isinstance(fit, Fit) else "dispersion"
        found.append(Parameter("sigma", "sigma", "Residual", None, None, component=component))
    return tuple(
        p
        if p.component == "conditional" or p.kind == "sigma"
        else replace(p, name=f"{p.component}: {p.name}")
        for p in found
    )


def has_sigma(fit: AnyFit) -> bool:
    """Whether one dispersion is that of all rows."""
    if isinstance(fit, Fit):
        return True
    return any(
        own.name == "dispersion" and own.x_names == ("Intercept",)
        for own in fit.estimates.components
    )


def chosen(known: Sequence[Parameter], names: str | Sequence[str] | None) -> tuple[Parameter, ...]:
    """Those of the given names, in the order asked for; all for None.

    Raises
    ------
    ModelError
        If a name is not known.
    """
    if names is None:
        return tuple(known)
    found: list[Parameter] = []
    for name in [names] if isinstance(names, str) else list(names):
        same = [p for p in known if p.name == name]
        if not same:
            listed = ", ".join(repr(p.name) for p in known)
            near = suggestion(str(name), [p.name for p in known])
            raise ModelError(f"Parameter {name!r} is not in the model.{near} It has: {listed}.")
        found += same
    return tuple(found)


def identification(parameters: Sequence[Parameter]) -> dict[str, list[Any]]:
    """Columns ``term kind group term1 term2``, after ``component`` where there are several."""
    components = [p.component for p in parameters]
    several = any(c != "conditional" for c in components)
    return ({"component": components} if several else {}) | {
        "term": [p.name for p in parameters],
        "kind": [p.kind for p in parameters],
        "group": [p.group for p in parameters],
        "term1": [p.term1 for p in parameters],
        "term2": [p.term2 for p in parameters],
    }


def natural_value(fit: AnyFit, parameter: Parameter) -> float:
    """The fit's estimate; NaN for a correlation of what does not vary."""
    if parameter.kind == "fixed":
        return float(component_of(fit, parameter.component).beta[parameter.number])
    return variance_parameter(fit, parameter)[0]


def general_values(problem: GeneralProblem, parameters: Sequence[Parameter], psi: Floats) -> Floats:
    """Natural parameters (k,) of a generalized model at ψ (m + p,); NaN where not defined."""
    beta = psi[problem.n_parameters :]
    extras = problem.family.extras(problem.response)
    user = {p.name: p.basis.original(beta[p.coefficients]) for p in problem.predictors}
    shared = extras.to_user(beta[len(beta) - len(extras.names) :])[0]
    values = []
    for parameter in parameters:
        if parameter.kind == "fixed":
            values.append(user.get(parameter.component, shared)[parameter.number])
        elif parameter.kind == "sigma":
            values.append(problem.family.sigma(user["dispersion"][0]))
        else:
            term = problem.terms[parameter.number]
            values.append(_variance_value(term, parameter, psi[term.parameters]))
    return np.array(values, dtype=np.float64)


def _variance_value(term: Term, parameter: Parameter, own: Floats) -> float:
    if parameter.kind == "corr" and isinstance(term.covariance, AbstractDecay):
        return float(term.covariance.unit_correlation(own[1])[0])
    effects = np.linalg.inv(term.map)[list(parameter.columns)] @ term.covariance.factor(own)
    none = np.zeros((0, *effects.shape))
    return variance_function(effects, none, parameter.kind == "sd")[0]


def component_of(fit: AnyFit, name: str) -> ComponentEstimate:
    """The coefficients of a linear predictor."""
    return next(own for own in fit.estimates.components if own.name == name)


def variance_parameter(fit: AnyFit, parameter: Parameter) -> tuple[float, Floats]:
    """A deviation or correlation with the slopes, by standardized θ, of log ψ/σ or ψ.

    The deviations' logarithm less that of σ, the correlations themselves; NaN where that is
    not defined.  Of a generalized fit there is no σ, and θ is along the axes of its factor.
    """
    slopes = np.zeros(fit.problem.n_parameters)
    if parameter.kind == "sigma":
        return fit.estimates.sigma, slopes
    term = fit.problem.terms[parameter.number]
    own = fit.solution.optimum.theta[term.parameters]
    if parameter.kind == "corr" and isinstance(term.covariance, AbstractDecay):
        correlation, slopes[term.first + 1] = term.covariance.unit_correlation(own[1])
        return float(correlation), slopes
    rows = np.linalg.inv(term.map)[list(parameter.columns)]
    factor, moved = term.covariance.factor(own), term.covariance.jacobian(own)
    deviation = parameter.kind == "sd"
    value, by_own = variance_function(rows @ factor, rows @ moved, deviation)
    if isinstance(fit, GeneralFit):
        turned, moved = fit.factor.term_factor(parameter.number)
        _, by_own = variance_function(rows @ turned, rows @ moved, deviation)
    slopes[term.parameters] = by_own
    return (fit.estimates.unit * value if deviation else value), slopes


def variance_function(effects: Floats, moved: Floats, deviation: bool) -> tuple[float, Floats]:
    """Norm of a row, or cosine between two, of a factor; slopes of its logarithm, or of itself.

    ``effects`` (1 or 2, k) the rows, ``moved`` (m, 1 or 2, k) their derivatives.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        sizes = np.sqrt((effects**2).sum(axis=1))
        by_log = (effects * moved).sum(axis=2) / sizes**2
        if deviation:
            return float(sizes[0]), by_log[:, 0]
        product = effects / sizes[:, None]
        correlation = float(np.clip(product[0] @ product[1], -1.0, 1.0))
        cross = (moved[:, 0] @ effects[1] + moved[:, 1] @ effects[0]) / sizes.prod()
        return correlation, cross - correlation * by_log.sum(axis=1)


def _free(
    number: int, names: RandomTermEstimate, covariance: AbstractCovariance
) -> list[Parameter]:
    group, columns = names.group, names.names
    deviations = [
        Parameter(f"sd({a} | {group})", "sd", group, a, None, number, (i,))
        for i, a in enumerate(columns)
    ]
    return deviations + [
        Parameter(f"corr({a}, {b} | {group})", "corr", group, a, b, number, (i, j))
        for i, a in enumerate(columns)
        for j, b in enumerate(columns)
        if i < j
    ]


def _structured(
    number: int, names: RandomTermEstimate, covariance: AbstractCovariance
) -> list[Parameter]:
    """The deviations, then one parameter a correlation, as they stand in θ."""
    group, columns, shared = names.group, names.names, covariance.n_deviations
    found = []
    for i in range(shared):
        column = columns[i] if shared == len(columns) else None
        name = f"sd({column or 'all'} | {group})"
        found.append(Parameter(name, "sd", group, column, None, number, (i,), i))
    for lag in range(1, covariance.n_parameters - shared + 1):
        first, second = columns if len(columns) == 2 else (None, None)
        which = f"{first}, {second}" if len(columns) == 2 else f"lag {lag}"
        if len(columns) > 2 and covariance.name in ("cs", "homcs"):
            which = "all"
        if isinstance(covariance, AbstractSpatial):
            which = covariance.unit_name
        name, position = f"corr({which} | {group})", shared + lag - 1
        found.append(Parameter(name, "corr", group, first, second, number, (0, lag), position))
    return found
