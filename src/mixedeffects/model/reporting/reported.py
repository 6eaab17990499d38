"""What a page tells of a fit or of a posterior alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice
from typing import Any

from mixedeffects.data.frames import table_columns
from mixedeffects.effects.means.grid import variables
from mixedeffects.families import AbstractFamily
from mixedeffects.fitting.checks import Check
from mixedeffects.formula.design import Design
from mixedeffects.model.reporting.attempts import attempt
from mixedeffects.show.report.certificate import check_table, failures
from mixedeffects.show.report.data import data_summary
from mixedeffects.show.report.elements import (
    Section,
    bullets,
    code,
    definitions,
    figures,
    heading,
    left_out,
    paragraph,
    table,
)
from mixedeffects.show.report.mathematics import equations
from mixedeffects.show.report.methods import with_references
from mixedeffects.show.report.provenance import provenance
from mixedeffects.show.report.sheets import sheet
from mixedeffects.show.report.words import description, response_name
from mixedeffects.show.summary import Summary

# Levels of a factor whose means are shown, and rows of a table of random effects.
_LEVELS, _ROWS = 40, 40


class AbstractReported(ABC):
    """A fit, or a posterior, and the parts of a page about it."""

    kind: str
    """What it is."""
    refits: bool
    """Whether a comparison may refit it by maximum likelihood."""

    def __init__(self, face: Any) -> None:
        self.face = face

    # -- what differs ----------------------------------------------------------------------

    @property
    @abstractmethod
    def family(self) -> AbstractFamily: ...

    @property
    @abstractmethod
    def call(self) -> str:
        """The call that makes it again."""

    @abstractmethod
    def names(self) -> Mapping[str, Sequence[str]]:
        """Coefficients of each linear predictor."""

    @abstractmethod
    def more_results(self) -> tuple[str, ...]:
        """Tables that come after those of the summary."""

    @abstractmethod
    def pictures(self) -> Iterator[str]:
        """Figures, the most telling first."""

    @abstractmethod
    def methods(self, brief: bool = False) -> str:
        """The methods paragraph; ``brief``, where the page has but the main parts."""

    @abstractmethod
    def statistics(self) -> Mapping[str, str]:
        """Criteria for a row each of a comparison."""

    # -- what is the same ------------------------------------------------------------------

    @property
    def design(self) -> Design:
        design: Design = self.face.design
        return design

    @property
    def checks(self) -> tuple[Check, ...]:
        checks: tuple[Check, ...] = self.face.checks
        return checks

    @cached_property
    def summary(self) -> Summary:
        summary: Summary = self.face.summary()
        return summary

    @property
    def title(self) -> str:
        return f"Mixed model of {response_name(self.design)}"

    def lead(self) -> tuple[str, ...]:
        """What stands first: whether the numbers can be trusted, and the main facts."""
        return (
            paragraph(f"{self.summary.title}."),
            code(self.summary.formula, "The formula"),
            self.failed(),
            definitions(self.summary.facts),
        )

    def failed(self, of: str = "") -> str:
        """The checks that fail; ``of``, of what among several."""
        subject = f"{of}: the" if of else "The"
        return failures(self.checks, f"{subject} {self.kind} does not pass its checks:")

    def sections(self) -> list[Section]:
        """All that there is to tell."""
        return [
            Section("Model", self.model()),
            Section("Data", data_summary(self.design)),
            Section("Results", (*map(table, self.summary.tables), *self.more_results())),
            Section("Pictures", (figures(list(self.pictures())),)),
            Section("Marginal means", self.means()),
            Section("Random effects of the levels", self.levels()),
            Section("Checks", self.checked()),
            Section("Methods", (with_references(("", self.methods())),)),
            Section("How to make it again", provenance(self.call)),
        ]

    def brief(self) -> tuple[str, ...]:
        """The main parts, for a page about several."""
        return (
            *self.model(),
            *map(table, self.summary.tables),
            figures(list(islice(self.pictures(), 2))),
            *self.checked(),
            code(self.call, "The call"),
        )

    def model(self) -> tuple[str, ...]:
        """In words and in mathematics."""
        told = bullets(description(self.design, self.family))
        return told, equations(self.design, self.family, self.names())

    def checked(self) -> tuple[str, ...]:
        """Checks, what was noted, and how the numbers were found."""
        notes = bullets(self.summary.notes)
        return (
            check_table(self.checks, f"Checks of the {self.kind}"),
            *((heading("Notes"), notes) if notes else ()),
            paragraph(self.summary.certificate[-1], "quiet"),
        )

    def variables(self) -> tuple[list[str], list[str]]:
        """Factors and covariates of the fixed part."""
        return variables((self.design,))

    def means(self) -> tuple[str, ...]:
        """A table for each factor of the fixed part."""
        factors, _ = self.variables()
        parts = [attempt(f"Means of {name} are", partial(self._means, name)) for name in factors]
        return tuple(parts) or (paragraph("The fixed part has no factors."),)

    def _means(self, name: str) -> str:
        found = self.face.emmeans(name, scale="response", not_estimable="drop")
        columns = table_columns(found.table)
        if len(columns["estimate"]) > _LEVELS:
            return left_out(
                f"Means of {name} are", f"there are {len(columns['estimate'])}; emmeans({name!r})"
            )
        return table(sheet(f"Marginal means of {name} (95% intervals)", columns, found.notes))

    def levels(self) -> tuple[str, ...]:
        """The first levels of each random term."""
        return (attempt("Random effects are", self._levels),)

    def _levels(self) -> str:
        columns = self.modes()
        if not columns["estimate"]:
            return paragraph("The model has no random effects.")
        keys = list(zip(columns.get("component", columns["group"]), columns["group"], strict=True))
        parts = []
        for key in dict.fromkeys(keys):
            rows = [i for i, own in enumerate(keys) if own == key]
            left = len(rows) - _ROWS
            note = f"The first {_ROWS} of {len(rows):,}; all of them: ranef()."
            cut = {n: [v[i] for i in rows[:_ROWS]] for n, v in columns.items() if n != "group"}
            parts.append(table(sheet(f"Effects of {key[1]}", cut, [note] if left > 0 else [])))
        return "".join(parts)

    def modes(self) -> dict[str, list[Any]]:
        """Columns ``group level term estimate std_error``, maybe after ``component``."""
        return table_columns(self.face.ranef())

    def coefficients(self) -> dict[str, str]:
        """Estimates with their standard errors, by name, for a comparison."""
        columns = table_columns(self.face.fixef())
        components = columns.get("component", ["conditional"] * len(columns["term"]))
        shown = sheet("", {n: columns[n] for n in ("term", "estimate", "std_error")})
        named = [
            term if own == "conditional" else f"{own.replace('_', ' ')}: {term}"
            for term, own in zip(columns["term"], components, strict=True)
        ]
        return {n: f"{row[1]} ({row[2]})" for n, row in zip(named, shown.rows, strict=True)}

    def deviations(self) -> dict[str, str]:
        """Standard deviations and correlations, by name, for a comparison."""
        columns = table_columns(self.face.varcorr())
        shown: dict[str, str] = {}
        for i, (group, value) in enumerate(
            zip(columns["group"], columns["sd_or_corr"], strict=True)
        ):
            one, two = (columns[name][i] for name in ("term1", "term2"))
            inner = ", ".join(str(term) for term in (one, two) if term is not None)
            kind = "sd" if two is None else "cor"
            name = f"{kind}({inner} | {group})" if inner else f"sd({group})"
            own = columns.get("component", ["conditional"] * (i + 1))[i]
            name = name if own == "conditional" else f"{own.replace('_', ' ')}: {name}"
            shown[name] = f"{value:.4g}"
        return shown
