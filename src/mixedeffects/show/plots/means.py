"""Marginal means and contrasts with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.means.contrasts import Contrasts
from mixedeffects.effects.means.linear import Labels, row_labels
from mixedeffects.effects.means.means import MarginalMeans
from mixedeffects.effects.means.transforms import BackTransform
from mixedeffects.show.formats import counted
from mixedeffects.show.plots import figures, style
from mixedeffects.show.plots.figures import new_axes
from mixedeffects.show.plots.intervals import interval_rows
from mixedeffects.show.plots.style import MARKERS, PALETTE, dress, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

# Characters of each side of a contrast.
SIDE = 26


def means(found: MarginalMeans, name: str, ax: Axes | None) -> Axes:
    """Along a covariate as lines, else in rows; families of ``by`` in colours.

    ``name``, what the means are of.
    """
    columns = found.columns(tests=False)
    labels = dict(found.labels)
    apart = [n for n in labels if n in found.by or n == "category"]
    own = {n: v for n, v in labels.items() if n not in apart} or {n: labels[n] for n in apart}
    apart = [n for n in apart if n not in own]
    title = f"Marginal means of {name}"
    caption = f"{counted(len(found.L), 'estimate')}; {percent(found.level)} intervals"
    families = _families(labels, apart)
    covariate = next(iter(own), None)
    if len(own) == 1 and covariate and _is_covariate(own[covariate]) and len(found.L) > 2:
        ax = new_axes(ax)
        _lines(ax, own[covariate].astype(float), columns, families)
        dress(ax, title, caption, x=covariate, y=name)
    else:
        rows = list(dict.fromkeys(row_labels(own, short=len(own) == 1))) if own else ["overall"]
        ax = new_axes(ax, height=figures.rows_height(len(rows), 0.25 + 0.12 * len(families)))
        _rows(ax, rows, own, columns, families)
        dress(ax, title, caption, x=name, y=", ".join(own), grid="x")
    if len(families) > 1:
        style.legend(ax, ", ".join(apart))
    return ax


def contrasts(found: Contrasts, name: str, ax: Axes | None) -> Axes:
    """Differences in rows, the first above, with the line at none."""
    columns = found.columns(tests=True)
    texts_of = row_labels({n: found.labels[n] for n in (*found.by, "contrast")})[::-1]
    names = [_shortened(text) for text in texts_of]
    width = figures.WIDTH + 0.07 * max(max(map(len, names)) - 20, 0)
    ax = new_axes(ax, width, figures.rows_height(len(names), 0.28))
    estimate, low, high = (columns[n][::-1] for n in ("estimate", "conf_low", "conf_high"))
    interval_rows(ax, np.arange(len(texts_of), dtype=float), estimate, low, high)
    ratio = isinstance(found.back, BackTransform)
    style.zero_line(ax, 1.0 if ratio else 0.0, vertical=True)
    if ratio and (low > 0.0).all():
        ax.set_xscale("log")
        _plain_ticks(ax)
    style.row_labels(ax, names, 2 * SIDE + 3)
    how = "unadjusted" if found.adjust == "none" else f"adjusted ({found.adjust})"
    caption = f"{counted(len(texts_of), 'contrast')}; {percent(found.level)} intervals, {how}"
    dress(ax, f"Contrasts of {name}", caption, x="Ratio" if ratio else "Difference", grid="x")
    return ax


def _shortened(contrast: str) -> str:
    """Both sides of a contrast shortened for themselves, so that it stays one of its own."""
    for sign in (" - ", " / "):
        if contrast.count(sign) == 1:
            return sign.join(style.plain(side, SIDE) for side in contrast.split(sign))
    return contrast


def _plain_ticks(ax: Axes) -> None:
    """Numbers such as 0.5 and 2 on a logarithmic axis, not powers of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _families(labels: Labels, apart: list[str]) -> dict[str, NDArray[np.intp]]:
    """Rows of each combination of the columns that make colours; all under no name without."""
    count = len(next(iter(labels.values()))) if labels else 1
    if not apart:
        return {"": np.arange(count)}
    keys = row_labels({n: labels[n] for n in apart}, short=len(apart) == 1)
    return {key: np.flatnonzero([k == key for k in keys]) for key in dict.fromkeys(keys)}


def _is_covariate(values: NDArray[Any]) -> bool:
    return values.dtype.kind == "f" and len(np.unique(values)) > 2


def _lines(
    ax: Axes, x: Floats, columns: dict[str, Any], families: dict[str, NDArray[np.intp]]
) -> None:
    for (name, rows), (color, _) in zip(families.items(), _looks(len(families)), strict=True):
        order = rows[np.argsort(x[rows])]
        low, high = columns["conf_low"][order], columns["conf_high"][order]
        ax.fill_between(x[order], low, high, color=color, alpha=0.18, linewidth=0.0, gid="band")
        label = style.plain(name) if name else None
        ax.plot(x[order], columns["estimate"][order], color=color, linewidth=1.8, label=label)


def _rows(
    ax: Axes,
    rows: list[str],
    own: Labels,
    columns: dict[str, Any],
    families: dict[str, NDArray[np.intp]],
) -> None:
    place = {label: len(rows) - 1 - i for i, label in enumerate(rows)}
    labels = row_labels(own, short=len(own) == 1) if own else ["overall"]
    at = np.array([place[label] for label in labels], dtype=float)
    shift = np.linspace(0.3, -0.3, len(families)) if len(families) > 1 else np.zeros(1)
    looks = _looks(len(families))
    for (name, members), off, (color, marker) in zip(families.items(), shift, looks, strict=True):
        interval_rows(
            ax,
            at[members] + off,
            *(columns[n][members] for n in ("estimate", "conf_low", "conf_high")),
            color=color,
            marker=marker,
            label=style.plain(name) if name else None,
        )
    style.row_labels(ax, rows[::-1])


def _looks(count: int) -> list[tuple[str, str]]:
    """A colour and a marker each; the pairs repeat after 49."""
    n = len(PALETTE)
    return [(PALETTE[i % n], MARKERS[(i + i // n) % n]) for i in range(count)]
