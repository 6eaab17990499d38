"""Pictures of the random effects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedeffects.data.frames import level_text
from mixedeffects.effects.typical import (
    along,
    default_covariate,
    observed,
    places,
    positions,
    typical_row,
)
from mixedeffects.errors import ModelError, suggestion
from mixedeffects.fitting.estimates import RandomTermEstimate
from mixedeffects.model.plotting.kinds import PlotNumbers
from mixedeffects.show.plots import correlations, qq, random_effects, shrinkage
from mixedeffects.show.plots.effects import chosen_effects, effects_of
from mixedeffects.show.plots.figures import one_plot, panels
from mixedeffects.show.plots.groups import LINES, Lattice, Panel, chosen_levels, lattice_figure
from mixedeffects.show.plots.style import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class RandomPlots(PlotNumbers):
    """Random effects by level, together, and beside the data."""

    def random_effects(
        self,
        group: str | None = None,
        term: str | None = None,
        *,
        level: float = 0.95,
        ax: Axes | None = None,
    ) -> Axes | Figure:
        """Conditional modes in order with their conditional intervals: caterpillars.

        More than six effects of each level, as over many times, are lines along these.

        Parameters
        ----------
        group, term
            Which, by the names in ``ranef()``; all where omitted.
        level
            Of the intervals, which take the parameters as known.
        ax
            Axes to draw on, for one effect; those of a new figure where omitted.

        Returns
        -------
        Axes, or the Figure of several

        Raises
        ------
        ModelError
            If there are no such random effects.
        """
        chosen = chosen_effects(effects_of(self._fit, level), group, term)
        one_plot(ax, len(chosen), "group= and term=")
        return random_effects.random_effects(chosen, f"{percent(level)} conditional intervals", ax)

    def random_qq(
        self, group: str | None = None, term: str | None = None, *, ax: Axes | None = None
    ) -> Axes | Figure:
        """Modes over their standard deviations against normal quantiles.

        Parameters are those of ``random_effects``. Modes are drawn towards zero and to
        normality by the model, so that this shows less than a plot of residuals does.
        """
        chosen = chosen_effects(effects_of(self._fit), group, term)
        one_plot(ax, len(chosen), "group= and term=")
        if len(chosen) == 1:
            return self._random_qq(chosen[0], ax)
        figure, axes = panels(len(chosen), 3, 4.2, 4.0, "group= and term=")
        for each, effect in zip(axes, chosen, strict=True):
            self._random_qq(effect, each)
        return figure

    def _random_qq(self, effect: Any, ax: Axes | None) -> Axes:
        title = f"Normal Q–Q of {effect.term} by {effect.place}"
        return qq.qq(self._scores(effect), title, "Standardized mode", "level", ax)

    def groups(
        self, group: str | None = None, x: str | None = None, *, levels: Sequence[Any] | None = None
    ) -> Figure:
        """Each level's rows, with the population's line, its own, and the model's between them.

        The line within a level alone is least squares with its random effects free of any
        distribution; generalized fits have none, since in a single level it need not exist.
        Other variables are at the level's means, or its most frequent values.

        Parameters
        ----------
        group
            A grouping factor; the first of the model where omitted.
        x
            A variable; that of the group's slopes where omitted, else the first of the fixed part.
        levels
            Which, by name; where omitted all, or 30 spread over the range of their effects.

        Raises
        ------
        ModelError
            If there is no such group, variable or level.

        Examples
        --------
        >>> import mixedeffects as me
        >>> fit = me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))
        >>> figure = fit.plot.groups(levels=["308", "309"])
        >>> [ax.get_title(loc="left") for ax in figure.axes]
        ['308', '309']
        """
        term = self._term(group)
        design = self._fit.design
        x = default_covariate(design, term.group) if x is None else x
        if x not in design.columns:
            known = list(design.columns.columns)
            raise ModelError(
                f"x={x!r} is not a column of the model, which has"
                f" {', '.join(map(repr, known))}.{suggestion(str(x), known)}"
            )
        order = np.argsort(term.modes[:, 0], kind="stable")
        names = level_text(term.levels)
        chosen = chosen_levels(names, order, levels)
        return lattice_figure(self._lattice(term, x, names, chosen))

    def _lattice(self, term: RandomTermEstimate, x: str, names: Any, chosen: Any) -> Lattice:
        design, terms = self._fit.design, self._fit.estimates.terms
        own = next(r for r in design.random if r.group == term.group)
        varied = places(design, x)
        at, data, ticks = positions(design, x, varied)
        sets = {
            "population": [np.zeros_like(t.modes) for t in terms],
            "shrunken": [
                t.modes if t.group == term.group else np.zeros_like(t.modes) for t in terms
            ],
        }
        if (alone := self._unpooled(term.group)) is not None:
            found = alone.of_terms(alone.estimate)
            sets["unpooled"] = [found.get(i, np.zeros_like(t.modes)) for i, t in enumerate(terms)]
        panels = []
        for level in chosen:
            rows = np.flatnonzero(own.codes == level)
            columns = along(typical_row(design, design.rows[rows]), varied)
            curves = dict(zip(sets, self._curves(columns, list(sets.values())), strict=True))
            lines = {name: curves[name] for name in LINES if name in curves}
            y = observed(design)[rows]
            panels.append(Panel(str(names[level]), data[rows], y, at, lines))
        return Lattice(term.group, x, self._y_name, tuple(panels), len(term.levels), ticks)

    def correlations(self, group: str | None = None, *, ax: Axes | None = None) -> Axes | Figure:
        """Modes of a group's effects against each other, with their estimated distribution.

        Parameters
        ----------
        group
            One with several effects in a term; the first where omitted.
        ax
            Axes to draw on, for two effects; those of a new figure where omitted.

        Returns
        -------
        Axes, or the Figure of several pairs. More than four effects have a table of their
        correlations in colours.

        Raises
        ------
        ModelError
            If there is no such group, or nothing to correlate in it.
        """
        several = [t for t in self._fit.estimates.terms if len(t.names) > 1]
        if group is None and several:
            group = several[0].group
        term = next((t for t in several if t.group == group), None) or self._term(group)
        k = len(term.names)
        one_plot(ax, 1 if k > correlations.PAIRWISE else k * (k - 1) // 2)
        return correlations.correlations(term, ax)

    def shrinkage(self, group: str | None = None, *, ax: Axes | None = None) -> Axes | Figure:
        """From what a level's own rows say of its effects to what the model says.

        Parameters
        ----------
        group
            A grouping factor; the first where omitted.
        ax
            Axes to draw on, for one or two effects; those of a new figure where omitted.

        Raises
        ------
        ModelError
            For generalized fits, where a single level's estimates need not exist; if there is
            no such group, or its levels have too few rows.
        """
        term = self._term(group)
        found = self._unpooled(term.group)
        if found is None:
            raise ModelError(
                f"Shrinkage starts from estimates within single levels of {term.group!r}, which"
                f" under family {self._fit.family.name!r} need not exist (all successes, no"
                " events): it is drawn of linear fits. plot.groups() has the rows beside the model."
            )
        k = len(found.names)
        one_plot(ax, k * (k - 1) // 2)
        return shrinkage.shrinkage(found, term.group, ax)

    def _term(self, group: str | None) -> RandomTermEstimate:
        """The first term of a group, of the conditional predictor."""
        terms = [t for t in self._fit.estimates.terms if t.component == "conditional"]
        if not terms:
            raise ModelError("The model's conditional predictor has no random effects to draw.")
        for term in terms:
            if group in (None, term.group):
                return term
        known = list(dict.fromkeys(t.group for t in terms))
        raise ModelError(
            f"group={group!r} has no random effects: choose one of"
            f" {', '.join(map(repr, known))}.{suggestion(str(group), known)}"
        )
