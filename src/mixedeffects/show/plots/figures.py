"""Figures and axes to draw on: how large, where they are shown, and how many stay open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixedeffects.errors import ModelError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 6.4, 4.4
# Inches that a labelled row needs, those of the rest of its figure, and the tallest figure.
ROW, MARGIN, TALLEST = 0.2, 1.3, 11.0
# Axes of a figure.
PANELS = 36
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


def one_plot(ax: Any, count: int, choice: str = "") -> None:
    """Refuse to draw several plots on the axes given; ``choice``, by which one is chosen.

    Raises
    ------
    ModelError
    """
    if ax is not None and count > 1:
        chosen = f"choose one with {choice}, or " if choice else ""
        raise ModelError(
            f"ax= takes one plot, and this has {count}: {chosen}leave ax out for a figure of all."
        )


def panels(
    count: int, columns: int, width: float, height: float, choice: str
) -> tuple[Figure, list[Axes]]:
    """A figure of so many axes, in rows of columns, each so many inches.

    Raises
    ------
    ModelError
        If these are too many to be seen; ``choice``, by which some are chosen.
    """
    if count > PANELS:
        raise ModelError(
            f"{count:,} plots do not fit one figure, which has up to {PANELS}: choose with"
            f" {choice}."
        )
    columns = min(count, columns)
    rows = -(-count // columns)
    figure = new_figure(width * columns, height * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def new_figure(width: float, height: float) -> Figure:
    """A figure of several axes, which is what a plot returns.

    A notebook shows what a cell returns: there it is no figure of pyplot, which would be shown
    a second time.
    """
    return _figure(width, height, returned=True)


def _figure(width: float, height: float, returned: bool = False) -> Figure:
    import matplotlib.pyplot as plt

    backend = plt.get_backend().lower()
    options: dict[str, Any] = {"figsize": (width, height), "layout": "constrained"}
    if returned and "inline" in backend:
        from mixedeffects.show.plots.shown import ShownFigure

        return ShownFigure(**options)
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
