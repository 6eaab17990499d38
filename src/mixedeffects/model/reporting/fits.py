"""A page about a fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from math import isfinite
from typing import Any

from mixedeffects.data.frames import table_columns
from mixedeffects.families import AbstractFamily
from mixedeffects.fitting.fit import Fit
from mixedeffects.model.generalized import GeneralizedFit
from mixedeffects.model.linear import LinearFit
from mixedeffects.model.reporting.attempts import attempt, drawn
from mixedeffects.model.reporting.reported import AbstractReported
from mixedeffects.show.report.elements import left_out, table
from mixedeffects.show.report.methods import methods
from mixedeffects.show.report.provenance import fit_call
from mixedeffects.show.report.sheets import sheet
from mixedeffects.show.tables import Table

# Rows times evaluations of a generalized fit whose random effects are tested, each by a fit.
_QUICK = 2_000_000
# Factors, covariates, groups that are drawn.
_DRAWN = 4


class ReportedFit(AbstractReported):
    """A fit and its page."""

    kind = "optimum"
    refits = True
    face: LinearFit | GeneralizedFit

    @property
    def family(self) -> AbstractFamily:
        return self.face._fit.family

    @property
    def call(self) -> str:
        return fit_call(self.face._fit)

    def names(self) -> Mapping[str, Sequence[str]]:
        return {own.name: own.x_names for own in self.face.estimates.components}

    # -- tables ----------------------------------------------------------------------------

    def more_results(self) -> tuple[str, ...]:
        return (
            attempt("Tests of the fixed effects are", self._anova),
            attempt("Tests of the random effects are", self._random_tests),
            attempt("R² and intraclass correlations are", self._explained),
            table(self._criteria(), sortable=False),
        )

    def _anova(self) -> str:
        columns = table_columns(self.face.anova())
        kind = "F tests" if "sum_sq" in columns else "Wald χ² tests"
        head = "F" if "sum_sq" in columns else "χ²"
        caption = f"Tests of the terms of the fixed part (type III {kind})"
        if not columns["term"]:
            return left_out("Tests of the fixed effects are", "the fixed part has no terms")
        return table(sheet(caption, columns, headers={"statistic": head}))

    def _random_tests(self) -> str:
        estimates = self.face.estimates
        if not estimates.terms:
            return ""
        if not self._quick:
            return left_out(
                "Tests of the random effects are", "each takes a fit of its own; test_random()"
            )
        columns = self._tested
        note = "Each left out in turn; the likelihood ratio's reference is that at the boundary."
        shown = {n: v for n, v in columns.items() if n != "p_naive"}
        return table(sheet("Tests of the random effects", shown, [note]))

    @cached_property
    def _tested(self) -> dict[str, list[Any]]:
        return table_columns(self.face.test_random())

    @property
    def _quick(self) -> bool:
        work = self.face.nobs * self.face.optimum.evaluations
        return isinstance(self.face._fit, Fit) or work <= _QUICK

    def _explained(self) -> str:
        r2, icc = self.face.r2(), self.face.icc()
        shares = {
            "R² marginal (fixed effects)": r2.marginal,
            "R² conditional (fixed and random effects)": r2.conditional,
            "ICC adjusted (of what the fixed effects leave)": icc.adjusted,
            "ICC unadjusted (of all)": icc.unadjusted,
        }
        rows = tuple((name, f"{value:.4f}") for name, value in shares.items())
        return table(Table("Explained variance", ("Share", "Estimate"), rows, 1), sortable=False)

    def _criteria(self) -> Table:
        return Table("Fit statistics", ("Statistic", "Value"), tuple(self.statistics().items()), 1)

    def statistics(self) -> Mapping[str, str]:
        own = self.face.estimates
        criterion = "REML criterion" if own.reml else "−2 log-likelihood"
        return {
            "Rows": f"{own.nobs:,}",
            "Parameters": f"{own.n_parameters:,}",
            "Residual degrees of freedom": f"{own.df_resid:,}",
            "Log-likelihood (restricted)" if own.reml else "Log-likelihood": f"{own.loglik:.3f}",
            criterion: f"{own.objective:.3f}",
            "AIC": f"{own.aic:.3f}",
            "BIC": f"{own.bic:.3f}",
            **self._spread(),
        }

    def _spread(self) -> dict[str, str]:
        """The dispersion where it is one number, and not among the standard deviations."""
        name, sigma = self.family.sigma_name, self.face.sigma
        if not name or self.face._fit.residual_sd is not None or not isfinite(sigma):
            return {}
        return {f"{name[0].upper()}{name[1:]}": f"{sigma:.5g}"}

    # -- pictures --------------------------------------------------------------------------

    def pictures(self) -> Iterator[str]:
        plots: Any = self.face.plot
        shows = "Forest plot of the coefficients with 95% intervals."
        yield drawn("Fixed effects", shows, plots.fixed_effects)
        yield from self._mean_pictures()
        shows = "Scatter plot of residuals with a smooth curve."
        yield drawn("Residuals", shows, plots.residuals)
        shows = "Normal Q–Q plot of residuals with the band of independent values."
        yield drawn("Quantiles of residuals", shows, plots.qq)
        shows = "Scatter plot of the roots of absolute residuals with a smooth curve."
        yield drawn("Size of residuals", shows, plots.scale_location)
        groups = dict.fromkeys(term.group for term in self.face.estimates.terms)
        for group in list(groups)[:_DRAWN]:
            shows = "Caterpillar plot: modes of the levels in order, with conditional intervals."
            yield drawn(f"Random effects of {group}", shows, partial(plots.random_effects, group))
        if groups:
            shows = "Small panels of levels: data, the population's line and the level's own."
            yield drawn("Groups", shows, plots.groups)

    def _mean_pictures(self) -> Iterator[str]:
        """Means of factors, predictions over covariates."""
        factors, covariates = self.variables()
        plots = self.face.plot
        for name in factors[:_DRAWN]:
            shows = f"Marginal means of the levels of {name} with their 95% intervals."
            draw = partial(plots.means, name, scale="response")
            yield drawn(f"Marginal means of {name}", shows, draw)
        for name in covariates[:_DRAWN]:
            shows = f"Curve of the predicted response over {name} with its 95% interval."
            yield drawn(f"Predictions over {name}", shows, partial(plots.predictions, name))

    # -- words -----------------------------------------------------------------------------

    def methods(self, brief: bool = False) -> str:
        fit, freedom = self.face._fit, self.face._freedom(None)
        if brief:
            return methods(fit, freedom, frozenset())
        tested = bool(self.face.estimates.terms) and self._quick
        tested = tested and self._gives(lambda: self._tested)
        used = {
            "r2": self._gives(self.face.r2),
            "means": bool(self.variables()[0]),
            "random tests": tested,
            "exact tests": tested and "exact" in str(self._tested["reference"]),
        }
        return methods(fit, freedom, frozenset(name for name, holds in used.items() if holds))

    @staticmethod
    def _gives(make: Callable[[], Any]) -> bool:
        return bool(attempt("", lambda: "there" if make() is not None else "") == "there")
