"""Expressions of a formula on columns: a small interpreter of the syntax tree, no ``eval``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import Column, Columns, level_text
from mixedeffects.errors import DataError, FormulaError, NewLevelError
from mixedeffects.formula.contrasts import Coded, Contrast
from mixedeffects.formula.render import render
from mixedeffects.formula.safety import ELEMENTWISE
from mixedeffects.formula.terms import Factor
from mixedeffects.formula.transforms import TRANSFORMS, Basis, center, scale
from mixedeffects.formula.tree import Binary, Call, Constant, Name, Node, Paren, Sum

__all__ = ["Evaluator", "Value", "kind_of", "listed", "match_levels"]

Array = NDArray[np.float64]
Value = Array | Basis | Coded

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in ELEMENTWISE if name != "ceiling"},
    "ceiling": np.ceil,
    "pmin": np.minimum,
    "pmax": np.maximum,
}
_OPERATORS: dict[str, Callable[..., Any]] = {
    "*": np.multiply,
    "/": np.divide,
    "^": np.power,
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    ">": np.greater,
    "<=": np.less_equal,
    ">=": np.greater_equal,
}
_MOST_COLUMNS = 200
_SECOND = {"poly": "degree", "bs": "df", "ns": "df", "cr": "df", "cs": "df", "cc": "df"}
_KINDS = {"string": "text", "category": "categories", "boolean": "booleans", "temporal": "dates"}


def kind_of(column: Column) -> str:
    """What a categorical column holds, for messages."""
    return _KINDS.get(column.dtype_kind, column.dtype_kind)


class Evaluator:
    """Values of factors on one set of rows, each computed once.

    Parameters
    ----------
    columns : Columns
        Rows without missing values.
    text : str
        The formula, for messages.
    states : dict of dict, optional
        What a fit has learned, by expression; filled where it is empty.
    rows : ndarray, shape (n,), optional
        Positions of the rows in the user's data, for messages.
    fitted : bool
        Whether `states` are to be replayed: then new levels are errors.
    """

    def __init__(
        self,
        columns: Columns,
        text: str,
        states: dict[str, Any],
        *,
        rows: NDArray[np.intp] | None = None,
        fitted: bool = False,
    ) -> None:
        self.columns = columns
        self.rows = rows
        self.text = text
        self.states = states
        self.fitted = fitted
        self.notes: dict[str, str] = {}
        self._cache: dict[str, Value] = {}

    def factor(self, factor: Factor) -> Value:
        """The factor's values: numbers (n,), a basis (n, k) or coded levels."""
        if factor.name not in self._cache:
            self._cache[factor.name] = self._value(factor.node)
        return self._cache[factor.name]

    def number(self, node: Node) -> Array:
        """An arithmetic expression as numbers, shape (n,)."""
        with np.errstate(all="ignore"):
            value = np.asarray(self._number(node), dtype=np.float64)
        return np.full(self.columns.n_rows, float(value)) if value.ndim == 0 else value

    def source_row(self, row: int) -> int:
        """Position of a row in the user's data."""
        return row if self.rows is None else int(self.rows[row])

    def check_finite(self, name: str) -> None:
        """Refuse an infinite value in a column, naming its row."""
        column = self.columns[name]
        infinite = np.isinf(column.values) if column.kind == "numeric" else np.zeros(0, bool)
        if infinite.any():
            row = self.source_row(int(infinite.argmax()))
            raise DataError(
                f"Column {name!r} is infinite in row {row}. Change that value, or drop the row."
            )

    def note_unused(self, name: str) -> None:
        """Note the declared levels of a column that do not occur."""
        column = self.columns[name]
        if column.dtype_kind == "category" and column.levels is not None:
            used = np.bincount(column.values, minlength=len(column.levels)) > 0
            if not used.all():
                self._note(column, used)

    def _note(self, column: Column, used: NDArray[np.bool_]) -> None:
        self.notes[column.name] = (
            f"Column {column.name!r}: {listed(column.labels()[~used])} not among the rows used"
            " and left out of its levels."
        )

    def _value(self, node: Node) -> Value:
        match node:
            case Name(value=name) if self._is_categorical(name):
                return self._coded(name, self.columns[name].as_group(), Contrast())
            case Call(function="C" | "factor" | "as.factor"):
                return self._categorical(node)
            case Call(function=function) if function in TRANSFORMS:
                return self._transform(node)
            case _:
                return self.number(node)

    def _is_categorical(self, name: str) -> bool:
        column = self.columns[name]
        if self.fitted and column.kind == "categorical" and name not in self.states:
            raise DataError(
                f"Column {name!r} held numbers when the model was fitted, but now holds"
                f" {kind_of(column)}."
            )
        # categories such as years may come back as numbers in new data
        return name in self.states if self.fitted else column.kind == "categorical"

    # ---- categorical factors ----------------------------------------------------------------

    def _categorical(self, call: Call) -> Coded:
        argument = call.arguments[0]
        while isinstance(argument, Paren):
            argument = argument.inner
        if isinstance(argument, Name):
            column = self.columns[argument.value].as_group()
        else:
            name = render(argument)
            numbers = self.number(argument)
            column = Column(name, "numeric", numbers, None, False, "float").as_group()
        contrast = (
            call.arguments[1] if len(call.arguments) > 1 else dict(call.keywords).get("contrasts")
        )
        return self._coded(render(call), column, self._contrast(contrast))

    def _contrast(self, node: Node | None) -> Contrast:
        match node:
            case None:
                return Contrast()
            case Name(value=name) if name.startswith("contr."):
                return Contrast(name.removeprefix("contr."))
            case Call(function=name) if name.startswith("contr."):
                given = (*node.arguments, *(value for _, value in node.keywords))
                base = str(self._literal(given[0])) if given else None
                return Contrast(name.removeprefix("contr."), base)
        raise FormulaError(
            "contrasts are written contr.sum or contr.treatment('level')", self.text, node.position
        )

    def _coded(self, name: str, column: Column, contrast: Contrast) -> Coded:
        assert column.levels is not None
        state = self.states.setdefault(name, {})
        if not state:
            codes, levels = self._used_levels(column)
            if len(levels) < 2:
                raise DataError(
                    f"Column {column.name!r} has a single level, {level_text(levels)[0]!r}, in the"
                    f" {len(codes)} rows used, so {name!r} has no effect to estimate. Leave it out."
                )
            state.update(levels=levels, labels=tuple(level_text(levels)))
            self._check_contrast(name, contrast, state["labels"])
            return Coded(codes, state["labels"], contrast)
        codes = match_levels(column, state["levels"])
        if codes.size and codes.min() < 0:
            raise _unseen(column, codes, state["labels"])
        return Coded(codes, state["labels"], contrast)

    def _used_levels(self, column: Column) -> tuple[NDArray[np.int32], NDArray[Any]]:
        assert column.levels is not None
        used = np.bincount(column.values, minlength=len(column.levels)) > 0
        if used.all():
            return column.values, column.levels
        rank = np.cumsum(used, dtype=np.int32) - np.int32(1)
        self._note(column, used)
        return rank[column.values], column.levels[used]

    def _check_contrast(self, name: str, contrast: Contrast, labels: tuple[str, ...]) -> None:
        if contrast.base is not None:
            self._attempt(name, 0, contrast.columns, name, labels)

    # ---- transforms -------------------------------------------------------------------------

    def _transform(self, call: Call) -> Basis:
        x = self.number(call.arguments[0])
        options = {keyword: self._literal(node) for keyword, node in call.keywords}
        if len(call.arguments) > 1:
            options[_SECOND[call.function]] = self._literal(call.arguments[1])
        name = render(call)
        state = self.states.setdefault(name, {})
        if not np.isfinite(x).all():
            return Basis(np.full((len(x), 1), np.nan), ("1",))
        if any(isinstance(n, int | float) and n > _MOST_COLUMNS for n in options.values()):
            raise FormulaError(f"{name} would have too many columns", self.text, call.position)
        function = TRANSFORMS[call.function]
        basis: Basis = self._attempt(name, call.position, function, x, state, **options)
        return basis

    def _attempt(self, name: str, position: int, function: Any, *args: Any, **options: Any) -> Any:
        """Call a transform; what it does not take is told as an error of ours."""
        try:
            return function(*args, **options)
        except (ValueError, TypeError, ArithmeticError, np.linalg.LinAlgError) as error:
            if self.fitted:
                raise DataError(f"{name}: {error}") from None
            raise FormulaError(f"{name}: {error}", self.text, position) from None

    def _literal(self, node: Node) -> Any:
        match node:
            case Constant(value=value):
                return value
            case Paren(inner=inner):
                return self._literal(inner)
            case Sum(operands=((sign, Constant(value=value)),)) if isinstance(value, int | float):
                return -value if sign == "-" else value
            case Call(function="c", arguments=arguments):
                return [self._literal(a) for a in arguments]
        raise FormulaError(
            "options of a function are numbers, TRUE, FALSE, text or c(...) of these",
            self.text,
            node.position,
        )

    # ---- arithmetic -------------------------------------------------------------------------

    def _number(self, node: Node) -> Any:
        match node:
            case Name(value=name):
                return self._numeric_column(name, node)
            case Constant(value=value) if isinstance(value, int | float):
                return np.float64(value)
            case Paren(inner=inner):
                return self._number(inner)
            case Sum():
                return self._sum(node)
            case Binary(operator="==" | "!=") if self._compares_levels(node):
                return self._equal_level(node)
            case Binary(operator=operator) if operator in _OPERATORS:
                return _OPERATORS[operator](self._float(node.left), self._float(node.right))
            case Call(function="I", arguments=(inner,)):
                return self._number(inner)
            case Call(function=function) if function in _FUNCTIONS:
                return _FUNCTIONS[function](*(self._float(a) for a in node.arguments))
            case Call(function="scale" | "center"):
                return self._rescale(node)
        raise FormulaError(f"{render(node)} is not arithmetic", self.text, node.position)

    def _float(self, node: Node) -> Any:
        return np.asarray(self._number(node), dtype=np.float64)

    def _sum(self, node: Sum) -> Any:
        total: Any = np.float64(0)
        for sign, operand in node.operands:
            value = self._float(operand)
            total = total - value if sign == "-" else total + value
        return total

    def _numeric_column(self, name: str, node: Node) -> Array:
        column = self.columns[name]
        if column.kind == "numeric" or column.dtype_kind == "boolean":
            return column.values.astype(np.float64, copy=False)
        raise FormulaError(
            f"column {name!r} holds {kind_of(column)}, so nothing can be computed from it",
            self.text,
            node.position,
        )

    def _compares_levels(self, node: Binary) -> bool:
        return (
            isinstance(node.left, Name)
            and isinstance(node.right, Constant)
            and self.columns[node.left.value].kind == "categorical"
        )

    def _equal_level(self, node: Binary) -> NDArray[np.bool_]:
        assert isinstance(node.left, Name)
        assert isinstance(node.right, Constant)
        column = self.columns[node.left.value]
        wanted = column.labels() == str(node.right.value)
        if not self.fitted and not wanted.any():
            raise FormulaError(
                f"{str(node.right.value)!r} is not a level of {column.name!r}, which has"
                f" {listed(column.labels())}",
                self.text,
                node.right.position,
            )
        same: NDArray[np.bool_] = wanted[column.values]
        return same if node.operator == "==" else ~same

    def _rescale(self, call: Call) -> Array:
        x = self.number(call.arguments[0])
        state = self.states.setdefault(render(call), {})
        if not np.isfinite(x).all():
            return np.full(len(x), np.nan)
        if call.function == "center":
            return center(x, state)
        given = zip(("center", "scale"), call.arguments[1:], strict=False)
        options = {keyword: self._literal(node) for keyword, node in (*given, *call.keywords)}
        rescaled: Array = self._attempt(render(call), call.position, scale, x, state, **options)
        return rescaled


def match_levels(column: Column, levels: NDArray[Any]) -> NDArray[np.int32]:
    """Codes (n,) of a column's values among known levels, -1 for others; compared as text."""
    column = column.as_group()
    assert column.levels is not None
    if len(column.levels) == len(levels) and bool(np.all(column.levels == levels)):
        return column.values
    known = {label: code for code, label in enumerate(level_text(levels))}
    codes = np.array([*(known.get(x, -1) for x in level_text(column.levels)), -1], np.int32)
    matched: NDArray[np.int32] = codes[column.values]
    return matched


def _unseen(column: Column, codes: NDArray[np.int32], labels: tuple[str, ...]) -> NewLevelError:
    group = column.as_group()
    found = group.labels()[np.unique(group.values[codes < 0])]
    return NewLevelError(
        f"Column {column.name!r} has {listed(found)}, which the fit has not seen; known levels"
        f" are {listed(labels)}."
    )


def listed(labels: Iterable[object]) -> str:
    """The first ten labels, and how many there are beyond."""
    shown = [repr(str(label)) for label in labels]
    return ", ".join(shown[:10]) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "")
