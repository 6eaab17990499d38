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
            model has several linear predictors.

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
        """Table of the random effects' standard deviations and correlations."""
        return self._table(covariance_table(self.estimates))

    def ranef(self) -> Any:
        """Table of the conditional modes with their conditional standard deviations."""
        return self._table(modes_table(self.estimates, self._fit.factor))
