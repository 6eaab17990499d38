"""Means on the scale of the response, where they depend on several linear predictors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.columns import object_array
from mixedeffects.effects.general_rows import GeneralRows, linear_predictors, predictor_columns
from mixedeffects.effects.general_targets import Target
from mixedeffects.effects.means.averages import Margin
from mixedeffects.effects.means.estimable import estimable
from mixedeffects.effects.means.grid import Grid, evaluate
from mixedeffects.effects.means.linear import Labels
from mixedeffects.effects.means.means import MarginalMeans, Request
from mixedeffects.effects.means.surface import AbstractSurface, Floats, Mask, Shift
from mixedeffects.fitting.general_estimates import coefficient_covariance, root_of
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.formula.design import Design


@dataclass(frozen=True, slots=True)
class Part:
    """A linear predictor that a response depends on: its design and columns with coefficients."""

    design: Design
    kept: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class ResponseSurface(AbstractSurface):
    """A function of the linear predictors at random effects of zero, or one for each category.

    Numbers are the derivatives of each of the K values by all P coefficients, then the value.

    Attributes
    ----------
    fit : GeneralFit
    target : Target
    parts : tuple of Part or None, one a predictor
        None for those that it does not depend on, or that are constants.
    note : str
        What it is.
    """

    fit: GeneralFit
    target: Target
    parts: tuple[Part | None, ...]
    note: str

    def evaluate(self, grid: Grid, shift: Shift | None = None) -> Floats:
        matrices = [None if p is None else evaluate(p.design, grid, shift) for p in self.parts]
        n = math.prod(grid.shape)
        offsets = tuple(None if p is None else _mean_offset(p.design, n) for p in self.parts)
        X = predictor_columns(self.fit, matrices, n)
        none = np.ones(n, dtype=bool)
        rows = GeneralRows(X, offsets, (), (), (), None, none, self.designs[0].frame)
        eta = linear_predictors(self.fit, rows, [])
        value, slopes = self.target.value(eta), self.target.slopes(eta)
        if value.ndim == 1:
            value, slopes = value[:, None], slopes[:, None]
        jacobian = np.empty((*value.shape, X.shape[1]))
        for a, predictor in enumerate(self.fit.problem.predictors):
            own = predictor.coefficients
            jacobian[..., own] = slopes[..., a, None] * X[:, None, own]
        return np.concatenate([jacobian, value[..., None]], axis=-1).reshape(n, -1)

    def determined(self, grid: Grid, margin: Margin, mean: Callable[[Floats], Floats]) -> Mask:
        found = np.ones(len(margin.L), dtype=bool)
        for part in self.parts:
            if part is not None:
                known = estimable(part.design.X, part.kept, evaluate(part.design, grid))
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
        columns = self.fit.problem.n_fixed + 1
        numbers = margin.L.reshape(-1, columns)
        count = len(numbers)
        names = self.fit.design.categories if count > len(margin.L) else ()
        labels = with_categories(margin.labels, names, self.fit.design.response)
        covariance = coefficient_covariance(self.fit.problem, self.fit.solution)
        return MarginalMeans(
            labels=labels,
            by=(*by, *(name for name in labels if name not in margin.labels)),
            L=np.eye(count),
            constant=np.zeros(count),
            freedom=replace(
                self.freedom,
                beta=numbers[:, -1],
                map=np.eye(count),
                root=numbers[:, :-1] @ root_of(covariance),
            ),
            level=request.level,
            back=None,
            adjust="none",
            kind="estimates",
            frame=self.designs[0].frame,
            context=(*context, self.note),
            slope=slope,
            link=self.target.link if slope is None else None,
        )


def _mean_offset(design: Design, n: int) -> Floats | None:
    return None if design.offset is None else np.full(n, design.offset.mean())


def with_categories(labels: Labels, names: Sequence[str], response: str) -> Labels:
    """Each row once a category."""
    if not names:
        return labels
    own = "category" if "category" not in labels else response
    count = len(next(iter(labels.values()))) if labels else 1
    repeated: dict[str, Any] = {n: np.repeat(values, len(names)) for n, values in labels.items()}
    return {**repeated, own: object_array(list(names) * count)}
