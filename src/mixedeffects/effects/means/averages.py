"""Averages over a reference grid, and the rows that they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.means.grid import Grid, frequencies, unknown_variable, variables
from mixedeffects.errors import ModelError
from mixedeffects.formula.design import Design

Floats = NDArray[np.float64]
Weights = Literal["equal", "proportional", "cells"]
Labels = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Margin:
    """Linear functions of all P columns of the fixed part, one for each combination kept.

    Attributes
    ----------
    labels : mapping of str to ndarray of shape (r,)
        Values of the variables kept.
    L : ndarray, shape (r, P)
    """

    labels: Labels
    L: Floats

    def take(self, rows: NDArray[np.bool_]) -> Margin:
        return Margin({name: values[rows] for name, values in self.labels.items()}, self.L[rows])


def average(design: Design, grid: Grid, X: Floats, keep: Sequence[str], weights: Weights) -> Margin:
    """Rows of X (N, P) averaged over the axes that are not kept.

    Raises
    ------
    ModelError
        Where the weights of a mean are all zero.
    """
    order = [grid.axis(name) for name in keep]
    over = [i for i in range(len(grid.shape)) if i not in order]
    sizes = [grid.shape[i] for i in order]
    shares = _shares(design, grid, weights, tuple(order), tuple(over))
    shares = np.transpose(shares, order + over).reshape(int(np.prod(sizes)), -1)
    tensor = np.transpose(X.reshape(*grid.shape, -1), [*order, *over, len(grid.shape)])
    L = np.einsum("rw,rwp->rp", shares, tensor.reshape(*shares.shape, X.shape[1]))
    index = np.indices(sizes).reshape(len(sizes), len(shares))
    values = {n: grid.axes[a].values[i] for n, a, i in zip(keep, order, index, strict=True)}
    return Margin(values, L)


def _shares(
    design: Design, grid: Grid, weights: Weights, kept: tuple[int, ...], over: tuple[int, ...]
) -> Floats:
    """Weights in the shape of the grid, of sum 1 in each combination kept."""
    if weights == "equal":
        shares = np.ones(grid.shape)
    else:
        shares = frequencies(design, grid)
        if weights == "proportional":
            shares = np.broadcast_to(shares.sum(axis=kept, keepdims=True), grid.shape)
    total = shares.sum(axis=over, keepdims=True)
    if not total.all():
        names = [grid.axes[i].name for i in kept]
        raise ModelError(
            f"weights={weights!r}: no rows of the data are in some of the combinations of"
            f" {', '.join(names)} that are asked for, so there is nothing to weight by. Use"
            " weights='equal', or choose levels with at={...}."
        )
    normalized: Floats = shares / total
    return normalized


def asked_for(
    designs: Sequence[Design], specs: Any, by: Any, at: Mapping[str, Any] | None
) -> tuple[list[str], list[str]]:
    """Names of the variables in ``specs`` and in ``by``, checked.

    Raises
    ------
    ModelError
        If one is no variable of the fixed part, stands in both, or is a covariate whose
        values are not said.
    """
    rows, groups = names_of("specs", specs), names_of("by", by)
    factors, covariates = variables(designs)
    for name in rows + groups:
        if name in covariates and name not in (at or {}):
            raise _without_values(designs[0], name)
        if name not in factors + covariates:
            raise unknown_variable(designs, name)
    for name in groups:
        if name in rows:
            raise ModelError(f"{name!r} is both in specs and in by: leave it out of one.")
    return rows, groups


def names_of(what: str, names: Any) -> list[str]:
    """One name, several, or none, as a list."""
    if names is None:
        return []
    found = [names] if isinstance(names, str) else list(names)
    for name in found:
        if not isinstance(name, str):
            raise ModelError(f"{what}={names!r}: give a variable's name, or a list of names.")
        if found.count(name) > 1:
            raise ModelError(f"{what}={names!r}: {name!r} stands twice.")
    return found


def _without_values(design: Design, name: str) -> ModelError:
    values = design.columns[name].values[design.rows]
    few = np.unique(values)
    shown = few if len(few) <= 6 else np.quantile(values, [0.0, 0.5, 1.0])
    listed = ", ".join(f"{v:.6g}" for v in shown)
    return ModelError(
        f"Column {name!r} holds numbers, so it has a slope and not one mean a value: say where"
        f" the means are taken, such as at={{{name!r}: [{listed}]}}, or ask for"
        f" slopes({name!r}). To have a mean for each value fit with factor({name})."
    )
