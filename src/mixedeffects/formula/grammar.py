"""The lme4 grammar: a formula's response, fixed part, offsets and random terms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from mixedeffects.errors import FormulaError
from mixedeffects.formula.render import quote, render
from mixedeffects.formula.terms import (
    formula_columns,
    read_expression,
    read_groups,
    read_terms,
    term_text,
)
from mixedeffects.formula.tree import (
    Bar,
    Call,
    Constant,
    Name,
    Node,
    Paren,
    Sum,
    column_names,
    parse,
    walk,
)

if TYPE_CHECKING:
    from formulaic import SimpleFormula

__all__ = ["ParsedFormula", "RandomTerm", "parse_formula"]


@dataclass(frozen=True, slots=True)
class RandomTerm:
    """One random term after ``/`` and ``*`` are expanded.

    Attributes
    ----------
    label : str
        As written, the group expanded: ``"Days | Subject"``, ``"diag(x | g)"``.
    structure : str
        Name of the covariance structure; ``"us"`` for a bare ``(x | g)`` and
        ``"diag"`` for ``(x || g)``. Not checked against the known ones here.
    argument : str or None
        ``"K"`` in ``known(1 | animal, K)``.
    effects : str
        Left side, with an explicit ``1`` or ``0``: ``"1 + Days"``.
    group : tuple of str
        Columns whose combinations are the levels.
    position : int
        Where the term starts in the formula.
    formula : formulaic.SimpleFormula
        Left side, expanded.
    """

    label: str
    structure: str
    argument: str | None
    effects: str
    group: tuple[str, ...]
    position: int
    formula: SimpleFormula = field(repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the term needs."""
        return tuple(dict.fromkeys((*formula_columns([self.formula]), *self.group)))


@dataclass(frozen=True, slots=True)
class ParsedFormula:
    """A formula taken apart; no data seen yet.

    Attributes
    ----------
    text : str
        As written.
    response : str
        Left side.
    fixed : str
        Fixed part, expanded, with an explicit ``1`` or ``0``.
    offsets : tuple of str
        What stands in ``offset(...)``.
    random : tuple of RandomTerm
    cbind : tuple of str or None
        ``("k", "n - k")`` for a response ``cbind(k, n - k)``.
    response_node : Node
        Left side as a syntax tree.
    response_formulas, offset_formulas : tuple of formulaic.SimpleFormula
        One for each column; ``cbind`` has two.
    fixed_formula : formulaic.SimpleFormula
        Fixed part, expanded.
    """

    text: str
    response: str
    fixed: str
    offsets: tuple[str, ...]
    random: tuple[RandomTerm, ...]
    cbind: tuple[str, str] | None
    response_node: Node = field(repr=False)
    response_formulas: tuple[SimpleFormula, ...] = field(repr=False)
    offset_formulas: tuple[SimpleFormula, ...] = field(repr=False)
    fixed_formula: SimpleFormula = field(repr=False)

    @property
    def fixed_columns(self) -> tuple[str, ...]:
        """Columns of the fixed part and the offsets."""
        return formula_columns((self.fixed_formula, *self.offset_formulas))

    @property
    def random_columns(self) -> tuple[str, ...]:
        """Columns of the random terms, groups included."""
        return tuple(dict.fromkeys(c for term in self.random for c in term.columns))

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, the response's first."""
        response = formula_columns(self.response_formulas)
        return tuple(dict.fromkeys((*response, *self.fixed_columns, *self.random_columns)))


def parse_formula(text: str) -> ParsedFormula:
    """Take a formula of lme4's grammar apart, without looking at data.

    Parameters
    ----------
    text : str
        For example ``"y ~ x*f + offset(log(n)) + (1 + x | g) + (1 | a/b)"``.

    Returns
    -------
    ParsedFormula

    Raises
    ------
    FormulaError
        With the place in the text; also for everything that is not a column,
        arithmetic or a known function, so that no formula runs code.

    Examples
    --------
    >>> parsed = parse_formula("log(y) ~ Days*f + (Days || g) + (1 | a/b)")
    >>> parsed.fixed
    '1 + Days + f + Days:f'
    >>> [(t.structure, t.effects, t.group) for t in parsed.random]
    [('diag', '1 + Days', ('g',)), ('us', '1', ('a',)), ('us', '1', ('a', 'b'))]
    """
    if not isinstance(text, str):
        raise FormulaError(
            f"a formula is text, not {type(text).__name__}; it comes before the data"
        )
    try:
        return _parse(text)
    except RecursionError:
        raise FormulaError("the formula is nested too deeply", text) from None


