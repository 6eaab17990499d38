"""Intervals of what was estimated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mixedeffects.errors import ModelError
from mixedeffects.inference.bootstrap import bootstrap_intervals
from mixedeffects.inference.intervals import interval_table, profile_intervals, wald_intervals
from mixedeffects.inference.parameters import chosen, natural_parameters
from mixedeffects.inference.profile_curves import Profile, profile_curves
from mixedeffects.inference.streams import Seed
from mixedeffects.model.options import check_option
from mixedeffects.model.resampling import run_bootstrap
from mixedeffects.model.values import Values


class Intervals(Values):
    """Wald, profile and bootstrap intervals."""

    def confint(
        self,
        method: str = "wald",
        level: float = 0.95,
        df: str | None = None,
        parameters: str | Sequence[str] | None = None,
        n: int | None = None,
        seed: Seed = None,
    ) -> Any:
        """Confidence intervals of coefficients, standard deviations, correlations and σ.

        Parameters
        ----------
        method
            ``"wald"``: from the curvature at the estimates; t intervals of coefficients,
            standard deviations on the log scale, correlations on Fisher's z scale; at a
            boundary (zero, ±1) there are none, and a warning says so.
            ``"profile"``: where the likelihood ratio test would just not reject (Venzon and
            Moolgavkar 1988); each limit is solved for, and one that the likelihood never
            excludes is the bound itself (0, ±1). Always by maximum likelihood, also when the
            fit is by REML.
            ``"bootstrap"``: percentiles of the estimates on responses drawn from the model; see
            ``bootstrap()`` for other kinds.
        level
            Of each interval, between 0 and 1.
        df
            Degrees of freedom of the coefficients' Wald intervals, as in ``fixef``.
        parameters
            Names, as in the column ``term``; all when left out.
        n, seed
            Of the bootstrap: the number of draws, 1,000 when left out, and their seed.

        Returns
        -------
        table
            Columns ``term kind group term1 term2 estimate conf_low conf_high``: coefficients,
            then each random term's standard deviations and correlations, then ``sigma``. The
            term is unique (``"Days"``, ``"sd(Days | Subject)"``); kind is ``fixed``, ``sd``,
            ``corr`` or ``sigma``; group, term1 and term2 are those of ``varcorr()``. A
            structure's common parameter has one row. Where the model has several linear
            predictors ``component`` comes first, and the terms of all but the conditional one
            begin with it: ``"zero_inflation: Intercept"``. ``sigma`` is then the dispersion that
            all rows share, a function of its coefficient.

        Raises
        ------
        ModelError
            If an option or a parameter is not known.

        Examples
        --------
        >>> import mixedeffects as me
        >>> fit = me.fit("Reaction ~ Days + (1 | Subject)", me.datasets.load("sleepstudy"))
        >>> table = fit.confint(method="profile")
        >>> table[["term", "conf_low", "conf_high"]].round(2)
                              term  conf_low  conf_high
        0                Intercept    231.99     270.82
        1                     Days      8.89      12.05
        2  sd(Intercept | Subject)     26.01      52.94
        3                    sigma     27.81      34.59
        """
        check_option("method", method, ("wald", "profile", "bootstrap"))
        asked = chosen(natural_parameters(self._fit), parameters)
        if method != "bootstrap" and (n, seed) != (None, None):
            raise ModelError(f"n and seed belong to method='bootstrap', not to {method!r}.")
        if method == "wald":
            limits = wald_intervals(self._fit, asked, level, self._freedom(df))
        else:
            _refuse_freedom(method, df)
            if method == "profile":
                limits = profile_intervals(self._fit, asked, level)
            else:
                drawn = run_bootstrap(type(self), self._fit, 1000 if n is None else n, seed=seed)
                limits = bootstrap_intervals(drawn, asked, level)
        return self._table(interval_table(self._fit, asked, limits))

    def profile(self, parameters: str | Sequence[str] | None = None) -> Profile:
        """Profile likelihood along each parameter, for plots.

        Always by maximum likelihood, also when the fit is by REML.

        Parameters
        ----------
        parameters
            Names, as ``confint()`` gives them in the column ``term``; all when left out.

        Returns
        -------
        Profile
            ``table`` (``term kind group term1 term2 value zeta``), ``curves``, and
            ``confint(level)``. ζ is the signed root of the likelihood ratio statistic, traced
            up to ±3 or to the parameter's bound.

        Raises
        ------
        ModelError
            If a parameter is not known.

        Examples
        --------
        >>> import mixedeffects as me
        >>> fit = me.fit("Reaction ~ Days + (1 | Subject)", me.datasets.load("sleepstudy"))
        >>> profile = fit.profile("sigma")
        >>> round(profile.curves[0].estimate, 3)
        30.895
        """
        return profile_curves(self._fit, chosen(natural_parameters(self._fit), parameters))


def _refuse_freedom(method: str, df: str | None) -> None:
    if df is not None:
        raise ModelError(
            f"df={df!r} belongs to Wald intervals; method={method!r} needs no degrees of freedom: "
            "leave df out."
        )
