"""What a fit says of rows: fitted values, residuals, predictions, new responses."""

from __future__ import annotations

from typing import Any, Literal, Self, get_args

import numpy as np

from mixedeffects.data.frames import make_table
from mixedeffects.effects import predict as prediction
from mixedeffects.effects.quantiles import quantile_residuals
from mixedeffects.effects.residuals import Kind, residuals
from mixedeffects.effects.rows import NewLevels, new_rows, own_rows
from mixedeffects.effects.simulate import simulate
from mixedeffects.fitting.fit import Fit, refit
from mixedeffects.inference.wald import check_level
from mixedeffects.model.options import OnCheck, check_option, judged
from mixedeffects.model.values import Floats, Values


class Rows(Values):
    """Fitted values, residuals, predictions, simulated responses."""

    _fit: Fit

    def fitted(self) -> Any:
        """Xβ̂ + Zb̂ + offset of the rows used; a Series with their labels for pandas data."""
        return self._labelled(prediction.fitted_values(self._fit))

    def residuals(self, kind: Kind = "response") -> Any:
        """Residuals of the rows used.

        Parameters
        ----------
        kind
            ``"response"``, y − fitted; ``"pearson"``, times √weight; ``"scaled"``, that over σ;
            ``"standardized"``, the Pearson residual over its standard deviation σ√(1 − h), with
            the leverage h (NaN where h = 1, a row fitted exactly); ``"quantile"``, the place of
            the response in its marginal distribution, between 0 and 1.
        """
        check_option("kind", kind, get_args(Kind))
        if kind == "quantile":
            return self._labelled(quantile_residuals(self._fit))
        return self._labelled(residuals(self._fit, kind))

    def predict(
        self,
        data: Any = None,
        *,
        random: prediction.Random = "conditional",
        interval: prediction.Interval | None = None,
        std_error: bool = False,
        new_levels: NewLevels = "error",
        scale: Literal["response", "link"] = "response",
        level: float = 0.95,
        include_theta: bool = False,
        offset: Any = None,
        seed: prediction.Seed = None,
    ) -> Any:
        """Predictions for new data, or for the rows used.

        Parameters
        ----------
        data
            As in ``fit``; the rows used where omitted. A row with a missing value gets NaN.
        random
            ``"conditional"`` on the groups' estimated effects, or ``"population"``.
        interval
            ``"confidence"`` for the mean, ``"prediction"`` for a new observation of weight one.
        std_error
            Whether to return a table with standard errors.
        new_levels
            A group that the fit has not seen is an ``"error"``; has no random effect and
            all its uncertainty (``"population"``); or has one drawn from the fitted
            distribution (``"sample"``).
        scale
            The same for a Gaussian model.
        level
            Of the interval.
        include_theta
            Whether the uncertainty of the variance parameters counts in it (first order).
        offset
            n values in place of an offset that was given to ``fit`` as an array.
        seed
            Of the draws for ``new_levels="sample"``.

        Returns
        -------
        ndarray (n,) or table
            ``estimate std_error conf_low conf_high``: a table where ``std_error`` or an interval
            was asked for, limits for the latter.
        """
        check_option("random", random, ("conditional", "population"))
        check_option("interval", interval, (None, "confidence", "prediction"))
        check_option("new_levels", new_levels, ("error", "population", "sample"))
        check_option("scale", scale, ("response", "link"))
        check_level(level)
        request = prediction.Request(
            random, interval, std_error, new_levels, level, include_theta, seed
        )
        if data is None:
            rows = own_rows(self._fit)
        else:
            unseen = new_levels if random == "conditional" else "population"
            rows = new_rows(self._fit, data, request.needs_random, unseen, offset)
        columns = prediction.predict(self._fit, rows, request)
        if len(columns) == 1:
            return columns["estimate"]
        return make_table(columns, rows.frame, rows.frame.index)

    def simulate(
        self,
        n: int | None = None,
        *,
        random: Literal["marginal", "conditional"] = "marginal",
        seed: prediction.Seed = None,
    ) -> Floats:
        """Responses drawn from the fitted model for the rows used.

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
        """
        check_option("random", random, ("marginal", "conditional"))
        draws = simulate(self._fit, 1 if n is None else n, random, np.random.default_rng(seed))
        return draws[0] if n is None else draws

    def refit(self, y: Any, *, on_check: OnCheck = "warn") -> Self:
        """The same model of another response: nobs values, or one for each row of the data.

        The pattern's analysis and all cross-products but those of y are reused.
        """
        check_option("on_check", on_check, ("warn", "error", "ignore"))
        return type(self)(judged(refit(self._fit, y), on_check))
