"""The tables of a summary, their cells as text, before anything is laid out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance import AbstractSpatial
from mixedeffects.effects.random import correlations
from mixedeffects.fitting.estimates import ComponentEstimate, RandomTermEstimate
from mixedeffects.formula.effects import RandomDesign
from mixedeffects.inference.freedom import AbstractFreedom
from mixedeffects.inference.wald import component_table
from mixedeffects.show import formats

__all__ = ["Table", "fixed_table", "random_table", "residual_table"]

Floats = NDArray[np.float64]

# What a reader takes in; the whole is in fit.fixef() and fit.varcorr().
_COEFFICIENTS = 40
_DEVIATIONS = 20
_CORRELATIONS = 5
_ORDINALS = ("1st", "2nd", "3rd", "4th", "5th")
# Structures with one standard deviation, of which one row tells all.
_COMPRESSED = ("id", "homcs", "ar1", "exp", "gau", "ou")
# Parameters of which zero is no hypothesis.
_UNTESTED = ("threshold", "shape")
_TESTS = {
    "satterthwaite": "t tests: Satterthwaite's degrees of freedom",
    "kenward-roger": "t tests: Kenward-Roger's degrees of freedom and standard errors",
    "residual": "t tests: nobs - p degrees of freedom",
    "asymptotic": "z tests: normal approximation",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts.

    Attributes
    ----------
    caption : str
    header : tuple of str
        One for each column; empty over the names of rows.
    rows : tuple of tuple of str
    labels : int
        How many of the first columns are names; the others are numbers.
    notes : tuple of str
        What stands below.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int
    notes: tuple[str, ...] = ()


def residual_table(residuals: Floats, caption: str) -> Table:
    """Quartiles of residuals (n,); ``caption``, of which kind they are."""
    quartiles = np.quantile(residuals, [0.0, 0.25, 0.5, 0.75, 1.0])
    cells = tuple(formats.column(quartiles.tolist(), 3))
    return Table(caption, ("Min", "25%", "Median", "75%", "Max"), (cells,), 0)


def fixed_table(
    caption: str,
    component: ComponentEstimate,
    freedom: AbstractFreedom,
    level: float,
) -> Table:
    """Coefficients of one predictor with tests and intervals; ``caption``, what they are."""
    columns = component_table(component, freedom, level)
    shown = min(len(component.beta), _COEFFICIENTS)
    degrees = columns["df"][:shown]
    exact = freedom.name == "asymptotic"
    decimals = formats.places(columns["std_error"][:shown])
    cells = [
        columns["term"][:shown],
        *(formats.column(columns[name][:shown], decimals) for name in ("estimate", "std_error")),
        [] if exact else formats.column(degrees, 0 if freedom.name == "residual" else 1),
        formats.column(columns["statistic"][:shown], 2),
        [formats.p_value(v) for v in columns["p_value"][:shown]],
        *(formats.column(columns[name][:shown], decimals) for name in ("conf_low", "conf_high")),
    ]
    header = ["", "Estimate", "Std. error", "df", "z" if exact else "t", "p value"]
    header += [f"{50 - 50 * level:.4g}%", f"{50 + 50 * level:.4g}%"]
    left_out = {"df"} if exact else set()
    left_out |= {"df", "z", "t", "p value"} if component.name in _UNTESTED else set()
    kept = [i for i in range(len(header)) if header[i] not in left_out]
    rows = tuple(zip(*(cells[i] for i in kept), strict=True))
    more = len(component.beta) - shown
    notes = (f"{formats.counted(more, 'coefficient')} more: fit.fixef()",) if more else ()
    notes = notes if shown else ("none",)
    tests = "" if component.name in _UNTESTED else f"{_TESTS[freedom.name]}, "
    caption = f"{caption} ({tests}{100 * level:g}% intervals)"
    return Table(caption, tuple(header[i] for i in kept), rows, 1, notes)


# -- random effects ------------------------------------------------------------------------


def random_table(
    caption: str,
    designs: Sequence[RandomDesign],
    terms: Sequence[RandomTermEstimate],
    residual_sd: float | None,
) -> Table:
    """Variances, standard deviations and correlations, each structure by its parameters.

    ``caption``, what they are; ``residual_sd`` stands below where there is one.
    """
    rows = [
        row
        for term, own in zip(terms, designs, strict=True)
        for row in _term_rows(term, own.positions)
    ]
    if residual_sd is not None:
        rows.append(_Row("Residual", "", residual_sd, ()))
    width = max(len(row.correlations) for row in rows)
    sds = [row.sd for row in rows]
    cells = tuple(
        (row.group, row.name, variance, deviation, *row.correlations)
        + ("",) * (width - len(row.correlations))
        for row, variance, deviation in zip(
            rows, formats.sizes([s * s for s in sds]), formats.sizes(sds), strict=True
        )
    )
    header = ("Group", "Term", "Variance", "Std. dev.", *_correlation_header(width))
    return Table(caption, header, cells, 2, tuple(_random_notes(designs, terms)))


def _correlation_header(width: int) -> tuple[str, ...]:
    if width < 2:
        return ("Corr.",) * width
    return (f"Corr. {_ORDINALS[0]}", *_ORDINALS[1:width])


@dataclass(frozen=True, slots=True)
class _Row:
    group: str
    name: str
    sd: float
    correlations: tuple[str, ...]


def _term_rows(term: RandomTermEstimate, positions: Floats | None) -> list[_Row]:
    sds = np.sqrt(np.diagonal(term.covariance))
    group = term.group if term.structure == "us" else f"{term.group} ({term.structure})"
    k = len(sds)
    if term.structure in _COMPRESSED and k > 1:
        name = f"each of {k}: {term.names[0]}, ..., {term.names[-1]}"
        return [_Row(group, name, float(sds[0]), _common(term, positions))]
    cells = _correlation_cells(term)
    return [
        _Row(group if i == 0 else "", term.names[i], float(sds[i]), cells[i])
        for i in range(min(k, _DEVIATIONS))
    ]


def _correlation_cells(term: RandomTermEstimate) -> list[tuple[str, ...]]:
    k = len(term.names)
    if not term.correlated or k == 1:
        return [()] * k
    matrix = correlations(term.covariance)
    if term.structure == "cs":
        return [(formats.correlation(_first_known(matrix[np.tril_indices(k, -1)])),)] + [()] * k
    widest = 1 if term.structure == "toep" else _CORRELATIONS
    return [tuple(map(formats.correlation, matrix[i, : min(i, widest)])) for i in range(k)]


def _common(term: RandomTermEstimate, positions: Floats | None) -> tuple[str, ...]:
    """The one correlation of homcs, that of the nearest times of ar1, none of id."""
    if not term.correlated:
        return ()
    if isinstance(term.kind, AbstractSpatial):
        return (formats.correlation(float(term.kind.unit_correlation(term.theta[1])[0])),)
    nearest, _ = _nearest(len(term.names), positions)
    matrix = correlations(term.covariance)
    return (formats.correlation(float(matrix[nearest + 1, nearest])),)


def _nearest(k: int, positions: Floats | None) -> tuple[int, float]:
    """The first of two neighbouring columns nearest in time, and their distance."""
    gaps = np.diff(np.arange(k) if positions is None else np.asarray(positions, dtype=float))
    return int(gaps.argmin()), float(gaps.min())


def _first_known(values: Sequence[float] | Floats) -> float:
    return next((float(v) for v in values if not np.isnan(v)), float("nan"))


def _random_notes(
    designs: Sequence[RandomDesign], terms: Sequence[RandomTermEstimate]
) -> Iterator[str]:
    meanings: dict[str, None] = {}
    for term, random in zip(terms, designs, strict=True):
        k = len(term.names)
        if k > _DEVIATIONS and term.structure not in _COMPRESSED:
            more = formats.counted(k - _DEVIATIONS, "term")
            yield f"{more} more of ({term.label}): fit.varcorr()"
        if k > _CORRELATIONS + 1 and term.structure in ("us", "known"):
            yield f"All correlations of ({term.label}): fit.varcorr()"
        meanings |= dict.fromkeys(_meaning(term, random.positions))
    yield from meanings


def _meaning(term: RandomTermEstimate, positions: Floats | None) -> Iterator[str]:
    structure, k = term.structure, len(term.names)
    if structure == "known":
        yield "known: the levels are related by a given matrix"
    if k == 1:
        return
    if structure in ("cs", "homcs"):
        yield f"{structure}: one correlation for all pairs"
    if structure == "ar1":
        _, gap = _nearest(k, positions)
        yield f"ar1: correlation at distance {gap:g}, a power of the distance beyond"
    if structure == "toep":
        yield "toep: correlation with the first, the same for all pairs as far apart"
    if isinstance(term.kind, AbstractSpatial):
        law = _decay(term.kind, float(term.theta[1]))
        yield f"{structure}: correlation at {term.kind.unit_name}; at any, {law}"


def _decay(kind: AbstractSpatial, angle: float) -> str:
    ratio = f"distance/{kind.range(angle):.5g}"
    return f"exp(-({ratio})^2)" if kind.power == 2 else f"exp(-{ratio})"
