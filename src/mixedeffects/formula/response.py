"""The left side of a formula as numbers, successes of trials, or codes of categories."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.columns import Column, level_text, stray_labels
from mixedeffects.errors import DataError, FormulaError
from mixedeffects.formula.grammar import ParsedFormula
from mixedeffects.formula.matrix import MatrixSpec, build_matrix
from mixedeffects.formula.terms import formula_columns
from mixedeffects.formula.tree import Name
from mixedeffects.formula.values import Values, kind_of, listed

__all__ = ["ResponseArrays", "ResponseKind", "as_trials", "read_response"]

Array = NDArray[np.float64]
ResponseKind = Literal["numeric", "binomial", "ordinal"]

# Numbers of more different values than this are no ordered categories.
MOST_CATEGORIES = 50


@dataclass(frozen=True, slots=True)
class ResponseArrays:
    """A response on the rows used.

    Attributes
    ----------
    y : ndarray, shape (n,)
    trials : ndarray, shape (n,), or None
    categories : tuple of str
    spec : MatrixSpec, or str for a plain column
    """

    y: Array
    trials: Array | None
    categories: tuple[str, ...]
    spec: MatrixSpec | str


def read_response(parsed: ParsedFormula, values: Values, kind: ResponseKind) -> ResponseArrays:
    """The response of a formula.

    Raises
    ------
    DataError
        If it is not of the kind that the family needs.
    """
    if parsed.cbind is not None:
        return _counts(parsed, values)
    if isinstance(parsed.response_node, Name):
        name = parsed.response_node.value
        column = values.columns[name]
        if kind == "ordinal":
            return _ordered(name, column)
        if kind == "binomial" and column.kind == "categorical":
            return _two_valued(name, column)
        _require_numbers(name, column, kind)
        values.check_finite(name)
        return ResponseArrays(column.values.copy(), None, (), name)
    (formula,) = parsed.response_formulas
    for name in formula_columns([formula]):
        _require_numbers(name, values.columns[name], kind)
        values.check_finite(name)
    matrix, spec = build_matrix(formula, values, f"The response {parsed.response!r}")
    return ResponseArrays(matrix[:, 0], None, (), spec)


def as_trials(
    response: ResponseArrays, weights: Array | None, parsed: ParsedFormula
) -> tuple[ResponseArrays, Array | None]:
    """Successes y of trials; weights beside a proportion are its trials, not prior weights."""
    if response.trials is not None:
        if weights is not None:
            raise FormulaError(
                "cbind(successes, failures) says how many trials there are, and weights would say"
                " it again: leave weights out, or give the proportion as the response",
                parsed.text,
                parsed.response_node.position,
            )
        return response, None
    if weights is None:
        _require(
            response,
            parsed,
            (response.y == 0) | (response.y == 1),
            "Without trials a response is 0 or 1. For proportions give the numbers of trials as"
            " weights=, or write cbind(successes, failures); for proportions that are not of"
            " trials use family 'beta'.",
        )
        return replace(response, trials=np.ones(len(response.y))), None
    _require(
        response,
        parsed,
        (response.y >= 0) & (response.y <= 1),
        "With weights, the numbers of trials, a response is a proportion from 0 to 1: divide"
        " successes by trials, or write cbind(successes, failures).",
    )
    successes = response.y * weights
    whole = np.round(successes)
    # A proportion that was rounded to a few digits still tells its count.
    near = np.abs(successes - whole) <= 1e-6 * np.maximum(weights, 1.0)
    return replace(response, y=np.where(near, whole, successes), trials=weights), None


def _require(
    response: ResponseArrays, parsed: ParsedFormula, good: NDArray[np.bool_], says: str
) -> None:
    """Refuse the first value of a response that is not good, (n,)."""
    if not good.all():
        value, more = response.y[int(np.argmin(good))], int(np.count_nonzero(~good)) - 1
        others = f" (and {more} more)" if more else ""
        raise DataError(f"The response {parsed.response!r} has a value {value:g}{others}. {says}")


def _counts(parsed: ParsedFormula, values: Values) -> ResponseArrays:
    for name in formula_columns(parsed.response_formulas):
        _require_numbers(name, values.columns[name], "binomial")
        values.check_finite(name)
    made = [
        build_matrix(f, values, f"The response {parsed.response!r}")
        for f in parsed.response_formulas
    ]
    (successes, spec), (failures, _) = made
    for what, column in (("successes", successes[:, 0]), ("failures", failures[:, 0])):
        if (column < 0).any():
            row = values.source_row(int(np.argmax(column < 0)))
            raise DataError(
                f"{parsed.response} has {column.min():g} {what}, first a negative number in row"
                f" {row}: are there more successes than trials?"
            )
    return ResponseArrays(successes[:, 0], (successes + failures)[:, 0], (), spec)


def _two_valued(name: str, column: Column) -> ResponseArrays:
    codes, labels = _occurring(column)
    if len(labels) != 2:
        shown = ", ".join(map(repr, labels[:5])) + (", ..." if len(labels) > 5 else "")
        count = "one category" if len(labels) == 1 else f"{len(labels)} categories"
        raise DataError(
            f"The response column {name!r} has {count} ({shown}); a binomial"
            " response has two, the second of which counts as success."
        )
    return ResponseArrays(codes, None, labels, name)


def _ordered(name: str, column: Column) -> ResponseArrays:
    codes, labels = _numbered(name, column) if column.kind == "numeric" else _occurring(column)
    if len(labels) < 2:
        raise DataError(f"The response column {name!r} has one category only: {labels[0]!r}.")
    return ResponseArrays(codes, None, labels, name)


def _numbered(name: str, column: Column) -> tuple[Array, tuple[str, ...]]:
    """Codes (n,) among the numbers that occur, in increasing order."""
    levels, codes = np.unique(column.values, return_inverse=True)
    if len(levels) > MOST_CATEGORIES or not np.isfinite(levels).all():
        raise DataError(
            f"The response column {name!r} has {len(levels)} different numbers; an ordinal"
            " response has a few ordered categories. For numbers use another family."
        )
    whole = np.abs(levels).max() < 2**53 and (levels == np.floor(levels)).all()
    shown = levels.astype(np.int64) if whole else levels
    return codes.astype(np.float64), tuple(level_text(shown))


def _occurring(column: Column) -> tuple[Array, tuple[str, ...]]:
    """Codes (n,) among the categories that occur, in the column's own order, and their names."""
    assert column.levels is not None
    used, codes = np.unique(column.values, return_inverse=True)
    return codes.astype(np.float64), tuple(level_text(column.levels[used]))


def _require_numbers(name: str, column: Column, kind: ResponseKind) -> None:
    if column.kind != "categorical":
        return
    way_out = "A response must be numbers: convert it first."
    if kind == "numeric" and column.dtype_kind == "boolean":
        way_out = "Use family 'binomial' for successes and failures, or convert it to numbers."
    elif kind == "numeric":
        way_out += " For ordered categories use family='cumulative', for two 'binomial'."
        stray = stray_labels(column)
        if stray:
            way_out = f"All but {listed(stray)} are numbers: leave such cells empty, or write NA."
        elif stray is not None:
            way_out = (
                "Its numbers are written as text: convert it first (where commas mark the"
                " decimals, pandas.read_csv(..., decimal=',') does)."
            )
    raise DataError(f"The response column {name!r} holds {kind_of(column)}. {way_out}")
