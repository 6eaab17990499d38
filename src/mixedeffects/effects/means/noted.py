"""Tables with notes beneath."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class AbstractNoted(ABC):
    """Shows its table and what a reader of it should know."""

    __slots__ = ()

    @property
    @abstractmethod
    def table(self) -> Any:
        """One row an estimate."""

    @property
    @abstractmethod
    def notes(self) -> tuple[str, ...]:
        """What a reader of the table should know."""

    def __getitem__(self, column: str) -> Any:
        """A column of the table."""
        return self.table[column]

    def __repr__(self) -> str:
        table = self.table
        shown = getattr(table, "to_string", None)  # pandas: all columns, whatever the width
        lines = [type(self).__name__, shown() if shown else str(table)]
        return "\n".join([*lines, *(f"- {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        from html import escape

        table = self.table
        shown = getattr(table, "_repr_html_", None)
        body = shown() if shown else f"<pre>{escape(str(table))}</pre>"
        items = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return f"<strong>{type(self).__name__}</strong>{body}<ul>{items}</ul>"
