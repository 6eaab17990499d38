"""The way back from a transformed response, such as log(y) or sqrt(y + 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError
from mixedeffects.formula.design import Design
from mixedeffects.formula.render import render
from mixedeffects.formula.tree import Binary, Call, Constant, Name, Node, Paren, Sum

Floats = NDArray[np.float64]

_LOGARITHMS = {"log": np.e, "log2": 2.0, "log10": 10.0}


@dataclass(frozen=True, slots=True)
class Step:
    """The inverse of one function: ``kind`` names the function, ``number`` its constant."""

    kind: str
    number: float = 0.0


@dataclass(frozen=True, slots=True)
class BackTransform:
    """Inverses of the functions around the response, the outermost first.

    Attributes
    ----------
    steps : tuple of Step
    target : str
        What comes out, such as ``"y"``.
    """

    steps: tuple[Step, ...]
    target: str

    def __call__(self, x: Floats) -> tuple[Floats, Floats]:
        """Value and derivative (r,) of the inverse at x (r,)."""
        slope = np.ones_like(x)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for step in self.steps:
                x, factor = _INVERSES[step.kind](x, step.number)
                slope = slope * factor
        return x, slope

    @property
    def ratio(self) -> BackTransform | None:
        """That of a difference: of logarithms it is a ratio, otherwise there is none."""
        first, *rest = self.steps
        if first.kind != "log" or any(step.kind != "*" for step in rest):
            return None
        return BackTransform((first,), f"ratios of {self.target}")

    @property
    def note(self) -> str:
        return f"Back-transformed to {self.target}: medians there, not means"


def back_transform(design: Design) -> BackTransform | None:
    """The way back from the model's response; None where that is a column as it stands.

    Raises
    ------
    ModelError
        If the transformation has no inverse.
    """
    node = design.spec.parsed.response_node
    if isinstance(node, Name):
        return None
    steps = []
    while (found := _outermost(node)) is not None:
        step, node = found
        steps += [step] if step.kind else []
    back = BackTransform(tuple(steps), render(node))
    if isinstance(node, Name):
        original = design.columns[node.value].values[design.rows]
        known = np.allclose(back(design.y)[0], original, rtol=1e-6, atol=1e-9 * np.ptp(original))
    else:
        known = bool(steps)
    if not known:
        raise ModelError(
            f"There is no way back from {design.response!r} to the scale of {render(node)!r}."
            " Use scale='link', and transform the results yourself."
        )
    return back


def _outermost(node: Node) -> tuple[Step, Node] | None:
    """The inverse of the outermost function of one argument, and that argument."""
    match node:
        case Paren(inner=inner) | Call(function="I", arguments=(inner,)):
            return Step(""), inner
        case Call(function=function, arguments=(inner,)) if function in _LOGARITHMS:
            return Step("log", _LOGARITHMS[function]), inner
        case Call(function=function, arguments=(inner,)) if function in _INVERSES:
            return Step(function), inner
        case Binary(operator="^", left=inner, right=right) if power := _number(right):
            return Step("^", power), inner
        case Binary(operator="*", left=left, right=right):
            for factor, inner in ((left, right), (right, left)):
                if number := _number(factor):
                    return Step("*", number), inner
        case Binary(operator="/", left=inner, right=right) if number := _number(right):
            return Step("*", 1.0 / number), inner
        case Binary(operator="/", left=left, right=inner) if number := _number(left):
            return Step("/", number), inner
        case Sum(operands=operands):
            return _shift(operands)
    return None


def _shift(operands: tuple[tuple[str, Node], ...]) -> tuple[Step, Node] | None:
    others = [(sign, o) for sign, o in operands if _number(o) is None]
    if len(others) != 1 or others[0][0] != "+":
        return None
    rest = tuple(pair for pair in operands if pair[1] is not others[0][1])
    return Step("+", _number(Sum(rest)) or 0.0), others[0][1]


def _number(node: Node) -> float | None:
    """The value of constants alone, such as ``(1/3)``."""
    match node:
        case Constant(value=int() | float() as value):
            return float(value)
        case Paren(inner=inner):
            return _number(inner)
        case Sum(operands=operands):
            terms = [(sign, _number(o)) for sign, o in operands]
            if any(value is None for _, value in terms):
                return None
            return sum(v if sign == "+" else -v for sign, v in terms if v is not None)
        case Binary(operator="/", left=left, right=right):
            over, under = _number(left), _number(right)
            return over / under if over is not None and under else None
    return None


# -- inverses: value and derivative at x; beyond the range of the function, at its end -------

Inverse = Callable[[Floats, float], tuple[Floats, Floats]]


def _unlog(x: Floats, base: float) -> tuple[Floats, Floats]:
    value = np.exp(x * np.log(base))
    return value, value * np.log(base)


def _unsqrt(x: Floats, _: float) -> tuple[Floats, Floats]:
    above = np.maximum(x, 0.0)
    return above**2, 2.0 * above


def _unpower(x: Floats, power: float) -> tuple[Floats, Floats]:
    sign = np.sign(x) if power % 2.0 == 1.0 else 1.0  # odd powers keep it
    size = np.maximum(x * sign, 0.0)
    return sign * size ** (1.0 / power), size ** (1.0 / power - 1.0) / power


def _unreciprocal(x: Floats, number: float) -> tuple[Floats, Floats]:
    above = np.maximum(x, 0.0)
    return number / above, -number / above**2


_INVERSES: Mapping[str, Inverse] = MappingProxyType(
    {
        "log": _unlog,
        "log1p": lambda x, _: (np.expm1(x), np.exp(x)),
        "sqrt": _unsqrt,
        "exp": lambda x, _: (np.log(np.maximum(x, 0.0)), 1.0 / x),
        "expm1": lambda x, _: (np.log1p(np.maximum(x, -1.0)), 1.0 / (1.0 + x)),
        "^": _unpower,
        "/": _unreciprocal,
        "+": lambda x, c: (x - c, np.ones_like(x)),
        "*": lambda x, c: (x / c, np.full_like(x, 1.0 / c)),
    }
)
