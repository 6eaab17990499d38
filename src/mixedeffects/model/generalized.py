"""GeneralizedFit: a fit with a family, a link, and maybe several linear predictors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixedeffects.effects.general_residuals import general_residuals
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.model.approximation import ApproximationChecks
from mixedeffects.model.diagnostics import GeneralDiagnostics
from mixedeffects.model.general_rows import GeneralRowMethods
from mixedeffects.model.hypotheses import Hypotheses
from mixedeffects.model.intervals import Intervals
from mixedeffects.model.means import GeneralMeans
from mixedeffects.model.mixed_fit import MixedFit
from mixedeffects.model.resampling import Resampling
from mixedeffects.model.variance import VarianceTests
from mixedeffects.show.general_summary import summarize_general
from mixedeffects.show.summary import Summary

if TYPE_CHECKING:
    from mixedeffects.model.plotting import GeneralPlots


class GeneralizedFit(
    MixedFit,
    GeneralRowMethods,
    Hypotheses,
    Intervals,
    GeneralDiagnostics,
    GeneralMeans,
    Resampling,
    ApproximationChecks,
    VarianceTests,
):
    """A fitted generalized mixed model: a MixedFit with a family and a link.

    ``beta`` holds the coefficients of the conditional predictor; ``fixef()`` those of all.
    ``sigma`` is the family's dispersion parameter, 1 where it has none, NaN where it varies by
    row. ``theta`` is absolute: the random effects of a term have covariance TT'.
    """

    _fit: GeneralFit

    @property
    def link(self) -> str:
        """Name of the conditional predictor's link."""
        return self._fit.family.link

    @property
    def plot(self) -> GeneralPlots:
        """Pictures: ``fit.plot()`` for the panel to look at first, ``fit.plot.…`` for each."""
        from mixedeffects.model.plotting import GeneralPlots

        return GeneralPlots(self)

    def __repr__(self) -> str:
        return (
            f"<MixedFit {self.formula!r}, {self._fit.family.describe()}: {self.nobs:,} rows, "
            f"log-likelihood {self.loglik:.4f}>"
        )

    def summary(self, df: str | None = None, level: float = 0.95) -> Summary:
        numeric = self._fit.family.response_kind != "ordinal"
        pearson = general_residuals(self._fit, "pearson") if numeric else None
        return summarize_general(self._fit, pearson, self._freedom(df), level)
