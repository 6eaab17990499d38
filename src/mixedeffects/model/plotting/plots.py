"""``fit.plot()`` and ``fit.plot.…``: what a careful analyst looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.model.plotting.estimates import EstimatePlots
from mixedeffects.model.plotting.kinds import GeneralNumbers, LinearNumbers
from mixedeffects.model.plotting.random import RandomPlots
from mixedeffects.model.plotting.rows import RowPlots
from mixedeffects.show.plots.effects import effects_of
from mixedeffects.show.plots.figures import new_figure
from mixedeffects.show.plots.qq import residual_qq
from mixedeffects.show.plots.random_effects import of_group
from mixedeffects.show.plots.residuals import residuals_against_fitted, scale_location
from mixedeffects.show.plots.style import plain, say, settle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mixedeffects.model.generalized import GeneralizedFit
    from mixedeffects.model.linear import LinearFit


CONDITIONAL = "95% conditional intervals"


class Plots(EstimatePlots, RandomPlots, RowPlots):
    """Pictures of a fit, each a method; called, the panel to look at first.

    A method returns the Axes that it drew on, or the Figure where there are several. Save one
    with ``ax.figure.savefig("name.png")``.
    """

    def __repr__(self) -> str:
        names = [n for n in dir(self) if not n.startswith("_")]
        return f"<plots of {self._fit.design.formula!r}: {', '.join(names)}>"

    def __call__(self) -> Figure:
        """What to look at first: estimates, random effects, and residuals in three ways.

        Returns
        -------
        Figure
            Six axes: fixed effects; the first random effect by level; its normal Q–Q plot;
            residuals against fitted values; their normal Q–Q plot; their size. Without random
            effects four.

        Examples
        --------
        >>> import mixedeffects as me
        >>> fit = me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))
        >>> len(fit.plot().axes)
        6
        """
        has_random = bool(self._fit.estimates.terms)
        figure = new_figure(13.0 if has_random else 9.0, 8.0)
        figure.suptitle(plain(self._fit.design.formula, 120), fontsize="large")
        axes = figure.subplots(2, 3 if has_random else 2)
        try:
            self.fixed_effects(ax=axes[0, 0])
        except ModelError as without:
            say(axes[0, 0], str(without))
        if has_random:
            effects = effects_of(self._fit)
            of_group(axes[0, 1], effects, CONDITIONAL)
            self._random_qq(effects[0], axes[0, 2])
        cloud = self._cloud(None, 0)
        residuals_against_fitted(cloud, axes[1, 0])
        residual_qq(cloud, axes[1, 1])
        scale_location(cloud, axes[1, 2] if has_random else axes[0, 1])
        settle(figure)
        return figure


class LinearPlots(Plots, LinearNumbers):
    """Pictures of a linear fit."""

    def __init__(self, face: LinearFit) -> None:
        self._face = face
        self._fit: Fit = face._fit


class GeneralPlots(Plots, GeneralNumbers):
    """Pictures of a generalized fit."""

    def __init__(self, face: GeneralizedFit) -> None:
        self._face = face
        self._fit: GeneralFit = face._fit
