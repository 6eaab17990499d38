"""What means and slopes are of: a fixed part, evaluated and averaged over a reference grid."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.means.averages import Margin, asked_for, average
from mixedeffects.effects.means.describe import described
from mixedeffects.effects.means.estimable import estimable
from mixedeffects.effects.means.grid import Grid, build_grid, evaluate
from mixedeffects.effects.means.inverse_link import InverseLink
from mixedeffects.effects.means.linear import texts
from mixedeffects.effects.means.means import MarginalMeans, Request, Scale
from mixedeffects.effects.means.transforms import BackTransform, back_transform
from mixedeffects.errors import ModelError
from mixedeffects.formula.design import Design
from mixedeffects.inference.freedom import AbstractFreedom

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Shift = Mapping[str, Floats]

# Share of a standard error that rounding may be.
_MOST_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class AbstractSurface(ABC):
    """Something with a value in each combination of a grid.

    Attributes
    ----------
    designs : tuple of Design
        Whose variables make the grid.
    freedom : AbstractFreedom
    """

    designs: tuple[Design, ...]
    freedom: AbstractFreedom

    @abstractmethod
    def evaluate(self, grid: Grid, shift: Shift | None = None) -> Floats:
        """Numbers (N, C) in each combination, whose averages make the estimates.

        ``shift`` (N,) is added to the values of the covariates that it names.
        """

    @abstractmethod
    def determined(self, grid: Grid, margin: Margin, mean: Callable[[Floats], Floats]) -> Mask:
        """Which of the averages (r, C) the data determine; ``mean`` averages (N, c) alike."""

    @abstractmethod
    def estimates(
        self,
        margin: Margin,
        request: Request,
        context: Sequence[str],
        by: tuple[str, ...],
        slope: str | None,
    ) -> MarginalMeans:
        """The averages (r, C) as estimates."""

    def means(self, specs: Any, by: Any, request: Request) -> MarginalMeans:
        """Means in each combination of the variables in by and specs.

        The mean offset of the rows used is part of each.

        Raises
        ------
        ModelError
            If a variable is not of the fixed part, or a mean is not estimable.
        DataError
            If ``at`` names a level or value that the variable does not take.
        """
        rows, groups = asked_for(self.designs, specs, by, request.at)
        grid = build_grid(self.designs, request.at)
        values = self.evaluate(grid)
        return self.averaged(grid, values, [*groups, *rows], request, by=tuple(groups))

    def averaged(
        self,
        grid: Grid,
        values: Floats,
        keep: Sequence[str],
        request: Request,
        *,
        by: tuple[str, ...] = (),
        slope: str | None = None,
    ) -> MarginalMeans:
        """Estimates from values (N, C), averaged over all variables but those to keep."""

        def margin_of(numbers: Floats) -> Margin:
            return average(self.designs[0], grid, numbers, keep, request.weights)

        margin = margin_of(values)
        mask = self.determined(grid, margin, lambda numbers: margin_of(numbers).L)
        kept, left_out = _estimable(margin, mask, request)
        notes = described(self.designs, grid, margin.labels, request.weights)
        context = (*notes, *left_out, f"Degrees of freedom: {self.freedom.name}")
        return self.estimates(kept, request, context, by, slope)


def _estimable(margin: Margin, mask: Mask, request: Request) -> tuple[Margin, list[str]]:
    """The rows that the data determine, and a note on the others where they may be left out."""
    if mask.all():
        return margin, []
    lost = "; ".join(_cells(margin.take(~mask)))
    if request.not_estimable == "error" or not mask.any():
        raise ModelError(
            f"Not estimable, as the data do not determine it: {lost}. Choose values with"
            " at={...}, average over the combinations that occur with weights='cells', or leave"
            " such estimates out with not_estimable='drop'."
        )
    return margin.take(mask), [f"Left out as not estimable: {lost}"]


def _cells(margin: Margin) -> Iterator[str]:
    if not margin.labels:
        yield "the overall mean"
        return
    for row in zip(*(texts(values) for values in margin.labels.values()), strict=True):
        yield ", ".join(f"{n}={v}" for n, v in zip(margin.labels, row, strict=True))


@dataclass(frozen=True, slots=True)
class LinearSurface(AbstractSurface):
    """A linear predictor xβ.

    Attributes
    ----------
    kept : ndarray of int, shape (p,)
        The columns whose coefficients ``freedom`` has.
    scale : str or None
        On which scale it is, where that is not the response's own.
    back : BackTransform, InverseLink or None
        The way to the response's scale, where that is asked for.
    """

    kept: NDArray[np.intp]
    scale: str | None
    back: BackTransform | InverseLink | None

    def evaluate(self, grid: Grid, shift: Shift | None = None) -> Floats:
        return evaluate(self.designs[0], grid, shift)

    def determined(self, grid: Grid, margin: Margin, mean: Callable[[Floats], Floats]) -> Mask:
        return estimable(self.designs[0].X, self.kept, margin.L)

    def estimates(
        self,
        margin: Margin,
        request: Request,
        context: Sequence[str],
        by: tuple[str, ...],
        slope: str | None,
    ) -> MarginalMeans:
        (design,) = self.designs
        L = margin.L[:, self.kept]
        _check_rounding(L, self.freedom, [design.x_names[i] for i in self.kept])
        constant = 0.0 if design.offset is None or slope is not None else design.offset.mean()
        named = self.back is None and self.scale is not None
        return MarginalMeans(
            labels=margin.labels,
            by=by,
            L=L,
            constant=np.full(len(L), float(constant)),
            freedom=self.freedom,
            level=request.level,
            back=self.back,
            adjust="none",
            kind="estimates",
            frame=design.frame,
            context=(*context, f"On {self.scale}") if named else tuple(context),
            slope=slope,
        )


def linear_surface(
    design: Design, freedom: AbstractFreedom, kept: NDArray[np.intp], scale: Scale
) -> LinearSurface:
    """The fixed part of a response that may be transformed.

    Raises
    ------
    ModelError
        If there is no way back from the transformation.
    """
    named = None if isinstance(design.spec.response, str) else f"the scale of {design.response}"
    back = back_transform(design) if scale == "response" else None
    return LinearSurface((design,), freedom, kept, named, back)


def _check_rounding(L: Floats, freedom: AbstractFreedom, names: Sequence[str]) -> None:
    """Refuse where rounding of L (r, p), or of its estimates, shows beside the standard errors."""
    sizes, identity = np.abs(L), np.eye(len(names))
    spread = sizes @ np.abs(freedom.inner(identity)) @ np.abs(freedom.root)
    total = np.linalg.norm(spread, axis=1) + sizes @ np.abs(freedom.beta)
    lost = np.finfo(float).eps * total > _MOST_ROUNDING * freedom.std_errors(L)
    if lost.any():
        shares = sizes[lost][0] * freedom.std_errors(identity)
        shares[[name == "Intercept" for name in names]] = 0.0
        name = names[int(shares.argmax())]
        raise ModelError(
            f"The values of {name!r} are so far from zero that rounding leaves no standard error"
            f" of a mean there. Fit with center(...) around the covariate, or subtract a constant."
        )
