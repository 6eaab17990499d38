"""Random terms on data: the columns of their effects and the codes of their levels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import level_text
from mixedeffects.errors import DataError, FormulaError, NewLevelError
from mixedeffects.formula.grammar import RandomTerm
from mixedeffects.formula.grouping import Grouping, build_grouping
from mixedeffects.formula.known import known_matrix
from mixedeffects.formula.matrix import MatrixSpec, build_matrix
from mixedeffects.formula.positions import OVER_SPACE, PositionSpec, build_positions
from mixedeffects.formula.values import Values, match_levels

__all__ = ["RandomDesign", "RandomSpec", "TimeSpec", "build_random"]

Array = NDArray[np.float64]

_OVER_TIME = ("ar1", "toep")
# sums of any two of these over the same column and group are one of them
_UNRESTRICTED = ("us", "diag", "id")


@dataclass(frozen=True, slots=True)
class RandomDesign:
    """A random term on the rows of a design.

    Attributes
    ----------
    label : str
        ``"Days | Subject"``.
    group : str
        ``"Subject"``, ``"batch:cask"``.
    structure : str
        Name of the covariance structure.
    matrix : ndarray, shape (L, L), or None
        Known matrix among the levels.
    names : tuple of str
        Names of the k columns.
    values : ndarray, shape (n, k)
    codes : ndarray of int32, shape (n,)
        Level of each row.
    levels : ndarray, shape (L,)
        The user's own values, ``"A:a"`` for combinations; only those that occur.
    positions : ndarray, shape (k,) or (k, d), or None
        Time points of the columns, or places, where the structure needs them.
    """

    label: str
    group: str
    structure: str
    matrix: Array | None
    names: tuple[str, ...]
    values: Array
    codes: NDArray[np.int32]
    levels: NDArray[Any]
    positions: Array | None


@dataclass(frozen=True, slots=True)
class TimeSpec:
    """One indicator column a time point.

    Attributes
    ----------
    column : str
    levels : ndarray, shape (k,)
        Values that occur.
    names : tuple of str
    """

    column: str
    levels: NDArray[Any]
    names: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def evaluate(self, values: Values) -> Array:
        """Indicators (n, k).

        Raises
        ------
        NewLevelError
            At a time point that the fit has not seen.
        """
        column = values.columns[self.column]
        codes = match_levels(column, self.levels)
        if codes.size and codes.min() < 0:
            row = values.source_row(int(codes.argmin()))
            raise NewLevelError(
                f"Column {self.column!r} has a time point in row {row} that the fit has not seen."
            )
        return np.asarray(codes[:, None] == np.arange(len(self.levels)), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class RandomSpec:
    """How a random term is made on new data."""

    label: str
    effects: MatrixSpec | TimeSpec | PositionSpec
    grouping: Grouping


def build_random(
    terms: Sequence[RandomTerm],
    values: Values,
    known: Mapping[str, Any] | None,
    matrices: Mapping[str, tuple[Array, MatrixSpec]],
) -> list[tuple[RandomDesign, RandomSpec]]:
    """Random terms, those with most levels first.

    Parameters
    ----------
    terms : sequence of RandomTerm
    values : Values
    known : mapping of str to matrix, or None
    matrices : mapping of str to (ndarray, MatrixSpec)
        Model matrices that are made already, by the text of their terms.

    Raises
    ------
    DataError, FormulaError
        If a column cannot group, a known matrix does not fit, or two terms
        describe the same effect.
    """
    groups: dict[tuple[str, ...], tuple[NDArray[np.int32], Grouping]] = {}
    made = dict(matrices)
    built = []
    for term in terms:
        if term.group not in groups:
            groups[term.group] = _group(term, values)
        built.append(_build(term, groups[term.group], made, values, known))
    _check_distinct(terms, [design for design, _ in built], values.text)
    values.notes.update(_alike([design for design, _ in built]))
    return sorted(built, key=lambda pair: -len(pair[0].levels))


def _alike(designs: Sequence[RandomDesign]) -> Iterator[tuple[str, str]]:
    """Notes of groups that differ in name only, as when ids were nested in what they tell."""
    for one, two in combinations(designs, 2):
        if one.group == two.group or len(one.levels) != len(two.levels):
            continue
        if one.matrix is not None or two.matrix is not None or not {*one.names} & {*two.names}:
            continue
        first = np.zeros(len(one.levels), np.int32)
        first[one.codes] = two.codes
        if (first[one.codes] == two.codes).all():
            yield (
                f"groups: {one.group} {two.group}",
                f"{one.group!r} and {two.group!r} group the rows in the same way, so that their"
                " variances cannot be told apart. Leave one of the terms out.",
            )


def _build(
    term: RandomTerm,
    group: tuple[NDArray[np.int32], Grouping],
    matrices: dict[str, tuple[Array, MatrixSpec]],
    values: Values,
    known: Mapping[str, Any] | None,
) -> tuple[RandomDesign, RandomSpec]:
    codes, grouping = group
    spec: MatrixSpec | TimeSpec | PositionSpec
    positions = matrix = None
    if term.structure in _OVER_TIME:
        spec, positions = _time(term, values)
        effects = spec.evaluate(values)
    elif term.structure in OVER_SPACE:
        spec, positions = build_positions(term, values)
        effects = spec.evaluate(values)
    else:
        if term.effects not in matrices:
            matrices[term.effects] = _matrix(term, matrices, values)
        effects, spec = matrices[term.effects]
    if term.argument is not None:
        matrix = known_matrix(term.argument, known, grouping.name, grouping.levels)
    design = RandomDesign(
        term.label,
        grouping.name,
        term.structure,
        matrix,
        spec.names,
        effects,
        codes,
        grouping.levels,
        positions,
    )
    return design, RandomSpec(term.label, spec, grouping)


def _matrix(
    term: RandomTerm, matrices: Mapping[str, tuple[Array, MatrixSpec]], values: Values
) -> tuple[Array, MatrixSpec]:
    for whole, spec in matrices.values():
        if spec.covers(term.formula):
            return spec.part(whole, term.formula)
    return build_matrix(term.formula, values)


def _group(term: RandomTerm, values: Values) -> tuple[NDArray[np.int32], Grouping]:
    for name in term.group:
        values.check_finite(name)
        values.note_unused(name)
    codes, grouping = build_grouping(term.group, values.columns)
    if len(grouping.levels) < 2 and term.structure not in OVER_SPACE:
        raise DataError(
            f"Group {grouping.name!r} has a single level, {level_text(grouping.levels)[0]!r}, so a"
            " variance among its levels cannot be estimated. Leave the term out."
        )
    return codes, grouping


def _time(term: RandomTerm, values: Values) -> tuple[TimeSpec, Array]:
    factors = [f for t in term.formula if t.degree for f in t.factors]
    if len(factors) != 1 or factors[0].eval_method.value != "lookup":
        raise FormulaError(
            f"{term.structure}(...) takes one column of time points: {term.structure}(t | group)",
            values.text,
            term.position,
        )
    name = factors[0].expr
    column = values.columns[name]
    if column.kind == "numeric":
        values.check_finite(name)
        _check_whole(term, name, column.values, values)
    group = column.as_group()
    assert group.levels is not None
    used = np.flatnonzero(np.bincount(group.values, minlength=len(group.levels)))
    if len(used) < 2:
        raise DataError(f"Column {name!r} has a single time point; {term.structure} needs two.")
    levels = group.levels[used]
    # a declared level that does not occur is a gap in time, not a shorter lag
    positions = levels if column.kind == "numeric" else used
    names = tuple(f"{name}[{label}]" for label in level_text(levels))
    return TimeSpec(name, levels, names), positions.astype(np.float64)


def _check_whole(term: RandomTerm, name: str, times: Array, values: Values) -> None:
    broken = times != np.round(times)
    if broken.any():
        row = int(broken.argmax())
        raise DataError(
            f"{term.structure}(...) needs whole time points, but column {name!r} is"
            f" {times[row]:g} in row {values.source_row(row)}. Count the time in steps, or"
            " make it a factor."
        )


def _check_distinct(
    terms: Sequence[RandomTerm], designs: Sequence[RandomDesign], text: str
) -> None:
    """Refuse two terms that describe the same effect of the same group."""
    for i, (term, design) in enumerate(zip(terms, designs, strict=True)):
        for other, earlier in zip(terms[:i], designs[:i], strict=True):
            if set(term.group) != set(other.group) or not _same_kind(term, other):
                continue
            shared = [name for name in design.names if name in earlier.names]
            if shared:
                raise FormulaError(
                    f"{_few(shared)} varies by {design.group!r} in two terms,"
                    f" {earlier.label!r} and {design.label!r}: their variances cannot be told"
                    " apart. Leave one out (a slope without its intercept is (0 + x | group))",
                    text,
                    term.position,
                )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 5 else f"{names[0]}, ..., {names[-1]}"


def _same_kind(term: RandomTerm, other: RandomTerm) -> bool:
    kinds = {term.structure, other.structure}
    if "known" in kinds:
        return len(kinds) == 1 and term.argument == other.argument
    return len(kinds) == 1 or "us" in kinds or kinds <= set(_UNRESTRICTED)
