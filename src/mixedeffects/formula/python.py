"""A checked expression as Python, with the columns that it names: formulaic evaluates it."""

from __future__ import annotations

from typing import Any

from mixedeffects.errors import FormulaError
from mixedeffects.formula.render import render
from mixedeffects.formula.safety import CATEGORICAL, CONTRASTS, ELEMENTWISE, FUNCTIONS
from mixedeffects.formula.tree import Binary, Call, Constant, Name, Node, Paren, Sum
from mixedeffects.formula.values import Values

__all__ = ["Python"]

_ARITHMETIC = (*ELEMENTWISE, "I", "pmin", "pmax")
_CONTRASTS = "contrasts are written contr.sum or contr.treatment('level')"
_OPTIONS = "options of a function are numbers, TRUE, FALSE, text or c(...) of these"


class Python:
    """Code of an expression, with R's meaning.

    Columns and text stand in it under made-up names, the same in every
    expression, because formulaic knows what it has learned by the code.

    Attributes
    ----------
    values : Values
    names : dict
        What the made-up names stand for.
    """

    def __init__(self, values: Values) -> None:
        self.values = values
        self.names: dict[str, Any] = {}

    def write(self, node: Node) -> str:
        """The code; FormulaError where an option or a contrast is none."""
        match node:
            case Name(value=name):
                return self.stand_in("column", name, self.values.number(node))
            case Constant(value=str() as text):
                return self.stand_in("text", text, text)
            case Constant(value=int() | float() as value):
                return repr(float(value))  # a power of integers would grow without end
            case Paren(inner=inner):
                return self.write(inner)
            case Sum(operands=operands):
                written = " ".join(f"{sign} {self.write(operand)}" for sign, operand in operands)
                return f"({written})"
            case Binary():
                return self.binary(node)
            case Call(function=function) if function in CATEGORICAL:
                return self.categorical(node)
            case Call(function=function, arguments=arguments) if function in _ARITHMETIC:
                return f"{function}({', '.join(map(self.write, arguments))})"
            case Call(function=function, arguments=arguments) if function in FUNCTIONS:
                given = [self.write(arguments[0]), *map(self.option, arguments[1:])]
                given += [f"{keyword}={self.option(value)}" for keyword, value in node.keywords]
                return f"{function}({', '.join(given)})"
        raise self.fail("this is not arithmetic", node)

    def binary(self, node: Binary) -> str:
        right = self.write(node.right)
        match node:
            case Binary(operator="==" | "!=", left=Name() as name, right=Constant() as level):
                left = self.stand_in("level", name.value, self.values.compared(name, level))
            case _:
                left = self.write(node.left)
        match node.operator:
            case "^":
                return f"({left} ** {right})"
            case "*" | "/":
                return f"({left} {node.operator} {right})"
        return f"(1.0 * ({left} {node.operator} {right}))"  # TRUE counts as 1

    def categorical(self, call: Call) -> str:
        column = call.arguments[0]
        if not isinstance(column, Name):
            raise self.fail(f"{call.function}(...) takes a column: make one first", column)
        name = column.value
        levels = self.values.categorical(name, f"factor({name})")
        known = levels.categories.tolist()
        contrasts = (*call.arguments[1:], *dict(call.keywords).values())
        given = [self.contrast(contrast, known) for contrast in contrasts]
        return f"C({', '.join([self.stand_in('levels', name, levels), *given])})"

    def contrast(self, node: Node, levels: list[str]) -> str:
        match node:
            case Name(value=name) if name in CONTRASTS:
                return name
            case Call(function=name) if name in CONTRASTS:
                bases = (*node.arguments, *dict(node.keywords).values())
                for base in bases:
                    if getattr(base, "value", None) not in levels:
                        known = ", ".join(levels)
                        raise self.fail(f"the level {render(base)} is not one of {known}", base)
                return f"{name}({', '.join(map(self.option, bases))})"
        raise self.fail(_CONTRASTS, node)

    def option(self, node: Node) -> str:
        match node:
            case Constant(value=value) if not isinstance(value, str):
                return repr(value)
            case Constant() | Sum(operands=((_, Constant()),)):
                return self.write(node)
            case Call(function="c", arguments=arguments):
                return f"[{', '.join(map(self.option, arguments))}]"
        raise self.fail(_OPTIONS, node)

    def stand_in(self, kind: str, name: str, value: Any) -> str:
        made_up = f"_{kind}_{name.encode().hex()}"
        self.names[made_up] = value
        return made_up

    def fail(self, reason: str, node: Node) -> FormulaError:
        return FormulaError(reason, self.values.text, node.position)
