"""What a formula may call: checked on the syntax tree before anything is evaluated.

What passes is columns, constants, arithmetic and calls of the functions listed
here. Of these alone `python` writes the code that formulaic evaluates, so a
formula from a stranger runs no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mixedeffects.errors import FormulaError, suggestion
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
    walk,
)

__all__ = [
    "CATEGORICAL",
    "CONTRASTS",
    "ELEMENTWISE",
    "FUNCTIONS",
    "Signature",
    "check_expression",
]


@dataclass(frozen=True, slots=True)
class Signature:
    """How many positional arguments a function takes and which keywords."""

    least: int
    most: int
    keywords: frozenset[str] = frozenset()


def _takes(least: int, most: int, *keywords: str) -> Signature:
    return Signature(least, most, frozenset(keywords))


_SPLINE = ("df", "knots", "lower_bound", "upper_bound", "extrapolation")

ELEMENTWISE = (
    *("log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "abs"),
    *("sin", "cos", "tan", "sinh", "cosh", "tanh", "floor", "ceiling"),
)

CATEGORICAL = ("C", "factor", "as.factor")

FUNCTIONS: Mapping[str, Signature] = MappingProxyType(
    {
        **{name: _takes(1, 1) for name in (*ELEMENTWISE, "I", "center")},
        "pmin": _takes(2, 2),
        "pmax": _takes(2, 2),
        "scale": _takes(1, 3, "center", "scale"),
        "poly": _takes(1, 2, "degree", "raw"),
        "bs": _takes(1, 2, "degree", *_SPLINE),
        "ns": _takes(1, 2, "df", "knots"),
        "cr": _takes(1, 2, "constraints", *_SPLINE),
        "cs": _takes(1, 2, "constraints", *_SPLINE),
        "cc": _takes(1, 2, "constraints", *_SPLINE),
        **{name: _takes(1, 1) for name in CATEGORICAL},
        "C": _takes(1, 2, "contrasts"),
        "c": _takes(1, 1000),
    }
)

CONTRASTS: Mapping[str, Signature] = MappingProxyType(
    {
        "contr.treatment": _takes(0, 1, "base"),
        "contr.SAS": _takes(0, 0),
        "contr.sum": _takes(0, 0),
        "contr.helmert": _takes(0, 0),
        "contr.poly": _takes(0, 0),
        "contr.diff": _takes(0, 0),
    }
)

_WAYS_OUT = {
    "offset": "offset(...) stands alone, added to the other terms",
    "cbind": "cbind(...) is a response, left of '~'",
    "relevel": "use C(f, contr.treatment('level')), or order the levels in the data",
    "cut": "cut the column in the data first",
    "lag": "rows have no order here: make the lagged column in the data first",
    "ifelse": "make a column of it in the data first",
    "interaction": "interactions are written a:b",
    "as.numeric": "make the column numeric in the data first",
    "numFactor": "write the coordinates themselves: exp(0 + px + py | group)",
    "Q": "odd names go in backticks: `a name`",
}


def check_expression(node: Node, text: str) -> None:
    """Refuse everything but columns, numbers, arithmetic and the known functions.

    Raises
    ------
    FormulaError
        With the place of the first offending piece.
    """
    for part in walk(node):
        match part:
            case Call():
                _check_call(part, text)
            case Bar():
                raise FormulaError(
                    "'|' belongs in parentheses of its own: (1 | group)", text, part.position
                )
            case Tilde():
                raise FormulaError("'~' is out of place here", text, part.position)
            case Name(value=value) if value.startswith("contr.") and value not in CONTRASTS:
                raise FormulaError(
                    f"unknown contrast {value!r}: known are {', '.join(CONTRASTS)}",
                    text,
                    part.position,
                )
            case Binary(operator="^", right=right) if _too_large(right):
                raise FormulaError("an exponent above 100 is not read", text, part.position)
            case Binary(operator=":" | "%in%" as operator):
                raise FormulaError(f"{operator!r} is not arithmetic", text, part.position)
            case Name() | Constant() | Sum() | Paren() | Binary():
                pass


def _too_large(node: Node) -> bool:
    return isinstance(node, Constant) and isinstance(node.value, int | float) and node.value > 100


def _check_call(call: Call, text: str) -> None:
    known = CONTRASTS.get(call.function) or FUNCTIONS.get(call.function)
    if known is None:
        raise _unknown(call, text)
    if not known.least <= len(call.arguments) <= known.most:
        wanted = str(known.least) if known.least == known.most else f"{known.least}-{known.most}"
        raise FormulaError(
            f"{call.function}() takes {wanted} argument(s) here, not {len(call.arguments)}",
            text,
            call.position,
        )
    for keyword, _ in call.keywords:
        if keyword not in known.keywords:
            taken = ", ".join(sorted(known.keywords)) or "none"
            raise FormulaError(
                f"{call.function}() has no argument {keyword!r} here (it takes: {taken})",
                text,
                call.position,
            )


def _unknown(call: Call, text: str) -> FormulaError:
    name = call.function
    way_out = _WAYS_OUT.get(name)
    if way_out is None:
        last = name.rsplit(".", 1)[-1]
        near = f" Write {last}(...)." if last in FUNCTIONS else suggestion(name, FUNCTIONS)
        way_out = f"allowed are {', '.join(sorted(FUNCTIONS))}.{near}"
    return FormulaError(
        f"{name!r} is not a function that a formula may call: {way_out}", text, call.position
    )
