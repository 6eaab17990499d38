"""Tokens to a syntax tree, with the operator precedence of R."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mixedeffects.errors import FormulaError
from mixedeffects.formula.tokens import Token, tokenize

__all__ = [
    "Bar",
    "Binary",
    "Call",
    "Constant",
    "Name",
    "Node",
    "Paren",
    "Sum",
    "Tilde",
    "column_names",
    "parse",
    "walk",
]


@dataclass(frozen=True, slots=True)
class Name:
    """A column, or a contrast such as ``contr.sum``."""

    value: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, a string, True, False or None."""

    value: int | float | str | bool | None
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """``function(arguments, keyword=value)``."""

    function: str
    arguments: tuple[Node, ...]
    keywords: tuple[tuple[str, Node], ...] = ()
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Sum:
    """Operands with their signs; flat, so that long formulas stay shallow."""

    operands: tuple[tuple[str, Node], ...]
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """``* / : ^ %in%`` and comparisons."""

    operator: str
    left: Node
    right: Node
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Bar:
    """``left | right`` or, with `double`, ``left || right``."""

    left: Node
    right: Node
    double: bool
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Paren:
    """A parenthesis as written: random terms are known by it."""

    inner: Node
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Tilde:
    """The whole formula."""

    left: Node
    right: Node
    position: int = field(default=0, compare=False)


Node = Name | Constant | Call | Sum | Binary | Bar | Paren | Tilde

