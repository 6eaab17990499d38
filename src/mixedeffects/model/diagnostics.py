"""How well a fit describes its data: explained variance, residuals, influence."""

from __future__ import annotations

from typing import Any, Literal

from mixedeffects.effects import influence, normality
from mixedeffects.effects.conditional_aic import ConditionalAIC, conditional_aic
from mixedeffects.effects.general_simulated import general_simulated_residuals
from mixedeffects.effects.leverage import leverage
from mixedeffects.effects.simulated_residuals import SimulatedResiduals, simulated_residuals
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.inference.streams import Seed
from mixedeffects.model.explained import Explained, GeneralExplained
from mixedeffects.model.options import check_option


class Diagnostics(Explained):
    """Conditional AIC, residual tests, leverage and influence."""

    _fit: Fit

    def conditional_aic(self) -> ConditionalAIC:
        """Conditional AIC, for predictions in the groups at hand.

        Effective degrees of freedom are tr(∂ŷ/∂y) + 1 with the variance parameters estimated
        anew as y moves (Greven and Kneib 2010).

        Returns
        -------
        ConditionalAIC
            ``loglik``, ``effective_df``, ``leverage_df``, ``aic``.

        Examples
        --------
        >>> import mixedeffects as me
        >>> fit = me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))
        >>> round(fit.conditional_aic().effective_df, 2)
        31.25
        """
        return conditional_aic(self._fit)

    def leverage(self) -> Any:
        """Diagonal of H in ŷ = Hy, random effects included; sums to the effective parameters.

        A Series with the rows' labels for pandas data, else an array (nobs,).
        """
        return self._labelled(leverage(self._fit))

    def cooks_distance(self) -> Any:
        """r²/p·h/(1 − h) of standardized residuals r and leverages h, labelled as ``leverage``.

        How far a row moves its own group's predictions. ``influence()`` has Cook's distance
        of the fixed effects alone.

        Raises
        ------
        ModelError
            If there are no fixed effects.
        """
        return self._labelled(influence.cooks_distance(self._fit))

    def influence(
        self, group: str | None = None, *, refit: bool | None = None
    ) -> influence.Influence:
        """What the estimates would be without each row, or without each group.

        Parameters
        ----------
        group
            A grouping factor, or a categorical column of the model, whose levels are deleted
            in turn; None for single rows.
        refit
            Whether the variance parameters θ are estimated again each time, from θ̂ on, or
            held. By default they are for groups and held for rows, where the answer is then
            exact in closed form. σ follows in both.

        Returns
        -------
        Influence
            ``table``, ``largest(n)``, and arrays ``dfbeta dfbetas cooks_distance covratio
            sigma theta deviations``. What cannot be estimated is NaN with its reason.

        Raises
        ------
        DataError
            If the model has no such grouping.

        Examples
        --------
        >>> import mixedeffects as me
        >>> fit = me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))
        >>> fit.influence("Subject").largest(2).levels
        array(['309', '335'], dtype=object)
        """
        check_option("refit", refit, (None, True, False))
        if group is None:
            return influence.influence_of_rows(self._fit, bool(refit))
        return influence.influence_of_groups(self._fit, group, refit is None or bool(refit))

    def simulated_residuals(
        self, n: int = 250, *, seed: Seed = None, group: str | None = None
    ) -> SimulatedResiduals:
        """Quantile residuals, tested for uniformity, dispersion and outliers.

        The tests' reference are n data sets simulated from the fit, each fitted in its turn:
        they hold their level whatever the dependence between rows.

        Parameters
        ----------
        n
            Number of simulated data sets.
        seed
            Integer or Generator.
        group
            A grouping factor, or a categorical column of the model, for a test of uniformity
            within each level.

        Returns
        -------
        SimulatedResiduals
            ``table``, ``tests``, ``by_group``.

        Raises
        ------
        ModelError
            If n is below 19, the least that can reach p = 0.05.
        DataError
            If the model has no such grouping.

        Examples
        --------
        >>> import mixedeffects as me
        >>> fit = me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))
        >>> fit.simulated_residuals(n=49, seed=1).uniformity.p_value > 0.05
        True
        """
        return simulated_residuals(self._fit, n, seed, group)

    def qq(self, what: Literal["residuals", "random"] = "residuals") -> Any:
        """Table of values that should be standard normal, with the normal quantiles.

        Parameters
        ----------
        what
            ``"residuals"``, standardized: columns ``row sample theoretical``; ``"random"``,
            conditional modes over their marginal standard deviations: ``group level term
            sample theoretical``.
        """
        check_option("what", what, ("residuals", "random"))
        data = normality.residual_quantiles if what == "residuals" else normality.mode_quantiles
        return self._table(data(self._fit))


class GeneralDiagnostics(GeneralExplained):
    """Diagnostics of generalized fits."""

    _fit: GeneralFit

    def influence(self, group: str | None = None) -> influence.Influence:
        """What the estimates would be without each row, or without each group.

        The model is fitted again each time, all its parameters from their estimates on.

        Parameters
        ----------
        group
            A grouping factor, or a categorical column of the model, whose levels are deleted
            in turn; None for single rows, of which each is a fit.

        Returns
        -------
        Influence
            As of a linear fit: ``table``, ``largest(n)``, and arrays ``dfbeta dfbetas
            cooks_distance covratio`` of the conditional coefficients, ``sigma``, the dispersion,
            ``theta`` and ``deviations`` of all predictors' terms. What cannot be estimated is NaN
            with its reason.

        Raises
        ------
        DataError
            If the model has no such grouping.

        Examples
        --------
        >>> import mixedeffects as me
        >>> data = me.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = me.fit(formula, data, family="binomial")
        >>> fit.influence("herd").largest(2).levels
        array(['11', '1'], dtype=object)
        """
        if group is None:
            return influence.influence_of_rows(self._fit, True)
        return influence.influence_of_groups(self._fit, group, True)

    def simulated_residuals(
        self, n: int = 99, *, seed: Seed = None, group: str | None = None
    ) -> SimulatedResiduals:
        """Quantile residuals, tested for uniformity, dispersion, outliers and excess zeros.

        Residuals are places in the rows' marginal distributions, see ``residuals``. The tests'
        reference are n data sets simulated from the fit with new random effects, each fitted in
        its turn: they hold their level whatever the dependence between rows.

        Parameters
        ----------
        n
            Number of simulated data sets.
        seed
            Integer or Generator; residuals of discrete responses are drawn with it too.
        group
            A grouping factor, or a categorical column of the model, for a test of uniformity
            within each level.

        Returns
        -------
        SimulatedResiduals
            ``table``, ``tests``, ``by_group``; ``zeros`` where the family gives zeros.

        Raises
        ------
        ModelError
            If n is below 19, the least that can reach p = 0.05, or rows have prior weights.
        DataError
            If the model has no such grouping.

        Examples
        --------
        >>> import mixedeffects as me
        >>> formula = "cbind(incidence, size - incidence) ~ factor(period) + (1 | herd)"
        >>> fit = me.fit(formula, me.datasets.load("cbpp"), family="binomial")
        >>> fit.simulated_residuals(n=39, seed=1).uniformity.p_value > 0.05
        True
        """
        return general_simulated_residuals(self._fit, n, seed, group)
