"""``"Days = 0, Gender[T.M] - Gender[T.F] = 0"``: linear equations in coefficients, as rows.

A recursive descent over numbers, ``+ - * / ( )`` and the known names of coefficients, of
which the longest that fits counts: they hold brackets, colons, commas and blanks themselves.
Nothing is evaluated but sums and products of numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import FormulaError, suggestion

Floats = NDArray[np.float64]

__all__ = ["Equation", "equations"]

_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?(?![\w.])")
_UNKNOWN = re.compile(r"[^\s+*/=,-]+")
# What would go on with a name: "Days" is not found in "Days2" or "Days:Gender[T.M]".
_END = r"(?![\w.:(\[])"
_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Equation:
    """``row`` (p,) times the coefficients is ``value``; ``text`` as it was written."""

    text: str
    row: Floats
    value: float


@dataclass(frozen=True, slots=True)
class _Linear:
    """row'β + constant, written as ``text``."""

    row: Floats
    constant: float
    text: str = ""

    def plus(self, other: _Linear, sign: float) -> _Linear:
        return _Linear(self.row + sign * other.row, self.constant + sign * other.constant)

    def times(self, number: float) -> _Linear:
        return _Linear(self.row * number, self.constant * number)


def equations(text: str, names: Sequence[str]) -> list[Equation]:
    """The equations of a text, separated by commas; a side alone equals zero.

    Parameters
    ----------
    text
        ``a = b = c`` stands for two equations.
    names
        Of the p coefficients.

    Raises
    ------
    FormulaError
        With the place, where the text is no linear equation in known coefficients.

    Examples
    --------
    >>> equations("2*Days - 3 = Intercept", ["Intercept", "Days"])
    [Equation(text='2*Days - 3 = Intercept', row=array([-1.,  2.]), value=3.0)]
    """
    reader = _Reader(text, names)
    found = []
    while True:
        start = reader.skip()
        sides = [reader.side()]
        while reader.takes("==") or reader.takes("="):
            sides.append(reader.side())
        if len(sides) == 1:
            sides.append(_Linear(np.zeros(len(names)), 0.0, "0"))
        for left, right in pairwise(sides):
            difference = left.plus(right, -1.0)
            if not difference.row.any():
                raise FormulaError("this equation holds no coefficient", text, start)
            equation = f"{left.text} = {right.text}"
            found.append(Equation(equation, difference.row, 0.0 - difference.constant))
        if not reader.takes(","):
            break
    if reader.at < len(text):
        raise FormulaError("an operator, '=' or ',' is expected here", text, reader.at)
    return found


class _Reader:
    """A place in a text, and what is read from there."""

    def __init__(self, text: str, names: Sequence[str]) -> None:
        self.text = text
        self.names = names
        longest = sorted(range(len(names)), key=lambda i: -len(names[i]))
        self.patterns = [(i, re.compile(_spaced(names[i]) + _END)) for i in longest]
        self.at = 0
        self.depth = 0

    def skip(self) -> int:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.at

    def takes(self, symbol: str) -> bool:
        self.skip()
        found = self.text.startswith(symbol, self.at)
        self.at += len(symbol) * found
        return found

    def side(self) -> _Linear:
        start = self.skip()
        value = self.sum()
        return _Linear(value.row, value.constant, self.text[start : self.at].strip())

    def sum(self) -> _Linear:
        value = self.product()
        while True:
            if self.takes("+"):
                value = value.plus(self.product(), 1.0)
            elif self.takes("-"):
                value = value.plus(self.product(), -1.0)
            else:
                return value

    def product(self) -> _Linear:
        value = self.atom()
        while True:
            start = self.skip()
            if self.takes("*"):
                other = self.atom()
                if value.row.any() and other.row.any():
                    raise FormulaError("a product of coefficients is not linear", self.text, start)
                value, other = (other, value) if value.row.any() else (value, other)
                value = other.times(value.constant)
            elif self.takes("/"):
                other = self.atom()
                if other.row.any() or other.constant == 0.0:
                    raise FormulaError("only numbers but zero can divide", self.text, start)
                value = value.times(1.0 / other.constant)
            else:
                return value

    def atom(self) -> _Linear:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise FormulaError("nested too deeply", self.text, self.at)
        start = self.skip()
        value = self.named()
        if value is None:
            if self.takes("-"):
                value = self.atom().times(-1.0)
            elif self.takes("+"):
                value = self.atom()
            elif self.takes("("):
                value = self.sum()
                if not self.takes(")"):
                    raise FormulaError("unclosed '('", self.text, start)
            else:
                value = self.number()
        self.depth -= 1
        return value

    def named(self) -> _Linear | None:
        for i, pattern in self.patterns:
            if match := pattern.match(self.text, self.at):
                self.at = match.end()
                return _Linear(np.eye(len(self.names))[i], 0.0)
        return None

    def number(self) -> _Linear:
        if match := _NUMBER.match(self.text, self.at):
            self.at = match.end()
            return _Linear(np.zeros(len(self.names)), float(match[0]))
        unknown = _UNKNOWN.match(self.text, self.at)
        if unknown is None:
            raise FormulaError("a coefficient or a number is expected here", self.text, self.at)
        shown = ", ".join(self.names[:20]) + (", ..." if len(self.names) > 20 else "")
        raise FormulaError(
            f"{unknown[0]!r} is not a coefficient.{suggestion(unknown[0], self.names)} The "
            f"coefficients are: {shown}",
            self.text,
            self.at,
        )


def _spaced(name: str) -> str:
    """A pattern of a name with any blanks between its words and signs."""
    return r"\s*".join(re.escape(part) for part in re.findall(r"\w+|[^\w\s]", name))
