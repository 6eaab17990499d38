"""What means and slopes of a posterior are of: functions of the predictors at each draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.predictors import EVERY, Effects, per_draw, predictors
from mixedeffects.bayes.sampled import Part, Sampled, flat
from mixedeffects.effects.general_rows import GeneralRows
from mixedeffects.effects.general_targets import Component, Target, target_of
from mixedeffects.effects.means.averages import Margin
from mixedeffects.effects.means.estimable import estimable
from mixedeffects.effects.means.general_surfaces import (
    LATENT,
    base_of,
    follows_link,
    has_random,
    inverse_of,
    meaning,
    threshold_shares,
)
from mixedeffects.effects.means.grid import Grid, evaluate
from mixedeffects.effects.means.inverse_link import InverseLink, at_zero
from mixedeffects.effects.means.means import MarginalMeans, Request, Scale
from mixedeffects.effects.means.response_surface import with_categories
from mixedeffects.effects.means.surface import AbstractSurface, Mask, Shift
from mixedeffects.effects.means.transforms import BackTransform, back_transform
from mixedeffects.errors import ModelError
from mixedeffects.families import Cumulative
from mixedeffects.inference.freedom import AbstractFreedom, Asymptotic

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DrawnSurface(AbstractSurface):
    """A function of the linear predictors at random effects of zero, at each of N draws.

    Its numbers are the N values, of K categories each where the response has these.

    Attributes
    ----------
    sampled : Sampled
    target : Target
    parts : tuple of Part
        The predictors that it depends on.
    latent : bool
        Whether the thresholds' mean is its zero.
    back : BackTransform, InverseLink or None
        The way to the response's scale, where averages are to go it.
    note : str or None
        What it is.
    """

    sampled: Sampled
    target: Target
    parts: tuple[Part, ...]
    latent: bool
    back: BackTransform | InverseLink | None
    note: str | None

    def evaluate(self, grid: Grid, shift: Shift | None = None) -> Floats:
        n = math.prod(grid.shape)
        eta = predictors(self.sampled, self._rows(grid, shift, n), EVERY, Effects(None))
        values = per_draw(self.target.value, eta)
        if self.latent:
            family, n_categories = self.sampled.family, self.sampled.response.n_categories
            shares = threshold_shares(family, n_categories)
            values = values - (flat(self.sampled.draws.extras) @ shares)[:, None]
        return np.moveaxis(values, 0, 1).reshape(n, -1)

    def _rows(self, grid: Grid, shift: Shift | None, n: int) -> GeneralRows:
        sampled = self.sampled
        X = np.ones((n, sampled.parts[-1].place.stop))
        names = [part.name for part in self.parts]
        offsets: list[Floats | None] = []
        for part in sampled.parts:
            own, offset = part.design, None
            if own is not None and part.name in names:
                X[:, part.place] = evaluate(own, grid, shift)[:, part.kept]
                offset = None if own.offset is None else np.full(n, float(own.offset.mean()))
            offsets.append(offset)
        every = np.ones(n, dtype=bool)
        return GeneralRows(X, tuple(offsets), (), (), (), None, every, sampled.design.frame)

    def determined(self, grid: Grid, margin: Margin, mean: Callable[[Floats], Floats]) -> Mask:
        found = np.ones(len(margin.L), dtype=bool)
        linear = self.target.plain and self.target.link.name == "identity"
        for part in self.parts:
            if part.design is None:
                continue
            stands_in = self.sampled.family.has_thresholds and part.name == "conditional"
            kept = np.append(0, part.kept) if stands_in and part.design.has_intercept else part.kept
            cells = evaluate(part.design, grid)
            if linear:
                found &= estimable(part.design.X, kept, mean(cells))
            else:
                known = estimable(part.design.X, kept, cells)
                found &= mean(np.where(known, 0.0, 1.0)[:, None])[:, 0] == 0.0
        return found

    def estimates(
        self,
        margin: Margin,
        request: Request,
        context: Sequence[str],
        by: tuple[str, ...],
        slope: str | None,
    ) -> MarginalMeans:
        design, size = self.sampled.design, self.sampled.size
        values = margin.L.reshape(len(margin.L), size, -1)
        several = values.shape[2] > 1
        draws = np.moveaxis(values, 1, 2).reshape(-1, size)
        labels = margin.labels
        if several:
            labels = with_categories(labels, design.categories, design.response)
        told = [note for note in context if not note.startswith("Degrees of freedom")]
        return MarginalMeans(
            labels=labels,
            by=(*by, *(name for name in labels if name not in margin.labels)),
            L=draws,
            constant=np.zeros(len(draws)),
            freedom=self.freedom,
            level=request.level,
            back=self.back,
            adjust="none",
            kind="estimates",
            frame=design.frame,
            context=(*told, *((self.note,) if self.note else ())),
            slope=slope,
        )


def drawn_surface(
    sampled: Sampled, component: Component, scale: Scale, *, straight: bool = False
) -> DrawnSurface:
    """What to average: a linear predictor, maybe with its way back, or the response.

    ``straight``: whether only numbers on the scale asked for will do, as slopes need.

    Raises
    ------
    ModelError
        If the model has no such component, or it has no such scale.
    """
    family, response = sampled.family, sampled.response
    target = target_of(family, response, component, scale)
    one = follows_link(family, component)
    if scale == "link" and not one and component == "response":
        raise ModelError(
            "component='response' depends on several predictors, so it has no link: pass"
            " scale='response', or component='conditional'."
        )
    if scale == "link" or (one and not (straight and _bends(sampled, component))):
        return _predictor(sampled, component, scale)
    parts = tuple(p for p in sampled.parts if p.design is not None and _matters(sampled, target, p))
    of_what = family, sampled.design, component
    note = f"Averages of {at_zero(meaning(*of_what), has_random(*of_what))}"
    return _surface(sampled, target, parts, None, note)


def _bends(sampled: Sampled, component: Component) -> bool:
    return inverse_of(sampled.family, sampled.design, component).link.name != "identity"


def _predictor(sampled: Sampled, component: Component, scale: Scale) -> DrawnSurface:
    """One linear predictor, maybe with the way back from it."""
    name = "conditional" if component == "response" else component
    part = next(p for p in sampled.parts if p.name == name)
    if part.design is None:
        raise ModelError(
            f"component={component!r} is the same for all rows, as it has no formula: fixef() has"
            " its estimate."
        )
    family, design = sampled.family, sampled.design
    target = target_of(family, sampled.response, name, "link")
    if isinstance(family, Cumulative):
        if not design.has_intercept:
            raise ModelError(
                "The thresholds stand in for the intercept, which the formula leaves out: write it"
                " without '0 +' to have means on the latent scale."
            )
        return _surface(sampled, target, (part,), None, f"On {LATENT}", latent=True)
    back = inverse_of(family, design, component)
    if back.link.name == "identity" and family.response_kind == "numeric":
        plain = isinstance(part.design.spec.response, str)
        named = None if plain else f"On the scale of {design.response}"
        way = back_transform(part.design) if scale == "response" else None
        return _surface(sampled, target, (part,), way, None if way else named)
    of_what = base_of(family).dispersion if component == "dispersion" else back.target
    if scale == "response":
        return _surface(sampled, target, (part,), back, None)
    return _surface(sampled, target, (part,), None, f"On the {back.link.name} scale of {of_what}")


def _surface(
    sampled: Sampled,
    target: Target,
    parts: tuple[Part, ...],
    back: BackTransform | InverseLink | None,
    note: str | None,
    latent: bool = False,
) -> DrawnSurface:
    designs = tuple(part.design for part in parts if part.design is not None)
    return DrawnSurface(
        designs, _over_draws(sampled.size), sampled, target, parts, latent, back, note
    )


def _over_draws(size: int) -> AbstractFreedom:
    """By which Lβ̂ of draws L (r, N) is their mean."""
    share = np.full(size, 1.0 / size)
    return Asymptotic(share, np.eye(1), np.eye(1), np.inf)


def _matters(sampled: Sampled, target: Target, part: Part) -> bool:
    """Whether a target depends on a predictor, at the first draw."""
    place = sampled.family.predictors().index(part.name)
    eta = [np.zeros(1) for _ in sampled.parts]
    eta += [np.asarray(psi) for psi in sampled.unconstrained_extras[0]]
    return place == target.place or bool(np.asarray(target.slopes(eta))[..., place].any())
