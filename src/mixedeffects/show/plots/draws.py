"""Draws of parameters in chains: their traces, ranks, and densities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.diagnostics import ess_bulk, r_hat
from mixedeffects.bayes.libraries import arviz
from mixedeffects.errors import ModelError, suggestion
from mixedeffects.show.plots.figures import new_axes, panels
from mixedeffects.show.plots.style import BLACK, BLUE, GREY, PALETTE, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Draw = Callable[["Axes", str, Floats], None]

# Parameters where none are asked for: those of fewest effective draws.
MOST = 12
# Of the ranks of all draws.
BINS = 20


def chosen_draws(
    draws: Mapping[str, Floats], names: str | Sequence[str] | None, most: int = MOST
) -> dict[str, Floats]:
    """Draws (C, S) of the parameters named; else all, or those of fewest effective draws.

    Raises
    ------
    ModelError
        At a name that is not there.
    """
    if names is None:
        if len(draws) <= most:
            return dict(draws)
        known = list(draws)
        effective = ess_bulk(np.stack(list(draws.values()), axis=-1))
        worst = np.sort(np.argsort(effective, kind="stable")[:most])
        return {known[i]: draws[known[i]] for i in worst}
    listed = [names] if isinstance(names, str) else list(names)
    for name in listed:
        if name not in draws:
            raise ModelError(
                f"Parameter {name!r} is not in the model.{suggestion(str(name), draws)} It has:"
                f" {', '.join(map(repr, draws))}."
            )
    if not listed:
        raise ModelError("parameters=[] leaves nothing to draw: name one, or leave it out.")
    return {name: draws[name] for name in listed}


def worst_parameter(draws: Mapping[str, Floats]) -> str:
    """That of fewest effective draws."""
    return next(iter(chosen_draws(draws, None, 1)))


def draw_each(
    draws: Mapping[str, Floats], draw: Draw, width: float, height: float, ax: Axes | None
) -> Axes | Figure:
    """Each parameter on axes of its own, or the one on those given."""
    if len(draws) == 1:
        ax = new_axes(ax, 1.4 * width, 1.4 * height)
        for name, values in draws.items():
            draw(ax, name, values)
        return ax
    figure, axes = panels(len(draws), 3, width, height, "parameters=")
    for each, (name, values) in zip(axes, draws.items(), strict=True):
        draw(each, name, values)
    return figure


def trace(ax: Axes, name: str, draws: Floats) -> None:
    """Chains over their draws: alike, and without a trend, if they agree."""
    for chain, color in zip(draws, _colours(len(draws)), strict=True):
        ax.plot(chain, color=color, linewidth=0.5, alpha=0.75, rasterized=True, gid="chain")
    ax.set_xlim(0, draws.shape[1] - 1)
    dress(ax, name, agreement(draws), x="Draw")


def ranks(ax: Axes, name: str, draws: Floats) -> None:
    """How often the draws of each chain are among the lowest of all, …, the highest.

    Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021): level if the chains agree.
    """
    counts = rank_counts(draws)
    chains, bins = counts.shape
    edges = np.arange(bins + 1) / bins
    expected = draws.shape[1] / bins
    band = 2.0 * np.sqrt(expected * (1.0 - 1.0 / bins))
    ax.axhspan(expected - band, expected + band, color=GREY, alpha=0.15, linewidth=0.0, gid="band")
    for own, color in zip(counts, _colours(chains), strict=True):
        ax.stairs(own, edges, color=color, linewidth=1.3, gid="ranks")
    ax.axhline(expected, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), gid="expected")
    ax.set(xlim=(0.0, 1.0), ylim=(0.0, max(1.15 * counts.max(), 2.0 * expected)))
    dress(ax, name, agreement(draws), x="Rank among all draws", y="Draws of a chain")


def density(ax: Axes, name: str, draws: Floats) -> None:
    """The density of all chains' draws together, with their mean and central 95%."""
    flat = draws.ravel()
    if np.ptp(flat) > 0.0:
        value, height = arviz().kde(flat)
        low, high = np.quantile(flat, [0.025, 0.975])
        inside = (value >= low) & (value <= high)
        ax.fill_between(value[inside], 0.0, height[inside], color=BLUE, alpha=0.25, linewidth=0.0)
        ax.plot(value, height, color=BLUE, linewidth=1.8, gid="density")
    ax.axvline(flat.mean(), color=BLACK, linewidth=0.9, gid="mean")
    ax.set_ylim(bottom=0.0)
    ax.set_yticks([])
    dress(ax, name, "shaded: central 95%; line: mean", x="Value", grid="x")


def rank_counts(draws: Floats, bins: int = BINS) -> NDArray[np.intp]:
    """Draws (C, bins) of each chain in bins of the ranks among all."""
    order = np.argsort(draws.ravel(), kind="stable")
    place = np.empty(draws.size, dtype=np.intp)
    place[order] = np.arange(draws.size)
    bin_of = (place * bins // draws.size).reshape(draws.shape)
    return np.stack([np.bincount(own, minlength=bins) for own in bin_of])


def agreement(draws: Floats) -> str:
    """How well chains agree, in a caption."""
    effective = float(ess_bulk(draws))
    if not np.isfinite(effective):
        return "does not vary"
    return f"R-hat {float(r_hat(draws)):.3f}; {effective:,.0f} effective of {draws.size:,} draws"


def _colours(count: int) -> list[Any]:
    return [PALETTE[i % len(PALETTE)] for i in range(count)]
