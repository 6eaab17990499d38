"""How well a posterior describes and predicts; its draws for other tools."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from mixedeffects.bayes import explained, inference_data
from mixedeffects.bayes.loo import PredictiveAccuracy, loo, waic
from mixedeffects.bayes.rows import row_labels
from mixedeffects.bayes.sampled import Sampled
from mixedeffects.effects.explained import ExplainedVariance, IntraclassCorrelation
from mixedeffects.effects.link_variance import Approximation
from mixedeffects.errors import ModelError
from mixedeffects.model.options import check_option
from mixedeffects.model.posterior_values import PosteriorValues


class PosteriorAccuracy(PosteriorValues):
    """Explained variance, predictive accuracy, ArviZ."""

    def r2(
        self, *, approximation: Approximation | None = None, level: float = 0.95
    ) -> ExplainedVariance:
        """Marginal and conditional R², by the definition of a fit's ``r2`` at each draw.

        Parameters
        ----------
        approximation
            As of a generalized fit's ``r2``; linear models need none.
        level
            Of the central intervals.

        Returns
        -------
        ExplainedVariance
            Posterior means ``marginal``, ``conditional``; ``limits`` (2, 2); ``table``.

        Raises
        ------
        ModelError
            If the variance of the response has no counterpart on the scale of the link.
        """
        parts = explained.part_draws(self._sampled, self._approximation(approximation))
        return explained.explained_variance(self._sampled, parts, level)

    def icc(
        self, *, approximation: Approximation | None = None, level: float = 0.95
    ) -> IntraclassCorrelation:
        """Intraclass correlation: the share of the variance that lies between groups.

        Parts of the variance, approximation and intervals as in ``r2``.

        Returns
        -------
        IntraclassCorrelation
            Posterior means ``adjusted``, ``unadjusted``, their ``table``, and ``by_group``.
        """
        parts = explained.part_draws(self._sampled, self._approximation(approximation))
        return explained.intraclass_correlation(self._sampled, parts, level)

    def _approximation(self, approximation: Approximation | None) -> Approximation | None:
        if self._sampled.is_linear:
            check_option("approximation", approximation, (None,))
        kinds = (None, "latent", "lognormal", "delta", "trigamma")
        check_option("approximation", approximation, kinds)
        return approximation

    def loo(self) -> PredictiveAccuracy:
        """Expected log predictive density of rows left out in turn (PSIS-LOO).

        Given the random effects: of new rows in the groups at hand, not of new groups. The
        draws are reweighted as if each row had not been there, and the weights' Pareto k̂ says
        whether that can be trusted.

        Returns
        -------
        PredictiveAccuracy
            ``elpd``, ``std_error``, ``p``, ``table``, ``pointwise`` (nobs,), and the rows not
            to be trusted in ``problems``.

        Raises
        ------
        ModelError
            If the draws are of the prior, which no row has moved.

        References
        ----------
        Vehtari, Gelman and Gabry (2017), Statistics and Computing 27, 1413-1432.
        """
        return self._loo

    @cached_property
    def _loo(self) -> PredictiveAccuracy:
        return loo(self._learned("loo"), row_labels(self._sampled))

    def waic(self) -> PredictiveAccuracy:
        """The widely applicable information criterion, given the random effects as in ``loo``.

        Returns
        -------
        PredictiveAccuracy
            As of ``loo``, which is to be preferred.

        Raises
        ------
        ModelError
            If the draws are of the prior.
        """
        return waic(self._learned("waic"), row_labels(self._sampled))

    def _learned(self, method: str) -> Sampled:
        """What was sampled, if rows were learned from."""
        if self._sampled.prior_only:
            raise ModelError(
                f"{method}() tells how well rows are predicted by what the others say, and these "
                "draws are of the prior, which no row has moved: sample without prior_only."
            )
        return self._sampled

    @property
    def inference_data(self) -> Any:
        """The draws as ArviZ's InferenceData, with which its whole toolbox works.

        ``posterior`` (or ``prior``) has ``beta`` over ``term``; for each grouping factor
        ``sd_<group>`` over ``term_<group>``, ``cor_<group>`` over ``pair_<group>``, ``b_<group>``
        over ``level_<group>`` and ``term_<group>``; ``sigma``. ``sample_stats`` and
        ``observed_data`` stand beside it. Predictors but the conditional one add their name.
        """
        return inference_data.inference_data(self._sampled, row_labels(self._sampled))

    def log_likelihood(self) -> Any:
        """The same InferenceData with the ``log_likelihood`` of each row at each draw.

        Raises
        ------
        ModelError
            If that would not fit into memory; ``loo()`` takes it in pieces.
        """
        labels = row_labels(self._sampled)
        return inference_data.inference_data(self._sampled, labels, log_likelihood=True)
