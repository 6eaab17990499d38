"""What a posterior is, as attributes; the parts that all its methods share."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.checks import check_draws
from mixedeffects.bayes.sampled import Sampled
from mixedeffects.data.frames import make_table
from mixedeffects.fitting.checks import Check
from mixedeffects.formula.design import Design
from mixedeffects.show.formats import counted

Floats = NDArray[np.float64]


class PosteriorValues:
    """The values of a posterior."""

    _sampled: Sampled

    def __init__(self, sampled: Sampled) -> None:
        self._sampled = sampled
        self._checks = check_draws(sampled)

    def __repr__(self) -> str:
        kind = "prior" if self._sampled.prior_only else "posterior"
        return (
            f"<Posterior {self.formula!r}, {self._sampled.family.describe()}: "
            f"{counted(self.nobs, 'row')}, {counted(self.chains, 'chain')} of "
            f"{counted(self.draws, 'draw')} of the {kind}>"
        )

    @property
    def design(self) -> Design:
        return self._sampled.design

    @property
    def formula(self) -> str:
        return self.design.formula

    @property
    def family(self) -> str:
        """Name of the family."""
        return self._sampled.family.name

    @property
    def nobs(self) -> int:
        return len(self.design.y)

    @property
    def n_groups(self) -> Mapping[str, int]:
        terms = self._sampled.terms
        return MappingProxyType({t.design.group: len(t.design.levels) for t in terms})

    @property
    def chains(self) -> int:
        return self._sampled.shape[0]

    @property
    def draws(self) -> int:
        return self._sampled.shape[1]

    @property
    def seed(self) -> int:
        return self._sampled.settings.seed

    @property
    def way(self) -> str:
        return self._sampled.draws.way

    @property
    def checks(self) -> tuple[Check, ...]:
        return self._checks

    @property
    def converged(self) -> bool:
        return all(check.passed for check in self._checks)

    @property
    def beta(self) -> Floats:
        return np.asarray(self._conditional.mean(axis=0))

    @property
    def sigma(self) -> float:
        sampled = self._sampled
        if sampled.draws.sigma is not None:
            return float(sampled.draws.sigma.mean())
        return float("nan") if sampled.family.has_dispersion else 1.0

    @property
    def priors(self) -> Any:
        return self._sampled.priors.table()

    @property
    def _conditional(self) -> Floats:
        """Coefficients (N, p) of the conditional predictor."""
        return self._sampled.flat_coefficients[:, self._sampled.parts[0].place]

    def _table(self, columns: Mapping[str, Any]) -> Any:
        return make_table(columns, self.design.frame)

    def _labelled(self, values: Floats) -> Any:
        index = self.design.frame.index
        if index is None:
            return values
        import pandas as pd

        return pd.Series(values, index=index[self.design.rows])
