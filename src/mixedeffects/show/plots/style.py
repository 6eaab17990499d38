"""How all plots look: figures, colours, titles with what was counted, room for labels.

Nothing global changes: what is drawn is styled piece by piece, so that the user's own settings
(fonts, sizes, backend) hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

# Okabe and Ito (2008), Color Universal Design; without their yellow, which is lost on white.
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY, BLACK = "#CC79A7", "#E69F00", "#56B4E9", "#000000"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# 4.5:1 on white, for text; lines that only guide the eye.
GREY, FAINT = "#696969", "#C8C8C8"

WIDTH, HEIGHT = 6.4, 4.4
# Inches that a labelled row needs, those of the rest of its figure, and the tallest figure.
ROW, MARGIN, TALLEST = 0.2, 1.3, 11.0
CLOSEST = 0.095
# Characters of a caption in an inch, of a label at most.
DENSITY, LONGEST = 17.5, 34
# Backends without windows; ours among their open figures.
FILES = ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template")
OURS = "mixedeffects"


def new_axes(ax: Axes | None, width: float = WIDTH, height: float = HEIGHT) -> Axes:
    """The axes given, or those of a new figure of so many inches.

    Raises
    ------
    ModelError
        If something else was given.
    """
    if ax is None:
        axes: Axes = _figure(width, height).add_subplot()
        return axes
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise ModelError(
            f"ax={type(ax).__name__} is not one matplotlib Axes: give one, such as the second of"
            " figure, ax = matplotlib.pyplot.subplots(), or leave ax out for a new figure."
        )
    return ax


def new_figure(width: float, height: float) -> Figure:
    """A figure of several axes, which is what a plot returns.

    A notebook shows what a cell returns: there it is no figure of pyplot, which would be shown
    a second time.
    """
    return _figure(width, height, returned=True)


def _figure(width: float, height: float, returned: bool = False) -> Figure:
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    backend = plt.get_backend().lower()
    options: dict[str, Any] = {"figsize": (width, height), "layout": "constrained"}
    if returned and "inline" in backend:
        return Figure(**options)
    if backend in FILES:
        # the last one alone stays open, for plt.savefig
        for number in plt.get_fignums():
            if plt.figure(number).get_gid() == OURS:
                plt.close(number)
    figure: Figure = plt.figure(**options)
    figure.set_gid(OURS)
    return figure


def rows_height(count: int, each: float = ROW) -> float:
    """Inches for so many rows with labels; those of too many are drawn without."""
    wanted = MARGIN + each * count
    return max(wanted, 2.2) if wanted <= TALLEST else 6.0


def plain(text: object, longest: int = LONGEST) -> str:
    """Text that is no mathematics, shortened where it is long."""
    shown = str(text)
    if len(shown) > longest:
        shown = f"{shown[: longest - 1]}…"
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
    if x:
        ax.set_xlabel(plain(x, 70), fontsize="medium")
    if y:
        ax.set_ylabel(plain(y, 50), fontsize="medium")
    _titled(ax, title, caption)


def _titled(ax: Axes, title: str, caption: str) -> None:
    width = _inches(ax)[0]
    heading = "\n".join(wrap(plain(title, 200), max(int(width * 13), 16)))
    lines = wrap(plain(caption, 400), max(int(width * DENSITY), 24))
    size = _points("small")
    ax.set_title(heading, loc="left", fontsize="medium", fontweight="bold", pad=6.0)
    if lines:
        ax.set_title(
            heading,
            loc="left",
            fontsize="medium",
            fontweight="bold",
            pad=8.0 + 1.25 * size * len(lines),
        )
        ax.annotate(
            "\n".join(lines),
            (0.0, 1.0),
            (0.0, 5.0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="bottom",
            fontsize="small",
            color=GREY,
            gid="caption",
        )


def _points(size: str) -> float:
    from matplotlib.font_manager import FontProperties

    return float(FontProperties(size=size).get_size_in_points())


def _inches(ax: Axes) -> tuple[float, float]:
    """Width and height of axes before the layout makes room for labels."""
    box = ax.get_window_extent()
    dpi = ax.get_figure(root=True).dpi  # type: ignore[union-attr]
    return float(box.width / dpi), float(box.height / dpi)


def zero_line(ax: Axes, value: float = 0.0, vertical: bool = False) -> None:
    """Where nothing would be."""
    draw = ax.axvline if vertical else ax.axhline
    draw(value, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1, gid="zero")


def row_labels(ax: Axes, labels: Sequence[str]) -> None:
    """Labels of rows 0, 1, … where they have room; else of the first and the last alone."""
    count = len(labels)
    room = 0.85 * _inches(ax)[1] / max(count, 1)
    ax.set_ylim(-0.6 - 0.005 * count, count - 0.4 + 0.005 * count)
    if room >= CLOSEST or count <= 2:
        size = min(_points("small"), 72.0 * room * 0.85)
        ax.set_yticks(range(count), [plain(label) for label in labels], fontsize=size)
    else:
        ax.set_yticks([0, count - 1], [plain(labels[0]), plain(labels[-1])])


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


def legend(ax: Axes, title: str = "", **options: Any) -> None:
    """A legend without a box."""
    made = ax.legend(title=plain(title), frameon=False, fontsize="small", **options)
    made.get_title().set_fontsize("small")


def counted(count: int, noun: str, many: str | None = None) -> str:
    """A count with its noun."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def percent(level: float) -> str:
    """A level as text."""
    return f"{100.0 * level:g}%"
