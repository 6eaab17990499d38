"""GeneralizedFit: a fit with a family, a link, and maybe several linear predictors."""

from __future__ import annotations

from pathlib import Path

from mixedeffects.effects.general_residuals import general_residuals
from mixedeffects.errors import ModelError
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.model.general_rows import GeneralRowMethods
from mixedeffects.model.mixed_fit import MixedFit
from mixedeffects.show.summary import Summary, summarize


class GeneralizedFit(MixedFit, GeneralRowMethods):
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

    def summary(self, df: str | None = None, level: float = 0.95) -> Summary:
        pearson = general_residuals(self._fit, "pearson")
        return summarize(
            self.design, self.estimates, pearson, self._freedom(df), level, self._fit.family
        )

    def save(self, path: str | Path) -> None:
        raise ModelError("Saving generalized fits is not available yet: pickle the fit.")
