"""What the fixed part says of factors and covariates: marginal means and slopes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from mixedeffects.effects.general_targets import Component
from mixedeffects.effects.means.averages import Weights
from mixedeffects.effects.means.general_surfaces import general_surface
from mixedeffects.effects.means.means import MarginalMeans, NotEstimable, Request, Scale
from mixedeffects.effects.means.slopes import slopes as slopes_of
from mixedeffects.effects.means.surface import AbstractSurface, linear_surface
from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.inference.freedom import Method
from mixedeffects.inference.wald import check_level
from mixedeffects.model.options import check_option
from mixedeffects.model.values import Values


class Means(Values):
    """Marginal means and slopes."""

    @abstractmethod
    def _surface(
        self, component: Component, scale: Scale, df: Method | None, *, straight: bool = False
    ) -> AbstractSurface:
        """What is averaged, see `general_surface`."""

    def emmeans(
        self,
        specs: str | Sequence[str],
        by: str | Sequence[str] | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        weights: Weights = "equal",
        df: Method | None = None,
        level: float = 0.95,
        scale: Scale = "link",
        component: Component = "conditional",
        not_estimable: NotEstimable = "error",
    ) -> MarginalMeans:
        """Estimated marginal means: the fixed part averaged over a reference grid.

        The grid holds every combination of the factors' levels, with covariates at their mean
        over the rows used (polynomials, splines and interactions are evaluated there). A column
        of numbers is a covariate however few values it has, unless the formula says
        ``factor(...)``. Means are averages over the grid, not the prediction at reference
        levels. An offset counts with its mean.

        Parameters
        ----------
        specs
            A factor's name, or several; ``[]`` for the overall mean. A covariate needs values
            in ``at``.
        by
            Variables within whose values means are compared and adjusted.
        at
            Levels of factors and values of covariates that make the grid.
        weights
            Of the levels averaged over: ``"equal"``; ``"proportional"`` to how often their
            combinations occur in the data; or as they occur in each ``"cells"``.
        df
            Degrees of freedom, as in ``fixef``.
        level
            Of the intervals.
        scale
            ``"link"``, that of the model; or ``"response"``: means, standard errors by the
            delta method and limits brought back from there. A transformed response such as
            log(y) has medians then, other links the mean, at random effects of zero: that of a
            typical group, not averaged over groups. Contrasts of logarithms are then ratios,
            those of logits odds ratios, others stay on the model's scale. Where a mean depends
            on more than one linear predictor the averages, and the differences of contrasts,
            are those of the response itself. Ordered categories have a probability each, in
            column ``category`` (on the link scale the latent variable, its zero at the mean of
            the thresholds).
        component
            Of a generalized fit: ``"conditional"``, ``"zero_inflation"`` or ``"dispersion"``;
            or ``"response"``, the mean with the extra zeros, for ``scale="response"``.
        not_estimable
            What follows where the data do not determine a mean, as in an empty cell: an
            ``"error"`` that names it, or ``"drop"``, which leaves it out and notes it.

        Returns
        -------
        MarginalMeans
            With ``table``, ``contrast()``, ``test()``, ``joint_test()``, ``letters()``.

        Raises
        ------
        ModelError
            If a variable is not of the fixed part, or a mean is not estimable.
        DataError
            If ``at`` names a level or value that the variable does not take.

        References
        ----------
        Searle, Speed and Milliken 1980 (Am. Stat. 34: 216); Lenth 2016 (J. Stat. Softw. 69(1)).

        Examples
        --------
        >>> import mixedeffects as me
        >>> fit = me.fit("effort ~ Type + (1 | Subject)", me.datasets.load("ergostool"))
        >>> means = fit.emmeans("Type")
        >>> means.table[["Type", "estimate", "std_error", "df"]].round(3)
          Type  estimate  std_error     df
        0   T1     8.556      0.576  15.53
        1   T2    12.444      0.576  15.53
        2   T3    10.778      0.576  15.53
        3   T4     9.222      0.576  15.53
        >>> means.contrast("treatment").table[["contrast", "estimate", "p_value"]].round(3)
          contrast  estimate  p_value
        0  T2 - T1     3.889    0.000
        1  T3 - T1     2.222    0.001
        2  T4 - T1     0.667    0.446

        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> counts = me.fit(formula, me.datasets.load("cbpp"), family="binomial")
        >>> probabilities = counts.emmeans("period", scale="response", at={"period": [1, 2]})
        >>> probabilities.table[["period", "estimate", "conf_low", "conf_high"]].round(3)
          period  estimate  conf_low  conf_high
        0      1     0.198     0.135      0.280
        1      2     0.084     0.047      0.144
        >>> probabilities.contrast().table[["contrast", "estimate", "p_value"]].round(3)
                    contrast  estimate  p_value
        0  period1 / period2     2.698    0.001
        """
        request = averaging(at, weights, level, not_estimable)
        return self._surface(*checked_scale(component, scale), df).means(specs, by, request)

    def slopes(
        self,
        variable: str,
        by: str | Sequence[str] | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        weights: Weights = "equal",
        df: Method | None = None,
        level: float = 0.95,
        scale: Scale = "link",
        component: Component = "conditional",
        not_estimable: NotEstimable = "error",
    ) -> MarginalMeans:
        """Slopes of a covariate: derivatives of the fixed part, averaged over a reference grid.

        Parameters
        ----------
        variable
            A covariate. Where ``at`` has several values of it there is a slope at each.
        by
            Variables for each of whose values there is a slope; ``contrast()`` compares these.
        at, weights, df, level, component, not_estimable
            As in ``emmeans``.
        scale
            ``"link"``, that of the model; or for generalized fits ``"response"``: derivatives
            of the mean, or of each category's probability, averaged over the grid.

        Returns
        -------
        MarginalMeans

        Raises
        ------
        ModelError
            If the variable is not a covariate of the fixed part, or a slope is not estimable.

        Examples
        --------
        >>> import mixedeffects as me
        >>> orthodont = me.datasets.load("orthodont")
        >>> fit = me.fit("distance ~ age * Sex + (age | Subject)", orthodont)
        >>> fit.slopes("age", by="Sex").table[["Sex", "estimate", "std_error"]].round(4)
              Sex  estimate  std_error
        0    Male    0.7844     0.0860
        1  Female    0.4795     0.1037
        """
        request = averaging(at, weights, level, not_estimable)
        surface = self._surface(*checked_scale(component, scale), df, straight=True)
        return slopes_of(surface, variable, by, request)


class LinearMeans(Means):
    """Marginal means and slopes of linear fits."""

    _fit: Fit

    def _surface(
        self, component: Component, scale: Scale, df: Method | None, *, straight: bool = False
    ) -> AbstractSurface:
        if component != "conditional":
            raise ModelError(
                f"component={component!r}: a linear model has one linear predictor, the"
                " conditional one."
            )
        if straight and scale == "response":
            raise ModelError(
                "Slopes of a linear model are on the model's scale: leave scale='response' out."
            )
        freedom = self._freedom(df)
        return linear_surface(self.design, freedom, self.estimates.kept, scale)


class GeneralMeans(Means):
    """Marginal means and slopes of generalized fits."""

    _fit: GeneralFit

    def _surface(
        self, component: Component, scale: Scale, df: Method | None, *, straight: bool = False
    ) -> AbstractSurface:
        freedom = self._freedom(df)
        return general_surface(self._fit, freedom, component, scale, straight=straight)


def checked_scale(component: Component, scale: Scale) -> tuple[Component, Scale]:
    """The component and the scale, if there are such."""
    check_option("component", component, get_args(Component))
    check_option("scale", scale, get_args(Scale))
    return component, scale


def averaging(
    at: Mapping[str, Any] | None, weights: Weights, level: float, not_estimable: NotEstimable
) -> Request:
    """How to average, checked."""
    check_option("weights", weights, ("equal", "proportional", "cells"))
    check_option("not_estimable", not_estimable, ("error", "drop"))
    check_level(level)
    return Request(at, weights, level, not_estimable)
