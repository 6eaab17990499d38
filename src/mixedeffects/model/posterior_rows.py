"""What a posterior says of rows: expectations, residuals, new responses."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from mixedeffects.bayes.predict import predict
from mixedeffects.bayes.predictive import simulated
from mixedeffects.bayes.predictive_checks import predictive_check
from mixedeffects.bayes.residuals import Kind, residuals
from mixedeffects.bayes.rows import new_rows, own_rows
from mixedeffects.effects.general_predict import predicted
from mixedeffects.effects.general_predictors import GeneralRequest
from mixedeffects.effects.general_rows import with_trials
from mixedeffects.effects.general_targets import Component
from mixedeffects.effects.predict import Interval, Random, Seed
from mixedeffects.effects.rows import NewLevels
from mixedeffects.errors import ModelError
from mixedeffects.model.general_rows import checked_request
from mixedeffects.model.options import check_option, is_whole
from mixedeffects.model.posterior_values import Floats, PosteriorValues


class PosteriorRows(PosteriorValues):
    """Fitted values, residuals, predictions, predictive draws and checks."""

    def fitted(self) -> Any:
        """Posterior expectations of the rows used, in their groups; a Series for pandas data.

        Proportions where there are trials. For ordered categories a table of their
        probabilities, one column each.
        """
        found = self.predict()
        return self._labelled(found) if isinstance(found, np.ndarray) else found

    def residuals(self, kind: Kind = "response", *, seed: Seed = None) -> Any:
        """Residuals of the rows used, labelled as ``fitted``.

        Parameters
        ----------
        kind
            ``"response"``, y − its posterior expectation; ``"pearson"``, that over the root of
            the posterior mean of the variance about the expectation (times √weight);
            ``"quantile"``, the place of y in its posterior predictive distribution for a new
            group, between 0 and 1. A value with a positive probability is placed at random
            within its step.
        seed
            Of the new groups' effects and the places drawn.

        Raises
        ------
        ModelError
            If the family does not define them.
        """
        check_option("kind", kind, get_args(Kind))
        return self._labelled(residuals(self._sampled, kind, seed))

    def predict(
        self,
        data: Any = None,
        *,
        random: Random = "conditional",
        interval: Interval | None = None,
        std_error: bool = False,
        new_levels: NewLevels = "error",
        scale: Literal["response", "link"] = "response",
        component: Component = "response",
        level: float = 0.95,
        offset: Any = None,
        trials: Any = None,
        seed: Seed = None,
    ) -> Any:
        """Posterior expectations for new data, or for the rows used.

        Parameters
        ----------
        data
            As in ``sample``; the rows used where omitted. A row with a missing value gets NaN.
        random
            ``"conditional"`` on the groups' effects, or ``"population"``: with effects of zero.
        interval
            ``"confidence"`` for the expectation: central quantiles of its draws.
            ``"prediction"`` for a new observation of weight one: quantiles of the posterior
            predictive distribution; with ``random="population"`` all groups are new.
        std_error
            Whether to return a table with standard deviations.
        new_levels
            A group that the model has not seen is an ``"error"``; or one is drawn for each draw
            with its covariance. Expectations are averages over these (``"sample"``), or those
            at an effect of zero (``"population"``); standard deviations and limits hold all of a
            new group's uncertainty in both.
        scale, component
            As of a generalized fit's ``predict``.
        level
            Of the interval.
        offset
            n values in place of an offset that was given to ``sample`` as an array.
        trials
            Behind new proportions, for prediction intervals: a number, or n.
        seed
            Of what is drawn.

        Returns
        -------
        ndarray (n,), or a table ``estimate std_error conf_low conf_high`` (the limits where
        an interval was asked for). For ordered categories a table of probabilities, one column
        a category; with standard deviations one row a category: ``row category estimate …``.

        Raises
        ------
        ModelError
            If what is asked for does not exist in the model.
        """
        request = checked_request(
            random, interval, std_error, new_levels, scale, component, level, seed
        )
        rows = self._rows(data, request, offset)
        if trials is not None:
            rows = with_trials(self._sampled.family, self._sampled.response, rows, trials)
        return predicted(self.design, rows, predict(self._sampled, rows, request))

    def _rows(self, data: Any, request: GeneralRequest, offset: Any) -> Any:
        if data is not None:
            unseen = request.new_levels if request.random == "conditional" else "population"
            return new_rows(self._sampled, data, request.needs_random, unseen, offset)
        if offset is not None:
            raise ModelError("offset= is for new data; the rows used have the offset of the model.")
        return own_rows(self._sampled)

    def simulate(
        self,
        n: int | None = None,
        *,
        random: Literal["conditional", "marginal"] = "conditional",
        seed: Seed = None,
    ) -> Floats:
        """Responses from the posterior predictive distribution, for the rows used.

        Each is drawn with the parameters of another draw, as long as there are enough. Counts
        of successes where there are trials, codes 0, 1, … of ordered categories.

        Parameters
        ----------
        n
            Number of responses; one, as a (nobs,) array, where omitted.
        random
            ``"conditional"``: of the groups at hand; ``"marginal"``: of new groups.
        seed
            Integer or Generator.

        Returns
        -------
        ndarray (nobs,) or (n, nobs)

        Raises
        ------
        ModelError
            If n is not positive, or rows have prior weights.
        """
        check_option("random", random, ("conditional", "marginal"))
        count = _count(1 if n is None else n)
        draws = simulated(self._sampled, count, random, np.random.default_rng(seed))
        return draws[0] if n is None else draws

    def predictive_check(
        self,
        statistic: Any = None,
        *,
        n: int = 1000,
        random: Literal["conditional", "marginal"] = "conditional",
        level: float = 0.95,
        seed: Seed = None,
    ) -> Any:
        """Statistics of the response beside those of responses that the model gives.

        With draws of the prior (``prior_only=True``) it is a prior predictive check.

        Parameters
        ----------
        statistic
            ``"mean" "sd" "min" "median" "max" "zeros"`` (the share of zeros), a function of a
            response (nobs,), several of these, or a dict of them by name.
        n, random, seed
            As of ``simulate``.
        level
            Of the intervals.

        Returns
        -------
        table
            ``statistic observed estimate std_error conf_low conf_high p_value``: the value of
            the response, what n simulated responses have, and the share of these whose value
            is larger (half of equal ones). A share near 0 or 1 is something that the model
            does not give.

        Raises
        ------
        ModelError
            If a statistic is not known, or is not one number.
        """
        check_option("random", random, ("conditional", "marginal"))
        rng = np.random.default_rng(seed)
        return self._table(
            predictive_check(self._sampled, statistic, _count(n), random, rng, level)
        )


def _count(n: Any) -> int:
    if not is_whole(n) or n < 1:
        raise ModelError(f"n={n!r} is not a number of responses: give a whole number from 1.")
    return int(n)
