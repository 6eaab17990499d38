"""LinearFit: a fit of a Gaussian mixed model with one residual variance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixedeffects.effects.residuals import residuals
from mixedeffects.fitting.fit import Fit
from mixedeffects.model.diagnostics import Diagnostics
from mixedeffects.model.hypotheses import Hypotheses
from mixedeffects.model.intervals import Intervals
from mixedeffects.model.means import LinearMeans
from mixedeffects.model.mixed_fit import MixedFit
from mixedeffects.model.resampling import Resampling
from mixedeffects.model.rows import Rows
from mixedeffects.model.variance import VarianceTests
from mixedeffects.show.summary import Summary, summarize

if TYPE_CHECKING:
    from mixedeffects.model.plotting import LinearPlots


class LinearFit(
    MixedFit, Hypotheses, VarianceTests, Intervals, LinearMeans, Rows, Diagnostics, Resampling
):
    """A fitted linear mixed model, see `MixedFit`."""

    _fit: Fit

    @property
    def plot(self) -> LinearPlots:
        """Pictures: ``fit.plot()`` for the panel to look at first, ``fit.plot.…`` for each."""
        from mixedeffects.model.plotting import LinearPlots

        return LinearPlots(self)

    def summary(self, df: str | None = None, level: float = 0.95) -> Summary:
        scaled = residuals(self._fit, "scaled")
        return summarize(self.design, self.estimates, scaled, self._freedom(df), level)
