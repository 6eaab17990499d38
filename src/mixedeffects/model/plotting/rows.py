"""Pictures of how well a fit describes its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixedeffects.errors import ModelError
from mixedeffects.inference.streams import Seed
from mixedeffects.model.plotting.kinds import PlotNumbers
from mixedeffects.show.plots import influence, qq, residuals, simulated_residuals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class RowPlots(PlotNumbers):
    """Residuals and influence."""

    def residuals(self, kind: str | None = None, *, seed: int = 0, ax: Axes | None = None) -> Axes:
        """Residuals against fitted values, with a smooth; the farthest by name.

        Parameters
        ----------
        kind
            As in ``fit.residuals``. ``"standardized"`` where omitted, or for generalized fits
            ``"quantile"`` (Dunn and Smyth 1996) on the normal scale: those are drawn against
            the population's prediction, or the rows where that is constant.
        seed
            Of quantile residuals of discrete responses.
        ax
            Axes to draw on; those of a new figure where omitted.

        Raises
        ------
        ModelError
            If the fit has no such residuals.
        """
        return residuals.residuals_against_fitted(self._cloud(kind, seed), ax)

    def scale_location(
        self, kind: str | None = None, *, seed: int = 0, ax: Axes | None = None
    ) -> Axes:
        """Roots of the residuals' sizes against fitted values: level where the spread is.

        Parameters are those of ``residuals``.
        """
        return residuals.scale_location(self._cloud(kind, seed), ax)

    def qq(self, kind: str | None = None, *, seed: int = 0, ax: Axes | None = None) -> Axes:
        """Residuals against normal quantiles, with the band of independent values.

        Parameters are those of ``residuals``.

        Raises
        ------
        ModelError
            For residuals that are not of unit variance.
        """
        cloud = self._cloud(kind, seed)
        if not cloud.unit:
            raise ModelError(
                f"kind={kind!r} has no unit variance to be compared with normal quantiles: leave it"
                " out, or use 'quantile'."
            )
        return qq.residual_qq(cloud, ax)

    def simulated_residuals(
        self, n: int | None = None, *, seed: Seed = None, group: str | None = None
    ) -> Figure:
        """Quantile residuals with tests against data sets simulated from the fit and fitted.

        Parameters
        ----------
        n, seed, group
            As in ``fit.simulated_residuals``.
        """
        options = {} if n is None else {"n": n}
        found = self._face.simulated_residuals(**options, seed=seed, group=group)
        return simulated_residuals.simulated_residuals(found)

    def influence(self, group: str | None = None, *, ax: Axes | None = None) -> Axes:
        """Cook's distances of the fixed effects, by row or by level of a group.

        Parameters
        ----------
        group
            As in ``fit.influence``: of a generalized fit each row, where none is named, is a
            fit of its own.
        ax
            Axes to draw on; those of a new figure where omitted.
        """
        return influence.influence(self._face.influence(group), ax)
