"""Marginal means: predictions of the fixed part averaged over a reference grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import make_table
from mixedeffects.effects.means.adjustments import adjustment
from mixedeffects.effects.means.averages import Margin, Weights, asked_for, average
from mixedeffects.effects.means.contrasts import AbstractComparable
from mixedeffects.effects.means.describe import described
from mixedeffects.effects.means.estimable import estimable
from mixedeffects.effects.means.grid import Grid, build_grid, evaluate
from mixedeffects.effects.means.letters import letters
from mixedeffects.effects.means.linear import texts
from mixedeffects.effects.means.transforms import BackTransform, back_transform
from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.inference.freedom import AbstractFreedom

Floats = NDArray[np.float64]
Scale = Literal["link", "response"]
NotEstimable = Literal["error", "drop"]

# Share of a standard error that rounding may be.
_MOST_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class MarginalMeans(AbstractComparable):
    """Marginal means, or slopes, with intervals.

    Attributes
    ----------
    slope : str or None
        The variable whose slopes these are.
    """

    slope: str | None

    @property
    def table(self) -> Any:
        """The variables' values and ``estimate std_error df conf_low conf_high``.

        Slopes have ``statistic`` and ``p_value`` too.
        """
        return make_table(self.columns(tests=self.slope is not None), self.frame)

    @property
    def notes(self) -> tuple[str, ...]:
        if self.back is None:
            return self.context
        scale = f"Back-transformed to {self.back.target}: medians there, not means"
        return (*self.context, scale)

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


def marginal_means(
    fit: Fit, freedom: AbstractFreedom, specs: Any, by: Any, scale: Scale, request: Request
) -> MarginalMeans:
    """Means of the fixed part in each combination of the variables in by and specs.

    The mean offset of the rows used is part of each.

    Raises
    ------
    ModelError
        If a variable is not of the fixed part, or a mean is not estimable.
    DataError
        If ``at`` names a level or value that the variable does not take.
    """
    design = fit.design
    rows, groups = asked_for(design, specs, by, request.at)
    grid = build_grid(design, request.at)
    X = evaluate(design, grid)
    margin = average(design, grid, X, [*groups, *rows], request.weights)
    kept, dropped = estimated(fit, margin, request)
    back = back_transform(design) if scale == "response" else None
    return finished(fit, freedom, grid, kept, request, dropped, by=tuple(groups), back=back)


def estimated(fit: Fit, margin: Margin, request: Request) -> tuple[Margin, list[str]]:
    """The rows that the data determine, and a note on the others where they may be left out."""
    mask = estimable(fit.design.X, fit.estimates.kept, margin.L)
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


def finished(
    fit: Fit,
    freedom: AbstractFreedom,
    grid: Grid,
    margin: Margin,
    request: Request,
    context: Sequence[str],
    *,
    by: tuple[str, ...] = (),
    back: BackTransform | None = None,
    slope: str | None = None,
) -> MarginalMeans:
    """What is estimated, as means or, of a variable, as slopes."""
    L = margin.L[:, fit.estimates.kept]
    _check_rounding(L, freedom, fit.estimates.x_names)
    offset = fit.design.offset
    constant = 0.0 if offset is None or slope is not None else float(offset.mean())
    notes = described(fit.design, grid, margin.labels, request.weights, back is None)
    return MarginalMeans(
        labels=margin.labels,
        by=by,
        L=L,
        constant=np.full(len(margin.L), constant),
        freedom=freedom,
        level=request.level,
        back=back,
        adjust="none",
        kind="estimates",
        frame=fit.design.frame,
        context=(*notes, *context, f"Degrees of freedom: {freedom.name}"),
        slope=slope,
    )
