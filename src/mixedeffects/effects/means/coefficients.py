"""Coefficients of contrasts among k estimates, one function a method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import gcd, lcm
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError, suggestion

Floats = NDArray[np.float64]

_HIGHEST_DEGREE = 6
_DEGREES = ("linear", "quadratic", "cubic", "quartic", "degree 5", "degree 6")


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Contrasts among k estimates.

    Attributes
    ----------
    kind : str
        The method.
    names : tuple of str, m of them
    C : ndarray, shape (m, k)
    """

    kind: str
    names: tuple[str, ...]
    C: Floats


def coefficients(
    method: Any,
    labels: Sequence[str],
    ref: Any = None,
    sign: str = "-",
    short: Sequence[str] = (),
) -> Coefficients:
    """Contrasts among estimates with these labels, ``sign`` standing between two in a name.

    ``short`` are other names (k,) by which the user may call them.

    Raises
    ------
    ModelError
        If there is no such method, the coefficients given do not fit, or too few estimates
        are to be compared.
    """
    if not isinstance(method, str):
        return _custom(method, labels, short)
    if method not in METHODS:
        raise ModelError(
            f"method={method!r} is not one of {', '.join(map(repr, METHODS))}, nor a dict of"
            f" coefficients.{suggestion(method, METHODS)}"
        )
    if ref is not None and method != "treatment":
        raise ModelError(f"ref={ref!r} applies to method='treatment', not to {method!r}.")
    if len(labels) < 2:
        raise ModelError(
            "There is a single estimate in each family, so there is nothing to compare it with."
            " Ask for more levels, or compare across families with by=[]."
        )
    names, C = METHODS[method](
        labels, 0 if ref is None else _place("ref", ref, labels, short), f" {sign} "
    )
    return Coefficients(method, tuple(names), C)


Made = tuple[Sequence[str], Floats]


def _pairwise(labels: Sequence[str], _: int, sign: str) -> Made:
    pairs = list(combinations(range(len(labels)), 2))
    return _differences(labels, pairs, sign)


def _reversed(labels: Sequence[str], _: int, sign: str) -> Made:
    return _differences(labels, [(j, i) for j in range(len(labels)) for i in range(j)], sign)


def _treatment(labels: Sequence[str], ref: int, sign: str) -> Made:
    return _differences(labels, [(i, ref) for i in range(len(labels)) if i != ref], sign)


def _consecutive(labels: Sequence[str], _: int, sign: str) -> Made:
    return _differences(labels, [(i + 1, i) for i in range(len(labels) - 1)], sign)


def _deviations(labels: Sequence[str], _: int, sign: str) -> Made:
    k = len(labels)
    return [f"{label}{sign}mean" for label in labels], np.eye(k) - 1.0 / k


def _polynomial(labels: Sequence[str], _: int, __: str) -> Made:
    degrees = min(len(labels) - 1, _HIGHEST_DEGREE)
    return _DEGREES[:degrees], orthogonal_polynomials(len(labels), degrees)


def _differences(labels: Sequence[str], pairs: Sequence[tuple[int, int]], sign: str) -> Made:
    C = np.zeros((len(pairs), len(labels)))
    for row, (first, second) in zip(C, pairs, strict=True):
        row[first], row[second] = 1.0, -1.0
    return [f"{labels[i]}{sign}{labels[j]}" for i, j in pairs], C


METHODS: Mapping[str, Callable[[Sequence[str], int, str], Made]] = MappingProxyType(
    {
        "pairwise": _pairwise,
        "revpairwise": _reversed,
        "treatment": _treatment,
        "consecutive": _consecutive,
        "polynomial": _polynomial,
        "sum": _deviations,
    }
)


def orthogonal_polynomials(k: int, degrees: int) -> Floats:
    """Contrasts (degrees, k) of equally spaced points in the least whole numbers.

    Examples
    --------
    >>> orthogonal_polynomials(4, 3)
    array([[-3., -1.,  1.,  3.],
           [ 1., -1., -1.,  1.],
           [-1.,  3., -3.,  1.]])
    """
    found: list[list[Fraction]] = [[Fraction(1)] * k]
    for degree in range(1, degrees + 1):
        row = [Fraction(i) ** degree for i in range(k)]
        for other in found:
            share = _dot(row, other) / _dot(other, other)
            row = [x - share * y for x, y in zip(row, other, strict=True)]
        found.append(row)
    return np.array([_whole(row) for row in found[1:]], dtype=np.float64)


def _dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def _whole(row: Sequence[Fraction]) -> list[int]:
    scale = lcm(*(x.denominator for x in row))
    numbers = [int(x * scale) for x in row]
    common = gcd(*numbers)
    return [x // common for x in numbers]


def _place(what: str, name: Any, labels: Sequence[str], short: Sequence[str]) -> int:
    """Which of the estimates is called so."""
    for names in (labels, short):
        if str(name) in names:
            return list(names).index(str(name))
    raise ModelError(
        f"{what}: {name!r} is not one of {', '.join(map(repr, labels))}."
        f"{suggestion(str(name), labels)}"
    )


# -- coefficients of the user's own --------------------------------------------------------


def _custom(method: Any, labels: Sequence[str], short: Sequence[str]) -> Coefficients:
    if isinstance(method, Mapping):
        names, given = tuple(map(str, method)), list(method.values())
        if not names:
            raise ModelError("method={} holds no contrast.")
    else:
        try:
            given = list(np.atleast_2d(np.asarray(method, dtype=np.float64)))
        except (TypeError, ValueError):
            raise ModelError(
                f"method={method!r} is neither the name of a method nor coefficients."
            ) from None
        names = tuple(f"contrast {i + 1}" for i in range(len(given)))
    rows = [_row(name, own, labels, short) for name, own in zip(names, given, strict=True)]
    return Coefficients("custom", names, np.array(rows))


def _row(name: str, given: Any, labels: Sequence[str], short: Sequence[str]) -> Floats:
    """One contrast: k numbers, or numbers by label."""
    what = f"Contrast {name!r}"
    if isinstance(given, Mapping):
        by_place = {_place(what, key, labels, short): value for key, value in given.items()}
        given = [by_place.get(i, 0.0) for i in range(len(labels))]
    try:
        row = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ModelError(f"{what}: its coefficients are not numbers.") from None
    if row.shape != (len(labels),):
        raise ModelError(
            f"{what} has {row.size} coefficients, but there are {len(labels)} estimates:"
            f" {', '.join(labels)}."
        )
    if not np.isfinite(row).all() or not row.any():
        raise ModelError(f"{what}: its coefficients are all zero, or not finite.")
    return row
