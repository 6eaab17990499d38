"""The summary of a fit: what a statistician reads first, as text and as HTML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.families import AbstractFamily
from mixedeffects.fitting.checks import Check
from mixedeffects.fitting.estimates import ComponentEstimate, Estimates
from mixedeffects.formula.design import Design
from mixedeffects.inference.freedom import AbstractFreedom
from mixedeffects.show import formats
from mixedeffects.show import html as as_html
from mixedeffects.show import text as as_text
from mixedeffects.show.tables import Table, fixed_table, random_table, residual_table

__all__ = ["Summary", "summarize"]

Floats = NDArray[np.float64]

_CAPTIONS = {
    "conditional": "Fixed effects",
    "dispersion": "Dispersion, on the log scale",
    "zero_inflation": "Zero inflation, on the logit scale",
    "threshold": "Thresholds",
    "shape": "Shape",
}


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
    family: AbstractFamily | None = None,
) -> Summary:
    """Summarize a fit.

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
    family
        Of a generalized model.
    """
    random = [r for own in (design, *design.others.values()) for r in own.random]
    return Summary(
        title=_title(estimates, family),
        formula=design.formula,
        facts=(*_model_facts(design, estimates, family), *_facts(design, estimates)),
        tables=(
            residual_table(residuals),
            random_table(random, estimates, residual=family is None),
            *(
                fixed_table(component, freedom, level, _CAPTIONS[component.name])
                for component in estimates.components
                if not _is_constant_dispersion(component)
            ),
        ),
        notes=tuple(_notes(design, estimates)),
        certificate=tuple(_certificate(estimates)),
        converged=estimates.converged,
    )


def _title(estimates: Estimates, family: AbstractFamily | None) -> str:
    if family is None:
        return f"Linear mixed model by {'REML' if estimates.reml else 'maximum likelihood'}"
    return "Generalized linear mixed model by maximum likelihood (Laplace approximation)"


def _model_facts(
    design: Design, estimates: Estimates, family: AbstractFamily | None
) -> Iterator[tuple[str, str]]:
    if family is None:
        return
    yield "Family", f"{family.name}, {family.link} link"
    for name, own in design.others.items():
        yield name.replace("_", " ").capitalize(), f"~{own.formula.partition('~')[2]}"
    if any(_is_constant_dispersion(component) for component in estimates.components):
        yield "Dispersion", f"{estimates.sigma:.6g}"


def _is_constant_dispersion(component: ComponentEstimate) -> bool:
    return component.name == "dispersion" and component.x_names == ("Intercept",)


def _facts(design: Design, estimates: Estimates) -> Iterator[tuple[str, str]]:
    rows = f"{estimates.nobs:,}"
    yield "Rows", rows if estimates.nobs == design.n_rows else f"{rows} of {design.n_rows:,}"
    groups = {term.group: len(term.levels) for term in estimates.terms}
    yield "Groups", ", ".join(f"{group} {count:,}" for group, count in groups.items())
    criterion = "REML criterion" if estimates.reml else "-2 log-likelihood"
    yield (
        "Fit",
        f"{criterion} {estimates.objective:.3f}, log-likelihood {estimates.loglik:.3f}, "
        f"AIC {estimates.aic:.3f}, BIC {estimates.bic:.3f}",
    )
    if design.weights is not None:
        yield "Weights", f"{_range(design.weights)}; residual variance is sigma^2 / weight"
    if design.offset is not None:
        yield "Offset", _range(design.offset)


def _range(values: Floats) -> str:
    return f"{formats.general(float(values.min()))} to {formats.general(float(values.max()))}"


def _notes(design: Design, estimates: Estimates) -> Iterator[str]:
    left_out = design.n_rows - estimates.nobs
    if left_out:
        counts = ", ".join(f"{name} {count:,}" for name, count in design.dropped.items())
        yield f"{formats.counted(left_out, 'row')} left out for missing values: {counts}."
    if estimates.aliased:
        yield (
            "Left out, as other columns determine them: "
            f"{', '.join(estimates.aliased)}. Predictions do not depend on the choice."
        )
    yield from (note if note.endswith(".") else f"{note}." for note in design.notes)
    for check in estimates.checks:
        if check.name.startswith("boundary: ") and check.passed:
            yield _singular(check.name.removeprefix("boundary: "))


def _singular(what: str) -> str:
    if what.startswith("sd("):
        return (
            f"Singular fit: {what} is estimated as zero. The data show no such variation beyond "
            "the residual's; leaving the term out gives the same fit."
        )
    return (
        f"Singular fit: the {what} is at its limit, so that a combination of these effects does "
        "not vary. The data support fewer variances than the model has."
    )


def _certificate(estimates: Estimates) -> Iterator[str]:
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
        if not check.name.startswith("boundary: "):
            side = "at most" if check.value <= check.tolerance else "at least"
            yield f"{check.name} {check.value:.2g} ({side} {check.tolerance:g})"
    if zeros:
        yield f"{formats.counted(zeros, 'variance')} rightly at zero"
