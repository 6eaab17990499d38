"""The summary of a fit: what a statistician reads first, as text and as HTML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.fitting.checks import Check
from mixedeffects.fitting.estimates import Estimates
from mixedeffects.formula.design import Design
from mixedeffects.inference.freedom import AbstractFreedom
from mixedeffects.show import formats
from mixedeffects.show import html as as_html
from mixedeffects.show import text as as_text
from mixedeffects.show.tables import Table, fixed_table, random_table, residual_table

__all__ = ["Summary", "certificate", "criteria", "notes", "rows_and_groups", "span", "summarize"]

Floats = NDArray[np.float64]

# Checks that hold and say something of the data.
REMARKS = ("limit: ", "overdispersion")


@dataclass(frozen=True, slots=True, repr=False)
class Summary:
    """A summary; prints as text, and shows as HTML in a notebook.

    Attributes
    ----------
    title, formula : str
    facts : tuple of (label, text)
        Rows, groups, criteria.
    tables : tuple of Table
        Scaled residuals, random effects, fixed effects.
    notes : tuple of str
        What a reader should know of rows, columns, levels and zero variances.
    certificate : tuple of str
        Whether the optimum is one, what fails, and how it was found.
    converged : bool
    """

    title: str
    formula: str
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    certificate: tuple[str, ...]
    converged: bool

    def __str__(self) -> str:
        return as_text.render(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html.render(self)


def summarize(
    design: Design,
    estimates: Estimates,
    residuals: Floats,
    freedom: AbstractFreedom,
    level: float = 0.95,
) -> Summary:
    """Summarize the fit of a linear model.

    Parameters
    ----------
    design, estimates
        Of the fit.
    residuals
        (n,) scaled residuals.
    freedom
        Of the tests and intervals of the fixed effects.
    level
        Of the intervals.
    """
    return Summary(
        title=f"Linear mixed model by {'REML' if estimates.reml else 'maximum likelihood'}",
        formula=design.formula,
        facts=tuple(_facts(design, estimates)),
        tables=(
            residual_table(residuals, "Scaled residuals"),
            random_table("Random effects", design.random, estimates.terms, estimates.sigma),
            fixed_table("Fixed effects", estimates.components[0], freedom, level),
        ),
        notes=tuple(notes(design, estimates)),
        certificate=tuple(certificate(estimates)),
        converged=estimates.converged,
    )


def _facts(design: Design, estimates: Estimates) -> Iterator[tuple[str, str]]:
    yield from rows_and_groups(design, estimates)
    yield criteria(estimates)
    if design.weights is not None:
        yield "Weights", f"{span(design.weights)}; residual variance is sigma^2 / weight"
    if design.offset is not None:
        yield "Offset", span(design.offset)


def rows_and_groups(design: Design, estimates: Estimates) -> Iterator[tuple[str, str]]:
    """How many rows were used, and how many levels the groups have."""
    rows = f"{estimates.nobs:,}"
    yield "Rows", rows if estimates.nobs == design.n_rows else f"{rows} of {design.n_rows:,}"
    groups = {term.group: len(term.levels) for term in estimates.terms}
    yield "Groups", ", ".join(f"{group} {count:,}" for group, count in groups.items())


def criteria(estimates: Estimates) -> tuple[str, str]:
    """The likelihood and what is made of it."""
    criterion = "REML criterion" if estimates.reml else "-2 log-likelihood"
    return (
        "Fit",
        f"{criterion} {estimates.objective:.3f}, log-likelihood {estimates.loglik:.3f}, "
        f"AIC {estimates.aic:.3f}, BIC {estimates.bic:.3f}",
    )


def span(values: Floats) -> str:
    """The least and the largest of values, or the one that there is."""
    low, high = formats.general(float(values.min())), formats.general(float(values.max()))
    return low if low == high else f"{low} to {high}"


def notes(design: Design, estimates: Estimates) -> Iterator[str]:
    """What a reader should know of rows, columns, levels and zero variances."""
    left_out = design.n_rows - estimates.nobs
    if left_out:
        counts = ", ".join(f"{name} {count:,}" for name, count in design.dropped.items())
        yield f"{formats.counted(left_out, 'row')} left out for missing values: {counts}."
    for component in estimates.components:
        if component.aliased:
            of = _of(component.name)
            yield (
                f"Left out{of}, as other columns determine them: "
                f"{', '.join(component.aliased)}. Predictions do not depend on the choice."
            )
    told = dict.fromkeys(n for own in (design, *design.others.values()) for n in own.notes)
    yield from (note if note.endswith(".") else f"{note}." for note in told)
    for check in estimates.checks:
        if check.name.startswith("boundary: ") and check.passed:
            yield _singular(check.name.removeprefix("boundary: "))
        elif check.name.startswith(REMARKS) and check.passed:
            yield f"{check.message[0].upper()}{check.message[1:]}."


def _of(component: str) -> str:
    return "" if component == "conditional" else f" of the {component.replace('_', ' ')}"


def _singular(what: str) -> str:
    if what.startswith("sd("):
        return (
            f"Singular fit: {what} is estimated as zero. The data show no such variation beyond "
            "what chance gives; leaving the term out gives the same fit."
        )
    return (
        f"Singular fit: the {what} is at its limit, so that a combination of these effects does "
        "not vary. The data support fewer variances than the model has."
    )


def certificate(estimates: Estimates) -> Iterator[str]:
    """Whether the optimum is one, what fails, and how it was found."""
    failed = [check for check in estimates.checks if not check.passed]
    if failed:
        yield "The certificate of the optimum does NOT hold:"
        yield from map(_failure, failed)
    else:
        yield f"Optimum certified: {', '.join(_findings(estimates.checks))}."
    evaluations = formats.counted(estimates.optimum.evaluations, "evaluation")
    yield f"{evaluations}; {estimates.way}."


def _failure(check: Check) -> str:
    return f"{check.name} {check.value:.3g} (tolerance {check.tolerance:.3g}): {check.message}."


def _findings(checks: tuple[Check, ...]) -> Iterator[str]:
    zeros = sum(check.name.startswith("boundary: ") for check in checks)
    for check in checks:
        if not check.name.startswith(("boundary: ", *REMARKS)):
            side = "at most" if check.value <= check.tolerance else "at least"
            yield f"{check.name} {check.value:.2g} ({side} {check.tolerance:g})"
    if zeros:
        yield f"{formats.counted(zeros, 'variance')} rightly at zero"
