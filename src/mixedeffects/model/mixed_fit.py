"""MixedFit, where a user meets everything: what all kinds of fits have in common."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from mixedeffects import saving
from mixedeffects.model.paper_tables import PaperTables
from mixedeffects.model.tables import Tables
from mixedeffects.show.summary import Summary

if TYPE_CHECKING:
    from mixedeffects.model.plotting.plots import Plots


class MixedFit(Tables, PaperTables):
    """A fitted mixed model: values as attributes, everything else as methods.

    Attributes
    ----------
    formula, family : str
        The family's name; of a zero-inflated one, that of its base.
    nobs : int
        Rows used.
    beta : ndarray (p,)
        Fixed effects, named by ``fixef()``.
    theta : ndarray (m,)
        Covariance parameters, terms by decreasing number of levels; relative to sigma in
        linear models.
    sigma : float
        Residual standard deviation; of another family its dispersion parameter, 1 where it
        has none, NaN where a formula describes it.
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

    @property
    @abstractmethod
    def plot(self) -> Plots:
        """Pictures: ``fit.plot()`` for the panel to look at first, ``fit.plot.…`` for each."""

    @abstractmethod
    def summary(self, df: str | None = None, level: float = 0.95) -> Summary:
        """Everything at a glance: prints as text, shows as HTML in a notebook.

        Parameters
        ----------
        df, level
            Of the tests and intervals, as in ``fixef``.
        """

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def report(self, path: str | Path) -> None:
        """Write one self-contained HTML page about the fit, see ``me.report``.

        Model in words and mathematics, data, tables, pictures, checks, marginal means, methods.

        Raises
        ------
        OSError
            If the file cannot be written; one that was there stays as it was.
        """
        from mixedeffects.model.reporting import report

        report(path, self)

    def save(self, path: str | Path) -> None:
        """Write the fit to one file, with the columns it needs; ``load`` reads it again.

        Raises
        ------
        OSError
            If the file cannot be written; one that was there stays as it was.
        ModelError
            If the family is not one of ``me.families``.
        """
        saving.write(self._fit, path)
