"""Stateful transforms: what is learned from the fitted data is replayed on new data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TRANSFORMS", "Basis", "center", "scale"]

Array = NDArray[np.float64]
State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Basis:
    """Columns that an expression gives: `values` (n, k) and their field names."""

    values: Array
    fields: tuple[str, ...]


def scale(x: Array, state: State, center: bool | float = True, scale: bool | float = True) -> Array:
    """Centre, and divide by the root of the sum of squares over n - 1, as R does."""
    if not state:
        mean = float(x.mean()) if center is True else float(center)
        rest = x - mean
        spread = float(np.sqrt(rest @ rest / (len(x) - 1))) if scale is True else float(scale)
        if scale is not False and not spread > 0:
            raise ValueError("the values do not vary")
        state.update(center=mean, scale=1.0 if scale is False else spread)
    return np.asarray((x - state["center"]) / state["scale"])


def center(x: Array, state: State) -> Array:
    """Subtract the mean."""
    return scale(x, state, scale=False)


def _poly(x: Array, state: State, degree: int = 1, raw: bool = False) -> Basis:
    if degree < 1:
        raise ValueError("the degree must be at least 1")
    powers = np.arange(1, degree + 1)
    if raw:
        # formulaic numbers the columns of a raw basis from 0
        return Basis(x[:, None] ** powers, tuple(str(d - 1) for d in powers))
    if not state and len(np.unique(x)) <= degree:
        raise ValueError(f"degree {degree} needs at least {degree + 1} distinct values")
    from formulaic.transforms import poly

    return Basis(np.asarray(poly(x, degree, _state=state)), tuple(str(d) for d in powers))


def _bs(x: Array, state: State, **options: Any) -> Basis:
    from formulaic.transforms import basis_spline

    outside = (
        "lower_bound" in state
        and x.size > 0
        and (x.min() < state["lower_bound"] or x.max() > state["upper_bound"])
    )
    if outside and "extrapolation" not in options:
        raise ValueError(
            f"values outside of the fitted range {state['lower_bound']} to"
            f" {state['upper_bound']}: fit with ns(), which goes on linearly, or with"
            " bs(..., extrapolation='extend')"
        )
    return _from_formulaic(basis_spline(x, _state=state, **options))


def _cubic(x: Array, state: State, **options: Any) -> Basis:
    from formulaic.transforms import natural_cubic_spline

    return _from_formulaic(natural_cubic_spline(x, _state=state, **options))


def _cyclic(x: Array, state: State, **options: Any) -> Basis:
    from formulaic.transforms import cyclic_cubic_spline

    return _from_formulaic(cyclic_cubic_spline(x, _state=state, **options))


def _from_formulaic(fields: Mapping[Any, Array]) -> Basis:
    columns = {str(name): np.asarray(values) for name, values in fields.items()}
    return Basis(np.column_stack(list(columns.values())), tuple(columns))


def _ns(
    x: Array, state: State, df: int | None = None, knots: Sequence[float] | None = None
) -> Basis:
    """Natural cubic spline without its constant, as R's ``ns`` spans it.

    B-splines of which the combinations with no curvature at the boundary knots
    are kept; linear beyond the boundary.
    """
    if not state:
        inner = _inner_knots(x, df, knots)
        low, high = float(x.min()), float(x.max())
        if not low < high or any(not low < k < high for k in inner):
            raise ValueError("the knots must lie inside the range of the values")
        state["knots"] = [low] * 4 + inner + [high] * 4
    values = _natural(x, np.asarray(state["knots"]))
    return Basis(values, tuple(str(i + 1) for i in range(values.shape[1])))


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


TRANSFORMS = {"poly": _poly, "bs": _bs, "ns": _ns, "cr": _cubic, "cs": _cubic, "cc": _cyclic}