@lru_cache(maxsize=512)
def _parse(text: str) -> ParsedFormula:
    tree = parse(text)
    fixed: list[tuple[str, Node]] = []
    offsets: list[Node] = []
    random: list[RandomTerm] = []
    for sign, node in _operands(tree.right):
        if _is_random(node):
            _only_added(sign, node, text)
            random.extend(_random_terms(node, text))
        elif isinstance(node, Call) and node.function == "offset":
            _only_added(sign, node, text)
            offsets.append(_offset(node, text))
        else:
            _check_bars(node, text)
            fixed.append((sign, node))
    formula = read_terms(Sum(tuple(fixed)) if fixed else Constant(1), text)
    response = _response_nodes(tree.left, text)
    return ParsedFormula(
        text,
        render(tree.left),
        term_text(formula),
        tuple(render(n) for n in offsets),
        tuple(random),
        (render(response[0]), render(response[1])) if len(response) == 2 else None,
        tree.left,
        tuple(read_expression(n, text) for n in response),
        tuple(read_expression(n, text) for n in offsets),
        formula,
    )


def _operands(node: Node) -> Iterator[tuple[str, Node]]:
    """Added pieces, also those in parentheses that only hold other pieces together."""
    for sign, operand in node.operands if isinstance(node, Sum) else (("+", node),):
        inner = operand.inner if isinstance(operand, Paren) else operand
        wraps = isinstance(operand, Paren) and not isinstance(inner, Bar)
        if sign == "+" and wraps and any(isinstance(n, Bar) for n in walk(inner)):
            yield from _operands(inner)
        else:
            yield sign, operand


def _is_random(node: Node) -> bool:
    if isinstance(node, Paren):
        return isinstance(node.inner, Bar)
    return isinstance(node, Call) and any(isinstance(a, Bar) for a in node.arguments)


def _only_added(sign: str, node: Node, text: str) -> None:
    if sign == "-":
        raise FormulaError(
            "random terms and offsets are added, not removed: leave it out", text, node.position
        )


def _check_bars(node: Node, text: str) -> None:
    """Refuse a bar outside of a random term."""
    for part in walk(node):
        if isinstance(part, Bar):
            raise FormulaError(
                "a random term stands in parentheses of its own, added to the others:"
                " ... + (1 | group)",
                text,
                part.position,
            )


def _offset(call: Call, text: str) -> Node:
    if len(call.arguments) != 1 or call.keywords:
        raise FormulaError("offset(...) takes one expression", text, call.position)
    return call.arguments[0]


def _response_nodes(node: Node, text: str) -> tuple[Node, ...]:
    _check_bars(node, text)
    if isinstance(node, Call) and node.function == "cbind":
        if len(node.arguments) != 2 or node.keywords:
            raise FormulaError(
                "cbind(...) takes two counts: cbind(successes, failures)", text, node.position
            )
        return node.arguments
    if not column_names(node):
        raise FormulaError("the response names no column", text, node.position)
    return (node,)


def _random_terms(node: Node, text: str) -> Iterator[RandomTerm]:
    bar, structure, argument = _unwrap(node, text)
    _check_bars(bar.left, text)
    _check_bars(bar.right, text)
    formula = read_terms(bar.left, text)
    if not len(formula):
        raise FormulaError("no random effect left of '|': write (1 | group)", text, node.position)
    effects = term_text(formula)
    for group in read_groups(bar.right, text):
        crossed = ":".join(quote(column) for column in group)
        label = f"{render(bar.left)} {'||' if bar.double else '|'} {crossed}"
        if isinstance(node, Call):
            label = f"{structure}({label}, {argument})" if argument else f"{structure}({label})"
        yield RandomTerm(label, structure, argument, effects, group, node.position, formula)


def _unwrap(node: Node, text: str) -> tuple[Bar, str, str | None]:
    """Bar, structure and argument of ``(bar)`` or ``structure(bar, argument)``."""
    if isinstance(node, Paren) and isinstance(node.inner, Bar):
        return node.inner, "diag" if node.inner.double else "us", None
    assert isinstance(node, Call)
    bar, *rest = node.arguments
    if not isinstance(bar, Bar) or len(rest) > 1 or node.keywords:
        raise FormulaError(
            f"{node.function}(...) with '|' takes a random term, and its matrix where it has one:"
            " known(1 | animal, K)",
            text,
            node.position,
        )
    if bar.double:
        raise FormulaError(
            f"'||' is short for diag(...): write one '|' inside {node.function}(...)",
            text,
            bar.position,
        )
    return bar, node.function, _argument(node, rest, text)


def _argument(call: Call, rest: list[Node], text: str) -> str | None:
    if not rest:
        if call.function == "known":
            raise FormulaError(
                "known(...) needs the name of its matrix: known(1 | animal, K)",
                text,
                call.position,
            )
        return None
    if call.function != "known" or not isinstance(rest[0], Name):
        raise FormulaError(
            "a second argument is the name of a matrix, as in known(1 | animal, K)",
            text,
            rest[0].position,
        )
    return rest[0].value
