"""Intervals of what was estimated."""

from __future__ import annotations

from typing import Any

from mixedeffects.inference.wald import coefficient_table
from mixedeffects.model.options import check_option
from mixedeffects.model.values import Values


class Intervals(Values):
    """Wald, profile and bootstrap intervals."""

    def confint(self, method: str = "wald", level: float = 0.95, df: str = "asymptotic") -> Any:
        """Table of confidence intervals of the fixed effects."""
        check_option("method", method, ("wald",))
        table = coefficient_table(self.estimates, df, level)
        return self._table({key: table[key] for key in ("term", "conf_low", "conf_high")})
