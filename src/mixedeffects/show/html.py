"""A summary as HTML for notebooks: one self-contained block that styles nothing outside it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from mixedeffects.show.tables import Table

if TYPE_CHECKING:
    from mixedeffects.show.summary import Summary

__all__ = ["render", "table_element"]

# Text and background are set together, as the page around may be of the other scheme.
_STYLE = """
.mixedeffects-summary {
  --text: #1d2127; --quiet: #59636e; --ground: #ffffff; --line: #d3d9df; --bad: #b3261e;
  color: var(--text); background: var(--ground); border: 1px solid var(--line);
  border-radius: 6px; padding: 0.9em 1.1em; max-width: 62em; overflow-x: auto;
  font: 14px/1.45 system-ui, sans-serif;
}
@media (prefers-color-scheme: dark) {
  .mixedeffects-summary {
    --text: #e4e7eb; --quiet: #9ba5b0; --ground: #16191d; --line: #3a424b; --bad: #ff8a80;
  }
}
.mixedeffects-summary header strong { font-size: 1.15em; }
.mixedeffects-summary code { font-family: ui-monospace, monospace; background: none;
  color: inherit; overflow-wrap: anywhere; }
.mixedeffects-summary dl { display: grid; grid-template-columns: max-content 1fr;
  gap: 0.1em 1.2em; margin: 0.7em 0; }
.mixedeffects-summary dt { color: var(--quiet); font-weight: normal; }
.mixedeffects-summary dd { margin: 0; }
.mixedeffects-summary table { border-collapse: collapse; margin: 0.9em 0 0.2em;
  color: inherit; background: none; font-variant-numeric: tabular-nums; }
.mixedeffects-summary caption { caption-side: top; text-align: left; font-weight: 600;
  color: inherit; padding: 0 0 0.3em; white-space: nowrap; }
.mixedeffects-summary tr { background: none; }
.mixedeffects-summary th, .mixedeffects-summary td { padding: 0.15em 0.9em 0.15em 0;
  text-align: right; white-space: nowrap; font-weight: normal; border: 0;
  background: none; color: inherit; }
.mixedeffects-summary thead th { color: var(--quiet); border-bottom: 1px solid var(--line);
  vertical-align: bottom; }
.mixedeffects-summary .name { text-align: left; white-space: normal;
  overflow-wrap: anywhere; max-width: 24em; }
.mixedeffects-summary p, .mixedeffects-summary ul { margin: 0.3em 0; color: var(--quiet); }
.mixedeffects-summary ul { padding-left: 1.2em; }
.mixedeffects-summary .failed { color: var(--bad); }
"""


def render(summary: Summary) -> str:
    """One ``section`` element with its own style."""
    style = f"<style>{_STYLE}</style>"
    head = (
        f"<header><strong>{escape(summary.title)}</strong><br>"
        f"<code>{escape(summary.formula)}</code></header>"
    )
    body = [style, head, _facts(summary.facts)]
    body += [table_element(table) for table in summary.tables]
    if summary.notes:
        items = "".join(f"<li>{escape(note)}</li>" for note in summary.notes)
        body.append(f'<ul aria-label="Notes">{items}</ul>')
    kind = "" if summary.converged else ' class="failed"'
    body += [f"<p{kind}>{escape(line)}</p>" for line in summary.certificate]
    return f'<section class="mixedeffects-summary">{"".join(body)}</section>'


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    items = "".join(f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>" for label, text in facts)
    return f"<dl>{items}</dl>"


def table_element(table: Table, kind: str = "") -> str:
    """A ``table`` element of a class, with its notes below."""
    attribute = f' class="{kind}"' if kind else ""
    head = "".join(
        f'<th scope="col"{_name(i < table.labels)}>{escape(text)}</th>'
        if text
        else f"<td{_name(i < table.labels)}></td>"
        for i, text in enumerate(table.header)
    )
    rows = "".join(f"<tr>{_cells(row, table.labels)}</tr>" for row in table.rows)
    notes = "".join(f"<p>{escape(note)}</p>" for note in table.notes)
    return (
        f"<table{attribute}><caption>{escape(table.caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{notes}"
    )


def _cells(row: Sequence[str], labels: int) -> str:
    return "".join(
        f'<th scope="row"{_name(True)}>{escape(cell)}</th>'
        if i < labels and cell
        else f"<td{_name(i < labels)}>{escape(cell)}</td>"
        for i, cell in enumerate(row)
    )


def _name(is_name: bool) -> str:
    return ' class="name"' if is_name else ""
