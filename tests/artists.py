"""What was drawn: artists by the name that a plot gives them, and their data."""

from __future__ import annotations

import numpy as np


def found(ax, gid):
    """All artists of axes with this name."""
    return [a for a in ax.get_children() if a.get_gid() == gid]


def only(ax, gid):
    (artist,) = found(ax, gid)
    return artist


def xy(ax, gid):
    """The data (2, n) of the one line of this name."""
    return np.array(only(ax, gid).get_data())


def segments(ax, gid):
    """Ends (n, 2, 2) of the one collection of lines of this name."""
    return np.array(only(ax, gid).get_segments())


def caption(ax):
    return only(ax, "caption").get_text().replace("\n", " ")


def title(ax):
    return ax.get_title(loc="left").replace("\n", " ")


def rows(ax):
    """Labels of rows, from below."""
    return [label.get_text() for label in ax.get_yticklabels()]
