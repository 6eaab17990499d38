"""What plots need of a fit that is not the same for linear and generalized ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import Columns
from mixedeffects.effects.general_normality import general_mode_scores
from mixedeffects.effects.general_predict import predict as general_predict
from mixedeffects.effects.general_predictors import GeneralRequest
from mixedeffects.effects.general_residuals import GeneralKind, general_residuals
from mixedeffects.effects.general_rows import (
    linear_predictors,
    new_general_rows,
    own_general_rows,
)
from mixedeffects.effects.level_curves import general_curves, linear_curves, mean_offset
from mixedeffects.effects.normality import mode_quantiles
from mixedeffects.effects.predict import Interval, Request, fitted_values, mean, predict
from mixedeffects.effects.quantiles import quantile_residuals
from mixedeffects.effects.residuals import Kind, residuals
from mixedeffects.effects.rows import new_rows, own_rows, row_labels
from mixedeffects.effects.unpooled import Unpooled, unpooled_effects
from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.model.options import check_option
from mixedeffects.show.plots.effects import Effect
from mixedeffects.show.plots.residuals import ResidualCloud

if TYPE_CHECKING:
    from mixedeffects.model.generalized import GeneralizedFit
    from mixedeffects.model.linear import LinearFit

Floats = NDArray[np.float64]
Modes = Sequence[Floats]

LINEAR_KINDS = ("standardized", "scaled", "pearson", "response", "quantile")
GENERAL_KINDS = ("quantile", "pearson", "deviance", "response")
# Places of a response beyond this many standard deviations are told apart by rounding alone.
FARTHEST = 8.2


class PlotNumbers(ABC):
    """The numbers behind the plots of a fit."""

    _fit: Fit | GeneralFit
    _face: LinearFit | GeneralizedFit

    @abstractmethod
    def _cloud(self, kind: str | None, seed: int) -> ResidualCloud:
        """Residuals of a kind, of the natural one for None, with what they are drawn against."""

    @abstractmethod
    def _scores(self, effect: Effect) -> Floats:
        """Modes (L,) over their standard deviations."""

    @abstractmethod
    def _unpooled(self, group: str) -> Unpooled | None:
        """What the levels' own rows say of their effects; None where they need not say it."""

    @abstractmethod
    def _curves(self, columns: Columns, modes: Sequence[Modes]) -> list[Floats]:
        """Means (n,) of rows for sets of modes."""

    @abstractmethod
    def _predicted(
        self, columns: Columns, interval: Interval | None, level: float
    ) -> dict[str, Floats]:
        """Predictions for the population, see ``predict``."""

    @property
    @abstractmethod
    def _scale(self) -> str:
        """What coefficients are of."""

    @property
    @abstractmethod
    def _y_name(self) -> str:
        """What means are of."""


class LinearNumbers(PlotNumbers):
    """Of a linear fit."""

    _fit: Fit

    def _cloud(self, kind: str | None, seed: int) -> ResidualCloud:
        kind = "standardized" if kind is None else kind
        check_option("kind", kind, LINEAR_KINDS)
        labels = row_labels(self._fit)
        if kind == "quantile":
            expected = mean(own_rows(self._fit), self._fit.estimates.beta, [])
            return quantile_cloud(expected, quantile_residuals(self._fit), labels)
        values = residuals(self._fit, kind)  # type: ignore[arg-type]
        unit = kind in ("standardized", "scaled")
        return ResidualCloud(fitted_values(self._fit), values, "Fitted", _named(kind), labels, unit)

    def _scores(self, effect: Effect) -> Floats:
        table = mode_quantiles(self._fit)
        own = (table["group"] == effect.group) & (table["term"] == effect.term)
        scores: Floats = table["sample"][own]
        return scores

    def _unpooled(self, group: str) -> Unpooled:
        return unpooled_effects(self._fit, group)

    def _curves(self, columns: Columns, modes: Sequence[Modes]) -> list[Floats]:
        return linear_curves(self._fit, columns, modes)

    def _predicted(
        self, columns: Columns, interval: Interval | None, level: float
    ) -> dict[str, Floats]:
        request = Request("population", interval, False, "population", level, False, None)
        offset = mean_offset(self._fit.design, columns.n_rows)
        rows = new_rows(self._fit, columns, request.needs_random, "population", offset)
        return predict(self._fit, rows, request)

    @property
    def _scale(self) -> str:
        return f"change in {self._fit.design.response}"

    @property
    def _y_name(self) -> str:
        return self._fit.design.response


class GeneralNumbers(PlotNumbers):
    """Of a generalized fit."""

    _fit: GeneralFit

    def _cloud(self, kind: str | None, seed: int) -> ResidualCloud:
        kind = "quantile" if kind is None else kind
        check_option("kind", kind, GENERAL_KINDS)
        fit, labels = self._fit, row_labels(self._fit)
        rows = own_general_rows(fit)
        if kind == "quantile":
            eta = linear_predictors(fit, rows, [])[0]
            return quantile_cloud(eta, general_residuals(fit, "quantile", seed), labels)
        found: GeneralKind = kind  # type: ignore[assignment]
        values = general_residuals(fit, found)
        eta = linear_predictors(fit, rows, [t.modes for t in fit.estimates.terms])[0]
        return ResidualCloud(
            eta, values, "Fitted linear predictor", _named(kind), labels, kind != "response"
        )

    def _scores(self, effect: Effect) -> Floats:
        return general_mode_scores(self._fit, effect.number)[:, effect.column]

    def _unpooled(self, group: str) -> None:
        return None

    def _curves(self, columns: Columns, modes: Sequence[Modes]) -> list[Floats]:
        if self._fit.family.response_kind == "ordinal":
            raise ModelError(
                "Ordered categories have a probability each and no one mean to draw by group: use"
                " plot.predictions(...), which draws them all."
            )
        return general_curves(self._fit, columns, modes)

    def _predicted(
        self, columns: Columns, interval: Interval | None, level: float
    ) -> dict[str, Floats]:
        request = GeneralRequest(
            "population", interval, False, "population", "response", "response", level, 0
        )
        offset = mean_offset(self._fit.design, columns.n_rows)
        rows = new_general_rows(self._fit, columns, request.needs_random, "population", offset)
        return general_predict(self._fit, rows, request)

    @property
    def _scale(self) -> str:
        return f"link: {self._fit.family.link}"

    @property
    def _y_name(self) -> str:
        design = self._fit.design
        if self._fit.family.response_kind == "ordinal":
            return f"probability of {design.response}"
        if design.categories:
            return f"probability of {design.response} = {design.categories[-1]}"
        return "proportion" if design.trials is not None else design.response


def quantile_cloud(expected: Floats, places: Floats, labels: NDArray[np.generic]) -> ResidualCloud:
    """Places in marginal distributions on the normal scale, against the population's mean.

    They are no more conditional on the random effects, so nor is what they are drawn against:
    against predictions in the groups they would rise by construction.
    """
    from scipy.special import ndtri

    with np.errstate(divide="ignore"):
        normal = np.clip(ndtri(places), -FARTHEST, FARTHEST)
    name = "Quantile residual (normal scale)"
    if np.ptp(expected) <= 1e-10 * max(1.0, float(np.abs(expected).max())):
        rows = np.arange(len(expected), dtype=np.float64)
        return ResidualCloud(rows, normal, "Row", name, labels, True)
    return ResidualCloud(expected, normal, "Population prediction", name, labels, True)


def _named(kind: Kind | str) -> str:
    return f"{kind.capitalize()} residual"
