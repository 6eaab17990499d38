"""The formula algebra: ``+ - * / : ^`` on terms, a term being a set of factors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

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
)

__all__ = ["Factor", "Term", "expand", "expand_group", "term_text"]

_MOST_TERMS = 5000
_MOST_POWER = 10


@dataclass(frozen=True, slots=True)
class Factor:
    """A column or an expression of columns; equal by its name."""

    name: str
    node: Node = field(compare=False)

    @property
    def columns(self) -> tuple[str, ...]:
        return column_names(self.node)


Term = tuple[Factor, ...]  # the empty term is the intercept


def term_text(terms: Iterable[Term]) -> str:
    """Terms as the right side of a formula, with an explicit ``0`` or ``1``.

    Examples
    --------
    >>> from mixedeffects.formula.tree import parse
    >>> term_text(expand(parse("y ~ a*b - 1").right, ""))
    '0 + a + b + a:b'
    """
    terms = tuple(terms)
    written = [":".join(render(f.node) for f in term) for term in terms if term]
    return " + ".join(["1" if () in terms else "0", *written])


def expand(node: Node, text: str, *, intercept: bool = True) -> tuple[Term, ...]:
    """Terms of a model matrix, the intercept ``()`` first, then by degree.

    Parameters
    ----------
    node : Node
        Right side of a formula, or left side of a random term.
    text : str
        The whole formula, for messages.
    intercept : bool
        Whether there is one unless ``0`` or ``-1`` removes it.

    Raises
    ------
    FormulaError
        For what is not part of the algebra.
    """
    while isinstance(node, Paren):
        node = node.inner
    terms: dict[frozenset[Factor], Term] = {frozenset(): ()} if intercept else {}
    for sign, operand in node.operands if isinstance(node, Sum) else (("+", node),):
        if _is_number(operand, 0) or _is_number(operand, 1):
            _set_intercept(terms, _is_number(operand, 1) == (sign == "+"))
            continue
        found = _Algebra(text).terms(operand)
        for term in found:
            if sign == "-":
                terms.pop(frozenset(term), None)
            else:
                terms.setdefault(frozenset(term), term)
    return tuple(sorted(terms.values(), key=len))


def _is_number(node: Node, value: int) -> bool:
    return isinstance(node, Constant) and type(node.value) is int and node.value == value


def _set_intercept(terms: dict[frozenset[Factor], Term], present: bool) -> None:
    if present:
        terms[frozenset()] = ()
    else:
        terms.pop(frozenset(), None)


def expand_group(node: Node, text: str) -> tuple[tuple[str, ...], ...]:
    """Groups named right of a bar: ``a/b`` is ``a`` and ``a:b``, in that order.

    Raises
    ------
    FormulaError
        If the group is anything but columns joined by ``:``, ``/`` and ``*``.
    """
    terms = _Algebra(text, grouping=True).terms(node)
    return tuple(tuple(f.columns[0] for f in term) for term in terms)


@dataclass(frozen=True, slots=True)
class _Algebra:
    text: str
    grouping: bool = False

    def terms(self, node: Node) -> tuple[Term, ...]:
        match node:
            case Paren(inner=inner):
                return self.terms(inner)
            case Name():
                return ((Factor(node.value, node),),)
            case Call():
                return self.call(node)
            case Sum():
                return self.sum(node)
            case Binary():
                return self.binary(node)
            case Constant() if _is_number(node, 1) and not self.grouping:
                return ((),)
        raise self.fail(node)

    def call(self, node: Call) -> tuple[Term, ...]:
        if self.grouping:
            # a group is a factor already, so factor(g) is g
            match node:
                case Call(function="factor" | "as.factor", arguments=(Name() as name,)):
                    return self.terms(name)
            raise self.fail(node)
        check_expression(node, self.text)
        return ((Factor(render(node), node),),)

    def sum(self, node: Sum) -> tuple[Term, ...]:
        if self.grouping or any(sign == "-" for sign, _ in node.operands):
            raise self.fail(node)
        return _unique(term for _, operand in node.operands for term in self.terms(operand))

    def binary(self, node: Binary) -> tuple[Term, ...]:
        left = self.terms(node.left)
        if node.operator == "^" and not self.grouping:
            return self.power(left, node)
        if node.operator not in ("*", "/", ":"):
            raise self.fail(node)
        right = self.terms(node.right)
        if node.operator == "/":
            common: Term = tuple(dict.fromkeys(f for term in left for f in term))
            return self.bounded((*left, *(_join(common, term) for term in right)), node)
        crossed = tuple(_join(a, b) for a in left for b in right)
        return self.bounded(crossed if node.operator == ":" else (*left, *right, *crossed), node)

    def power(self, left: tuple[Term, ...], node: Binary) -> tuple[Term, ...]:
        exponent = node.right.value if isinstance(node.right, Constant) else None
        if not isinstance(exponent, int) or not 1 <= exponent <= _MOST_POWER:
            raise FormulaError(
                f"'^' crosses terms up to a whole number from 1 to {_MOST_POWER};"
                " for the power of a column write I(x^2)",
                self.text,
                node.position,
            )
        terms = left
        for _ in range(exponent - 1):
            terms = self.bounded(tuple(_join(a, b) for a in terms for b in left), node)
        return terms

    def bounded(self, terms: tuple[Term, ...], node: Binary) -> tuple[Term, ...]:
        unique = _unique(terms)
        if len(unique) > _MOST_TERMS:
            raise FormulaError(f"more than {_MOST_TERMS} terms", self.text, node.position)
        return unique

    def fail(self, node: Node) -> FormulaError:
        position = node.position
        if self.grouping:
            return FormulaError(
                "a group is a column, or columns joined by ':' or '/' ((1 | a/b) is"
                " (1 | a) + (1 | a:b)); make a column of anything else first",
                self.text,
                position,
            )
        match node:
            case Constant(value=str()):
                reason = "a string is not a term; names of columns are written without quotes"
            case Constant():
                reason = "a number is not a term (1 and 0 stand for the intercept)"
            case Binary(operator="%in%"):
                reason = "'%in%' is not read: write a:b, or b/a for b and a within b"
            case Sum():
                reason = "terms are removed outside of parentheses, as in a*b - a:b"
            case _:
                reason = f"{render(node)} is not a term: arithmetic goes into I(...)"
        return FormulaError(reason, self.text, position)


def _join(left: Term, right: Term) -> Term:
    return tuple(dict.fromkeys((*left, *right)))


def _unique(terms: Iterable[Term]) -> tuple[Term, ...]:
    found: dict[frozenset[Factor], Term] = {}
    for term in terms:
        found.setdefault(frozenset(term), term)
    return tuple(found.values())


def quoted_group(columns: tuple[str, ...]) -> str:
    """``a:b`` as it stands in a formula."""
    return ":".join(quote(c) for c in columns)
