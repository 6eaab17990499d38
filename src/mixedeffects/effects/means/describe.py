"""How estimates over a reference grid were made, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mixedeffects.effects.means.averages import Weights
from mixedeffects.effects.means.grid import Axis, Grid
from mixedeffects.effects.means.linear import texts
from mixedeffects.formula.design import Design

_WEIGHTS = {
    "equal": "all levels counting the same",
    "proportional": "weighted by their frequency",
    "cells": "weighted by the frequency of each cell",
}


def described(
    designs: Sequence[Design], grid: Grid, labels: Mapping[str, Any], weights: Weights
) -> Iterator[str]:
    """What is averaged over, what is held, and the offset."""
    over = [a for a in grid.axes if a.name not in labels and len(a.values) > 1]
    held = [a for a in grid.axes if a.name not in labels and len(a.values) == 1]
    if over:
        yield f"Averaged over {', '.join(a.name for a in over)}, {_WEIGHTS[weights]}"
    if held:
        yield f"At {', '.join(map(_held, held))}"
    for design in designs:
        if design.offset is not None:
            yield f"With the mean offset, {design.offset.mean():.6g}"


def _held(axis: Axis) -> str:
    value = axis.values[0]
    shown = f"{value:.6g}" if isinstance(value, float) else texts(axis.values)[0]
    return f"{axis.name} = {shown}"
