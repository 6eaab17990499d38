"""A page about a posterior."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mixedeffects.data.frames import table_columns
from mixedeffects.families import AbstractFamily
from mixedeffects.model.posterior import Posterior
from mixedeffects.model.reporting.attempts import attempt, drawn
from mixedeffects.model.reporting.reported import AbstractReported
from mixedeffects.show.report.elements import table
from mixedeffects.show.report.methods import posterior_methods
from mixedeffects.show.report.provenance import posterior_call
from mixedeffects.show.report.sheets import sheet


class ReportedPosterior(AbstractReported):
    """A posterior and its page."""

    kind = "sample"
    refits = False
    face: Posterior

    @property
    def family(self) -> AbstractFamily:
        return self.face._sampled.family

    @property
    def call(self) -> str:
        return posterior_call(self.face._sampled)

    def names(self) -> Mapping[str, Sequence[str]]:
        return {part.name: part.x_names for part in self.face._sampled.parts}

    def more_results(self) -> tuple[str, ...]:
        explained = attempt("R² is", self._explained)
        if self.face._sampled.prior_only:  # which no row has moved
            return (explained,)
        return attempt("Leave-one-out predictive accuracy is", self._accuracy), explained

    def _accuracy(self) -> str:
        return table(
            sheet("Leave-one-out predictive accuracy", table_columns(self.face.loo().table))
        )

    def _explained(self) -> str:
        return table(sheet("Explained variance", table_columns(self.face.r2().table)))

    def pictures(self) -> Iterator[str]:
        plots = self.face.plot
        shows = "Forest plot of the coefficients with 95% intervals."
        yield drawn("Fixed effects", shows, plots.fixed_effects)
        shows = "Densities of responses simulated from the posterior over that of the data."
        yield drawn("Predictive check", shows, plots.predictive_check)
        shows = "Histograms of ranks of the draws, a colour for each chain."
        yield drawn("Ranks", shows, plots.ranks)
        shows = "Caterpillar plot: effects of the levels in order, with 95% intervals."
        yield drawn("Random effects", shows, plots.random_effects)

    def methods(self, brief: bool = False) -> str:
        return posterior_methods(self.face._sampled)

    def statistics(self) -> Mapping[str, str]:
        chains, draws = self.face.chains, self.face.draws
        return {"Rows": f"{self.face.nobs:,}", "Draws": f"{chains} chains of {draws:,}"}
