"""What a fit remembers of its design, replayed on new data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import Columns, FrameKind, open_source, read_columns
from mixedeffects.errors import ColumnNotFoundError, DataError, NewLevelError
from mixedeffects.formula.effects import RandomSpec
from mixedeffects.formula.grammar import ParsedFormula
from mixedeffects.formula.grouping import new_labels
from mixedeffects.formula.matrix import MatrixSpec
from mixedeffects.formula.values import Values, listed, row_numbers

__all__ = ["DesignSpec", "NewDesign", "NewLevels", "NewRandom", "complete_rows"]

Array = NDArray[np.float64]
NewLevels = Literal["error", "population", "sample"]


@dataclass(frozen=True, slots=True)
class NewRandom:
    """A random term on new rows.

    Attributes
    ----------
    label : str
        The term, as in the design.
    values : ndarray, shape (n, k)
        NaN in incomplete rows.
    codes : ndarray of int32, shape (n,)
        Level among those of the fit, -1 where unknown or missing.
    new_levels : ndarray, shape (N,)
        Labels that the fit has not seen.
    new_codes : ndarray of int32, shape (n,)
        Level among `new_levels`, else -1.
    """

    label: str
    values: Array
    codes: NDArray[np.int32]
    new_levels: NDArray[Any]
    new_codes: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class NewDesign:
    """A design on new data, one entry a row of these, NaN where a row is incomplete.

    Attributes
    ----------
    X : ndarray, shape (n, p)
    random : tuple of NewRandom
        Empty if only the population part was asked for.
    offset : ndarray, shape (n,), or None
    complete : ndarray of bool, shape (n,)
        Rows without missing values.
    n_rows : int
    frame : FrameKind
    y : ndarray, shape (n,), or None
        Response, if asked for.
    """

    X: Array
    random: tuple[NewRandom, ...]
    offset: Array | None
    complete: NDArray[np.bool_]
    n_rows: int
    frame: FrameKind
    y: Array | None


@dataclass(frozen=True, slots=True)
class DesignSpec:
    """Levels, knots, contrasts and centres of a fitted design.

    Attributes
    ----------
    parsed : ParsedFormula
    response : MatrixSpec, or str for a plain column
    fixed : MatrixSpec
    random : tuple of RandomSpec
        In the order of the design.
    offsets : tuple of MatrixSpec
        The ``offset(...)`` terms.
    levels : mapping of str to ndarray
        Levels of the categorical columns.
    offset : str or None
        Column given as the offset argument.
    offset_array : bool
        Whether the offset argument was an array, which cannot be replayed.
    """

    parsed: ParsedFormula
    response: MatrixSpec | str
    fixed: MatrixSpec
    random: tuple[RandomSpec, ...]
    offsets: tuple[MatrixSpec, ...]
    levels: Mapping[str, NDArray[Any]]
    offset: str | None
    offset_array: bool

    def apply(
        self,
        new_data: Any,
        *,
        new_levels: NewLevels = "error",
        need_response: bool = False,
        random: bool = True,
        offset: Any = None,
    ) -> NewDesign:
        """The design on new data.

        Parameters
        ----------
        new_data : table, dict or path
        new_levels : {"error", "population", "sample"}
            Whether a level of a group that the fit has not seen is an error;
            otherwise it has code -1.
        need_response : bool
            Whether to evaluate the response too.
        random : bool
            Whether to make the random terms; without, their columns are not needed.
        offset : str or ndarray of shape (n,), optional
            In place of the offset argument of the fit.

        Raises
        ------
        ColumnNotFoundError
            If the data lack a column that is needed.
        NewLevelError
            At a level of a fixed factor that the fit has not seen, and of a group
            under ``new_levels="error"``.
        DataError
            If the fit's offset was an array and none is given.
        """
        offset = self._offset(offset)
        columns = self._read(new_data, need_response, random, offset)
        given = None
        if offset is not None and not isinstance(offset, str):
            given = row_numbers("offset", offset, columns.n_rows)
        complete = complete_rows(columns)
        if given is not None:
            complete &= ~np.isnan(given)
        rows = np.flatnonzero(complete)
        kept = columns if complete.all() else columns.take(rows)
        values = Values(kept, self.parsed.text, dict(self.levels), rows=rows, fitted=True)
        total = self._total_offset(values, offset, given, rows)
        y = self._response(values) if need_response else None
        return NewDesign(
            _spread(self.fixed.evaluate(values), complete),
            tuple(_apply_random(s, values, complete, new_levels) for s in self.random * random),
            None if total is None else _spread(total, complete),
            complete,
            columns.n_rows,
            columns.frame,
            None if y is None else _spread(y, complete),
        )

    def _offset(self, offset: Any) -> Any:
        if offset is None and self.offset_array:
            raise DataError(
                "The model was fitted with an array as offset, so new data need one too: pass"
                " offset=, or fit with a column's name as offset."
            )
        return self.offset if offset is None else offset

    @property
    def _response_columns(self) -> tuple[str, ...]:
        return (self.response,) if isinstance(self.response, str) else self.response.columns

    def _response(self, values: Values) -> Array:
        if isinstance(self.response, str):
            y: Array = values.columns[self.response].values
            return y
        return self.response.evaluate(values)[:, 0]

    def _read(self, new_data: Any, response: bool, random: bool, offset: Any) -> Columns:
        names = [*self.fixed.columns]
        names += [c for spec in self.offsets for c in spec.columns]
        names += [offset] if isinstance(offset, str) else []
        names += self._response_columns if response else ()
        of_groups = [c for c in self.parsed.random_columns if c not in names] if random else []
        names += of_groups
        source = open_source(new_data) if not isinstance(new_data, Columns) else new_data
        if not names:
            # any column tells the number of rows
            names = list(source.available if isinstance(source, Columns) else source.names)[:1]
            columns = read_columns(source, names)
            return Columns({}, columns.n_rows, columns.frame, columns.available)
        try:
            return read_columns(source, names)
        except ColumnNotFoundError as error:
            if error.column not in of_groups:
                raise
            hint = "With random='population' the columns of the groups are not needed."
            raise ColumnNotFoundError(error.column, error.available, hint) from None

    def _total_offset(
        self, values: Values, offset: Any, given: Array | None, rows: NDArray[np.intp]
    ) -> Array | None:
        parts = [spec.evaluate(values)[:, 0] for spec in self.offsets]
        if given is not None:
            parts.append(given[rows])
        elif isinstance(offset, str):
            parts.append(values.columns[offset].values)
        return np.sum(parts, axis=0) if parts else None


def complete_rows(columns: Columns) -> NDArray[np.bool_]:
    """Rows without missing values in any of the columns, shape (n,)."""
    complete = np.ones(columns.n_rows, bool)
    for column in columns.columns.values():
        complete &= ~column.missing
    return complete


def _spread(values: Array, complete: NDArray[np.bool_]) -> Array:
    """Values of the complete rows among all rows, NaN elsewhere."""
    if complete.all():
        return values
    out = np.full((len(complete), *values.shape[1:]), np.nan)
    out[complete] = values
    return out


def _apply_random(
    spec: RandomSpec, values: Values, complete: NDArray[np.bool_], new_levels: NewLevels
) -> NewRandom:
    codes = spec.grouping.match(values.columns)
    labels, own = new_labels(spec.grouping.columns, values.columns, codes)
    if new_levels == "error" and len(labels):
        raise NewLevelError(
            f"Group {spec.grouping.name!r} has {listed(labels)}, which the fit has not seen."
            " With new_levels='population' such rows get the population's prediction."
        )
    all_codes, all_own = (np.full(len(complete), -1, np.int32) for _ in range(2))
    all_codes[complete], all_own[complete] = codes, own
    effects = _spread(spec.effects.evaluate(values), complete)
    return NewRandom(spec.label, effects, all_codes, labels, all_own)
