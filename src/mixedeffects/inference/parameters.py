"""The natural parameters of a fit: coefficients, standard deviations, correlations, σ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance import AbstractCovariance
from mixedeffects.covariance.autoregressive import Autoregressive
from mixedeffects.errors import ModelError, suggestion
from mixedeffects.fitting.estimates import RandomTermEstimate
from mixedeffects.fitting.fit import Fit

Floats = NDArray[np.float64]
Kind = Literal["fixed", "sd", "corr", "sigma"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One natural parameter, by the name that it has in tables.

    Attributes
    ----------
    name : str
        ``Days``, ``sd(Days | Subject)``, ``corr(Intercept, Days | Subject)``, ``sigma``.
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
    """

    name: str
    kind: Kind
    group: str | None
    term1: str | None
    term2: str | None
    number: int = 0
    columns: tuple[int, ...] = ()
    position: int | None = None


def natural_parameters(fit: Fit) -> tuple[Parameter, ...]:
    """All of a fit: coefficients, deviations and correlations term by term, then σ."""
    found = [
        Parameter(name, "fixed", None, name, None, j)
        for j, name in enumerate(fit.estimates.x_names)
    ]
    terms = zip(fit.problem.terms, fit.estimates.terms, strict=True)
    for number, (term, names) in enumerate(terms):
        of_term = _free if term.covariance.closure == "affine" else _structured
        found += of_term(number, names, term.covariance)
    return (*found, Parameter("sigma", "sigma", "Residual", None, None))


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
    """Columns ``term kind group term1 term2``."""
    return {
        "term": [p.name for p in parameters],
        "kind": [p.kind for p in parameters],
        "group": [p.group for p in parameters],
        "term1": [p.term1 for p in parameters],
        "term2": [p.term2 for p in parameters],
    }


def natural_value(fit: Fit, parameter: Parameter) -> float:
    """The fit's estimate; NaN for a correlation of what does not vary."""
    return (
        float(fit.estimates.beta[parameter.number])
        if parameter.kind == "fixed"
        else (variance_parameter(fit, parameter)[0])
    )


def variance_parameter(fit: Fit, parameter: Parameter) -> tuple[float, Floats]:
    """A deviation or correlation with the slopes, by standardized θ, of log ψ/σ or ψ.

    The deviations' logarithm less that of σ, the correlations themselves; NaN where that is
    not defined.
    """
    m, sigma = fit.problem.n_parameters, fit.estimates.sigma
    slopes = np.zeros(m)
    if parameter.kind == "sigma":
        return sigma, slopes
    term = fit.problem.terms[parameter.number]
    own = fit.solution.optimum.theta[term.parameters]
    if parameter.kind == "corr" and isinstance(term.covariance, Autoregressive):
        slopes[term.first + 1] = np.cos(own[1])
        return float(np.sin(own[1])), slopes
    rows = np.linalg.inv(term.map)[list(parameter.columns)]
    effects = rows @ term.covariance.factor(own)
    moved = rows @ term.covariance.jacobian(own)
    with np.errstate(invalid="ignore", divide="ignore"):
        sizes = np.sqrt((effects**2).sum(axis=1))
        by_log = (effects * moved).sum(axis=2) / sizes**2
        if parameter.kind == "sd":
            slopes[term.parameters] = by_log[:, 0]
            return float(sigma * sizes[0]), slopes
        product = effects / sizes[:, None]
        correlation = float(np.clip(product[0] @ product[1], -1.0, 1.0))
        cross = (moved[:, 0] @ effects[1] + moved[:, 1] @ effects[0]) / sizes.prod()
        slopes[term.parameters] = cross - correlation * by_log.sum(axis=1)
    return correlation, slopes


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
        name, position = f"corr({which} | {group})", shared + lag - 1
        found.append(Parameter(name, "corr", group, first, second, number, (0, lag), position))
    return found
