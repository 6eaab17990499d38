"""The estimates as tables."""

from __future__ import annotations

from typing import Any

from mixedeffects.effects.random import covariance_table, modes_table
from mixedeffects.inference.wald import coefficient_table
from mixedeffects.model.values import Floats, Values


class Tables(Values):
    """Fixed effects, covariances and modes."""

    def fixef(self, df: str = "asymptotic", level: float = 0.95) -> Any:
        """Table of the fixed effects with Wald tests and intervals.

        Parameters
        ----------
        df
            ``"asymptotic"`` (z) or ``"residual"`` (t with nobs − p degrees of freedom).
        level
            Of the intervals.
        """
        return self._table(coefficient_table(self.estimates, df, level))

    def vcov(self) -> Floats:
        """Covariance (p, p) of the fixed effects."""
        return self.estimates.vcov.copy()

    def varcorr(self) -> Any:
        """Table of the random effects' standard deviations and correlations."""
        return self._table(covariance_table(self.estimates))

    def ranef(self) -> Any:
        """Table of the conditional modes with their conditional standard deviations."""
        return self._table(modes_table(self.estimates, self._fit.factor))
