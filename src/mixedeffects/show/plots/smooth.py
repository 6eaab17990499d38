"""A smooth through a cloud of points: local lines (Cleveland 1979), over bins where it is large."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Share of the points that a local line sees, and places where there is one.
SPAN, PLACES = 0.7, 80
# Of more points the means of as many bins stand for them.
BINS = 1000
# Fewer distinct places have no smooth.
FEWEST = 4


def smooth(x: Floats, y: Floats, span: float = SPAN) -> tuple[Floats, Floats]:
    """Local lines with tricube weights, J. Am. Stat. Assoc. 74, 829.

    Parameters
    ----------
    x, y
        (n,) finite.
    span
        Share of the points that each line sees.

    Returns
    -------
    ndarray, ndarray of shape (k,)
        Places, increasing, and the smooth there; empty where x has too few values.

    Examples
    --------
    >>> x = np.linspace(0.0, 1.0, 50)
    >>> places, values = smooth(x, 3.0 * x)
    >>> bool(np.allclose(values, 3.0 * places))
    True
    """
    distinct = np.unique(x)
    if len(distinct) < FEWEST:
        return np.empty(0), np.empty(0)
    # places where there are points: in a gap local lines would swing
    chosen = np.linspace(0, len(distinct) - 1, min(len(distinct), PLACES)).round().astype(int)
    places = distinct[chosen]
    at, means, counts = binned(x, y)
    return places, np.array([_local(place, at, means, counts, span) for place in places])


def binned(x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Means of x and of y, and sizes, of bins of equally many points; the points where few."""
    order = np.argsort(x, kind="stable")
    if len(x) <= BINS:
        return x[order], y[order], np.ones(len(x))
    first = np.linspace(0, len(x), BINS, endpoint=False).astype(int)
    counts = np.diff(first, append=len(x)).astype(np.float64)
    means = [np.add.reduceat(v[order], first) / counts for v in (x, y)]
    return means[0], means[1], counts


def _local(place: float, x: Floats, y: Floats, counts: Floats, span: float) -> float:
    """The line at one place, through those of the nearest points that weigh."""
    distance = np.abs(x - place)
    order = np.argsort(distance, kind="stable")
    seen = np.cumsum(counts[order])
    reach = distance[order[min(int(np.searchsorted(seen, span * seen[-1])), len(x) - 1)]]
    near = distance < reach if reach > 0.0 else distance == 0.0
    scaled = distance[near] / reach if reach > 0.0 else distance[near]
    weight = counts[near] * (1.0 - scaled**3) ** 3
    centre = np.average(x[near], weights=weight)
    mean = np.average(y[near], weights=weight)
    off = x[near] - centre
    spread = float(weight @ off**2)
    if spread <= 1e-12 * float(weight.sum()) * (x[-1] - x[0]) ** 2:
        return float(mean)
    return float(mean + (place - centre) * (weight @ (off * y[near])) / spread)
