"""Functions that a formula may call: formulaic's own where R agrees with them.

Imports formulaic, so it is imported when a design is built and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from formulaic import transforms as theirs
from numpy.typing import NDArray

from mixedeffects.formula.safety import ELEMENTWISE
from mixedeffects.formula.values import NotFiniteError

__all__ = ["ENVIRONMENT"]

Array = NDArray[np.float64]
State = dict[str, Any]

_MOST_COLUMNS = 200


def _stateful(function: Callable[..., Any]) -> Any:
    """A transform of finite numbers, whose state formulaic keeps and replays."""

    def transform(x: Any, *args: Any, _state: State, **options: Any) -> Any:
        asked = (*args[:1], options.get("df"), options.get("degree"))
        many = any(isinstance(n, int | float) and n > _MOST_COLUMNS for n in asked)
        if many and function is not _scale:
            raise ValueError("too many columns")
        values = np.asarray(x, dtype=np.float64)
        if not np.isfinite(values).all():
            raise NotFiniteError(int(np.argmin(np.isfinite(values))))
        return function(values, *args, _state=_state, **options)

    return theirs.stateful_transform(transform)


def _scale(x: Array, *args: Any, _state: State, **options: Any) -> Any:
    scaled = theirs.scale(x, *args, _state=_state, **options)
    if _state["scale"] is not None and not _state["scale"] > 0:
        raise ValueError("the values do not vary")
    return scaled


def _poly(x: Array, degree: int = 1, raw: bool = False, *, _state: State) -> Any:
    if degree < 1:
        raise ValueError("the degree must be at least 1")
    if not raw and not _state and len(np.unique(x)) <= degree:
        raise ValueError(f"degree {degree} needs at least {degree + 1} distinct values")
    return theirs.poly(x, degree, raw, _state=_state)


def _bs(x: Array, *args: Any, _state: State, **options: Any) -> Any:
    low, high = _state.get("lower_bound", -np.inf), _state.get("upper_bound", np.inf)
    if "extrapolation" not in options and (x.min() < low or x.max() > high):
        raise ValueError(
            f"values outside of the fitted range {low} to {high}: fit with ns(), which goes on"
            " linearly, or with bs(..., extrapolation='extend')"
        )
    return theirs.basis_spline(x, *args, _state=_state, **options)


def _ns(
    x: Array, df: int | None = None, knots: Sequence[float] | None = None, *, _state: State
) -> dict[str, Array]:
    """Natural cubic spline without its constant, as R's ``ns`` spans it; formulaic has none.

    B-splines of which the combinations with no curvature at the boundary knots
    are kept; linear beyond the boundary.
    """
    if not _state:
        inner = _inner_knots(x, df, knots)
        low, high = float(x.min()), float(x.max())
        if not low < high or any(not low < k < high for k in inner):
            raise ValueError("the knots must lie inside the range of the values")
        _state["knots"] = [low] * 4 + inner + [high] * 4
    values = _natural(x, np.asarray(_state["knots"]))
    return {str(i + 1): column for i, column in enumerate(values.T)}


def _inner_knots(x: Array, df: int | None, knots: Sequence[float] | None) -> list[float]:
    if knots is not None:
        return sorted(float(k) for k in np.atleast_1d(knots))
    count = 1 if df is None else df
    if count < 1:
        raise ValueError("df must be at least 1")
    return [float(q) for q in np.quantile(x, np.linspace(0, 1, count + 1)[1:-1])]


def _natural(x: Array, knots: Array) -> Array:
    from scipy.interpolate import BSpline

    splines = BSpline(knots, np.eye(len(knots) - 4), 3)
    low, high = knots[0], knots[-1]
    inside = np.clip(x, low, high)
    slope = splines.derivative()(inside)
    basis = splines(inside) + slope * (x - inside)[:, None]
    curvature = splines.derivative(2)(np.array([low, high]))[:, 1:]
    complement = np.linalg.qr(curvature.T, mode="complete")[0][:, 2:]
    return np.asarray(basis[:, 1:] @ complement)


ENVIRONMENT: Mapping[str, Any] = MappingProxyType(
    {
        **{name: getattr(np, name) for name in ELEMENTWISE if name != "ceiling"},
        "ceiling": np.ceil,
        "pmin": np.minimum,
        "pmax": np.maximum,
        "I": lambda x: x,
        "C": theirs.C,
        "contr": theirs.ContrastsRegistry,
        "scale": _stateful(_scale),
        "center": _stateful(theirs.center),
        "poly": _stateful(_poly),
        "bs": _stateful(_bs),
        "ns": _stateful(_ns),
        "cr": _stateful(theirs.natural_cubic_spline),
        "cs": _stateful(theirs.natural_cubic_spline),
        "cc": _stateful(theirs.cyclic_cubic_spline),
    }
)
