"""How all plots look: colours, titles with what was counted, labels that have room.

Nothing global changes: what is drawn is styled piece by piece, so that the user's own settings
(fonts, sizes, backend) hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Text

Floats = NDArray[np.float64]

# Okabe and Ito (2008), Color Universal Design; without their yellow, which is lost on white.
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY, BLACK = "#CC79A7", "#E69F00", "#56B4E9", "#000000"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# 4.5:1 on white, for text; lines that only guide the eye.
GREY, FAINT = "#696969", "#C8C8C8"

# Inches between rows that have labels; characters of a label.
CLOSEST = 0.095
LONGEST = 40


def plain(text: object, longest: int = LONGEST) -> str:
    """Text that is no mathematics, without its middle where it is long."""
    shown = str(text).replace("`", "")
    if len(shown) > longest:
        shown = f"{shown[: longest // 2]}…{shown[longest // 2 + 1 - longest :]}"
    return shown.replace("$", r"\$")


def dress(
    ax: Axes, title: str, caption: str = "", x: str = "", y: str = "", grid: str | None = "both"
) -> None:
    """Title with a caption beneath, labels, a faint grid, no box."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        ax.spines[side].set_color(GREY)
    ax.tick_params(colors=GREY, labelcolor="black", labelsize="small")
    ax.set_axisbelow(True)
    if grid:
        ax.grid(True, axis=grid, color="#EBEBEB", linewidth=0.7)  # type: ignore[arg-type]
    for axis in (ax.xaxis, ax.yaxis):
        _plain_numbers(axis)
    if x:
        ax.set_xlabel(plain(x, 70), fontsize="medium")
    if y:
        ax.set_ylabel(plain(y, 50), fontsize="medium")
    _titled(ax, title, caption)


def _plain_numbers(axis: Axis) -> None:
    """Numbers in full: a common power of ten would stand where the caption is."""
    from matplotlib.ticker import FuncFormatter, ScalarFormatter

    def shown(value: float, _: int | None) -> str:
        ends = axis.get_view_interval()
        span, largest = abs(ends[1] - ends[0]), np.abs(ends).max()
        exact = 0.0 if abs(value) < 1e-9 * span else value
        digits = int(np.clip(np.log10(largest / span) + 3.0, 3, 15)) if span > 0.0 else 6
        return f"{exact:.{digits}g}".replace("e+0", "e").replace("e+", "e").replace("-", "−")

    if not isinstance(axis.get_major_formatter(), ScalarFormatter) or axis.get_scale() != "linear":
        return
    if 1e-3 <= np.abs(axis.get_view_interval()).max() < 1e7:
        formatter = ScalarFormatter(useOffset=False)
        formatter.set_scientific(False)
        axis.set_major_formatter(formatter)
    else:
        axis.set_major_formatter(FuncFormatter(shown))


