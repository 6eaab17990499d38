"""Figures as pictures within a page."""

from __future__ import annotations

import warnings
from base64 import b64encode
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from mixedeffects.show.report.elements import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Bytes of a drawing beyond which points are stored as a picture; its dots an inch.
_LARGEST = 300_000
_DOTS = 120
_STYLE: dict[Any, Any] = {"svg.hashsalt": "mixedeffects", "svg.fonttype": "path"}


def picture(draw: Callable[[], Axes | Figure], shows: str) -> Picture:
    """Draw, without showing a window.

    Parameters
    ----------
    draw : function that returns Axes or a Figure
    shows : str
        What is to be seen, in words; the plot's own titles are added.
    """
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    with plt.ioff(), plt.rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = draw()
        figure: Any = drawn if isinstance(drawn, Figure) else drawn.figure
        try:
            return Picture(
                _source(figure), f"{shows} {_titles(figure)}".strip(), float(figure.get_figwidth())
            )
        finally:
            plt.close(figure)


def _source(figure: Figure) -> str:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    # laid out once, and not anew by savefig
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    figure.set_facecolor("white")
    buffer = BytesIO()
    canvas: Any = FigureCanvasSVG(figure)
    canvas.print_svg(buffer, metadata={"Date": None})
    kind = "svg+xml"
    if buffer.tell() > _LARGEST:
        buffer, kind = BytesIO(), "png"
        figure.set_dpi(_DOTS)
        canvas = FigureCanvasAgg(figure)
        canvas.print_png(buffer)
    return f"data:image/{kind};base64,{b64encode(buffer.getvalue()).decode()}"


def _titles(figure: Figure) -> str:
    """Titles and captions of the first axes, as one line."""
    told = []
    for ax in figure.axes[:3]:
        own = [text.get_text() for text in ax.texts if text.get_gid() == "caption"]
        told += [ax.get_title(loc="left"), *own]
    shown = [" ".join(text.replace(r"\$", "$").split()) for text in told if text]
    return "; ".join(dict.fromkeys(shown))
