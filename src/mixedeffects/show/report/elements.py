"""Pieces of a page as HTML. All text that comes in is escaped here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape

from mixedeffects.show.html import table_element
from mixedeffects.show.tables import Table

# Rows from which on it helps to sort a table.
_SORTABLE = 3
# Inches of a picture that has a line of its own.
_WIDE = 7.5


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a page.

    Attributes
    ----------
    title : str
    parts : tuple of str
        HTML; empty ones are left out.
    """

    title: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture within a page.

    Attributes
    ----------
    source : str
        Its data as an address.
    alt : str
        What it shows.
    width : float
        Inches.
    """

    source: str
    alt: str
    width: float


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph, of a class."""
    return f"<p{_class(kind)}>{escape(text)}</p>"


def heading(text: str, level: int = 3) -> str:
    """A heading within a section."""
    return f"<h{level}>{escape(text)}</h{level}>"


def bullets(items: Iterable[str]) -> str:
    """A list; nothing without items."""
    found = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f"<ul>{found}</ul>" if found else ""


def numbered(items: Iterable[str]) -> str:
    """A numbered list; nothing without items."""
    found = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f"<ol>{found}</ol>" if found else ""


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """Labels with what they stand for."""
    found = "".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in pairs)
    return f"<dl>{found}</dl>" if found else ""


def code(text: str, label: str) -> str:
    """Code as it is typed; long lines scroll within."""
    return f"<pre{_region(label)}><code>{escape(text)}</code></pre>"


def failure(title: str, items: Iterable[str]) -> str:
    """What a reader must know before anything else."""
    return f'<div class="failed" role="note"><p>{escape(title)}</p>{bullets(items)}</div>'


def table(shown: Table, sortable: bool = True) -> str:
    """A table that scrolls within the page, with a click on a header sorting it."""
    header = ("Term" if not shown.header[0] else shown.header[0], *shown.header[1:])
    named = all(row[0] for row in shown.rows)
    kind = "sortable" if sortable and named and len(shown.rows) >= _SORTABLE else ""
    inner = table_element(replace(shown, header=header, notes=()), kind)
    notes = "".join(map(paragraph, shown.notes))
    below = f'<div class="notes">{notes}</div>' if notes else ""
    return f'<div class="table"{_region(shown.caption)}>{inner}</div>{below}'


def mathematics(markup: str, label: str) -> str:
    """Display mathematics that scrolls within the page."""
    return f'<div class="math"{_region(label)}>{markup}</div>'


def figure(picture: Picture, caption: str) -> str:
    """A picture on a white card, so that it reads the same in the dark."""
    image = f'<img src="{picture.source}" alt="{escape(picture.alt)}">'
    kind = "wide" if picture.width > _WIDE else ""
    return f"<figure{_class(kind)}>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def figures(parts: Sequence[str]) -> str:
    """Pictures beside each other where there is room."""
    return f'<div class="figures">{"".join(parts)}</div>' if any(parts) else ""


def left_out(what: str, reason: str) -> str:
    """Why something is not there."""
    end = "" if reason.endswith((".", "!", "?")) else "."
    return paragraph(f"{what} left out: {reason}{end}", "quiet")


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _region(label: str) -> str:
    """A box that scrolls can be reached and scrolled with the keyboard."""
    return f' tabindex="0" role="region" aria-label="{escape(label)}"'
