"""Normal quantile-quantile plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.normality import normal_quantiles
from mixedeffects.show.formats import counted
from mixedeffects.show.plots.figures import new_axes
from mixedeffects.show.plots.residuals import ResidualCloud
from mixedeffects.show.plots.style import FAINT, GREY, dress, say, scatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

BAND = 0.95
# Points at which the band is known; between them it is a line.
POINTS = 300


def qq(sample: Floats, title: str, name: str, noun: str, ax: Axes | None, remark: str = "") -> Axes:
    """Values (n,) that should be standard normal, against normal quantiles; NaN are left out."""
    ax = new_axes(ax, width=5.2, height=4.8)
    ordered = np.sort(sample[np.isfinite(sample)])
    theoretical = normal_quantiles(ordered)
    if not len(ordered):
        say(ax, "Nothing varies here: the variance is estimated as zero.")
    else:
        at, low, high = band(len(ordered))
        ax.fill_between(at, low, high, color=FAINT, alpha=0.5, linewidth=0.0, gid="band")
        ends = np.array([theoretical[0], theoretical[-1]])
        ax.plot(ends, ends, color=GREY, linewidth=1.0, gid="identity")
    scatter(ax, theoretical, ordered)
    caption = counted(len(ordered), noun)
    if gone := len(sample) - len(ordered):
        caption += f" ({gone:,} without one)"
    caption += f"; band: {100 * BAND:g}% pointwise, for independent values"
    dress(ax, title, caption + remark, x="Normal quantile", y=name)
    return ax


def residual_qq(cloud: ResidualCloud, ax: Axes | None) -> Axes:
    """Residuals of unit variance."""
    return qq(cloud.residual, "Normal Q–Q of residuals", cloud.name, "row", ax)


def band(n: int) -> tuple[Floats, Floats, Floats]:
    """Normal quantiles and the limits of the order statistics of n independent normal values.

    The i-th of n uniform values is Beta(i, n + 1 − i).
    """
    from scipy.special import betaincinv, ndtri

    i = np.unique(np.linspace(1, n, min(n, POINTS)).round())
    # the tails bend most
    i = np.unique(
        np.concatenate([i, np.arange(1, min(n, 40) + 1), n + 1 - np.arange(1, min(n, 40) + 1)])
    )
    tail = 0.5 - 0.5 * BAND
    limits = [ndtri(betaincinv(i, n + 1 - i, p)) for p in (tail, 1.0 - tail)]
    return ndtri((i - 0.5) / n), limits[0], limits[1]
