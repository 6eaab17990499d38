"""Sides of a formula as formulaic's own terms, ours being only what their factors are called.

formulaic reads ``t0*t1 - t0:t1``, where ``t0`` and ``t1`` stand for columns and
expressions, and expands it; so neither odd names nor text inside of an
expression ever reach its parser.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeGuard

from mixedeffects.errors import FormulaError
from mixedeffects.formula.render import quote, render
from mixedeffects.formula.safety import check_expression
from mixedeffects.formula.tree import (
    Binary,
    Call,
    Constant,
    Name,
    Node,
    Paren,
    Sum,
    column_names,
    walk,
)

if TYPE_CHECKING:
    from formulaic import SimpleFormula
    from formulaic.parser.types import Factor, Term

__all__ = [
    "formula_columns",
    "has_intercept",
    "read_expression",
    "read_groups",
    "read_terms",
    "term_columns",
    "term_text",
]

_MOST_TERMS = 5000
_POWERS = range(1, 11)
_GROUP = (
    "a group is a column, or columns joined by ':' or '/' ((1 | a/b) is (1 | a) + (1 | a:b));"
    " make a column of anything else first"
)
_SYNTAX = "this combination of terms is not read: write its terms out, joined by '+'"


def read_terms(node: Node, text: str) -> SimpleFormula:
    """Terms of a model matrix, with an intercept unless ``0`` or ``-1`` removes it.

    Parameters
    ----------
    node : Node
        Right side of a formula, or left side of a random term.
    text : str
        The whole formula, for messages.

    Raises
    ------
    FormulaError
        For what is not part of the algebra, or may not be called.
    """
    from formulaic import Formula, SimpleFormula
    from formulaic.errors import FormulaSyntaxError
    from formulaic.parser.types import Term

    writer = _Writer(text)
    written = writer.write(node)
    if _most_terms(node) > _MOST_TERMS:
        raise FormulaError(f"more than {_MOST_TERMS} terms", text, node.position)
    try:
        terms = Formula(written)
    except FormulaSyntaxError:
        raise FormulaError(_SYNTAX, text, node.position) from None

    def named(term: Term) -> Term:
        # a literal 1 in a product is formulaic's trace of (1 + a):b
        own = [writer.factors[f.expr] for f in term.factors if f.expr in writer.factors]
        return Term(own or term.factors)

    return SimpleFormula(dict.fromkeys(named(term) for term in terms))


def read_groups(node: Node, text: str) -> tuple[tuple[str, ...], ...]:
    """Groups named right of a bar: ``a/b`` is ``a`` and ``a:b``.

    Raises
    ------
    FormulaError
        If the group is anything but columns joined by ``:``, ``/`` and ``*``.
    """
    for part in walk(node):
        match part:
            case Name() | Paren() | Binary(operator="*" | "/" | ":"):
                pass
            case Call(function="factor" | "as.factor", arguments=(Name(),)):
                pass  # a group is a factor already
            case _:
                raise FormulaError(_GROUP, text, part.position)
    return tuple(term_columns(term) for term in read_terms(node, text) if term.degree)


def read_expression(node: Node, text: str) -> SimpleFormula:
    """One column: a response or an offset.

    Raises
    ------
    FormulaError
        If it holds more than columns, arithmetic and the known functions.
    """
    from formulaic import SimpleFormula
    from formulaic.parser.types import Term

    check_expression(node, text)
    return SimpleFormula([Term([_factor(node)])])


def term_text(formula: SimpleFormula) -> str:
    """Terms as the right side of a formula, with an explicit ``0`` or ``1``.

    Examples
    --------
    >>> from mixedeffects.formula.tree import parse
    >>> term_text(read_terms(parse("y ~ a*b - 1").right, ""))
    '0 + a + b + a:b'
    """
    written = [":".join(_spelled(f) for f in term.factors) for term in formula if term.degree]
    return " + ".join(["1" if has_intercept(formula) else "0", *written])


def has_intercept(formula: SimpleFormula) -> bool:
    """Whether the constant is among the terms."""
    return any(not term.degree for term in formula)


def term_columns(term: Term) -> tuple[str, ...]:
    """Columns of the data that a term needs, each once."""
    nodes = (factor.metadata["node"] for factor in term.factors if factor.metadata)
    return tuple(dict.fromkeys(name for node in nodes for name in column_names(node)))


def formula_columns(formulas: Iterable[SimpleFormula]) -> tuple[str, ...]:
    """Columns of the data that formulas need, each once."""
    found = (c for formula in formulas for term in formula for c in term_columns(term))
    return tuple(dict.fromkeys(found))


def _spelled(factor: Factor) -> str:
    column = factor.eval_method.value == "lookup"
    return quote(factor.expr) if column else str(factor.expr)


def _most_terms(node: Node) -> int:
    """No fewer terms than the node expands to."""
    match node:
        case Paren(inner=inner):
            return _most_terms(inner)
        case Sum(operands=operands):
            return sum(_most_terms(operand) for _, operand in operands)
        case Binary(operator="^", left=left, right=Constant(value=int(power))):
            bound: int = (1 + _most_terms(left)) ** power
            return bound
        case Binary(left=left, right=right):
            return (1 + _most_terms(left)) * (1 + _most_terms(right)) - 1
    return 1


class _Writer:
    """Terms for formulaic, a placeholder for each factor."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.placeholders: dict[str, str] = {}
        self.factors: dict[str, Factor] = {}  # by placeholder

    def write(self, node: Node) -> str:
        while isinstance(node, Paren):
            node = node.inner
        operands = node.operands if isinstance(node, Sum) else (("+", node),)
        written = [
            f"{sign} {o.value if _is_number(o, 0, 1) else self.terms(o)}" for sign, o in operands
        ]
        return " ".join(written).removeprefix("+ ")

    def terms(self, node: Node) -> str:
        match node:
            case Paren(inner=inner):
                return f"({self.terms(inner)})"
            case Name():
                return self.factor(node)
            case Call():
                check_expression(node, self.text)
                return self.factor(node)
            case Sum(operands=operands) if all(sign == "+" for sign, _ in operands):
                return " + ".join("1" if _is_number(o, 1) else self.terms(o) for _, o in operands)
            case Binary(operator="^", left=left, right=right) if _is_number(right, *_POWERS):
                return f"{self.terms(left)}**{right.value}"
            case Binary(operator="*" | "/" | ":" as operator, left=left, right=right):
                return f"{self.terms(left)}{operator}{self.terms(right)}"
        raise self.fail(node)

    def factor(self, node: Name | Call) -> str:
        name = render(node)
        if name not in self.placeholders:
            self.placeholders[name] = f"t{len(self.placeholders)}"
            self.factors[self.placeholders[name]] = _factor(node)
        return self.placeholders[name]

    def fail(self, node: Node) -> FormulaError:
        match node:
            case Constant(value=str()):
                reason = "a string is not a term; names of columns are written without quotes"
            case Constant():
                reason = "a number is not a term (1 and 0 stand for the intercept)"
            case Binary(operator="^"):
                reason = (
                    f"'^' crosses terms up to a whole number from 1 to {max(_POWERS)};"
                    " for the power of a column write I(x^2)"
                )
            case Binary(operator="%in%"):
                reason = "'%in%' is not read: write a:b, or b/a for b and a within b"
            case Sum():
                # formulaic and R differ on what is taken away from what inside
                reason = "terms are removed outside of parentheses, as in a*b - a:b"
            case _:
                reason = f"{render(node)} is not a term: arithmetic goes into I(...)"
        return FormulaError(reason, self.text, node.position)


def _is_number(node: Node, *values: int) -> TypeGuard[Constant]:
    return isinstance(node, Constant) and type(node.value) is int and node.value in values


def _factor(node: Node) -> Factor:
    from formulaic.parser.types import Factor

    if isinstance(node, Name):
        return Factor(node.value, eval_method="lookup", metadata={"node": node})
    name = render(node)
    if "`" not in name:
        name = ast.unparse(ast.parse(name, mode="eval"))  # as formulaic spells it
    return Factor(name, eval_method="python", metadata={"node": node})
