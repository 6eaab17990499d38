"""Explained variance of fits, of both kinds."""

from __future__ import annotations

from typing import Any, Literal

from mixedeffects.effects import explained
from mixedeffects.effects.link_variance import Approximation
from mixedeffects.effects.variance_parts import general_variance_parts, variance_parts
from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.inference.streams import Seed
from mixedeffects.inference.wald import check_level
from mixedeffects.model.options import check_option
from mixedeffects.model.values import Values


class Explained(Values):
    """Explained variance of linear fits."""

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


class GeneralExplained(Values):
    """Explained variance of generalized fits."""

    _fit: GeneralFit

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