_CONSTANTS = {"TRUE": True, "True": True, "FALSE": False, "False": False}
_NOTHING = {"NULL", "None"}
_COMPARISONS = frozenset({"==", "!=", "<", ">", "<=", ">="})


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, in the written order."""
    yield node
    for child in _children(node):
        yield from walk(child)


def _children(node: Node) -> tuple[Node, ...]:
    match node:
        case Call():
            return (*node.arguments, *(value for _, value in node.keywords))
        case Sum():
            return tuple(operand for _, operand in node.operands)
        case Binary() | Bar() | Tilde():
            return (node.left, node.right)
        case Paren():
            return (node.inner,)
        case _:
            return ()


def column_names(node: Node) -> tuple[str, ...]:
    """Columns named in an expression, each once, in the written order."""
    names = (n.value for n in walk(node) if isinstance(n, Name))
    return tuple(dict.fromkeys(n for n in names if not n.startswith("contr.")))


def parse(text: str) -> Tilde:
    """Parse ``response ~ terms``.

    Raises
    ------
    FormulaError
        With the place in the text.
    """
    reader = _Reader(text)
    if not any(t.kind == "operator" and t.value == "~" for t in reader.tokens):
        raise FormulaError("no '~': a formula is 'response ~ terms'", text)
    return reader.formula()


class _Reader:
    """Recursive descent over the tokens; one method a level of precedence."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.at = 0
        self.calls = 0  # how many calls are open here

    @property
    def next(self) -> Token:
        return self.tokens[self.at]

    @property
    def ended(self) -> bool:
        return self.next.kind == "end"

    def sees(self, *operators: str) -> bool:
        return self.next.kind == "operator" and self.next.value in operators

    def take(self) -> Token:
        token = self.next
        self.at += 1
        return token

    def fail(self, reason: str, position: int | None = None) -> FormulaError:
        return FormulaError(reason, self.text, self.next.position if position is None else position)

    def formula(self) -> Tilde:
        if self.sees("~"):
            raise self.fail("no response before '~': write 'response ~ terms'")
        left = self.bar()
        if not self.sees("~"):
            raise self.unexpected()
        tilde = self.take()
        if self.ended:
            raise self.fail("nothing after '~': write 'response ~ terms', with 1 for an intercept")
        right = self.bar()
        if self.sees("~"):
            raise self.fail("a second '~': a formula has one")
        if not self.ended:
            raise self.unexpected()
        return Tilde(left, right, tilde.position)

    def bar(self) -> Node:
        if self.sees("|", "||"):
            raise self.fail("nothing before '|': write (1 | group) for a random intercept")
        left = self.comparison()
        if not self.sees("|", "||"):
            return left
        bar = self.take()
        if self.sees(")", ",") or self.ended:
            raise self.fail("no group after '|': write (1 | group)")
        right = self.sum()
        if self.sees("|", "||"):
            raise self.fail("a second '|' in one term: nested groups are written a/b or a:b")
        return Bar(left, right, bar.value == "||", bar.position)

    def comparison(self) -> Node:
        left = self.sum()
        if not self.sees(*_COMPARISONS):
            return left
        operator = self.take()
        return Binary(operator.value, left, self.sum(), operator.position)

    def sum(self) -> Node:
        start = self.next.position
        sign = self.take().value if self.sees("+", "-") else "+"
        operands = [(sign, self.product())]
        while self.sees("+", "-"):
            operands.append((self.take().value, self.product()))
        if len(operands) == 1 and sign == "+":
            return operands[0][1]
        return Sum(tuple(operands), start)

    def product(self) -> Node:
        node = self.within()
        while self.sees("*", "/"):
            operator = self.take()
            node = Binary(operator.value, node, self.within(), operator.position)
        return node

    def within(self) -> Node:
        node = self.interaction()
        while self.sees("%in%"):
            operator = self.take()
            node = Binary("%in%", node, self.interaction(), operator.position)
        return node

    def interaction(self) -> Node:
        node = self.unary()
        while self.sees(":"):
            operator = self.take()
            node = Binary(":", node, self.unary(), operator.position)
        return node

    def unary(self) -> Node:
        start, negative = self.next.position, False
        while self.sees("+", "-"):
            negative ^= self.take().value == "-"
        node = self.power()
        return Sum((("-", node),), start) if negative else node

    def power(self) -> Node:
        node = self.atom()
        if not self.sees("^", "**"):
            return node
        operator = self.take()
        return Binary("^", node, self.unary(), operator.position)

    def atom(self) -> Node:
        token = self.next
        match token.kind:
            case "name" | "quoted":
                return self.name()
            case "number":
                self.at += 1
                return Constant(_number(token.value), token.position)
            case "text":
                self.at += 1
                return Constant(token.value, token.position)
        if self.sees("("):
            self.at += 1
            inner = self.bar()
            self.close()
            return Paren(inner, token.position)
        if self.sees("[") and self.calls:
            return self.list()
        raise self.unexpected()

    def list(self) -> Call:
        """``[1, 2]`` among the options of a function, the same as R's ``c(1, 2)``."""
        start = self.take().position
        items = [self.sum()]
        while self.sees(","):
            self.at += 1
            items.append(self.sum())
        self.close("]")
        return Call("c", tuple(items), (), start)

    def name(self) -> Node:
        token = self.take()
        if token.kind == "name":
            if self.sees("("):
                return self.call(token)
            if self.sees("::"):
                raise self.fail("'::' is not needed: write the function's name alone")
            if token.value in _CONSTANTS:
                return Constant(_CONSTANTS[token.value], token.position)
            if token.value in _NOTHING:
                return Constant(None, token.position)
            if token.value == ".":
                raise self.fail(
                    "'.' (all other columns) is not read here, because group columns would be"
                    " among them: name the columns",
                    token.position,
                )
        return Name(token.value, token.position)

    def call(self, function: Token) -> Call:
        self.at += 1
        self.calls += 1
        arguments: list[Node] = []
        keywords: list[tuple[str, Node]] = []
        while not self.sees(")"):
            following = self.tokens[self.at + 1]
            if self.next.kind == "name" and (following.kind, following.value) == ("operator", "="):
                keyword = self.take().value
                self.at += 1
                keywords.append((keyword, _logical(self.comparison())))
            else:
                arguments.append(self.bar())
            if not self.sees(","):
                break
            self.at += 1
        self.close()
        self.calls -= 1
        return Call(function.value, tuple(arguments), tuple(keywords), function.position)

    def close(self, bracket: str = ")") -> None:
        if not self.sees(bracket):
            raise self.unexpected()
        self.at += 1

    def unexpected(self) -> FormulaError:
        before = self.tokens[self.at - 1] if self.at else None
        if self.ended:
            return self.fail("the formula ends too early: something is missing here")
        if self.sees("["):
            return self.fail("subscripts are not part of a formula: make a column of it first")
        shown = self.next.value
        if self.next.kind != "operator" and before is not None and before.kind != "operator":
            return self.fail(
                f"no operator between {before.value!r} and {shown!r} (random terms are written"
                f" (1 | group), and a name with spaces in backticks: `{before.value} {shown}`)"
            )
        if self.sees(")", "]"):
            return self.fail(f"something is missing before {self.next.value!r}")
        if self.sees("="):
            return self.fail("'=' belongs inside a function call; a formula is 'response ~ terms'")
        return self.fail(f"{shown!r} is out of place here")


def _number(value: str) -> int | float:
    plain = value.rstrip("L")
    return int(plain) if plain.isdigit() else float(plain)


def _logical(node: Node) -> Node:
    # R's T and F: only where a value is given, elsewhere they may be columns
    if isinstance(node, Name) and node.value in ("T", "F"):
        return Constant(node.value == "T", node.position)
    return node
