"""How well a fit describes its data: explained variance, residuals, influence."""

from __future__ import annotations

from typing import Any, Literal

from mixedeffects.effects import explained, influence, normality
from mixedeffects.effects.conditional_aic import ConditionalAIC, conditional_aic
from mixedeffects.effects.general_simulated import general_simulated_residuals
from mixedeffects.effects.leverage import leverage
from mixedeffects.effects.link_variance import Approximation
from mixedeffects.effects.simulated_residuals import SimulatedResiduals, simulated_residuals
from mixedeffects.effects.variance_parts import general_variance_parts, variance_parts
from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.inference.streams import Seed
from mixedeffects.inference.wald import check_level
from mixedeffects.model.options import check_option
from mixedeffects.model.values import Values


class Diagnostics(Values):
    """Explained variance, conditional AIC, residual tests, leverage and influence."""

    _fit: Fit

    def r2(
        self,
        interval: Literal["bootstrap"] | None = None,
        *,
        n: int = 1000,
        seed: Seed = None,
        level: float = 0.95,
    ) -> explained.ExplainedVariance:
        """Marginal and conditional R² (Nakagawa and Schielzeth 2013; Johnson 2014).

        The variance of the response splits into that of xβ̂ over the rows, the mean over the
        rows of z'Σz (with random slopes and known relationships as they are), and the mean of
        σ²/weight, so that R² does not depend on the weights' scale. The offset is taken off
        the response and explains nothing.

        Parameters
        ----------
        interval
            ``"bootstrap"`` for percentile intervals of the parametric bootstrap.
        n, seed, level
            Of the intervals: replicates, an integer or Generator, coverage.

        Returns
        -------
        ExplainedVariance
            ``marginal``, ``conditional``, ``table``; with intervals ``limits`` (2, 2) and
            ``bootstrap``, where failed replicates are listed.

        Raises
        ------
        ModelError
            If replicates are too few for the level.

        Examples
        --------
        >>> import mixedeffects as me
        >>> fit = me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))
        >>> r2 = fit.r2()
        >>> round(r2.marginal, 4), round(r2.conditional, 4)
        (0.2787, 0.7992)
        """
        asked = _intervals(interval, n, seed, level)
        drawn = None if asked is None else explained.bootstrapped(self._fit, explained.R2, asked)
        parts = variance_parts(self._fit)
        return explained.explained_variance(parts, self.design.frame, drawn, level)

    def icc(
        self,
        interval: Literal["bootstrap"] | None = None,
        *,
        n: int = 1000,
        seed: Seed = None,
        level: float = 0.95,
    ) -> explained.IntraclassCorrelation:
        """Intraclass correlation: the share of the variance that lies between groups.

        Parts of the variance and intervals as in ``r2``.

        Returns
        -------
        IntraclassCorrelation
            ``adjusted`` (of the variance that the fixed effects leave), ``unadjusted`` (of all),
            ``table``, and the share of each grouping factor ``by_group``.
        """
        asked = _intervals(interval, n, seed, level)
        drawn = None if asked is None else explained.bootstrapped(self._fit, explained.ICC, asked)
        parts = variance_parts(self._fit)
        return explained.intraclass_correlation(parts, self.design.frame, drawn, level)

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


class GeneralDiagnostics(Values):
    """Diagnostics of generalized fits."""

    _fit: GeneralFit

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

    def r2(
        self,
        interval: Literal["bootstrap"] | None = None,
        *,
        approximation: Approximation | None = None,
        n: int = 1000,
        seed: Seed = None,
        level: float = 0.95,
    ) -> explained.ExplainedVariance:
        """Marginal and conditional R² on the scale of the link.

        Nakagawa, Johnson and Schielzeth (2017), with random slopes as in Johnson (2014). The
        variance splits into that of xβ̂ over the rows, the mean over the rows of z'Σz, and that
        of the response about its mean, brought to the scale of the link. Random effects of
        single rows count with the last. The offset explains nothing; random effects of the
        dispersion do not count, and its predictor does row by row.

        Parameters
        ----------
        interval
            ``"bootstrap"`` for percentile intervals of the parametric bootstrap.
        approximation
            Of the last part, v with λ the mean of the responses observed and V the family's
            variance at λ: ``"latent"``, that of the latent variable of one trial or of the
            ordered categories (π²/3 for logit, 1 for probit, π²/6 for cloglog and loglog);
            for the log link ``"lognormal"``, ln(1 + V/λ²), which for nbinom2 is
            ln(1 + 1/λ + 1/θ), or ``"trigamma"``, ψ₁(λ²/V); for any link ``"delta"``, V·g'(λ)².
            Where omitted the first of these that the family and the link have.
        n, seed, level
            Of the intervals: replicates, an integer or Generator, coverage.

        Returns
        -------
        ExplainedVariance
            ``marginal``, ``conditional``, ``table``; with intervals ``limits`` (2, 2) and
            ``bootstrap``, where failed replicates are listed.

        Raises
        ------
        ModelError
            For zero-inflated, hurdle, truncated and ordered beta models; where the response has
            no finite variance; where the approximation is for another link.

        Examples
        --------
        >>> import mixedeffects as me
        >>> formula = "cbind(incidence, size - incidence) ~ factor(period) + (1 | herd)"
        >>> fit = me.fit(formula, me.datasets.load("cbpp"), family="binomial")
        >>> r2 = fit.r2()
        >>> round(r2.marginal, 3), round(r2.conditional, 3)
        (0.085, 0.187)
        """
        asked = _intervals(interval, n, seed, level)
        parts = general_variance_parts(self._fit, _approximation(approximation))
        drawn = (
            None
            if asked is None
            else explained.general_bootstrapped(self._fit, explained.R2, approximation, asked)
        )
        return explained.explained_variance(parts, self.design.frame, drawn, level)

    def icc(
        self,
        interval: Literal["bootstrap"] | None = None,
        *,
        approximation: Approximation | None = None,
        n: int = 1000,
        seed: Seed = None,
        level: float = 0.95,
    ) -> explained.IntraclassCorrelation:
        """Intraclass correlation on the scale of the link.

        Parts of the variance, intervals and refusals as in ``r2``.

        Returns
        -------
        IntraclassCorrelation
            ``adjusted`` (of the variance that the fixed effects leave), ``unadjusted`` (of all),
            ``table``, and the share of each grouping factor ``by_group``.
        """
        asked = _intervals(interval, n, seed, level)
        parts = general_variance_parts(self._fit, _approximation(approximation))
        drawn = (
            None
            if asked is None
            else explained.general_bootstrapped(self._fit, explained.ICC, approximation, asked)
        )
        return explained.intraclass_correlation(parts, self.design.frame, drawn, level)


def _approximation(chosen: Approximation | None) -> Approximation | None:
    check_option("approximation", chosen, (None, "latent", "lognormal", "delta", "trigamma"))
    return chosen


def _intervals(interval: Any, n: Any, seed: Seed, level: float) -> explained.Intervals | None:
    check_option("interval", interval, (None, "bootstrap"))
    check_level(level)
    if not isinstance(n, int) or n < 1:
        raise ModelError(f"n={n!r} is not a number of at least one.")
    return None if interval is None else explained.Intervals(level, n, seed)
