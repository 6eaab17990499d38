"""The parameters of a posterior as tables, and statements about them."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixedeffects.bayes import tables
from mixedeffects.bayes.hypotheses import HypothesisTests, hypothesis
from mixedeffects.model.posterior_values import Floats, PosteriorValues


class PosteriorTables(PosteriorValues):
    """Coefficients, covariances, random effects, hypotheses."""

    def fixef(self, level: float = 0.95) -> Any:
        """Table of the coefficients.

        Parameters
        ----------
        level
            Of the central intervals.

        Returns
        -------
        table
            ``term estimate std_error median conf_low conf_high r_hat ess_bulk ess_tail``:
            posterior mean, standard deviation, median and quantiles; rank-normalized split
            R-hat and effective draws for the centre and the tails (Vehtari et al. 2021).
            ``component`` comes first where the model has several linear predictors.

        Raises
        ------
        ModelError
            For a level outside (0, 1).
        """
        return self._table(tables.coefficient_columns(self._sampled, level))

    def vcov(self) -> Floats:
        """Posterior covariance (p, p) of the coefficients of the conditional predictor."""
        return np.atleast_2d(np.cov(self._conditional, rowvar=False))

    def varcorr(self, level: float = 0.95) -> Any:
        """Table of the random effects' standard deviations and correlations.

        Returns
        -------
        table
            ``group term1 term2 sd_or_corr variance_or_cov`` as of a fit, posterior means; then
            ``std_error median conf_low conf_high r_hat ess_bulk ess_tail`` of ``sd_or_corr``.
            ``component`` comes first where other predictors than the conditional one have
            random effects.
        """
        return self._table(tables.covariance_columns(self._sampled, level))

    def ranef(self, level: float = 0.95) -> Any:
        """Table of the random effects, all uncertainty included.

        Returns
        -------
        table
            ``group level term estimate std_error median conf_low conf_high``; ``component``
            comes first where other predictors than the conditional one have random effects.
        """
        return self._table(tables.modes_columns(self._sampled, level))

    def hypothesis(
        self, text: str, *, component: str = "conditional", level: float = 0.95
    ) -> HypothesisTests:
        """Posterior probability of statements about the parameters.

        Parameters
        ----------
        text
            Linear relations, separated by commas: ``"Days > 5"``, ``"A < 2*B + 1"``, ``"Days =
            0"``. Names are those of ``fixef()``; standard deviations and correlations are
            ``sd(Days | Subject)`` and ``cor(Intercept, Days | Subject)``, and ``sigma``.
            For an equation the density that the draws have there is compared with that of the
            prior (Savage–Dickey ratio), which takes a proper prior of the coefficients involved
            and depends on its width.
        component
            The linear predictor whose coefficients are named.
        level
            Of the interval of left side less right.

        Returns
        -------
        HypothesisTests
            ``probability``, ``odds`` and ``table``.

        Raises
        ------
        FormulaError
            For a text that is no linear relation between known parameters.
        ModelError
            For an equation whose prior has no density, or whose posterior density the draws
            cannot tell.

        Examples
        --------
        >>> import mixedeffects as me
        >>> data = me.datasets.load("sleepstudy")
        >>> post = me.sample("Reaction ~ Days + (Days | Subject)", data, seed=1)
        >>> bool(post.hypothesis("Days > 5").probability[0] > 0.99)
        True
        """
        return hypothesis(self._sampled, text, component, level)
