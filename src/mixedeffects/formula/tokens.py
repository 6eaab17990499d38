"""Characters to tokens; anything that has no place in a formula stops here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from mixedeffects.errors import FormulaError

__all__ = ["Token", "tokenize"]

Kind = Literal["name", "quoted", "number", "text", "operator", "end"]

_MAX_DEPTH = 40
_CLOSED_BY = {"(": ")", "[": "]"}

_PATTERN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?L?)
      | (?P<name>(?:[^\W\d]|\.(?!\d))[\w.]*)
      | (?P<quoted>`[^`]+`)
      | (?P<text>"[^"]*"|'[^']*')
      | (?P<operator>%in%|\|\||\*\*|==|!=|<=|>=|::|[-+*/:^~|(),=<>\[\]])""",
    re.VERBOSE,
)

_REFUSED = {
    "{": "braces are not part of a formula: they would run code",
    "$": "'$' is not needed: name the column alone, it is looked up in the data",
    "@": "'@' is not part of a formula",
    ";": "one formula at a time: ';' is not allowed",
    "`": "unclosed backtick",
    '"': "unclosed quotation mark",
    "'": "unclosed quotation mark",
    "!": "'!' is not part of a formula",
    "&": "'&' is not part of a formula: make a column of it first",
    "%": "only the operators + - * / : ^ and %in% are read",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text: its kind, its content without quotes, where it starts."""

    kind: Kind
    value: str
    position: int


def tokenize(text: str) -> tuple[Token, ...]:
    """Split a formula into tokens, the last of kind ``"end"``.

    Raises
    ------
    FormulaError
        At a character that no formula has, a name with double underscores,
        or parentheses that do not match.
    """
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _PATTERN.match(text, position)
        if match is None:
            char = text[position]
            raise FormulaError(_REFUSED.get(char, f"{char!r} is not allowed"), text, position)
        kind, value = match.lastgroup, match.group()
        if kind == "name" and re.search(r"(^|\.)__", value):
            raise FormulaError(
                f"{value!r} is not allowed: a formula names columns and functions only"
                " (a column of such a name goes in backticks)",
                text,
                position,
            )
        if kind != "space":
            bare = value[1:-1] if kind in ("quoted", "text") else value
            tokens.append(Token(kind, bare, position))  # type: ignore[arg-type]
        position = match.end()
    _check_parentheses(tokens, text)
    return (*tokens, Token("end", "", len(text.rstrip())))


def _check_parentheses(tokens: list[Token], text: str) -> None:
    opened: list[Token] = []
    for token in tokens:
        if token.kind != "operator":
            continue
        if token.value in _CLOSED_BY:
            opened.append(token)
            if len(opened) > _MAX_DEPTH:
                raise FormulaError("too many nested parentheses", text, token.position)
        elif token.value in _CLOSED_BY.values():
            if not opened or _CLOSED_BY[opened[-1].value] != token.value:
                raise FormulaError(f"{token.value!r} closes nothing", text, token.position)
            opened.pop()
    if opened:
        raise FormulaError(f"unclosed {opened[-1].value!r}", text, opened[-1].position)
