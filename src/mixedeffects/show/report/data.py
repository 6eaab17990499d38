"""The data that were used: rows, response, variables, groups."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import Column
from mixedeffects.formula.design import Design
from mixedeffects.formula.terms import formula_columns
from mixedeffects.show import formats
from mixedeffects.show.report.elements import definitions, paragraph, table
from mixedeffects.show.report.words import response_name
from mixedeffects.show.tables import Table

# Levels of a factor that are named.
_LEVELS = 8


def data_summary(design: Design) -> tuple[str, ...]:
    """Rows used and left out, the response, the variables, the groups."""
    return (
        definitions(_rows(design)),
        _dropped(design),
        table(_variables(design)),
        table(_groups(design)) if _random(design) else paragraph("There are no groups."),
    )


def _rows(design: Design) -> Iterator[tuple[str, str]]:
    used = len(design.y)
    yield "Rows used", f"{used:,} of {design.n_rows:,}"
    yield "Response", f"{response_name(design)}: {_response(design)}"


def _response(design: Design) -> str:
    if design.trials is not None:
        trials, successes = design.trials.sum(), design.y.sum()
        share = f"{successes:,.0f} successes in {trials:,.0f} trials ({successes / trials:.1%})"
        return share if not design.categories else f"{share}, success: {design.categories[-1]}"
    if design.categories:
        counts = np.bincount(design.y.astype(np.intp), minlength=len(design.categories))
        return ", ".join(f"{c} ({n:,})" for c, n in zip(design.categories, counts, strict=True))
    return _spread(design.y)


def _dropped(design: Design) -> str:
    if not design.dropped:
        return paragraph("No row was left out for missing values.")
    rows = tuple((name, f"{count:,}") for name, count in design.dropped.items())
    note = "A row that lacks several values counts in each of their columns."
    return table(Table("Rows left out for missing values", ("Column", "Rows"), rows, 1, (note,)))


def _variables(design: Design) -> Table:
    groups = _only_groups(design)
    used = {name: column.take(design.rows) for name, column in design.columns.columns.items()}
    rows = tuple(
        (name, *_described(column.as_group() if name in groups else column))
        for name, column in used.items()
    )
    return Table("Variables", ("Column", "Kind", "Values"), rows, 3)


def _only_groups(design: Design) -> set[str]:
    """Columns that only say which rows belong together: their numbers are names."""
    parsed = [own.spec.parsed for own in (design, *design.others.values())]
    terms = [term for one in parsed for term in one.random]
    told = {name for one in parsed for name in one.fixed_columns}
    told |= set(formula_columns(term.formula for term in terms))
    return {name for term in terms for name in term.group} - told


def _described(column: Column) -> tuple[str, str]:
    if column.kind == "numeric":
        return "numbers", _spread(column.values)
    counts = np.bincount(column.values, minlength=len(column.labels()))
    present = [(label, n) for label, n in zip(column.labels(), counts, strict=True) if n]
    if len(present) > _LEVELS:
        return "levels", formats.counted(len(present), "level")
    return "levels", ", ".join(f"{label} ({n:,})" for label, n in present)


def _spread(values: NDArray[np.float64]) -> str:
    mean, low, high = (formats.general(float(f(values))) for f in (np.mean, np.min, np.max))
    sd = formats.general(float(values.std(ddof=1))) if len(values) > 1 else formats.NONE
    return f"mean {mean}, standard deviation {sd}, range {low} to {high}"


def _random(design: Design) -> dict[str, NDArray[np.int64]]:
    """Rows of each level, of each grouping factor."""
    terms = [t for own in (design, *design.others.values()) for t in own.random]
    return {t.group: np.bincount(t.codes, minlength=len(t.levels)) for t in terms}


def _groups(design: Design) -> Table:
    rows = tuple(
        (
            group,
            f"{len(counts):,}",
            f"{counts.min():,}",
            f"{formats.general(float(np.median(counts)))}",
            f"{counts.max():,}",
        )
        for group, counts in _random(design).items()
    )
    header = ("Group", "Levels", "Fewest rows a level", "Median", "Most")
    return Table("Groups", header, rows, 1)
