"""General linear hypotheses Lβ = rhs: by matrix, by a term's name, by equations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import FrameKind, make_table
from mixedeffects.errors import FormulaError, ModelError
from mixedeffects.inference.coefficients import AnyFit, Coefficients, coefficients
from mixedeffects.inference.expressions import equations
from mixedeffects.inference.freedom import AbstractFreedom, FTest
from mixedeffects.inference.wald import linear_functions

Floats = NDArray[np.float64]

# Rows contradict one another when their combination misses by more than this share.
CONTRADICTION = 1e-8


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """Rows of Lβ = rhs with their texts.

    Attributes
    ----------
    labels : tuple of str
    L : ndarray, shape (r, p)
    rhs : ndarray, shape (r,)
    """

    labels: tuple[str, ...]
    L: Floats
    rhs: Floats


@dataclass(frozen=True, slots=True)
class LinearTest:
    """Tests of linear hypotheses; prints as the table and the joint test.

    Attributes
    ----------
    hypotheses : Hypotheses
    df : str
        The method of the degrees of freedom.
    rows : mapping
        Columns of the table.
    joint : FTest
        All rows at once: ``statistic num_df den_df p_value``; rows that follow from others
        are not counted in ``num_df``.
    """

    hypotheses: Hypotheses
    df: str
    rows: Mapping[str, Any]
    joint: FTest
    frame: FrameKind

    @property
    def table(self) -> Any:
        """``hypothesis estimate std_error statistic df p_value conf_low conf_high``."""
        return make_table(self.rows, self.frame)

    def __repr__(self) -> str:
        joint = self.joint
        return (
            f"{self.table}\n\njointly: F({joint.num_df}, {joint.den_df:.6g}) = "
            f"{joint.statistic:.6g}, p = {joint.p_value:.4g} ({self.df})"
        )


def linear_test(
    fit: AnyFit,
    freedom: AbstractFreedom,
    L: Any,
    rhs: Any = 0.0,
    level: float = 0.95,
    component: str = "conditional",
) -> LinearTest:
    """Test Lβ = rhs row by row and jointly.

    Parameters
    ----------
    fit
    freedom
        Of the fit.
    L
        As in ``hypotheses``.
    rhs
        A number, or one for each row.
    level
        Of the intervals of Lβ.
    component
        The linear predictor whose coefficients β are.
    """
    own = coefficients(fit, component)
    asked, freedom = hypotheses(own, L, rhs), own.freedom(freedom)
    _check_consistent(asked)
    return LinearTest(
        hypotheses=asked,
        df=freedom.name,
        rows={
            "hypothesis": list(asked.labels),
            **linear_functions(freedom, asked.L, asked.rhs, level),
        },
        joint=freedom.joint(asked.L, asked.rhs),
        frame=fit.design.frame,
    )


def hypotheses(own: Coefficients, L: Any, rhs: Any = 0.0) -> Hypotheses:
    """What is to be tested.

    Parameters
    ----------
    own
        The coefficients that it is about.
    L
        (r, p) or (p,) numbers over the coefficients of ``fixef``; the text of a term, for
        all of its columns; or equations such as ``"x = 0, f[T.b] - f[T.c] = 0"``.
    rhs
        A number, or one for each row.

    Raises
    ------
    FormulaError
        For a text that is neither a term nor equations in known coefficients.
    ModelError
        For numbers of another shape, for coefficients that were left out as other columns
        determine them, for a right-hand side given twice.
    """
    if isinstance(L, str):
        found = _term_rows(own, L)
        if found is None:
            return _equation_rows(own, L, rhs)
        matrix, labels = found
    else:
        matrix = _matrix(own, L)
        labels = None
    values = _right_side(rhs, len(matrix))
    if labels is None:
        labels = [_written(row, own.estimate.x_names) for row in matrix]
    shown = tuple(f"{label} = {value:g}" for label, value in zip(labels, values, strict=True))
    return Hypotheses(shown, matrix, values)


def _term_rows(own: Coefficients, text: str) -> tuple[Floats, list[str]] | None:
    for number, term in enumerate(own.terms):
        if _normal(term) == _normal(text):
            columns = own.columns_of(number)
            if not columns:
                raise ModelError(
                    f"Term {term!r} was left out of the fit, as other columns determine it: "
                    "there is nothing of it to test."
                )
            names = [own.estimate.x_names[j] for j in columns]
            return np.eye(len(own.estimate.beta))[columns], names
    return None


def _normal(term: str) -> list[str]:
    """``b : a`` and ``a:b`` are the same term."""
    return sorted("".join(term.split()).replace("^", "**").split(":"))


def _equation_rows(own: Coefficients, text: str, rhs: Any) -> Hypotheses:
    names = own.names
    try:
        found = equations(text, names)
    except FormulaError as error:
        raise _with_terms(error, own) from None
    if "=" in text:
        if np.any(np.asarray(rhs) != 0.0):
            raise ModelError(f"{text!r} has its right-hand side: leave rhs={rhs!r} out.")
        values = np.array([e.value for e in found])
        labels = tuple(e.text for e in found)
    else:
        given = _right_side(rhs, len(found))
        values = given + np.array([e.value for e in found])
        labels = tuple(
            f"{e.text.removesuffix('0')}{value:g}" for e, value in zip(found, given, strict=True)
        )
    rows = np.array([e.row for e in found])
    kept = own.estimate.kept
    aliased = np.setdiff1d(np.flatnonzero(rows.any(axis=0)), kept)
    if len(aliased):
        raise ModelError(
            f"Coefficient {names[aliased[0]]!r} was left out of the fit, as other columns "
            f"determine it: test the others ({', '.join(own.estimate.x_names)})."
        )
    return Hypotheses(labels, rows[:, kept], values)


def _with_terms(error: FormulaError, own: Coefficients) -> FormulaError:
    terms = [term for term in own.terms if term != "1"]
    reason = error.reason
    if "is not a coefficient" in reason:
        reason += f"; the terms: {', '.join(terms)}"
    return FormulaError(reason, error.text, error.position)


def _matrix(own: Coefficients, L: Any) -> Floats:
    names = own.estimate.x_names
    try:
        matrix = np.atleast_2d(np.asarray(L, dtype=np.float64))
    except (TypeError, ValueError):
        raise ModelError(f"L={L!r} is not a matrix of numbers.") from None
    if matrix.ndim != 2 or matrix.shape[1] != len(names) or not len(matrix):
        raise ModelError(
            f"L has shape {np.shape(L)}; {len(names)} columns are needed, one for each "
            f"coefficient: {', '.join(names)}."
        )
    if not np.all(np.isfinite(matrix)):
        raise ModelError("L holds values that are not finite.")
    empty = np.flatnonzero(~matrix.any(axis=1))
    if len(empty):
        raise ModelError(f"Row {empty[0]} of L is all zero: it says nothing of the coefficients.")
    return matrix


def _right_side(rhs: Any, n_rows: int) -> Floats:
    try:
        values = np.asarray(rhs, dtype=np.float64)
        values = np.broadcast_to(values, (n_rows,)).copy()
    except (TypeError, ValueError):
        raise ModelError(
            f"rhs={rhs!r} is not a number, nor one for each of {n_rows} rows."
        ) from None
    if not np.all(np.isfinite(values)):
        raise ModelError(f"rhs={rhs!r} is not finite.")
    return values


def _check_consistent(asked: Hypotheses) -> None:
    """Refuse rows of which one contradicts the others."""
    scale = np.abs(asked.L).max(axis=1, keepdims=True)
    L, rhs = asked.L / scale, asked.rhs / scale[:, 0]
    solved = np.linalg.lstsq(L, rhs, rcond=CONTRADICTION)[0]
    missed = np.abs(L @ solved - rhs)
    if missed.max() > CONTRADICTION * max(1.0, float(np.abs(rhs).max())):
        raise ModelError(
            f"The hypotheses contradict one another: {'; '.join(asked.labels)}. No coefficients "
            "fulfil them all."
        )


def _written(row: Floats, names: Sequence[str]) -> str:
    """``"x - 0.5 f[T.b]"``."""
    parts = []
    for value, name in zip(row, names, strict=True):
        if value:
            size = "" if abs(value) == 1.0 else f"{abs(value):.4g} "
            parts.append(f"{'-' if value < 0 else '+'} {size}{name}")
    text = " ".join(parts)
    return text[2:] if text.startswith("+") else f"-{text[2:]}"
