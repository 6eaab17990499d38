"""Predictions over one variable, by another, with their intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.means.linear import texts
from mixedeffects.errors import ModelError
from mixedeffects.show.plots.figures import new_axes
from mixedeffects.show.plots.style import MARKERS, PALETTE, dress, legend, percent, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """Predictions (k,) over ``x`` (k,) with their limits; ``name`` in the legend.

    ``data_x`` and ``data_y`` (r,), the rows that it passes through.
    """

    name: str
    x: NDArray[Any]
    estimate: Floats
    low: Floats
    high: Floats
    data_x: NDArray[Any]
    data_y: Floats


@dataclass(frozen=True, slots=True)
class Predictions:
    """Curves with what they are of; ``levels``, those of x where it is a factor.

    ``held``, what other variables are held at, as text.
    """

    x_name: str
    y_name: str
    by: str | None
    curves: tuple[Curve, ...]
    levels: tuple[str, ...] | None
    interval: str | None
    level: float
    held: str


def predictions(found: Predictions, ax: Axes | None) -> Axes:
    """Lines with bands, or points with bars over levels.

    Raises
    ------
    ModelError
        If there are more curves than colours.
    """
    if len(found.curves) > len(PALETTE):
        raise ModelError(
            f"{len(found.curves)} curves, by {found.by!r}, cannot be told apart: choose up to"
            f" {len(PALETTE)} of its values with at={{{found.by!r}: [...]}}."
        )
    ax = new_axes(ax, height=4.8)
    for i, curve in enumerate(found.curves):
        if found.levels is None:
            _line(ax, curve, PALETTE[i])
        else:
            shift = 0.5 * (i - 0.5 * (len(found.curves) - 1)) / max(len(found.curves), 3)
            _points(ax, curve, PALETTE[i], MARKERS[i], shift)
    if found.levels is not None:
        names = [plain(name, 16) for name in found.levels]
        tilted = sum(map(len, names)) > 45
        options = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if tilted else {}
        ax.set_xticks(range(len(names)), names, **options)  # type: ignore[arg-type]
        ax.set_xlim(-0.6, len(names) - 0.4)
    if len(found.curves) > 1:
        legend(ax, found.by or "category")
    caption = "population, random effects at zero"
    if found.interval is not None:
        caption += f"; {percent(found.level)} {found.interval} intervals"
    caption += f"; {found.held}" if found.held else ""
    dress(ax, f"Predicted {found.y_name}", caption, x=found.x_name, y=found.y_name)
    return ax


def _cloud(ax: Axes, x: Floats, curve: Curve, color: str) -> None:
    alpha = float(np.clip(6.0 / max(len(x), 1) ** 0.5, 0.05, 0.45))
    many = len(x) > 3000
    ax.plot(
        x,
        curve.data_y,
        "o",
        color=color,
        markersize=2.8,
        markeredgewidth=0.0,
        alpha=alpha,
        rasterized=many,
        zorder=1,
        gid="data",
    )


def _line(ax: Axes, curve: Curve, color: str) -> None:
    _cloud(ax, curve.data_x, curve, color)
    ax.fill_between(
        curve.x, curve.low, curve.high, color=color, alpha=0.2, linewidth=0.0, gid="band"
    )
    label = plain(curve.name) or None
    ax.plot(curve.x, curve.estimate, color=color, linewidth=1.9, label=label, gid="curve")


def _points(ax: Axes, curve: Curve, color: str, marker: str, shift: float) -> None:
    jitter = np.random.default_rng(0).uniform(-0.07, 0.07, len(curve.data_x))
    _cloud(ax, curve.data_x + shift + jitter, curve, color)
    at = curve.x + shift
    ax.vlines(at, curve.low, curve.high, color=color, linewidth=1.8, gid="intervals")
    label = plain(curve.name) or None
    ax.plot(at, curve.estimate, marker, color=color, markersize=6.0, label=label, gid="estimates")


def value_text(value: Any) -> str:
    """A value of a variable in a caption or legend."""
    return f"{value:.4g}" if isinstance(value, float | np.floating) else texts(np.array([value]))[0]
