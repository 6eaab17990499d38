"""Marginal means, slopes and their contrasts, with a posterior of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.summaries import summary
from mixedeffects.data.frames import make_table
from mixedeffects.effects.means.means import MarginalMeans
from mixedeffects.effects.means.noted import AbstractNoted
from mixedeffects.errors import ModelError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PosteriorMeans(AbstractNoted):
    """Estimates over a reference grid, at each draw of the posterior.

    Attributes
    ----------
    draws : ndarray, shape (r, N)
        On the scale of the table.
    null : float
        What no difference is: 1 for ratios.
    """

    linear: Any
    draws: Floats
    null: float | None

    @property
    def level(self) -> float:
        """Of the intervals."""
        return float(self.linear.level)

    @property
    def table(self) -> Any:
        """The variables' values and ``estimate std_error median conf_low conf_high``.

        Contrasts and slopes have ``probability`` too, that of being above zero, of ratios
        above one.
        """
        columns: dict[str, Any] = {**self.linear.labels, **summary(self.draws.T, self.level)}
        if self.null is not None:
            columns["probability"] = np.mean(self.draws > self.null, axis=1)
        return make_table(columns, self.linear.frame)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the table should know."""
        ignored = ("P values and limits are",)
        return tuple(note for note in self.linear.notes if not note.startswith(ignored))

    def contrast(
        self,
        method: Any = "pairwise",
        *,
        ref: Any = None,
        by: str | Sequence[str] | None = None,
        interaction: bool = False,
        level: float | None = None,
    ) -> PosteriorMeans:
        """Contrasts among the estimates of each family, at each draw.

        Parameters
        ----------
        method, ref, by, interaction
            As of a fit's means: ``"pairwise" "revpairwise" "treatment" "consecutive"
            "polynomial" "sum"`` or own coefficients.
        level
            Of the intervals; that of the estimates where omitted. Intervals and probabilities
            are each contrast's own: a posterior needs no adjustment for their number.

        Raises
        ------
        ModelError
            If coefficients do not fit.
        """
        made = self.linear.contrast(
            method, ref=ref, by=by, adjust="none", interaction=interaction, level=level
        )
        return of_linear(made, contrasts=True)

    def probability(self, above: float = 0.0) -> Floats:
        """Posterior probability (r,) that each estimate lies above a number."""
        if not np.isfinite(above):
            raise ModelError(f"above={above!r} is not a finite number.")
        return np.asarray(np.mean(self.draws > above, axis=1))


def of_linear(made: Any, contrasts: bool = False) -> PosteriorMeans:
    """Means or contrasts whose coefficients L (r, N) are draws, on the scale of their table."""
    draws = made.L if made.back is None else made.back(made.L)[0]
    compares = contrasts or (isinstance(made, MarginalMeans) and made.slope is not None)
    null = None
    if compares:
        null = 0.0 if made.back is None else 1.0
    return PosteriorMeans(made, draws, null)
