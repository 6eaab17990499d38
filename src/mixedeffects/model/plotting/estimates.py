"""Pictures of what was estimated of the population."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mixedeffects.effects.means.averages import names_of
from mixedeffects.effects.predict import Interval
from mixedeffects.effects.typical import crossed_rows, typical_row
from mixedeffects.errors import ModelError
from mixedeffects.inference.wald import check_level, coefficient_table
from mixedeffects.model.options import check_option
from mixedeffects.model.plotting.curves import curves_of, default_values, held_text
from mixedeffects.model.plotting.kinds import PlotNumbers
from mixedeffects.show.plots import fixed_effects, means, predictions, profile
from mixedeffects.show.plots.figures import one_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class EstimatePlots(PlotNumbers):
    """Coefficients, profiles, means, predictions."""

    def fixed_effects(
        self,
        terms: str | Sequence[str] | None = None,
        *,
        df: str | None = None,
        level: float = 0.95,
        ax: Axes | None = None,
    ) -> Axes:
        """Coefficients with their intervals, one in each row: a forest.

        Parameters
        ----------
        terms
            Names as in ``fixef()``, after ``"zero_inflation: "`` and the like where they belong
            to another predictor; all but intercepts where omitted.
        df, level
            As in ``fixef``.
        ax
            Axes to draw on; those of a new figure where omitted.

        Raises
        ------
        ModelError
            If a term is not in the model.

        Examples
        --------
        >>> import mixedeffects as me
        >>> fit = me.fit("distance ~ age * Sex + (age | Subject)", me.datasets.load("orthodont"))
        >>> ax = fit.plot.fixed_effects()
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['age:Sex[T.Female]', 'Sex[T.Female]', 'age']
        """
        table = coefficient_table(self._fit.estimates, self._face._freedom(df), level)
        return fixed_effects.fixed_effects(table, terms, level, self._scale, ax)

    def profile(
        self,
        parameters: str | Sequence[str] | None = None,
        *,
        kind: str = "zeta",
        ax: Axes | None = None,
    ) -> Axes | Figure:
        """Profile likelihood of each parameter.

        Parameters
        ----------
        parameters
            Names, as ``confint()`` gives them in the column ``term``; all where omitted.
        kind
            ``"zeta"``: the signed root of the likelihood ratio statistic, straight where the
            likelihood is that of a normal distribution. ``"density"``: that of a parameter for
            which ζ is standard normal.
        ax
            Axes to draw on, for one parameter; those of a new figure where omitted.

        Returns
        -------
        Axes, or the Figure of several

        Raises
        ------
        ModelError
            If a parameter is not known.
        """
        check_option("kind", kind, ("zeta", "density"))
        found = self._face.profile(parameters)
        one_plot(ax, len(found.curves), "parameters=")
        return profile.profile(found, kind, ax)

    def means(
        self,
        specs: str | Sequence[str],
        by: str | Sequence[str] | None = None,
        *,
        ax: Axes | None = None,
        **options: Any,
    ) -> Axes:
        """Estimated marginal means with their intervals, the values of ``by`` in colours.

        Parameters
        ----------
        specs, by
            As in ``fit.emmeans``.
        ax
            Axes to draw on; those of a new figure where omitted.
        **options
            Others of ``fit.emmeans``: ``at weights df level scale component``.
        """
        found = self._face.emmeans(specs, by, **options)
        response = options.get("scale") == "response"
        return means.means(found, self._y_name if response else self._link_name, ax)

    def contrasts(
        self,
        specs: str | Sequence[str],
        by: str | Sequence[str] | None = None,
        method: Any = "pairwise",
        *,
        adjust: str | None = None,
        ax: Axes | None = None,
        **options: Any,
    ) -> Axes:
        """Contrasts of marginal means with their intervals, and the line at no difference.

        Parameters
        ----------
        specs, by
            As in ``fit.emmeans``.
        method, adjust
            As in its ``contrast()``.
        ax
            Axes to draw on; those of a new figure where omitted.
        **options
            Others of ``fit.emmeans``: ``at weights df level scale component``.
        """
        found = self._face.emmeans(specs, by, **options).contrast(method, adjust=adjust)
        return means.contrasts(found, ", ".join(names_of("specs", specs)), ax)

    def predictions(
        self,
        x: str,
        by: str | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        interval: Interval | None = "confidence",
        level: float = 0.95,
        ax: Axes | None = None,
    ) -> Axes:
        """Predictions for the population over one variable, with the data behind them.

        Parameters
        ----------
        x
            A variable of the fixed part.
        by
            Another, whose levels have a curve each; of a covariate its mean and one standard
            deviation to both sides, where ``at`` has no values of it.
        at
            Values of variables; others are at their means or most frequent levels.
        interval
            ``"confidence"`` of the mean, ``"prediction"`` of a new observation in a new group,
            or None.
        level
            Of the interval.
        ax
            Axes to draw on; those of a new figure where omitted.

        Raises
        ------
        ModelError
            If a variable is not in the fixed part.

        Examples
        --------
        >>> import mixedeffects as me
        >>> fit = me.fit("distance ~ age * Sex + (age | Subject)", me.datasets.load("orthodont"))
        >>> ax = fit.plot.predictions("age", by="Sex")
        >>> ax.get_legend_handles_labels()[1]
        ['Male', 'Female']
        """
        check_option("interval", interval, ("confidence", "prediction", None))
        check_level(level)
        design = self._fit.design
        ordinal = self._fit.family.response_kind == "ordinal"
        if ordinal and by is not None:
            raise ModelError(
                "Each category has a curve of its own, so that there is no by=: hold the variable"
                f" at one of its values with at={{{by!r}: ...}}, one plot each."
            )
        if interval == "prediction" and design.trials is not None:
            raise ModelError(
                "How a new proportion varies depends on its trials, which differ: draw"
                " interval='confidence' of its mean, or tabulate fit.predict(..., trials=)."
            )
        chosen = default_values(design, x, by, at)
        typical = typical_row(design, design.rows)
        columns, values = crossed_rows(design, chosen, typical)
        found = self._predicted(columns, interval, level)
        curves, levels = curves_of(design, x, by, columns, values, found)
        return predictions.predictions(
            predictions.Predictions(
                x,
                self._y_name,
                by,
                curves,
                levels,
                interval,
                level,
                held_text(values, x, by),
            ),
            ax,
        )

    @property
    def _link_name(self) -> str:
        link = self._fit.family.link
        return self._y_name if link == "identity" else f"{link} of {self._y_name}"