def _titled(ax: Axes, title: str, caption: str) -> None:
    _headed(ax, plain(title, 200), None, _room(ax))
    if caption:
        note = ax.annotate(
            plain(caption, 400),
            (0.0, 1.0),
            (0.0, 5.0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="bottom",
            fontsize="small",
            color=GREY,
            gid="caption",
        )
        _headed(ax, plain(title, 200), note, _room(ax))


def settle(figure: Figure) -> None:
    """Break titles and captions anew, to the widths that the layout has come to."""
    figure.draw_without_rendering()
    for ax in figure.axes:
        notes = [text for text in ax.texts if text.get_gid() == "caption"]
        title = ax.get_title(loc="left").replace("\n", " ")
        if notes:
            notes[0].set_text(notes[0].get_text().replace("\n", " "))
            _headed(ax, title, notes[0], float(ax.get_window_extent().width))


def _headed(ax: Axes, title: str, note: Text | None, width: float) -> None:
    """A title within so many pixels, over a note within as many."""
    pad = 6.0
    if note is not None:
        _wrap(note, width)
        pad = 8.0 + note.get_window_extent().height * 72.0 / _root(ax).dpi
    heading = ax.set_title(title, loc="left", fontsize="medium", fontweight="bold", pad=pad)
    _wrap(heading, width)


def _wrap(text: Text, width: float) -> None:
    """Break a text to so many pixels."""
    whole = text.get_text()
    if whole:
        share = width / float(text.get_window_extent().width)
        text.set_text("\n".join(wrap(whole, max(int(0.97 * share * len(whole)), 16))))


def _room(ax: Axes) -> float:
    """Pixels of an axes' width; before a layout what its labels will leave of its place."""
    spec, figure = ax.get_subplotspec(), ax.get_figure(root=False)
    assert figure is not None
    if spec is None or _root(ax).get_layout_engine() is None:
        return float(ax.get_window_extent().width)
    share = len(spec.colspan) / spec.get_gridspec().ncols
    labels = [label.get_window_extent().width for label in ax.get_yticklabels() if label.get_text()]
    used = max(labels, default=0.0) + 0.4 * figure.dpi
    return max(share * float(figure.bbox.width) - float(used), float(figure.dpi))


def _points(size: str) -> float:
    from matplotlib.font_manager import FontProperties

    return float(FontProperties(size=size).get_size_in_points())


def _inches(ax: Axes) -> tuple[float, float]:
    """Width and height of axes before the layout makes room for labels."""
    box, dpi = ax.get_window_extent(), _root(ax).dpi
    return float(box.width / dpi), float(box.height / dpi)


def _root(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def zero_line(ax: Axes, value: float = 0.0, vertical: bool = False) -> None:
    """Where nothing would be."""
    draw = ax.axvline if vertical else ax.axhline
    draw(value, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1, gid="zero")


def row_labels(ax: Axes, names: Sequence[str], longest: int = LONGEST) -> None:
    """Labels of rows 0, 1, … where they have room; else of the first and the last alone."""
    labels, count = [plain(name, longest) for name in names], len(names)
    room = 0.85 * _inches(ax)[1] / max(count, 1)
    ax.set_ylim(-0.6 - 0.005 * count, count - 0.4 + 0.005 * count)
    if room >= CLOSEST or count <= 2:
        size = min(_points("small"), 72.0 * room * 0.85)
        ax.set_yticks(range(count), labels, fontsize=size)
    else:
        ax.set_yticks([0, count - 1], [labels[0], labels[-1]])


def tilted_ticks(ax: Axes, places: Floats, names: Sequence[str], most: int) -> None:
    """Names under places along x, no more than are told apart."""
    count = len(places)
    shown = np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))
    labels = [plain(names[i], 14) for i in shown]
    ax.set_xticks(places[shown], labels, rotation=35, ha="right", rotation_mode="anchor")


def scatter(ax: Axes, x: Floats, y: Floats, color: str = BLUE) -> None:
    """Points, smaller and fainter where there are many; these are one picture in vector files."""
    n = max(len(x), 1)
    ax.plot(
        x,
        y,
        "o",
        markersize=float(np.clip(16.0 / n**0.22, 1.5, 5.5)),
        alpha=float(np.clip(12.0 / n**0.5, 0.06, 0.75)),
        color=color,
        markeredgewidth=0.0,
        rasterized=n > 3000,
        gid="points",
    )


def legend(ax: Axes, title: str = "") -> None:
    """A legend beside the axes, where the layout makes room for it; else within."""
    options: dict[str, Any] = {}
    if _root(ax).get_layout_engine() is not None:
        options = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
    made = ax.legend(title=plain(title), frameon=False, fontsize="small", **options)
    made.get_title().set_fontsize("small")


def say(ax: Axes, text: str) -> None:
    """Why there is nothing to see."""
    ax.set(xticks=[], yticks=[])
    width = max(int(_inches(ax)[0] * 11), 20)
    message = "\n".join(wrap(plain(text, 300), width))
    place: dict[str, Any] = {"transform": ax.transAxes, "ha": "center", "va": "center"}
    ax.text(0.5, 0.5, message, fontsize="medium", color=GREY, gid="message", **place)


def percent(level: float) -> str:
    """A level as text."""
    return f"{100.0 * level:g}%"
