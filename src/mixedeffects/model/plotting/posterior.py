"""``post.plot``: the pictures of a posterior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.predictive import Groups, simulated
from mixedeffects.bayes.quantities import named_draws
from mixedeffects.bayes.sampled import Sampled
from mixedeffects.bayes.tables import coefficient_columns, modes_columns
from mixedeffects.errors import ModelError
from mixedeffects.inference.streams import Seed
from mixedeffects.model.options import check_option
from mixedeffects.show.plots import draws, fixed_effects, pairs, predictive, random_effects
from mixedeffects.show.plots.effects import NONE, Effect, Labels, chosen_effects, listed_effects
from mixedeffects.show.plots.figures import new_figure, one_plot
from mixedeffects.show.plots.random_effects import of_group
from mixedeffects.show.plots.style import percent, plain, settle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mixedeffects.model.posterior import Posterior

Floats = NDArray[np.float64]

# Simulated responses of a predictive check.
RESPONSES = 200


class PosteriorPlots:
    """Pictures of a posterior, each a method; called, the panel to look at first.

    A method returns the Axes that it drew on, or the Figure where there are several. ArviZ's own
    plots take ``post.inference_data``.
    """

    def __init__(self, face: Posterior) -> None:
        self._sampled: Sampled = face._sampled

    def __repr__(self) -> str:
        names = [n for n in dir(self) if not n.startswith("_")]
        return f"<plots of {self._sampled.design.formula!r}: {', '.join(names)}>"

    def __call__(self) -> Figure:
        """What to look at first: estimates, the check of the response, and the sampler's work.

        Returns
        -------
        Figure
            Six axes: fixed effects; the first random effect by level; the predictive check;
            trace and ranks of the parameter of fewest effective draws; the most correlated pair.
        """
        figure = new_figure(13.5, 8.0)
        figure.suptitle(plain(self._sampled.design.formula, 120), fontsize="large")
        axes = figure.subplots(2, 3)
        self.fixed_effects(ax=axes[0, 0])
        of_group(axes[0, 1], self._effects(0.95), "95% central intervals")
        self.predictive_check(ax=axes[0, 2])
        worst = draws.worst_parameter(self._draws())
        self.traces(worst, ax=axes[1, 0])
        self.ranks(worst, ax=axes[1, 1])
        self.pairs(ax=axes[1, 2])
        settle(figure)
        return figure

    def traces(
        self, parameters: str | Sequence[str] | None = None, *, ax: Axes | None = None
    ) -> Axes | Figure:
        """Each chain's draws in their order: alike and without a trend if the chains agree.

        Parameters
        ----------
        parameters
            Names such as ``"Days"``, ``"sd(Days | Subject)"``, ``"sigma"``; where omitted all,
            or the 12 of fewest effective draws.
        ax
            Axes to draw on, for one parameter; those of a new figure where omitted.

        Returns
        -------
        Axes, or the Figure of several

        Raises
        ------
        ModelError
            If a parameter is not known.
        """
        return self._each(parameters, draws.trace, ax)

    def ranks(
        self, parameters: str | Sequence[str] | None = None, *, ax: Axes | None = None
    ) -> Axes | Figure:
        """Ranks of each chain's draws among all: level, about the band, if the chains agree.

        The band is that of two standard errors of independent draws. Parameters are those of
        ``traces`` (Vehtari et al. 2021).
        """
        return self._each(parameters, draws.ranks, ax)

    def densities(
        self, parameters: str | Sequence[str] | None = None, *, ax: Axes | None = None
    ) -> Axes | Figure:
        """Densities of all chains' draws together, by ArviZ's kernel estimate.

        Parameters are those of ``traces``.
        """
        return self._each(parameters, draws.density, ax)

    def pairs(self, parameters: Sequence[str] | None = None, *, ax: Axes | None = None) -> Axes:
        """Draws of two parameters against each other; divergences stand out.

        Parameters
        ----------
        parameters
            Two names, as in ``traces``; the pair of largest rank correlation where omitted.
        ax
            Axes to draw on; those of a new figure where omitted.

        Raises
        ------
        ModelError
            If these are not two parameters of the model.
        """
        known = self._draws()
        names = pairs.worst_pair(known) if parameters is None else parameters
        if isinstance(names, str) or len(names) != 2 or names[0] == names[1]:
            raise ModelError(
                f"parameters={names!r}: a pair is two names, such as two of these: "
                f"{', '.join(map(repr, known))}."
            )
        chosen = draws.chosen_draws(known, names)
        return pairs.pairs(chosen, self._sampled.draws.stats.get("diverging"), ax)

    def fixed_effects(
        self,
        terms: str | Sequence[str] | None = None,
        *,
        level: float = 0.95,
        ax: Axes | None = None,
    ) -> Axes:
        """Coefficients with their central intervals, one in each row: a forest.

        Parameters
        ----------
        terms
            Names as in ``fixef()``, after ``"zero_inflation: "`` and the like where they belong
            to another predictor; all but intercepts where omitted.
        level
            Of the intervals.
        ax
            Axes to draw on; those of a new figure where omitted.
        """
        table = coefficient_columns(self._sampled, level)
        link = self._sampled.family.link
        response = self._sampled.design.response
        scale = f"change in {response}" if link == "identity" else f"link: {link}"
        return fixed_effects.fixed_effects(table, terms, level, scale, ax)

    def random_effects(
        self,
        group: str | None = None,
        term: str | None = None,
        *,
        level: float = 0.95,
        ax: Axes | None = None,
    ) -> Axes | Figure:
        """Random effects in order with central intervals that hold all uncertainty: caterpillars.

        Parameters
        ----------
        group, term
            Which, by the names in ``ranef()``; all where omitted.
        level
            Of the intervals.
        ax
            Axes to draw on, for one effect; those of a new figure where omitted.

        Returns
        -------
        Axes, or the Figure of several
        """
        chosen = chosen_effects(self._effects(level), group, term)
        one_plot(ax, len(chosen), "group= and term=")
        return random_effects.random_effects(chosen, f"{percent(level)} central intervals", ax)

    def predictive_check(
        self, *, random: Groups = "conditional", seed: Seed = 0, ax: Axes | None = None
    ) -> Axes:
        """The response beside 200 that the model gives: densities, or shares of discrete values.

        Parameters
        ----------
        random
            ``"conditional"`` on the groups' effects, or ``"marginal"``, of new groups.
        seed
            Of the responses.
        ax
            Axes to draw on; those of a new figure where omitted.
        """
        check_option("random", random, ("conditional", "marginal"))
        sampled = self._sampled
        given = simulated(sampled, RESPONSES, random, np.random.default_rng(seed))
        design = sampled.design
        discrete = sampled.family.discrete
        name = "successes" if design.trials is not None else design.response
        observed = np.asarray(design.y, dtype=float)
        return predictive.predictive_check(observed, given, name, discrete, design.categories, ax)

    def _draws(self) -> dict[str, Floats]:
        return dict(named_draws(self._sampled))

    def _each(
        self, parameters: str | Sequence[str] | None, draw: draws.Draw, ax: Axes | None
    ) -> Axes | Figure:
        chosen = draws.chosen_draws(self._draws(), parameters)
        one_plot(ax, len(chosen), "parameters=")
        return draws.draw_each(chosen, draw, 4.0, 2.9, ax)

    def _effects(self, level: float) -> list[Effect]:
        if not self._sampled.terms:
            raise ModelError(NONE)
        columns = modes_columns(self._sampled, level)
        terms = [
            Labels(t.component, t.design.group, t.design.names, t.design.levels)
            for t in self._sampled.terms
        ]
        return listed_effects(terms, columns["estimate"], columns["conf_low"], columns["conf_high"])
