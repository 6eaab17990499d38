"""MixedFit, where a user meets everything."""

from __future__ import annotations

from pathlib import Path

from mixedeffects import saving
from mixedeffects.effects.residuals import residuals
from mixedeffects.model.diagnostics import Diagnostics
from mixedeffects.model.intervals import Intervals
from mixedeffects.model.means import Means
from mixedeffects.model.resampling import Resampling
from mixedeffects.model.rows import Rows
from mixedeffects.model.tables import Tables
from mixedeffects.model.tests import Tests
from mixedeffects.model.variance import VarianceTests
from mixedeffects.show.summary import Summary, summarize


class MixedFit(Tables, Tests, VarianceTests, Intervals, Means, Rows, Diagnostics, Resampling):
    """A fitted mixed model: values as attributes, everything else as methods.

    Attributes
    ----------
    formula, family : str
    nobs : int
        Rows used.
    beta : (p,) fixed effects, named by ``fixef()``.
    theta : (m,) relative covariance parameters, terms by decreasing number of levels.
    sigma : float
        Residual standard deviation.
    loglik : float
        Log-likelihood, restricted for REML.
    objective : float
        −2 log-likelihood, or the REML criterion.
    aic, bic : float
    df_resid : int
        nobs less the number of estimated parameters.
    reml : bool
    is_singular : bool
        Whether a variance is zero or a correlation ±1.
    converged : bool
        Whether the certificate holds.
    optimum : Optimum
        What the optimizer did.
    checks : tuple of Check
        The certificate.
    n_groups : mapping of str to int
        Number of levels of each grouping factor.
    """

    def summary(self, df: str = "satterthwaite", level: float = 0.95) -> Summary:
        """Everything at a glance: prints as text, shows as HTML in a notebook.

        Parameters
        ----------
        df, level
            Of the tests and intervals, as in ``fixef``.
        """
        scaled = residuals(self._fit, "scaled")
        return summarize(self.design, self.estimates, scaled, self._freedom(df), level)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def save(self, path: str | Path) -> None:
        """Write the fit to one file, with the columns it needs; ``load`` reads it again.

        Raises
        ------
        OSError
            If the file cannot be written; one that was there stays as it was.
        """
        saving.write(path, saving.SavedFit(self.design, self.reml, self.optimum))
