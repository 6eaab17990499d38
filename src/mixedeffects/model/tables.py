"""The estimates as tables."""

from __future__ import annotations

from typing import Any

from mixedeffects.effects.random import covariance_table, modes_table
from mixedeffects.inference.wald import coefficient_table
from mixedeffects.model.values import Floats, Values


class Tables(Values):
    """Fixed effects, covariances and modes."""

    def fixef(self, df: str | None = None, level: float = 0.95) -> Any:
        """Table of the fixed effects with t or z tests and intervals.

        Parameters
        ----------
        df
            Degrees of freedom: ``"satterthwaite"``, the default of Gaussian models;
            ``"kenward-roger"`` (REML fits only; the standard errors are the adjusted ones);
            ``"residual"``, nobs − p; ``"asymptotic"``, infinite (z), the default of others.
        level
            Of the intervals.

        Returns
        -------
        table
            ``term estimate std_error statistic df p_value conf_low conf_high``, after
            ``component`` (``conditional dispersion zero_inflation threshold shape``) where the
            model has several linear predictors. Parameters of a shape are not tested.

        Raises
        ------
        ModelError
            If the method is not known or does not apply to the fit.
        """
        return self._table(coefficient_table(self.estimates, self._freedom(df), level))

    def vcov(self) -> Floats:
        """Covariance (p, p) of the fixed effects, those of the conditional predictor."""
        return self.estimates.vcov.copy()

    def varcorr(self) -> Any:
        """Table of the random effects' standard deviations and correlations.

        Returns
        -------
        table
            ``group term1 term2 sd_or_corr variance_or_cov``: one row per standard deviation
            (``term2`` null) and per correlation, and that of the residuals where one number
            says how the response varies about its mean. Terms ``exp``, ``gau`` and ``ou`` have
            one deviation, that of ``"all"``, and one correlation, that at ``"distance d"``.
            ``component`` comes first where other predictors than the conditional one have
            random effects.
        """
        return self._table(covariance_table(self.estimates, self._fit.residual_sd))

    def ranef(self) -> Any:
        """Table of the conditional modes with their conditional standard deviations.

        These are given the parameters (lme4's, and ordinal's). Standard errors that count the
        parameters' uncertainty too are those of ``predict``.

        Returns
        -------
        table
            ``group level term estimate std_error``; ``component`` comes first where other
            predictors than the conditional one have random effects.
        """
        return self._table(modes_table(self.estimates, self._fit.factor))
