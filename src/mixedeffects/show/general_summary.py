"""The summary of a generalized fit: its family, and each linear predictor in its own tables."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mixedeffects.families import AbstractFamily
from mixedeffects.fitting.estimates import ComponentEstimate
from mixedeffects.fitting.general_estimates import designs_of
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.formula.design import Design
from mixedeffects.inference.freedom import AbstractFreedom
from mixedeffects.show import formats
from mixedeffects.show.summary import (
    Summary,
    certificate,
    criteria,
    notes,
    rows_and_groups,
    span,
)
from mixedeffects.show.tables import Table, fixed_table, random_table, residual_table

__all__ = ["summarize_general"]

Floats = NDArray[np.float64]

SPOKEN = {"dispersion": "dispersion", "zero_inflation": "zero inflation"}


def summarize_general(
    fit: GeneralFit, residuals: Floats | None, freedom: AbstractFreedom, level: float = 0.95
) -> Summary:
    """Summarize a generalized fit.

    Parameters
    ----------
    fit
    residuals
        (n,) Pearson residuals; None where the response has no mean.
    freedom
        Of the tests and intervals.
    level
        Of the intervals.
    """
    return Summary(
        title=f"Mixed model of family {fit.family.name} by {_criterion(fit)} ({_way(fit)})",
        formula=fit.design.formula,
        facts=tuple(_facts(fit)),
        tables=tuple(_tables(fit, residuals, freedom, level)),
        notes=(*_joint_notes(fit), *_response_notes(fit.design), *notes(fit.design, fit.estimates)),
        certificate=tuple(certificate(fit.estimates)),
        converged=fit.estimates.converged,
    )


def _criterion(fit: GeneralFit) -> str:
    return "REML" if fit.estimates.reml else "maximum likelihood"


def _way(fit: GeneralFit) -> str:
    nodes = fit.quadrature
    if fit.problem.exact:
        return "exact likelihood"
    if nodes == 0:
        return "Laplace approximation with the coefficients as modes"
    return "Laplace approximation" if nodes == 1 else f"adaptive quadrature, {nodes} nodes"


# -- facts ---------------------------------------------------------------------------------


def _facts(fit: GeneralFit) -> Iterator[tuple[str, str]]:
    design, estimates = fit.design, fit.estimates
    yield "Family", fit.family.describe()
    for name in fit.family.predictors()[1:]:
        yield SPOKEN[name].capitalize(), _predictor(fit, name)
    yield from rows_and_groups(design, estimates)
    if design.trials is not None and (design.trials != 1).any():
        yield "Trials", f"{span(design.trials)} a row, {design.trials.sum():,.0f} in all"
    yield criteria(estimates)
    if design.weights is not None:
        yield "Weights", f"{span(design.weights)}; they multiply the rows' log-likelihoods"
    for name, own in (("conditional", design), *design.others.items()):
        if own.offset is not None:
            of = "" if name == "conditional" else f" of the {SPOKEN[name]}"
            yield f"Offset{of}", span(own.offset)


def _predictor(fit: GeneralFit, name: str) -> str:
    """A further predictor's formula, or what it is where it is the same for all rows."""
    family, own = fit.family, fit.design.others.get(name)
    if name != "dispersion" or not np.isfinite(fit.estimates.sigma):
        return "~ 1" if own is None else one_sided(own)
    meaning = f"; {family.variance_is}" if family.variance_is else ""
    return f"{family.sigma_name} {fit.estimates.sigma:.5g}{meaning}"


def one_sided(design: Design) -> str:
    """The formula of a further predictor as it was typed."""
    return f"~ {design.formula.partition('~')[2].strip()}"


# -- tables --------------------------------------------------------------------------------


def _tables(
    fit: GeneralFit, residuals: Floats | None, freedom: AbstractFreedom, level: float
) -> Iterator[Table]:
    if residuals is not None and np.ptp(residuals) > 0:
        yield residual_table(residuals, "Pearson residuals")
    for name, own in designs_of(fit.design, fit.family):
        terms = [t for t in fit.estimates.terms if t.component == name]
        residual_sd = fit.residual_sd if name == "conditional" else None
        if own is not None and (terms or residual_sd is not None):
            of = "" if name == "conditional" else f" of the {SPOKEN[name]}"
            yield random_table(f"Random effects{of}", own.random, terms, residual_sd)
    for component in fit.estimates.components:
        if len(component.beta) and not _is_constant_dispersion(component):
            yield fixed_table(_caption(component, fit.family), component, freedom, level)


def _is_constant_dispersion(component: ComponentEstimate) -> bool:
    """Whether the facts say all of it."""
    return component.name == "dispersion" and component.x_names == ("Intercept",)


def _caption(component: ComponentEstimate, family: AbstractFamily) -> str:
    return {
        "conditional": "Fixed effects",
        "dispersion": f"Dispersion: logarithm of the {family.dispersion}",
        "zero_inflation": "Zero inflation, on the logit scale",
        "threshold": "Thresholds",
        "shape": "Shape",
    }[component.name]


# -- notes ---------------------------------------------------------------------------------


def _joint_notes(fit: GeneralFit) -> Iterator[str]:
    if fit.quadrature == 0:
        yield (
            "quadrature=0: the coefficients are estimated along with the random effects, not by "
            "maximum likelihood, and are nearer to zero; their standard errors take the variances "
            "as known."
        )


def _response_notes(design: Design) -> Iterator[str]:
    categories = design.categories
    if design.trials is not None and len(categories) == 2:
        failure, success = categories
        count = f"{formats.counted(int(design.y.sum()), 'row')} of {len(design.y):,}"
        yield f"{design.response}: {success!r} counts as success, {failure!r} as failure ({count})."
    elif categories:
        yield f"Categories of {design.response} in their order: {', '.join(categories)}."
