"""One self-contained page: a title, what comes first, sections, and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from mixedeffects.show.report.elements import Section

_FOLDER = Path(__file__).parent


def page(title: str, lead: Sequence[str], sections: Sequence[Section]) -> str:
    """The page as text.

    Parameters
    ----------
    title : str
        The heading of all.
    lead : sequence of str
        HTML that stands before the sections.
    sections : sequence of Section
    """
    shown = [section for section in sections if any(section.parts)]
    links = "".join(
        f'<li><a href="#s{number}">{escape(section.title)}</a></li>'
        for number, section in enumerate(shown, start=1)
    )
    body = "".join(
        f'<section id="s{number}"><h2>{escape(section.title)}</h2>{"".join(section.parts)}'
        "</section>"
        for number, section in enumerate(shown, start=1)
    )
    style = (_FOLDER / "page.css").read_text(encoding="utf-8")
    script = (_FOLDER / "sort.js").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        # no icon is asked for
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f"<header><h1>{escape(title)}</h1>{''.join(lead)}</header>\n"
        f'<nav aria-label="Contents"><ul>{links}</ul></nav>\n{body}\n</main>\n'
        f"<script>\n{script}</script>\n</body>\n</html>\n"
    )
