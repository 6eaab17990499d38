"""Random effects of a group against each other, with the distribution estimated for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.random import correlations as correlation_matrix
from mixedeffects.errors import ModelError
from mixedeffects.fitting.estimates import RandomTermEstimate
from mixedeffects.show.formats import correlation as shown
from mixedeffects.show.formats import counted
from mixedeffects.show.plots.figures import new_axes, new_figure
from mixedeffects.show.plots.style import GREY, VERMILLION, dress, plain, scatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

# Of a normal distribution in two dimensions, within each ellipse.
SHARES = (0.5, 0.95)
# Terms of more columns have a table of their correlations in colours.
PAIRWISE = 4


def correlations(term: RandomTermEstimate, ax: Axes | None) -> Axes | Figure:
    """A cloud of modes for each pair of columns, or all correlations in colours.

    Raises
    ------
    ModelError
        If the term has one column.
    """
    k = len(term.names)
    if k < 2:
        raise ModelError(
            f"The random effects of {term.group!r} are {term.names[0]!r} alone: there is nothing"
            " that they could be correlated with."
        )
    if k == 2 or (ax is not None and k <= PAIRWISE):
        ax = new_axes(ax, width=5.4, height=5.0)
        pair(ax, term, 0, 1)
        return ax
    if k > PAIRWISE:
        ax = new_axes(ax, width=min(2.6 + 0.55 * k, 12.0), height=min(2.2 + 0.5 * k, 11.0))
        table(ax, term)
        return ax
    figure = new_figure(3.6 * (k - 1), 3.4 * (k - 1))
    axes = figure.subplots(k - 1, k - 1, squeeze=False)
    for i in range(1, k):
        for j in range(k - 1):
            if j < i:
                pair(axes[i - 1, j], term, j, i)
            else:
                axes[i - 1, j].set_visible(False)
    return figure


def pair(ax: Axes, term: RandomTermEstimate, i: int, j: int) -> None:
    """Modes of two columns, and ellipses of their estimated distribution."""
    scatter(ax, term.modes[:, i], term.modes[:, j])
    covariance = term.covariance[np.ix_([i, j], [i, j])]
    for share in SHARES:
        x, y = ellipse(covariance, share)
        ax.plot(x, y, color=VERMILLION, linewidth=1.3, gid="ellipse")
    for draw in (ax.axhline, ax.axvline):
        draw(0.0, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    r = shown(float(correlation_matrix(covariance)[0, 1]))
    within = " and ".join(f"{100 * share:g}%" for share in SHARES)
    caption = (
        f"{counted(len(term.levels), 'level')}; ellipses: {within} of the estimated distribution"
        + (f", correlation {r}" if r != "-" else ", of which a variance is zero")
    )
    title = f"Random effects of {term.group}"
    dress(ax, title, caption, x=term.names[i], y=term.names[j])


def ellipse(covariance: Floats, share: float) -> tuple[Floats, Floats]:
    """The curve within which so much of a normal distribution (2, 2) lies."""
    angle = np.linspace(0.0, 2.0 * np.pi, 181)
    circle = np.sqrt(-2.0 * np.log(1.0 - share)) * np.array([np.cos(angle), np.sin(angle)])
    values, vectors = np.linalg.eigh(covariance)
    x, y = vectors @ (np.sqrt(np.maximum(values, 0.0))[:, None] * circle)
    return x, y


def table(ax: Axes, term: RandomTermEstimate) -> None:
    """Correlations in colours, with their numbers where there is room."""
    r = correlation_matrix(term.covariance)
    image = ax.imshow(r, cmap="PuOr_r", vmin=-1.0, vmax=1.0, aspect="auto", gid="correlations")
    k = len(term.names)
    if k <= 12:
        for i in range(k):
            for j in range(k):
                dark = abs(r[i, j]) > 0.6
                color = "white" if dark else "black"
                ax.text(j, i, shown(r[i, j]), ha="center", va="center", fontsize=8, color=color)
    names = [plain(name, 20) for name in term.names] if k <= 40 else []
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(names)), names)
    ax.get_figure().colorbar(image, ax=ax, shrink=0.8)  # type: ignore[union-attr]
    caption = f"{counted(len(term.levels), 'level')}, {k} effects"
    dress(ax, f"Correlations of the random effects of {term.group}", caption, grid=None)
