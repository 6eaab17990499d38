"""What maketables reads of a fit, so that its ``ETable`` sets fits side by side for a paper.

Attributes of its plug-in format; that package need not be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedeffects.effects.random import covariance_table
from mixedeffects.errors import ModelError
from mixedeffects.inference.wald import coefficient_table
from mixedeffects.model.values import Values
from mixedeffects.show.plots.fixed_effects import coefficient_names

if TYPE_CHECKING:
    from pandas import DataFrame


class PaperTables(Values):
    """Coefficients, standard deviations and summaries by the names that maketables asks for."""

    @property
    def __maketables_coef_table__(self) -> DataFrame:
        from pandas import DataFrame

        table = coefficient_table(self.estimates, self._freedom(None), 0.95)
        columns = {
            "b": "estimate",
            "se": "std_error",
            "t": "statistic",
            "p": "p_value",
            "ci95l": "conf_low",
            "ci95u": "conf_high",
        }
        values = {theirs: np.asarray(table[ours], float) for theirs, ours in columns.items()}
        return DataFrame(values, index=coefficient_names(table)).rename_axis("Coefficient")

    @property
    def __maketables_depvar__(self) -> str:
        return self.design.response.replace("`", "")

    @property
    def __maketables_vcov_info__(self) -> dict[str, Any]:
        return {"vcov_type": self._freedom(None).name, "clustervar": None}

    @property
    def __maketables_default_stat_keys__(self) -> list[str]:
        return [*self._paper_statistics, "R2 marginal", "R2 conditional"]

    def __maketables_stat__(self, key: str) -> Any:
        if key.startswith("R2 "):
            return self._explained(key.removeprefix("R2 "))
        return self._paper_statistics.get(key)

    def _explained(self, kind: str) -> float | None:
        """None for families without an R²."""
        try:
            return float(getattr(self.r2(), kind))  # type: ignore[attr-defined]
        except ModelError:
            return None

    @cached_property
    def _paper_statistics(self) -> Mapping[str, Any]:
        table = covariance_table(self.estimates, self._fit.residual_sd)
        spreads: dict[str, Any] = {}
        rows = zip(table["group"], table["term1"], table["term2"], table["sd_or_corr"], strict=True)
        for group, term, other, value in rows:
            between = f"Correlation {term}, {other}" if other is not None else f"SD {term}"
            name = f"{between}, {group}" if group != "Residual" else "SD residual"
            spreads[name] = float(value)
        groups = {f"N {group}": count for group, count in self.n_groups.items()}
        likelihoods = {"Log-likelihood": self.loglik, "AIC": self.aic, "BIC": self.bic}
        return {**spreads, "N": self.nobs, **groups, **likelihoods}
