"""Estimates over a reference grid: marginal means and slopes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import make_table
from mixedeffects.effects.means.adjustments import adjustment
from mixedeffects.effects.means.averages import Weights
from mixedeffects.effects.means.contrasts import AbstractComparable
from mixedeffects.effects.means.letters import letters
from mixedeffects.errors import ModelError
from mixedeffects.families.links import AbstractLink

Floats = NDArray[np.float64]
Scale = Literal["link", "response"]
NotEstimable = Literal["error", "drop"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class MarginalMeans(AbstractComparable):
    """Marginal means, or slopes, with intervals.

    Attributes
    ----------
    slope : str or None
        The variable whose slopes these are.
    link : AbstractLink or None
        Of estimates on the response's scale: where their limits lie symmetrically.
    """

    slope: str | None
    link: AbstractLink | None = None

    @property
    def table(self) -> Any:
        """The variables' values and ``estimate std_error df conf_low conf_high``.

        Slopes have ``statistic`` and ``p_value`` too.
        """
        return make_table(self.columns(tests=self.slope is not None), self.frame)

    @property
    def notes(self) -> tuple[str, ...]:
        return self.context if self.back is None else (*self.context, self.back.note)

    def limits(self, estimate: Floats, half: Floats) -> tuple[Floats, Floats]:
        if self.link is None:
            return AbstractComparable.limits(self, estimate, half)
        with np.errstate(divide="ignore", invalid="ignore"):
            eta = self.link.forward(estimate)
            width = half / np.abs(self.link.slopes(eta)[0])
            ends = self.link.inverse(eta - width), self.link.inverse(eta + width)
        low, high = (np.where(half > 0.0, end, estimate) for end in ends)
        return np.minimum(low, high), np.maximum(low, high)

    def letters(self, alpha: float | None = None, adjust: str = "tukey") -> Any:
        """The table with a column ``letters``: what shares one does not differ significantly.

        ``a`` stands at the smallest estimate of each family. A shared letter is no proof of
        equality.

        Parameters
        ----------
        alpha
            Level of the pairwise tests; 1 less that of the intervals where omitted.
        adjust
            As in ``contrast``.
        """
        alpha = 1.0 - self.level if alpha is None else alpha
        if not 0.0 < alpha < 1.0:
            raise ModelError(f"alpha={alpha!r} is not between 0 and 1.")
        pairs = self.contrast("pairwise", adjust=adjust)
        t = pairs.estimate / pairs.std_error
        p = pairs.p_values(t, adjustment(adjust, "pairwise"))
        shown = np.full(len(self.L), "a", dtype=object)
        several = [rows for rows in self.families() if len(rows) > 1]
        for rows, tests in zip(several, pairs.families(), strict=True):
            first, second = np.triu_indices(len(rows), 1)
            differing = [
                (int(i), int(j))
                for i, j, own in zip(first, second, p[tests], strict=True)
                if own < alpha
            ]
            order = np.argsort(self.estimate[rows], kind="stable").tolist()
            shown[rows] = letters(order, differing)
        columns = self.columns(tests=self.slope is not None)
        return make_table({**columns, "letters": shown}, self.frame)


@dataclass(frozen=True, slots=True)
class Request:
    """How to average: see ``MixedFit.emmeans``."""

    at: Mapping[str, Any] | None
    weights: Weights
    level: float
    not_estimable: NotEstimable
