"""The syntax tree as text, spelled as Python and formulaic spell it."""

from __future__ import annotations

from keyword import iskeyword

from mixedeffects.formula.safety import CONTRASTS
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


def quote(name: str) -> str:
    """A column's name as it stands in a formula: in backticks where it is no plain name."""
    return name if name.isidentifier() and not iskeyword(name) else f"`{name}`"


def render(node: Node) -> str:
    """The tree as text, with Python's ``**`` and the parentheses that were written.

    Examples
    --------
    >>> from mixedeffects.formula.tree import parse
    >>> render(parse("y~I((x)^2)+log( `a b`+1 )").right)
    'I(x ** 2) + log(`a b` + 1)'
    """
    match node:
        case Name(value=value):
            return value if value in CONTRASTS else quote(value)
        case Constant(value=value):
            return repr(value)
        case Paren(inner=Name() | Constant() | Call() | Paren() as inner):
            return render(inner)
        case Paren(inner=inner):
            return f"({render(inner)})"
        case Call():
            return _render_call(node)
        case Sum(operands=((first, operand), *others)):
            rest = "".join(f" {sign} {render(o)}" for sign, o in others)
            return ("-" if first == "-" else "") + render(operand) + rest
        case Binary(operator=operator, left=left, right=right):
            spelled = {":": ":", "^": " ** "}.get(operator, f" {operator} ")
            return f"{render(left)}{spelled}{render(right)}"
        case Bar(left=left, right=right, double=double):
            return f"{render(left)} {'||' if double else '|'} {render(right)}"
        case Tilde(left=left, right=right):
            return f"{render(left)} ~ {render(right)}"
    return ""  # a sum of nothing


def _render_call(call: Call) -> str:
    arguments = [render(a) for a in call.arguments]
    arguments += [f"{keyword}={render(value)}" for keyword, value in call.keywords]
    # the two that Python cannot spell
    function = {"c": "", "as.factor": "factor"}.get(call.function, call.function)
    return f"{function}({', '.join(arguments)})" if function else f"[{', '.join(arguments)}]"
