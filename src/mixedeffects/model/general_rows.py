"""What a generalized fit says of rows: fitted values, residuals, predictions, new responses."""

from __future__ import annotations

from typing import Any, Literal, Self, get_args

import numpy as np

from mixedeffects.effects.general_predict import predict, predicted
from mixedeffects.effects.general_predictors import GeneralRequest
from mixedeffects.effects.general_residuals import GeneralKind, general_residuals
from mixedeffects.effects.general_rows import new_general_rows, own_general_rows, with_trials
from mixedeffects.effects.general_simulate import simulate_general
from mixedeffects.effects.general_targets import Component
from mixedeffects.effects.predict import Interval, Random, Seed
from mixedeffects.effects.rows import NewLevels
from mixedeffects.errors import ModelError
from mixedeffects.fitting.general_fit import GeneralFit, refit_general
from mixedeffects.inference.wald import check_level
from mixedeffects.model.options import OnCheck, check_option, judged
from mixedeffects.model.values import Floats, Values


class GeneralRowMethods(Values):
    """Fitted values, residuals, predictions, simulated responses."""

    _fit: GeneralFit

    def fitted(self) -> Any:
        """Means of the rows used, conditional on the modes; a Series for pandas data.

        Proportions where there are trials. For ordered categories a table of their
        probabilities, one column each.
        """
        found = self.predict()
        return self._labelled(found) if isinstance(found, np.ndarray) else found

    def residuals(self, kind: GeneralKind = "response", *, seed: Seed = None) -> Any:
        """Residuals of the rows used, labelled as ``fitted``.

        Parameters
        ----------
        kind
            ``"response"``, y − mean (proportions where there are trials); ``"pearson"``, that
            over the standard deviation of y given the modes, zero inflation included, times
            √weight; ``"deviance"``, the signed root of the row's share of the deviance, where
            the family has one; ``"quantile"``, the place of y in its marginal distribution,
            random effects integrated out, between 0 and 1: uniform if the model holds. A
            value with a positive probability is placed at random within its step.
        seed
            Of the places drawn for ``"quantile"``; with one, they are always the same.

        Raises
        ------
        ModelError
            If the family does not define them. Ordered categories have quantile residuals only.
        """
        check_option("kind", kind, get_args(GeneralKind))
        return self._labelled(general_residuals(self._fit, kind, seed))

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
        include_theta: bool = True,
        offset: Any = None,
        trials: Any = None,
        seed: Seed = None,
    ) -> Any:
        """Predictions for new data, or for the rows used.

        Standard errors hold the uncertainty of all parameters (those of variances included) and
        of the modes, to first order.

        Parameters
        ----------
        data
            As in ``fit``; the rows used where omitted. A row with a missing value gets NaN.
        random
            ``"conditional"`` on the groups' estimated effects, or ``"population"``: with random
            effects of zero. That is the response of a typical group, not the mean over groups.
        interval
            ``"confidence"`` for the mean: the limits of a mean that follows η alone are those
            of η; others (zero-inflated means, for example) lie symmetrically on the scale of
            the link, by the delta method, category probabilities on the logit scale.
            ``"prediction"`` for a new observation of weight one: quantiles of 4,000 draws in
            which parameters, modes, effects of new groups and the response itself vary;
            ``std_error`` is then the root mean square distance of the draws from the estimate.
            With ``random="population"`` all groups are new.
        std_error
            Whether to return a table with standard errors.
        new_levels
            A group that the fit has not seen is an ``"error"``; has no random effect and
            all its uncertainty (``"population"``); or has one drawn from the fitted
            distribution (``"sample"``).
        scale
            ``"response"``, means (proportions where there are trials) or probabilities of
            ordered categories; ``"link"``, the linear predictor.
        component
            ``"response"``; ``"conditional"``, the mean of what is not an extra zero;
            ``"zero_inflation"``, the probability of an extra zero; ``"dispersion"``, what
            ``sigma`` is of the family. On the link scale, their linear predictors.
        level
            Of the interval.
        include_theta
            The uncertainty of the variance parameters always counts; this changes nothing.
        offset
            n values in place of an offset that was given to ``fit`` as an array.
        trials
            Behind new proportions, for prediction intervals: a number, or n.
        seed
            Of the draws for ``new_levels="sample"`` and ``interval="prediction"``.

        Returns
        -------
        ndarray (n,) or table
            ``estimate std_error conf_low conf_high``: a table where ``std_error`` or an interval
            was asked for, limits for the latter. For ordered categories on the response scale a
            table of probabilities, one column a category; with standard errors one row a
            category: ``row category estimate …``.

        Raises
        ------
        ModelError
            If what is asked for does not exist in the model.

        Examples
        --------
        >>> import mixedeffects as me
        >>> formula = "cbind(incidence, size - incidence) ~ factor(period) + (1 | herd)"
        >>> fit = me.fit(formula, me.datasets.load("cbpp"), family="binomial")
        >>> fit.predict(interval="confidence").head(2).round(3)
           estimate  std_error  conf_low  conf_high
        0     0.308      0.081     0.175      0.483
        1     0.142      0.052     0.066      0.277
        """
        request = checked_request(
            random, interval, std_error, new_levels, scale, component, level, seed
        )
        rows = self._rows(data, request, offset)
        if trials is not None:
            rows = with_trials(self._fit.family, self._fit.problem.response, rows, trials)
        return predicted(self.design, rows, predict(self._fit, rows, request))

    def _rows(self, data: Any, request: GeneralRequest, offset: Any) -> Any:
        if data is not None:
            unseen = request.new_levels if request.random == "conditional" else "population"
            return new_general_rows(self._fit, data, request.needs_random, unseen, offset)
        if offset is not None:
            raise ModelError("offset= is for new data; the rows used have the offset of the fit.")
        return own_general_rows(self._fit)

    def simulate(
        self,
        n: int | None = None,
        *,
        random: Literal["marginal", "conditional"] = "marginal",
        seed: Seed = None,
    ) -> Floats:
        """Responses drawn from the fitted model for the rows used, as ``refit`` takes them.

        Counts of successes where there are trials, codes 0, 1, … of ordered categories (in the
        order of ``design.categories``).

        Parameters
        ----------
        n
            Number of draws; one, as a (nobs,) array, where omitted.
        random
            ``"marginal"`` draws new random effects, ``"conditional"`` keeps the estimated.
        seed
            Integer or Generator.

        Returns
        -------
        ndarray (nobs,) or (n, nobs)

        Raises
        ------
        ModelError
            If rows have prior weights.
        """
        check_option("random", random, ("marginal", "conditional"))
        rng = np.random.default_rng(seed)
        draws = simulate_general(self._fit, 1 if n is None else n, random, rng)
        return draws[0] if n is None else draws

    def refit(self, y: Any, *, on_check: OnCheck = "warn") -> Self:
        """The same model of another response: nobs values, or one for each row of the data.

        Counts of successes where there are trials, codes 0, 1, … of ordered categories.

        Raises
        ------
        DataError
            If the family cannot have produced a value, or a category has no row.
        """
        check_option("on_check", on_check, ("warn", "error", "ignore"))
        return type(self)(judged(refit_general(self._fit, y), on_check))


def checked_request(
    random: Random,
    interval: Interval | None,
    std_error: bool,
    new_levels: NewLevels,
    scale: Literal["response", "link"],
    component: Component,
    level: float,
    seed: Seed,
) -> GeneralRequest:
    """What ``predict`` was asked for, where all options are known ones."""
    check_option("random", random, ("conditional", "population"))
    check_option("interval", interval, (None, "confidence", "prediction"))
    check_option("new_levels", new_levels, ("error", "population", "sample"))
    check_option("scale", scale, ("response", "link"))
    check_option("component", component, get_args(Component))
    check_level(level)
    return GeneralRequest(random, interval, std_error, new_levels, scale, component, level, seed)
