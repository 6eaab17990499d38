"""MathML, the mathematics that browsers show by themselves: small pieces, each escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def letter(text: str) -> str:
    """A variable."""
    return f"<mi>{escape(text)}</mi>"


def words(text: str) -> str:
    """Upright text, such as the name of a column, without a formula's backticks."""
    return f"<mtext>{escape(text.replace('`', ''))}</mtext>"


def digits(value: object) -> str:
    """A number."""
    return f"<mn>{escape(str(value))}</mn>"


def sign(text: str) -> str:
    """An operator or relation."""
    return f"<mo>{escape(text)}</mo>"


def row(*parts: str) -> str:
    """Parts one after the other."""
    return f"<mrow>{''.join(parts)}</mrow>"


def sub(base: str, *below: str) -> str:
    """A subscript, its parts separated by commas."""
    return f"<msub>{base}{row(_separated(below))}</msub>"


def power(base: str, above: str) -> str:
    """A superscript."""
    return f"<msup>{base}{above}</msup>"


def ratio(over: str, under: str) -> str:
    """A fraction."""
    return f"<mfrac>{over}{under}</mfrac>"


def total(of: str, index: str, first: object, last: object) -> str:
    """A sum over an index."""
    below = row(letter(index), sign("="), digits(first))
    return row(f"<munderover>{sign('∑')}{below}{digits(last)}</munderover>", of)


def times(a: str, b: str) -> str:
    """A product without a sign."""
    return row(a, sign("\u2062"), '<mspace width="0.17em"></mspace>', b)


def call(function: str, *arguments: str) -> str:
    """A function of arguments."""
    return row(function, sign("\u2061"), bracket("("), _separated(arguments), bracket(")"))


def bracket(text: str) -> str:
    """A bracket that does not grow with what it holds."""
    return f'<mo stretchy="false">{escape(text)}</mo>'


def column(entries: Sequence[str]) -> str:
    """A column vector."""
    cells = "".join(f"<mtr><mtd>{entry}</mtd></mtr>" for entry in entries)
    return row(sign("("), f"<mtable>{cells}</mtable>", sign(")"))


def sums(left: str, relation: str, terms: Sequence[str], each: int) -> str:
    """An equation with a sum on its right, so many terms a line."""
    parts = [terms[i : i + each] for i in range(0, len(terms), each)] or [[digits(0)]]
    lines = []
    for number, part in enumerate(parts):
        joined = sign("+").join(part)
        head = (left, relation) if number == 0 else ("", "+")
        lines.append((*head, joined))
    return aligned(lines)


def aligned(lines: Sequence[tuple[str, str, str]]) -> str:
    """Equations as (left, relation, right), aligned at the relation."""
    style = ("text-align:right", "text-align:center", "text-align:left")
    cells = "".join(
        "<mtr>"
        + "".join(
            f'<mtd style="{s}">{row(p)}</mtd>'
            for s, p in zip(style, (line[0], sign(line[1]), line[2]), strict=True)
        )
        + "</mtr>"
        for line in lines
    )
    return f"<mtable>{cells}</mtable>"


def gap() -> str:
    """Space between an equation and what is said of it."""
    return '<mspace width="0.8em"></mspace>'


def display(markup: str) -> str:
    """Mathematics on lines of its own."""
    return f'<math display="block">{markup}</math>'


def _separated(parts: Sequence[str]) -> str:
    return sign(",").join(parts)
