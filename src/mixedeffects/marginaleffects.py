"""Fits as models of the package marginaleffects: its predictions, comparisons and slopes.

``marginaleffects.predictions(me.marginaleffects.model(fit))``, with the extra
``mixedeffects[marginaleffects]``. Everything is for the population,
random effects at zero; standard errors come from the covariance of the fixed effects of all linear
predictors, by the delta method, with normal quantiles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from marginaleffects.classes import ModelAbstract, ModelVault
from numpy.typing import NDArray

from mixedeffects.data.columns import Column
from mixedeffects.effects.general_rows import new_general_rows, user_coefficients
from mixedeffects.effects.general_targets import target_of
from mixedeffects.effects.rows import new_rows
from mixedeffects.errors import ModelError
from mixedeffects.fitting.estimates import prefix_of
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_estimates import coefficient_covariance
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.model import MixedFit

__all__ = ["model"]

Floats = NDArray[np.float64]


def model(fit: MixedFit) -> ModelAbstract:
    """A fit as the functions of marginaleffects take it.

    Parameters
    ----------
    fit : MixedFit

    Returns
    -------
    marginaleffects.classes.ModelAbstract

    Raises
    ------
    ModelError
        If it is not a fit.

    Examples
    --------
    >>> import mixedeffects as me
    >>> from marginaleffects import avg_slopes
    >>> fit = me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))
    >>> found = avg_slopes(me.marginaleffects.model(fit), variables="Days")
    >>> round(found["estimate"][0], 3), round(found["std_error"][0], 3)
    (10.467, 1.546)
    """
    if not isinstance(fit, MixedFit):
        raise ModelError(f"{fit!r} is not a fit: give what me.fit() returned.")
    return _Model(fit._fit)


class _Model(ModelAbstract):  # type: ignore[misc]
    """What marginaleffects asks of a model: data, coefficients, and predictions at others."""

    def __init__(self, fit: Fit | GeneralFit) -> None:
        self._rows: tuple[Any, Any] | None = None
        design = fit.design
        columns = design.columns.take(design.rows).columns
        data = pl.DataFrame({name: _series(column) for name, column in columns.items()})
        groups = {name for r in design.random for name in r.group.split(":")}
        fixed = [name for name in columns if name != design.response and name not in groups]
        vault = ModelVault(
            coef=_coefficients(fit),
            coefnames=np.array(_names(fit)),
            formula=lambda newdata: (None, newdata),
            modeldata=data,
            package="mixedeffects",
            variable_names=[design.response, *fixed],
        )
        super().__init__(fit, vault)

    def get_vcov(self, vcov: Any = True) -> Floats | None:
        if isinstance(vcov, bool):
            return _covariance(self.model) if vcov else None
        raise ModelError(f"vcov={vcov!r} is not one of True, False or a matrix.")

    def get_exog(self, newdata: pl.DataFrame) -> pl.DataFrame:
        return newdata

    def get_predict(self, params: Floats, newdata: pl.DataFrame) -> pl.DataFrame:
        values = _mean(self.model, self._rows_of(newdata), np.asarray(params))
        rowid = np.arange(len(values), dtype=np.int32)
        if values.ndim == 1:
            return pl.DataFrame({"rowid": rowid, "estimate": values})
        categories = np.array(self.model.design.categories)
        return pl.DataFrame(
            {
                "rowid": np.tile(rowid, len(categories)),
                "group": np.repeat(categories, len(rowid)),
                "estimate": values.T.ravel(),
            }
        )

    def _rows_of(self, newdata: pl.DataFrame) -> Any:
        """The design of new data, kept for the next coefficients at which it is asked for."""
        if self._rows is None or self._rows[0] is not newdata:
            columns = self.model.design.columns
            data = {
                name: _values(newdata[name], columns[name])
                for name in newdata.columns
                if name in columns
            }
            if isinstance(self.model, Fit):
                made: Any = new_rows(self.model, data, False, "population", None)
            else:
                made = new_general_rows(self.model, data, False, "population", None)
            self._rows = newdata, made
        return self._rows[1]


def _mean(fit: Fit | GeneralFit, rows: Any, beta: Floats) -> Floats:
    """Means (n,), or probabilities (n, K), at coefficients (P,)."""
    if isinstance(fit, Fit):
        linear: Floats = rows.X @ beta
        return linear if rows.offset is None else linear + rows.offset
    eta = []
    for i, predictor in enumerate(fit.problem.predictors):
        own = rows.X[:, predictor.coefficients] @ beta[predictor.coefficients]
        offset = rows.offsets[i] if i < len(rows.offsets) else None
        eta.append(own if offset is None else own + offset)
    return target_of(fit.family, fit.problem.response, "response", "response").value(tuple(eta))


def _coefficients(fit: Fit | GeneralFit) -> Floats:
    return fit.estimates.beta if isinstance(fit, Fit) else user_coefficients(fit)


def _covariance(fit: Fit | GeneralFit) -> Floats:
    if isinstance(fit, Fit):
        return fit.estimates.vcov
    return coefficient_covariance(fit.problem, fit.solution)


def _names(fit: Fit | GeneralFit) -> list[str]:
    return [
        f"{prefix_of(part.name)}{name}"
        for part in fit.estimates.components
        for name in part.x_names
    ]


def _series(column: Column) -> pl.Series:
    if column.levels is None:
        return pl.Series(column.name, column.values)
    labels = [str(level) for level in column.levels]
    return pl.Series(column.name, [labels[code] for code in column.values], pl.Enum(labels))


def _values(series: pl.Series, column: Column) -> Any:
    """Values of new data as the fit's own data have them."""
    if column.levels is None:
        return series.to_numpy()
    known = {str(level): level for level in column.levels}
    return [known.get(label, label) for label in series.cast(pl.String).to_list()]
