"""GeneralizedFit: a fit with a family, a link, and maybe several linear predictors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from mixedeffects.data.frames import make_table
from mixedeffects.effects import general_predict as prediction
from mixedeffects.effects.general_residuals import GeneralKind, general_residuals
from mixedeffects.effects.general_rows import new_general_rows, own_general_rows
from mixedeffects.effects.general_simulate import simulate_general
from mixedeffects.effects.predict import Interval, Random, Seed
from mixedeffects.effects.rows import NewLevels
from mixedeffects.errors import ModelError
from mixedeffects.fitting.general_fit import GeneralFit, refit_general
from mixedeffects.inference.wald import check_level
from mixedeffects.model.mixed_fit import MixedFit
from mixedeffects.model.options import OnCheck, check_option, judged
from mixedeffects.model.values import Floats
from mixedeffects.show.general_summary import summarize_general
from mixedeffects.show.summary import Summary


class GeneralizedFit(MixedFit):
    """A fitted generalized mixed model: a MixedFit with a family and a link.

    ``beta`` holds the coefficients of the conditional predictor; ``fixef()`` those of all.
    ``sigma`` is the family's dispersion parameter, 1 where it has none, NaN where it varies by
    row. ``theta`` is absolute: the random effects of a term have covariance TT'.
    """

    _fit: GeneralFit

    @property
    def link(self) -> str:
        """Name of the conditional predictor's link."""
        return self._fit.family.link

    def __repr__(self) -> str:
        return (
            f"<MixedFit {self.formula!r}, {self._fit.family.describe()}: {self.nobs:,} rows, "
            f"log-likelihood {self.loglik:.4f}>"
        )

    def fitted(self) -> Any:
        """Means of the rows used, conditional on the modes (probabilities of categories)."""
        return self.predict()

    def residuals(self, kind: GeneralKind = "response") -> Any:
        """Residuals of the rows used."""
        return self._labelled(general_residuals(self._fit, kind))

    def predict(
        self,
        data: Any = None,
        *,
        random: Random = "conditional",
        interval: Interval | None = None,
        std_error: bool = False,
        new_levels: NewLevels = "error",
        scale: Literal["response", "link"] = "response",
        level: float = 0.95,
        include_theta: bool = False,
        offset: Any = None,
        seed: Seed = None,
    ) -> Any:
        """Predictions for new data, or for the rows used."""
        check_option("random", random, ("conditional", "population"))
        check_option("interval", interval, (None, "confidence", "prediction"))
        check_option("new_levels", new_levels, ("error", "population", "sample"))
        check_option("scale", scale, ("response", "link"))
        check_level(level)
        request = prediction.GeneralRequest(
            random, interval, std_error, new_levels, scale, level, seed
        )
        if data is None:
            rows = own_general_rows(self._fit)
        else:
            unseen = new_levels if random == "conditional" else "population"
            rows = new_general_rows(self._fit, data, request.needs_random, unseen, offset)
        columns = prediction.predict(self._fit, rows, request)
        if len(columns) == 1:
            return columns["estimate"]
        return make_table(columns, rows.frame, rows.frame.index)

    def simulate(
        self,
        n: int | None = None,
        *,
        random: Literal["marginal", "conditional"] = "marginal",
        seed: Seed = None,
    ) -> Floats:
        """Responses drawn from the fitted model for the rows used; counts where of trials."""
        check_option("random", random, ("marginal", "conditional"))
        rng = np.random.default_rng(seed)
        draws = simulate_general(self._fit, 1 if n is None else n, random, rng)
        return draws[0] if n is None else draws

    def refit(self, y: Any, *, on_check: OnCheck = "warn") -> Self:
        """The same model of another response: nobs values, or one for each row of the data."""
        check_option("on_check", on_check, ("warn", "error", "ignore"))
        return type(self)(judged(refit_general(self._fit, y), on_check))

    def summary(self, df: str | None = None, level: float = 0.95) -> Summary:
        numeric = self._fit.family.response_kind != "ordinal"
        pearson = general_residuals(self._fit, "pearson") if numeric else None
        return summarize_general(self._fit, pearson, self._freedom(df), level)

    def save(self, path: str | Path) -> None:
        raise ModelError("Saving generalized fits is not available yet: pickle the fit.")
