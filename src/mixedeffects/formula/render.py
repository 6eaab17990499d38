"""The syntax tree as text: the names of terms, spelled as formulaic spells them."""

from __future__ import annotations

from keyword import iskeyword

from mixedeffects.formula.tree import (
    Bar,
    Binary,
    Call,
    Constant,
    Name,
    Node,
    Paren,
    Sum,
    Tilde,
)

__all__ = ["quote", "render"]

_LEVELS = {"+": 3, "-": 3, "*": 4, "/": 4, "%in%": 5, ":": 6, "^": 8}
_UNARY, _ATOM, _COMPARISON = 7, 9, 2


def quote(name: str) -> str:
    """A column's name as it stands in a formula: in backticks where it is no plain name."""
    return name if name.isidentifier() and not iskeyword(name) else f"`{name}`"


def render(node: Node) -> str:
    """The tree as text, with Python's ``**`` and only the parentheses it needs.

    Examples
    --------
    >>> from mixedeffects.formula.tree import parse
    >>> render(parse("y~I((x)^2)+log( `a b`+1 )").right)
    'I(x ** 2) + log(`a b` + 1)'
    """
    return _render(node)[0]


def _render(node: Node) -> tuple[str, int]:
    match node:
        case Name(value=value):
            return (value if value.startswith("contr.") else quote(value)), _ATOM
        case Constant(value=value):
            return repr(value), _ATOM
        case Paren(inner=Bar() as bar):
            return f"({render(bar)})", _ATOM
        case Paren(inner=inner):
            return _render(inner)
        case Call():
            return _render_call(node), _ATOM
        case Sum():
            return _render_sum(node)
        case Binary():
            return _render_binary(node)
        case Bar(left=left, right=right, double=double):
            return f"{render(left)} {'||' if double else '|'} {render(right)}", 0
        case Tilde(left=left, right=right):
            return f"{render(left)} ~ {render(right)}", 0


def _render_call(call: Call) -> str:
    arguments = [render(a) for a in call.arguments]
    arguments += [f"{keyword}={render(value)}" for keyword, value in call.keywords]
    joined = ", ".join(arguments)
    return f"[{joined}]" if call.function == "c" else f"{call.function}({joined})"


def _render_sum(node: Sum) -> tuple[str, int]:
    if len(node.operands) == 1:
        text, own = _render(node.operands[0][1])
        if own < _LEVELS["*"]:
            return f"-({text})", _UNARY
        return f"-{text}", _UNARY if own >= _UNARY else _LEVELS["-"]
    parts = []
    for i, (sign, operand) in enumerate(node.operands):
        text = _inside(operand, _LEVELS["+"] + (i > 0))
        parts.append(f"{sign} {text}" if i else text if sign == "+" else f"-{text}")
    return " ".join(parts), _LEVELS["+"]


def _render_binary(node: Binary) -> tuple[str, int]:
    level = _LEVELS.get(node.operator, _COMPARISON)
    power = node.operator == "^"
    left = _inside(node.left, level + power)
    right = _inside(node.right, _UNARY if power else level + 1)
    if node.operator == ":":
        return f"{left}:{right}", level
    return f"{left} {'**' if power else node.operator} {right}", level


def _inside(node: Node, level: int) -> str:
    text, own = _render(node)
    return text if own >= level else f"({text})"
