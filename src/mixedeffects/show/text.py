"""A summary as plain text, within the width of a terminal where names allow."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mixedeffects.show.tables import Table

if TYPE_CHECKING:
    from mixedeffects.show.summary import Summary

__all__ = ["render"]

WIDTH = 88
_GAP = "  "


def render(summary: Summary) -> str:
    """The whole summary, without a line break at its end."""
    parts = [f"{summary.title}\n{_wrapped(summary.formula)}", _facts(summary.facts)]
    parts += [_table(table) for table in summary.tables]
    if summary.notes:
        parts.append("Notes\n" + "\n".join(_wrapped(note, "- ") for note in summary.notes))
    parts.append("\n".join(map(_wrapped, summary.certificate)))
    return "\n\n".join(parts)


def _wrapped(text: str, first: str = "") -> str:
    indent = " " * len(first) if first else _GAP
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    width = max(len(label) for label, _ in facts)
    return "\n".join(_fact(f"{label:<{width}}{_GAP}", text) for label, text in facts)


def _fact(label: str, text: str) -> str:
    """Wrapped after commas only, so that a number stays with its name."""
    tied = ", ".join(piece.replace(" ", "\xa0") for piece in text.split(", "))
    return _wrapped(tied, label).replace("\xa0", " ")


def _table(table: Table) -> str:
    numbers = [_width(table, i) for i in range(table.labels, len(table.header))]
    room = WIDTH - sum(width + len(_GAP) for width in numbers)
    names = _label_widths(table, room)
    lines = [_wrapped(table.caption), _line(table.header, names, numbers)]
    for row in table.rows:
        lines += _row_lines(row, names, numbers)
    lines += [_wrapped(note, _GAP) for note in table.notes]
    return "\n".join(line.rstrip() for line in lines)


def _width(table: Table, column: int) -> int:
    return max(len(cells[column]) for cells in (table.header, *table.rows))


def _label_widths(table: Table, room: int) -> list[int]:
    """Widths of the columns of names: that of the longest name that leaves room for others."""
    widths: list[int] = []
    for column in range(table.labels):
        most = (room - sum(widths)) // (table.labels - column) - len(_GAP)
        cells = [table.header[column], *(row[column] for row in table.rows)]
        widths.append(max((len(c) for c in cells if len(c) <= most), default=0))
    return widths


def _row_lines(cells: Sequence[str], names: Sequence[int], numbers: Sequence[int]) -> list[str]:
    """One line, or two where a name is too long to share it with numbers."""
    labels = cells[: len(names)]
    if all(len(cell) <= width for cell, width in zip(labels, names, strict=True)):
        return [_line(cells, names, numbers)]
    own = _GAP.join(f"{c:<{w}}" for c, w in zip(labels, names, strict=True))
    return [own, _line([*("" for _ in names), *cells[len(names) :]], names, numbers)]


def _line(cells: Sequence[str], names: Sequence[int], numbers: Sequence[int]) -> str:
    left = [f"{c:<{w}}" for c, w in zip(cells, names, strict=False)]
    right = [f"{c:>{w}}" for c, w in zip(cells[len(names) :], numbers, strict=True)]
    return _GAP.join(left + right)
