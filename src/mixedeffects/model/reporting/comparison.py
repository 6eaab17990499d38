"""A page about several fits side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mixedeffects.data.frames import table_columns
from mixedeffects.model.comparison import compare
from mixedeffects.model.reporting.attempts import attempt
from mixedeffects.model.reporting.reported import AbstractReported
from mixedeffects.show.report.data import data_summary
from mixedeffects.show.report.elements import Section, table
from mixedeffects.show.report.methods import COMPARED, with_references
from mixedeffects.show.report.page import page
from mixedeffects.show.report.provenance import provenance
from mixedeffects.show.report.sheets import sheet
from mixedeffects.show.report.words import response_name
from mixedeffects.show.tables import Table


def comparison_page(parts: Sequence[AbstractReported]) -> str:
    """The page as text."""
    names = [f"Model {i}" for i in range(1, len(parts) + 1)]
    named = list(zip(names, parts, strict=True))
    compared = attempt("Tests of the models against each other are", lambda: _compared(parts))
    methods = [(name, part.methods(brief=True)) for name, part in named]
    if "</table>" in compared:
        methods.append(("Comparison", COMPARED[all(part.refits for part in parts)]))
    widest = max(parts, key=lambda part: len(part.design.columns.columns))
    sections = [
        Section("Models", (table(_models(named)), compared)),
        Section("Side by side", (table(_beside(named), sortable=False),)),
        Section("Data", data_summary(widest.design)),
        *(Section(f"{name}: {part.design.formula}", part.brief()) for name, part in named),
        Section("Methods", (with_references(*methods),)),
        Section("How to make it again", provenance(_call(parts))),
    ]
    title = f"Comparison of {len(parts)} models of {response_name(parts[0].design)}"
    return page(title, [part.failed(name) for name, part in named], sections)


# What other tables say, or would crowd out or contradict the p values that are right.
_APART = ("formula", "family", "objective", "aicc", "p_naive")

Named = Sequence[tuple[str, AbstractReported]]


def _models(named: Named) -> Table:
    rows = tuple(
        (name, part.design.formula, part.summary.title, "hold" if part.face.converged else "FAIL")
        for name, part in named
    )
    return Table("The models", ("Model", "Formula", "Kind", "Checks"), rows, 4)


def _compared(parts: Sequence[AbstractReported]) -> str:
    refit = all(part.refits for part in parts)
    columns = table_columns(compare(*(part.face for part in parts), refit=refit))
    notes = (
        ["Each is tested against the one in the row before.", "(refitted): by maximum likelihood."]
        if refit
        else ["The best first; differences are from it."]
    )
    columns["model"] = [f"Model {place}" for place in columns["model"]]
    shown = {name: column for name, column in columns.items() if name not in _APART}
    return table(sheet("The models compared", shown, notes))


def _beside(named: Named) -> Table:
    """Coefficients, deviations and criteria, a column for each model."""
    columns = [
        {**part.coefficients(), **part.deviations(), **part.statistics()} for _, part in named
    ]
    rows = tuple((name, *(own.get(name, "") for own in columns)) for name in _union(columns))
    notes = ("Standard errors in parentheses.",)
    return Table("Coefficients and criteria", ("", *(name for name, _ in named)), rows, 1, notes)


def _union(columns: Sequence[Mapping[str, str]]) -> list[str]:
    """All names, each after the one that it follows where it was first met."""
    found: list[str] = []
    for own in columns:
        last = -1
        for name in own:
            if name in found:
                last = found.index(name)
            else:
                last += 1
                found.insert(last, name)
    return found


def _call(parts: Sequence[AbstractReported]) -> str:
    calls = [f"model_{i} = {part.call}" for i, part in enumerate(parts, start=1)]
    names = ", ".join(f"model_{i}" for i in range(1, len(parts) + 1))
    return "\n".join([*calls, f"me.compare({names})"])
