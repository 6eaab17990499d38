"""Residuals against what was fitted, and their size against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.show.formats import counted
from mixedeffects.show.plots.figures import new_axes
from mixedeffects.show.plots.smooth import smooth
from mixedeffects.show.plots.style import VERMILLION, dress, plain, scatter, zero_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

# Of residuals of unit variance, those that are named, and how many at most.
FAR, NAMED = 3.5, 3


@dataclass(frozen=True, slots=True)
class ResidualCloud:
    """Residuals (n,) and what they are drawn against, with names of both and of the rows.

    ``unit`` says whether their variance is about one.
    """

    x: Floats
    residual: Floats
    x_name: str
    name: str
    labels: NDArray[Any]
    unit: bool

    def known(self) -> ResidualCloud:
        """Without rows that have no residual."""
        keep = np.isfinite(self.residual) & np.isfinite(self.x)
        if keep.all():
            return self
        cut = (self.x[keep], self.residual[keep], self.x_name, self.name, self.labels[keep])
        return ResidualCloud(*cut, self.unit)


def residuals_against_fitted(cloud: ResidualCloud, ax: Axes | None) -> Axes:
    """Points, their smooth, and names of the farthest."""
    ax = new_axes(ax)
    known = cloud.known()
    scatter(ax, known.x, known.residual)
    zero_line(ax)
    _smoothed(ax, known.x, known.residual)
    if known.unit:
        _named(ax, known)
    gone = len(cloud.residual) - len(known.residual)
    dress(
        ax,
        f"Residuals against {known.x_name.lower()}",
        _caption(known, gone),
        x=known.x_name,
        y=known.name,
    )
    return ax


def scale_location(cloud: ResidualCloud, ax: Axes | None) -> Axes:
    """Roots of the residuals' sizes, whose smooth is level where the variance is constant."""
    ax = new_axes(ax)
    known = cloud.known()
    size = np.sqrt(np.abs(known.residual))
    scatter(ax, known.x, size)
    _smoothed(ax, known.x, size)
    ax.set_ylim(bottom=0.0)
    gone = len(cloud.residual) - len(known.residual)
    caption = _caption(known, gone).replace("smooth", "smooth, level if the spread is constant")
    dress(ax, "Size of residuals", caption, x=known.x_name, y=f"√|{known.name}|")
    return ax


def _smoothed(ax: Axes, x: Floats, y: Floats) -> None:
    places, values = smooth(x, y)
    if len(places):
        ax.plot(places, values, color=VERMILLION, linewidth=1.8, gid="smooth")


def _caption(known: ResidualCloud, gone: int) -> str:
    caption = counted(len(known.residual), "row")
    if gone:
        caption += f" ({counted(gone, 'row')} fitted exactly, without a residual)"
    return f"{caption}; line: local smooth" if len(np.unique(known.x)) > 3 else caption


def _named(ax: Axes, cloud: ResidualCloud) -> None:
    order = np.argsort(-np.abs(cloud.residual), kind="stable")[:NAMED]
    middle = 0.5 * (cloud.x.min() + cloud.x.max())
    for row in order[np.abs(cloud.residual[order]) > FAR]:
        right = bool(cloud.x[row] <= middle)
        ax.annotate(
            plain(cloud.labels[row], 16),
            (cloud.x[row], cloud.residual[row]),
            (5.0 if right else -5.0, 0.0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            fontsize="x-small",
            gid="named",
        )
