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
from mixedeffects.inference.wald import check_level, quantile

Floats = NDArray[np.float64]


NONE = "The model has no random effects to draw."


@dataclass(frozen=True, slots=True)
class Labels:
    """Predictor and group of a random term, names (k,) of its columns, its levels (L,)."""

    component: str
    group: str
    names: tuple[str, ...]
    levels: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Effect:
    """One random effect: of a group, by a column.

    ``levels`` (L,) as text; ``modes`` (L,), with intervals from ``low`` to ``high``; ``number``
    and ``column``, where it is among the model's terms.
    """

    component: str
    group: str
    term: str
    levels: NDArray[Any]
    modes: Floats
    low: Floats
    high: Floats
    number: int
    column: int

    @property
    def place(self) -> str:
        """The group, with the predictor where it is not the conditional one."""
        if self.component == "conditional":
            return self.group
        return f"{self.group} ({self.component.replace('_', ' ')})"


def effects_of(fit: Fit | GeneralFit, level: float = 0.95) -> list[Effect]:
    """All random effects of a fit, those of ``ranef()``, with conditional intervals.

    Raises
    ------
    ModelError
        If it has none.
    """
    check_level(level)
    terms = [Labels(t.component, t.group, t.names, t.levels) for t in fit.estimates.terms]
    if not terms:
        raise ModelError(NONE)
    table = modes_table(fit.estimates, fit.factor)
    half = quantile(np.inf, level) * table["std_error"]
    modes = table["estimate"]
    return listed_effects(terms, modes, modes - half, modes + half)


def listed_effects(
    terms: Sequence[Labels], modes: Floats, low: Floats, high: Floats
) -> list[Effect]:
    """Effects of terms, whose values stand one after the other, columns varying fastest."""
    found, first = [], 0
    for number, term in enumerate(terms):
        k = len(term.names)
        own = slice(first, first + len(term.levels) * k)
        first = own.stop
        at, below, above = (part[own].reshape(-1, k) for part in (modes, low, high))
        levels = level_text(term.levels)
        found += [
            Effect(
                term.component,
                term.group,
                name,
                levels,
                at[:, j],
                below[:, j],
                above[:, j],
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
