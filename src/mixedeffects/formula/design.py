"""Formulas and data as arrays: `build_design`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import Columns, FrameKind, read_columns
from mixedeffects.errors import DataError, FormulaError, MissingValueError
from mixedeffects.formula.effects import RandomDesign, build_random
from mixedeffects.formula.grammar import ParsedFormula, parse_formula
from mixedeffects.formula.matrix import build_matrix
from mixedeffects.formula.response import ResponseArrays, ResponseKind, as_trials, read_response
from mixedeffects.formula.spec import DesignSpec
from mixedeffects.formula.terms import has_intercept
from mixedeffects.formula.tree import Name
from mixedeffects.formula.values import Values, kind_of, row_numbers

__all__ = ["Design", "build_design"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Design:
    """Everything that a formula and data say, as arrays over the n rows used.

    Attributes
    ----------
    formula : str
    response : str
        Left side of the formula.
    y : ndarray, shape (n,)
    trials : ndarray, shape (n,), or None
        Trials behind the counts y of successes.
    categories : tuple of str
        Of an ordered response, whose codes y are; of a response of two, failure and success.
    X : ndarray, shape (n, p)
    x_names : tuple of str
        Names of the columns of X.
    has_intercept : bool
        Whether the first column of X is the constant.
    weights : ndarray, shape (n,), or None
    offset : ndarray, shape (n,), or None
        Sum of the ``offset(...)`` terms and the offset argument.
    random : tuple of RandomDesign
        Those with most levels first.
    rows : ndarray of int, shape (n,)
        Positions of the rows used among those of the data.
    n_rows : int
        Rows of the data.
    dropped : mapping of str to int
        Rows with a missing value, by column.
    notes : tuple of str
        What a reader of the results should know, such as unused levels.
    frame : FrameKind
        The library in which results go back.
    columns : Columns
        The columns used, all rows.
    spec : DesignSpec
        Makes the same design on new data.
    others : mapping of str to Design
        The designs of further linear predictors, such as ``"dispersion"``, on the same rows.
    """

    formula: str
    response: str
    y: Array = field(repr=False)
    trials: Array | None = field(repr=False)
    categories: tuple[str, ...]
    X: Array = field(repr=False)
    x_names: tuple[str, ...]
    has_intercept: bool
    weights: Array | None = field(repr=False)
    offset: Array | None = field(repr=False)
    random: tuple[RandomDesign, ...] = field(repr=False)
    rows: NDArray[np.intp] = field(repr=False)
    n_rows: int
    dropped: Mapping[str, int]
    notes: tuple[str, ...]
    frame: FrameKind = field(repr=False)
    columns: Columns = field(repr=False)
    spec: DesignSpec = field(repr=False)
    others: Mapping[str, Design] = field(default_factory=dict, repr=False)

    @property
    def observed(self) -> NDArray[Any]:
        """The response (n,) as a reader knows it: proportions of trials, names of categories."""
        if self.trials is not None:
            return self.y / self.trials
        if self.categories:
            return np.array(self.categories, dtype=object)[self.y.astype(np.intp)]
        return self.y


def build_design(
    formula: str,
    data: Any,
    *,
    weights: Any = None,
    offset: Any = None,
    missing: Literal["drop", "error"] = "drop",
    known: Mapping[str, Any] | None = None,
    require_random: bool = True,
    kind: ResponseKind = "numeric",
    others: Mapping[str, str] | None = None,
) -> Design:
    """Arrays of a mixed model from its formulas and data.

    Parameters
    ----------
    formula : str
        lme4's grammar, see `parse_formula`.
    data : table, dict or path
        See `read_columns`.
    weights, offset : str or ndarray of shape (n_rows,), optional
        A column's name, or values. Weights are positive.
    missing : {"drop", "error"}
        What becomes of rows with a missing value in any column used.
    known : mapping of str to matrix, optional
        Matrices that ``known(1 | group, K)`` names, see `known_matrix`.
    require_random : bool
        Whether formulas without any random term are an error.
    kind : {"numeric", "binomial", "ordinal"}
        What the response is read as: numbers; successes of trials; codes of categories.
    others : mapping of str to str
        One-sided formulas of further linear predictors, such as ``{"dispersion": "~ x"}``.

    Returns
    -------
    Design

    Raises
    ------
    FormulaError
        If the formula cannot be read or says what cannot be estimated.
    DataError
        If a column is not there, or its values cannot be used.
    MissingValueError
        At a missing value under ``missing="error"``.

    Examples
    --------
    >>> data = {"y": [1.0, 2.0, 4.0, 3.0], "f": ["a", "b", "a", "b"], "g": [1, 1, 2, 2]}
    >>> design = build_design("y ~ f + (1 | g)", data)
    >>> design.x_names
    ('Intercept', 'f[T.b]')
    >>> design.random[0].codes
    array([0, 0, 1, 1], dtype=int32)
    """
    parsed = parse_formula(formula)
    further = {name: _one_sided(name, text, parsed) for name, text in (others or {}).items()}
    for one in (parsed, *further.values()):
        _check_roles(one, kind)
    if require_random and not any(p.random for p in (parsed, *further.values())):
        raise FormulaError(
            "the formula has no random term: add one, such as (1 | group), or fit a plain"
            " regression with another package",
            parsed.text,
        )
    _check_known((parsed, *further.values()), known)
    extra = {"weights": weights, "offset": offset}
    columns = _read((parsed, *further.values()), data, extra)
    arrays = {
        name: row_numbers(name, value, columns.n_rows)
        for name, value in extra.items()
        if value is not None and not isinstance(value, str)
    }
    complete, dropped = _complete(columns, arrays, missing)
    rows = np.flatnonzero(complete)
    kept = columns if len(rows) == columns.n_rows else columns.take(rows)
    values = Values(kept, formula, {}, rows=rows)
    response = read_response(parsed, values, kind)
    prior = _weights(_extra("weights", weights, arrays, values), values)
    if kind == "binomial":
        response, prior = as_trials(response, prior, parsed)
    base = _Base(columns, rows, dropped, response, prior)
    main = _assembled(parsed, values, base, known, _extra("offset", offset, arrays, values), offset)
    return replace(
        main,
        others={
            name: _assembled(
                p, Values(kept, p.text, dict(values.levels), rows=rows), base, known, None, None
            )
            for name, p in further.items()
        },
    )


@dataclass(frozen=True, slots=True)
class _Base:
    """What the designs of all predictors share."""

    columns: Columns
    rows: NDArray[np.intp]
    dropped: Mapping[str, int]
    response: ResponseArrays
    weights: Array | None


def _one_sided(name: str, text: Any, main: ParsedFormula) -> ParsedFormula:
    if not isinstance(text, str) or not text.strip().startswith("~"):
        raise FormulaError(
            f"{name} takes a formula without a left side, such as '~ x', not {text!r}"
        )
    return parse_formula(f"{main.response} {text.strip()}")


def _assembled(
    parsed: ParsedFormula,
    values: Values,
    base: _Base,
    known: Mapping[str, Any] | None,
    given: tuple[str, Array] | None,
    offset: Any,
) -> Design:
    """The design of one predictor; ``given``, its offset argument on the rows used."""
    X, fixed = build_matrix(parsed.fixed_formula, values)
    random = build_random(parsed.random, values, known, {parsed.fixed: (X, fixed)})
    terms = [
        build_matrix(offset_formula, values, f"offset({written})")
        for offset_formula, written in zip(parsed.offset_formulas, parsed.offsets, strict=True)
    ]
    offsets = [*(term[:, 0] for term, _ in terms), *([] if given is None else [given[1]])]
    return Design(
        formula=parsed.text,
        response=parsed.response,
        y=base.response.y,
        trials=base.response.trials,
        categories=base.response.categories,
        X=X,
        x_names=fixed.names,
        has_intercept=has_intercept(parsed.fixed_formula),
        weights=base.weights,
        offset=np.sum(offsets, axis=0) if offsets else None,
        random=tuple(design for design, _ in random),
        rows=base.rows,
        n_rows=base.columns.n_rows,
        dropped=base.dropped,
        notes=tuple(values.notes.values()),
        frame=base.columns.frame,
        columns=base.columns,
        spec=DesignSpec(
            parsed,
            base.response.spec,
            fixed,
            tuple(spec for _, spec in random),
            tuple(spec for _, spec in terms),
            values.levels,
            offset if isinstance(offset, str) else None,
            given is not None and not isinstance(offset, str),
        ),
    )


def _check_roles(parsed: ParsedFormula, kind: ResponseKind) -> None:
    if parsed.cbind is not None and kind != "binomial":
        raise FormulaError(
            "cbind(...) is a response of family 'binomial' or 'betabinomial'; other families take"
            " a column of numbers, such as the proportion",
            parsed.text,
            parsed.response_node.position,
        )
    if not isinstance(parsed.response_node, Name):
        return
    name = parsed.response_node.value
    for term in parsed.random:
        if name in term.columns:
            raise FormulaError(
                f"the response {name!r} is also in the random term {term.label!r}",
                parsed.text,
                term.position,
            )
    if any(f.expr == name for term in parsed.fixed_formula for f in term.factors):
        raise FormulaError(f"the response {name!r} is also on the right side", parsed.text)


def _check_known(parsed: Sequence[ParsedFormula], known: Mapping[str, Any] | None) -> None:
    used = {term.argument for one in parsed for term in one.random}
    unused = [name for name in known or () if name not in used]
    if unused:
        raise FormulaError(
            f"the known matrix {unused[0]!r} is given, but no term names it: write"
            f" known(1 | group, {unused[0]})",
            parsed[0].text,
        )


def _read(parsed: Sequence[ParsedFormula], data: Any, extra: Mapping[str, Any]) -> Columns:
    names = [name for one in parsed for name in one.columns]
    return read_columns(data, [*names, *(v for v in extra.values() if isinstance(v, str))])


def _complete(
    columns: Columns, arrays: Mapping[str, Array], missing: str
) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """Rows without missing values (n_rows,), and their number by column."""
    if missing not in ("drop", "error"):
        raise ValueError(f"missing must be 'drop' or 'error', not {missing!r}")
    complete = np.ones(columns.n_rows, bool)
    dropped: dict[str, int] = {}
    masks = {name: column.missing for name, column in columns.columns.items()}
    masks |= {name: np.isnan(values) for name, values in arrays.items()}
    for name, mask in masks.items():
        if mask.any():
            dropped[name] = int(mask.sum())
            complete &= ~mask
    if dropped and missing == "error":
        counts = ", ".join(f"{name!r} ({count})" for name, count in dropped.items())
        raise MissingValueError(
            f"Missing values in {counts}, first in row {int(complete.argmin())}. Fill them, or"
            " leave these rows out with missing='drop'."
        )
    if not complete.any():
        counts = ", ".join(f"{name!r} ({count})" for name, count in dropped.items())
        raise DataError(f"No row is without missing values: they are in {counts}.")
    return complete, dropped


def _extra(
    name: str, value: Any, arrays: Mapping[str, Array], values: Values
) -> tuple[str, Array] | None:
    """The weights or offset argument on the rows used, with a name for messages."""
    if value is None:
        return None
    if name in arrays:
        assert values.rows is not None
        numbers, shown = arrays[name][values.rows], name
    else:
        column = values.columns[value]
        if column.kind != "numeric":
            raise DataError(f"{name}: column {value!r} holds {kind_of(column)}, not numbers.")
        numbers, shown = column.values, f"{name}: column {value!r}"
    if not np.isfinite(numbers).all():
        row = values.source_row(int((~np.isfinite(numbers)).argmax()))
        raise DataError(f"{shown} is infinite in row {row}.")
    return shown, numbers


def _weights(given: tuple[str, Array] | None, values: Values) -> Array | None:
    if given is None:
        return None
    shown, numbers = given
    if numbers.min() <= 0:
        row = values.source_row(int((numbers <= 0).argmax()))
        kind = "zero" if numbers.min() == 0 else "negative"
        raise DataError(
            f"{shown} is {kind} in row {row}; weights are positive. A row of weight zero says"
            " nothing: drop it."
        )
    return numbers.copy()  # a fit must not change with the user's data
