"""What the fixed part of a posterior says of factors and covariates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mixedeffects.bayes.means import PosteriorMeans, of_linear
from mixedeffects.bayes.surfaces import drawn_surface
from mixedeffects.effects.general_targets import Component
from mixedeffects.effects.means.averages import Weights
from mixedeffects.effects.means.means import NotEstimable, Scale
from mixedeffects.effects.means.slopes import slopes as slopes_of
from mixedeffects.errors import ModelError
from mixedeffects.model.means import averaging, checked_scale
from mixedeffects.model.posterior_values import PosteriorValues


class PosteriorEffects(PosteriorValues):
    """Marginal means and slopes, each with a posterior."""

    def emmeans(
        self,
        specs: str | Sequence[str],
        by: str | Sequence[str] | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        weights: Weights = "equal",
        level: float = 0.95,
        scale: Scale = "link",
        component: Component = "conditional",
        not_estimable: NotEstimable = "error",
    ) -> PosteriorMeans:
        """Estimated marginal means: the fixed part averaged over a reference grid, draw by draw.

        Parameters
        ----------
        specs, by, at, weights, scale, component, not_estimable
            As of a fit's ``emmeans``; on the response's scale each draw is taken there.
        level
            Of the central intervals.

        Returns
        -------
        PosteriorMeans
            With ``table``, ``draws`` and ``contrast()``, whose table has the probability that
            each contrast is positive.

        Raises
        ------
        ModelError
            If a variable is not of the fixed part, or a mean is not estimable.
        DataError
            If ``at`` names a level or value that the variable does not take.

        Examples
        --------
        >>> import mixedeffects as me
        >>> data = me.datasets.load("ergostool")
        >>> post = me.sample("effort ~ Type + (1 | Subject)", data, seed=1)
        >>> post.emmeans("Type").contrast("treatment").table["contrast"].tolist()
        ['T2 - T1', 'T3 - T1', 'T4 - T1']
        """
        request = averaging(at, weights, level, not_estimable)
        surface = drawn_surface(self._sampled, *self._asked(component, scale, False))
        return of_linear(surface.means(specs, by, request))

    def slopes(
        self,
        variable: str,
        by: str | Sequence[str] | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        weights: Weights = "equal",
        level: float = 0.95,
        scale: Scale = "link",
        component: Component = "conditional",
        not_estimable: NotEstimable = "error",
    ) -> PosteriorMeans:
        """Slopes of a covariate: derivatives of the fixed part, averaged draw by draw.

        Parameters
        ----------
        variable, by, at, weights, scale, component, not_estimable
            As of a fit's ``slopes``.
        level
            Of the central intervals.

        Returns
        -------
        PosteriorMeans

        Raises
        ------
        ModelError
            If the variable is not a covariate of the fixed part, or a slope is not estimable.
        """
        request = averaging(at, weights, level, not_estimable)
        asked = self._asked(component, scale, True)
        surface = drawn_surface(self._sampled, *asked, straight=True)
        return of_linear(slopes_of(surface, variable, by, request))

    def _asked(self, component: Component, scale: Scale, slope: bool) -> tuple[Component, Scale]:
        checked_scale(component, scale)
        if not self._sampled.is_linear:
            return component, scale
        if component != "conditional":
            raise ModelError(
                f"component={component!r}: a linear model has one linear predictor, the"
                " conditional one."
            )
        if slope and scale == "response":
            raise ModelError(
                "Slopes of a linear model are on the model's scale: leave scale='response' out."
            )
        return component, scale
