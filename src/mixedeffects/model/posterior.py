"""Posterior: draws of all parameters of a mixed model, in the words of a fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mixedeffects.inference.wald import check_level
from mixedeffects.model.posterior_accuracy import PosteriorAccuracy
from mixedeffects.model.posterior_means import PosteriorEffects
from mixedeffects.model.posterior_rows import PosteriorRows
from mixedeffects.model.posterior_tables import PosteriorTables
from mixedeffects.saving.posteriors import write_posterior
from mixedeffects.show.posterior_summary import summarize_posterior
from mixedeffects.show.summary import Summary

if TYPE_CHECKING:
    from mixedeffects.model.plotting.posterior import PosteriorPlots


class Posterior(PosteriorTables, PosteriorRows, PosteriorEffects, PosteriorAccuracy):
    """Draws from the posterior of a mixed model: values as attributes, the rest as methods.

    Attributes
    ----------
    formula, family : str
        The family's name; of a zero-inflated one, that of its base.
    nobs : int
        Rows used.
    n_groups : mapping of str to int
        Number of levels of each grouping factor.
    beta : (p,) posterior means of the coefficients of the conditional predictor.
    sigma : float
        Posterior mean of the residual standard deviation; of another family that of its
        dispersion parameter, 1 where it has none, NaN where a formula describes it.
    chains, draws : int
        Draws of each chain.
    seed : int
        By which the same draws come again.
    way : str
        How the draws were made.
    checks : tuple of Check
        Divergences, R-hat, effective draws, energy, tree depth: what must hold of the draws.
    converged : bool
        Whether they all hold.
    priors : table
        ``parameter prior source``.
    inference_data : arviz.InferenceData
        All draws, for ArviZ.

    Examples
    --------
    >>> import mixedeffects as me
    >>> data = me.datasets.load("sleepstudy")
    >>> post = me.sample("Reaction ~ Days + (Days | Subject)", data, seed=1)
    >>> post.beta.round(0).tolist(), post.converged
    ([251.0, 10.0], True)
    """

    @property
    def plot(self) -> PosteriorPlots:
        """Pictures: ``post.plot()`` for the panel to look at first, ``post.plot.…`` for each."""
        from mixedeffects.model.plotting.posterior import PosteriorPlots

        return PosteriorPlots(self)

    def summary(self, level: float = 0.95) -> Summary:
        """Everything at a glance: prints as text, shows as HTML in a notebook.

        Parameters
        ----------
        level
            Of the central intervals.
        """
        check_level(level)
        return summarize_posterior(self._sampled, self.checks, level)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def report(self, path: str | Path) -> None:
        """Write one self-contained HTML page about the posterior, see ``me.report``.

        Raises
        ------
        OSError
            If the file cannot be written; one that was there stays as it was.
        """
        from mixedeffects.model.reporting import report

        report(path, self)

    def save(self, path: str | Path) -> None:
        """Write the draws to one file, with the columns that the model needs; ``load`` reads it.

        Raises
        ------
        OSError
            If the file cannot be written; one that was there stays as it was.
        ModelError
            If the family is not one of ``me.families``.
        """
        write_posterior(self._sampled, path)
