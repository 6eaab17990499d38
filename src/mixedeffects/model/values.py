"""What a fit is, as attributes; the parts that all its methods share."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import make_table
from mixedeffects.fitting.checks import Check
from mixedeffects.fitting.estimates import Estimates
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.fitting.optimize import Optimum
from mixedeffects.formula.design import Design
from mixedeffects.inference.freedom import AbstractFreedom, freedom

Floats = NDArray[np.float64]


class Values:
    """The values of a fit."""

    _fit: Fit | GeneralFit

    def __init__(self, fit: Fit | GeneralFit) -> None:
        self._fit = fit
        self._freedoms: dict[str, AbstractFreedom] = {}

    def __repr__(self) -> str:
        kind = "REML" if self.reml else "ML"
        return (
            f"<MixedFit {self.formula!r} by {kind}: {self.nobs:,} rows, "
            f"log-likelihood {self.loglik:.4f}>"
        )

    @property
    def design(self) -> Design:
        return self._fit.design

    @property
    def estimates(self) -> Estimates:
        return self._fit.estimates

    @property
    def family(self) -> str:
        """Name of the family."""
        return self._fit.family.name

    @property
    def formula(self) -> str:
        return self.design.formula

    @property
    def nobs(self) -> int:
        return self.estimates.nobs

    @property
    def beta(self) -> Floats:
        return self.estimates.beta

    @property
    def theta(self) -> Floats:
        return self.estimates.theta

    @property
    def sigma(self) -> float:
        return self.estimates.sigma

    @property
    def loglik(self) -> float:
        return self.estimates.loglik

    @property
    def objective(self) -> float:
        return self.estimates.objective

    @property
    def aic(self) -> float:
        return self.estimates.aic

    @property
    def bic(self) -> float:
        return self.estimates.bic

    @property
    def df_resid(self) -> int:
        return self.estimates.df_resid

    @property
    def reml(self) -> bool:
        return self.estimates.reml

    @property
    def is_singular(self) -> bool:
        return self.estimates.is_singular

    @property
    def converged(self) -> bool:
        return self.estimates.converged

    @property
    def optimum(self) -> Optimum:
        return self.estimates.optimum

    @property
    def checks(self) -> tuple[Check, ...]:
        return self.estimates.checks

    @property
    def n_groups(self) -> Mapping[str, int]:
        return MappingProxyType({t.group: len(t.levels) for t in self.estimates.terms})

    def _table(self, columns: Mapping[str, Any]) -> Any:
        return make_table(columns, self.design.frame)

    def _freedom(self, df: str | None) -> AbstractFreedom:
        """A method's degrees of freedom; the kind of model's own for None."""
        df = self._fit.natural_df if df is None else df
        if df not in self._freedoms:
            self._freedoms[df] = freedom(self._fit, df)
        return self._freedoms[df]

    def _labelled(self, values: Floats) -> Any:
        index = self.design.frame.index
        if index is None:
            return values
        import pandas as pd

        return pd.Series(values, index=index[self.design.rows])
