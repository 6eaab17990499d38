"""A figure that a notebook shows where it is returned. Imported with the first that is drawn."""

from __future__ import annotations

from io import BytesIO

from matplotlib.figure import Figure


class ShownFigure(Figure):
    """A figure that pyplot does not know, which would show it a second time.

    Notebooks learn to show figures after the first cell that draws one; this one knows already.
    """

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.savefig(buffer, format="png", bbox_inches="tight")
        return buffer.getvalue()
