"""Which random effects a plot shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import level_text
from mixedeffects.effects.random import modes_table
from mixedeffects.errors import ModelError, suggestion
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Effect:
    """One random effect: of a group, by a column.

    ``levels`` (L,) as text; ``modes`` and ``std_error`` (L,); ``sd``, the estimated standard
    deviation; ``number`` and ``column``, where it is among the fit's terms.
    """

    component: str
    group: str
    term: str
    levels: NDArray[Any]
    modes: Floats
    std_error: Floats
    sd: float
    number: int
    column: int

    @property
    def place(self) -> str:
        """The group, with the predictor where it is not the conditional one."""
        if self.component == "conditional":
            return self.group
        return f"{self.group} ({self.component.replace('_', ' ')})"


def effects_of(fit: Fit | GeneralFit) -> list[Effect]:
    """All random effects of a fit, those of ``ranef()``.

    Raises
    ------
    ModelError
        If it has none.
    """
    if not fit.estimates.terms:
        raise ModelError("The model has no random effects to draw.")
    table = modes_table(fit.estimates, fit.factor)
    found, first = [], 0
    for number, term in enumerate(fit.estimates.terms):
        size, k = term.modes.size, len(term.names)
        errors = table["std_error"][first : first + size].reshape(-1, k)
        first += size
        found += [
            Effect(
                term.component,
                term.group,
                name,
                level_text(term.levels),
                term.modes[:, j],
                errors[:, j],
                float(np.sqrt(term.covariance[j, j])),
                number,
                j,
            )
            for j, name in enumerate(term.names)
        ]
    return found


def chosen_effects(
    effects: Sequence[Effect], group: str | None = None, term: str | None = None
) -> list[Effect]:
    """Those of a group, by a column.

    Raises
    ------
    ModelError
        If there are none.
    """
    found = list(effects)
    for what, name in (("group", group), ("term", term)):
        if name is None:
            continue
        known = list(dict.fromkeys(getattr(effect, what) for effect in found))
        if name not in known:
            raise ModelError(
                f"{what}={name!r} has no random effects: choose one of"
                f" {', '.join(map(repr, known))}.{suggestion(str(name), known)}"
            )
        found = [effect for effect in found if getattr(effect, what) == name]
    return found


def by_place(effects: Sequence[Effect]) -> dict[str, list[Effect]]:
    """The effects of each group together."""
    places: dict[str, list[Effect]] = {}
    for effect in effects:
        places.setdefault(effect.place, []).append(effect)
    return places
