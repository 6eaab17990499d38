"""fit() in four steps, and MixedFit, where a user meets everything."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects import saving
from mixedeffects.data.frames import make_table
from mixedeffects.effects import predict as prediction
from mixedeffects.effects.random import covariance_table, modes_table
from mixedeffects.effects.residuals import Kind, residuals
from mixedeffects.effects.rows import NewLevels, new_rows, own_rows
from mixedeffects.effects.simulate import simulate
from mixedeffects.errors import ConvergenceWarning, DataError, ModelError
from mixedeffects.fitting.checks import Check
from mixedeffects.fitting.estimates import Estimates
from mixedeffects.fitting.fit import Fit, completed, fit_design, problem_of, refit
from mixedeffects.fitting.optimize import Optimum
from mixedeffects.formula.design import Design, build_design
from mixedeffects.formula.grammar import parse_formula
from mixedeffects.inference.wald import check_level, coefficient_table
from mixedeffects.show.summary import Summary, summarize

__all__ = ["MixedFit", "fit", "load"]

Floats = NDArray[np.float64]
OnCheck = Literal["warn", "error", "ignore"]


def fit(
    formula: str,
    data: Any,
    *,
    family: str = "gaussian",
    reml: bool | None = None,
    weights: Any = None,
    offset: Any = None,
    dispersion: str | None = None,
    zero_inflation: str | None = None,
    residual: str | None = None,
    quadrature: int = 1,
    missing: Literal["drop", "error"] = "drop",
    start: Any = None,
    on_check: OnCheck = "warn",
    progress: Callable[[int, float], None] | None = None,
) -> MixedFit:
    """Fit a Gaussian mixed model.

    Parameters
    ----------
    formula
        lme4's grammar, such as ``"Reaction ~ Days + (Days | Subject)"``.
    data
        A pandas, polars or pyarrow table, anything else that narwhals reads, a dict of
        columns, or the path of a CSV, Parquet or Arrow/Feather file.
    family
        ``"gaussian"``, the only one in this version.
    reml
        Restricted maximum likelihood (the default), or maximum likelihood for False.
    weights, offset
        A column's name, or n values. The residual variance is σ²/weight.
    missing
        ``"drop"`` leaves out, counts and reports rows with missing values; ``"error"``
        refuses them.
    start
        θ (m,) to start from, such as ``other_fit.theta``.
    on_check
        What follows when the certificate of the optimum does not hold: one
        ConvergenceWarning, a ModelError, or nothing.
    progress
        Called with (evaluations, objective) after each step of the optimizer.

    Returns
    -------
    MixedFit

    Raises
    ------
    FormulaError
        If the formula cannot be read.
    DataError
        If a column is missing or its values cannot be used.
    ModelError
        If the model cannot be estimated from these data, or is not available.

    Examples
    --------
    >>> import mixedeffects as me
    >>> fit = me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))
    >>> round(fit.objective, 4)
    1743.6283
    """
    _refuse(family, dispersion, zero_inflation, residual, quadrature)
    _check_option("on_check", on_check, ("warn", "error", "ignore"))
    _check_switches(reml, progress)
    _check_option("missing", missing, ("drop", "error"))
    known = _known_matrices(formula, data, sys._getframe(1))
    if known and isinstance(data, Mapping):
        data = {name: values for name, values in data.items() if name not in known}
    design = build_design(
        formula, data, weights=weights, offset=offset, missing=missing, known=known
    )
    fitted = fit_design(design, reml is None or bool(reml), start, progress)
    return MixedFit(_judged(fitted, on_check))


class MixedFit:
    """A fitted mixed model: values as attributes, everything else as methods.

    Attributes
    ----------
    formula, family : str
    nobs : int
        Rows used.
    beta : (p,) fixed effects, named by ``fixef()``.
    theta : (m,) relative covariance parameters, terms by decreasing number of levels.
    sigma : float
        Residual standard deviation.
    loglik : float
        Log-likelihood, restricted for REML.
    objective : float
        −2 log-likelihood, or the REML criterion.
    aic, bic : float
    df_resid : int
        nobs less the number of estimated parameters.
    reml : bool
    is_singular : bool
        Whether a variance is zero or a correlation ±1.
    converged : bool
        Whether the certificate holds.
    optimum : Optimum
        What the optimizer did.
    checks : tuple of Check
        The certificate.
    n_groups : mapping of str to int
        Number of levels of each grouping factor.
    """

    family = "gaussian"

    def __init__(self, fit: Fit) -> None:
        self._fit = fit

    def __repr__(self) -> str:
        kind = "REML" if self.reml else "ML"
        return (
            f"<MixedFit {self.formula!r} by {kind}: {self.nobs:,} rows, "
            f"log-likelihood {self.loglik:.4f}>"
        )

    # -- values ---------------------------------------------------------------------------

    @property
    def design(self) -> Design:
        return self._fit.design

    @property
    def estimates(self) -> Estimates:
        return self._fit.estimates

    @property
    def formula(self) -> str:
        return self.design.formula

    @property
    def nobs(self) -> int:
        return self.estimates.nobs

    @property
    def beta(self) -> Floats:
        return self.estimates.beta

    @property
    def theta(self) -> Floats:
        return self.estimates.theta

    @property
    def sigma(self) -> float:
        return self.estimates.sigma

    @property
    def loglik(self) -> float:
        return self.estimates.loglik

    @property
    def objective(self) -> float:
        return self.estimates.objective

    @property
    def aic(self) -> float:
        return self.estimates.aic

    @property
    def bic(self) -> float:
        return self.estimates.bic

    @property
    def df_resid(self) -> int:
        return self.estimates.df_resid

    @property
    def reml(self) -> bool:
        return self.estimates.reml

    @property
    def is_singular(self) -> bool:
        return self.estimates.is_singular

    @property
    def converged(self) -> bool:
        return self.estimates.converged

    @property
    def optimum(self) -> Optimum:
        return self.estimates.optimum

    @property
    def checks(self) -> tuple[Check, ...]:
        return self.estimates.checks

    @property
    def n_groups(self) -> Mapping[str, int]:
        return MappingProxyType({t.group: len(t.levels) for t in self.estimates.terms})

    # -- tables ---------------------------------------------------------------------------

    def fixef(self, df: str = "asymptotic", level: float = 0.95) -> Any:
        """Table of the fixed effects with Wald tests and intervals.

        Parameters
        ----------
        df
            ``"asymptotic"`` (z) or ``"residual"`` (t with nobs − p degrees of freedom).
        level
            Of the intervals.
        """
        return self._table(coefficient_table(self.estimates, df, level))

    def vcov(self) -> Floats:
        """Covariance (p, p) of the fixed effects."""
        return self.estimates.vcov.copy()

    def varcorr(self) -> Any:
        """Table of the random effects' standard deviations and correlations."""
        return self._table(covariance_table(self.estimates))

    def ranef(self) -> Any:
        """Table of the conditional modes with their conditional standard deviations."""
        return self._table(modes_table(self.estimates, self._fit.factor))

    def confint(self, method: str = "wald", level: float = 0.95, df: str = "asymptotic") -> Any:
        """Table of confidence intervals of the fixed effects."""
        _check_option("method", method, ("wald",))
        table = coefficient_table(self.estimates, df, level)
        return self._table({key: table[key] for key in ("term", "conf_low", "conf_high")})

    # -- rows -----------------------------------------------------------------------------

    def fitted(self) -> Any:
        """Xβ̂ + Zb̂ + offset of the rows used; a Series with their labels for pandas data."""
        return self._labelled(prediction.fitted_values(self._fit))

    def residuals(self, kind: Kind = "response") -> Any:
        """Residuals of the rows used.

        Parameters
        ----------
        kind
            ``"response"``, y − fitted; ``"pearson"``, times √weight; ``"scaled"``, that over σ.
        """
        _check_option("kind", kind, ("response", "pearson", "scaled"))
        return self._labelled(residuals(self._fit, kind))

    def predict(
        self,
        data: Any = None,
        *,
        random: prediction.Random = "conditional",
        interval: prediction.Interval | None = None,
        std_error: bool = False,
        new_levels: NewLevels = "error",
        scale: Literal["response", "link"] = "response",
        level: float = 0.95,
        include_theta: bool = False,
        offset: Any = None,
        seed: prediction.Seed = None,
    ) -> Any:
        """Predictions for new data, or for the rows used.

        Parameters
        ----------
        data
            As in ``fit``; the rows used where omitted. A row with a missing value gets NaN.
        random
            ``"conditional"`` on the groups' estimated effects, or ``"population"``.
        interval
            ``"confidence"`` for the mean, ``"prediction"`` for a new observation of weight one.
        std_error
            Whether to return a table with standard errors.
        new_levels
            A group that the fit has not seen is an ``"error"``; has no random effect and
            all its uncertainty (``"population"``); or has one drawn from the fitted
            distribution (``"sample"``).
        scale
            The same for a Gaussian model.
        level
            Of the interval.
        include_theta
            Whether the uncertainty of the variance parameters counts in it (first order).
        offset
            n values in place of an offset that was given to ``fit`` as an array.
        seed
            Of the draws for ``new_levels="sample"``.

        Returns
        -------
        ndarray (n,), or a table ``estimate std_error conf_low conf_high`` (the limits where
        an interval was asked for).
        """
        _check_option("random", random, ("conditional", "population"))
        _check_option("interval", interval, (None, "confidence", "prediction"))
        _check_option("new_levels", new_levels, ("error", "population", "sample"))
        _check_option("scale", scale, ("response", "link"))
        check_level(level)
        request = prediction.Request(
            random, interval, std_error, new_levels, level, include_theta, seed
        )
        if data is None:
            rows = own_rows(self._fit)
        else:
            unseen = new_levels if random == "conditional" else "population"
            rows = new_rows(self._fit, data, request.needs_random, unseen, offset)
        columns = prediction.predict(self._fit, rows, request)
        if len(columns) == 1:
            return columns["estimate"]
        return make_table(columns, rows.frame, rows.frame.index)

    def simulate(
        self,
        n: int | None = None,
        *,
        random: Literal["marginal", "conditional"] = "marginal",
        seed: prediction.Seed = None,
    ) -> Floats:
        """Responses drawn from the fitted model for the rows used.

        Parameters
        ----------
        n
            Number of draws; one, as a (nobs,) array, where omitted.
        random
            ``"marginal"`` draws new random effects, ``"conditional"`` keeps the estimated.
        seed
            Integer or Generator.

        Returns
        -------
        ndarray (nobs,) or (n, nobs)
        """
        _check_option("random", random, ("marginal", "conditional"))
        draws = simulate(self._fit, 1 if n is None else n, random, np.random.default_rng(seed))
        return draws[0] if n is None else draws

    def refit(self, y: Any, *, on_check: OnCheck = "warn") -> MixedFit:
        """The same model of another response: nobs values, or one for each row of the data.

        The pattern's analysis and all cross-products but those of y are reused.
        """
        _check_option("on_check", on_check, ("warn", "error", "ignore"))
        return MixedFit(_judged(refit(self._fit, y), on_check))

    # -- shown ----------------------------------------------------------------------------

    def summary(self, df: str = "asymptotic", level: float = 0.95) -> Summary:
        """Everything at a glance: prints as text, shows as HTML in a notebook.

        Parameters
        ----------
        df, level
            Of the tests and intervals, as in ``fixef``.
        """
        scaled = residuals(self._fit, "scaled")
        return summarize(self.design, self.estimates, scaled, df, level)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def save(self, path: str | Path) -> None:
        """Write the fit to one file, with the columns it needs; ``load`` reads it again.

        Raises
        ------
        OSError
            If the file cannot be written; one that was there stays as it was.
        """
        saving.write(path, saving.SavedFit(self.design, self.reml, self.optimum))

    # -- parts ----------------------------------------------------------------------------

    def _table(self, columns: Mapping[str, Any]) -> Any:
        return make_table(columns, self.design.frame)

    def _labelled(self, values: Floats) -> Any:
        index = self.design.frame.index
        if index is None:
            return values
        import pandas as pd

        return pd.Series(values, index=index[self.design.rows])


def load(path: str | Path) -> MixedFit:
    """Read a fit that ``fit.save(path)`` wrote; nothing is optimized again, no code is run.

    Raises
    ------
    FileFormatError
        If the file is missing, truncated, altered, of a later version or of another kind,
        or its objective is not what its data and parameters give.
    """
    saved = saving.read(path)
    problem = problem_of(saved.design, saved.reml)
    return MixedFit(completed(saved.design, problem, saving.resume(problem, saved)))


# -- steps of fit() ------------------------------------------------------------------------


def _refuse(
    family: Any, dispersion: Any, zero_inflation: Any, residual: Any, quadrature: int
) -> None:
    if family != "gaussian":
        raise ModelError(f"family={family!r} is not available in this version: only 'gaussian' is.")
    for name, value in (
        ("dispersion", dispersion),
        ("zero_inflation", zero_inflation),
        ("residual", residual),
    ):
        if value is not None:
            raise ModelError(f"{name}={value!r} is not available in this version: leave it out.")
    if quadrature != 1:
        raise ModelError(
            "quadrature applies to families whose likelihood is an integral without a closed "
            "form; a Gaussian model's is exact: leave quadrature out."
        )


def _check_option(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        listed = ", ".join(repr(a) for a in allowed)
        raise ModelError(f"{name}={value!r} is not one of {listed}.")


def _check_switches(reml: Any, progress: Any) -> None:
    if reml is not None and not isinstance(reml, bool | np.bool_):
        raise ModelError(f"reml={reml!r} is not one of True, False, None.")
    if progress is not None and not callable(progress):
        raise ModelError(
            f"progress={progress!r} cannot be called: give a function of (evaluations, objective)."
        )


def _known_matrices(formula: str, data: Any, caller: Any) -> dict[str, Any] | None:
    """Relationship matrices that the formula names: entries of a dict, else the caller's."""
    names = {t.argument for t in parse_formula(formula).random if t.argument is not None}
    found = {}
    for name in names:
        if isinstance(data, Mapping) and name in data:
            found[name] = data[name]
        elif name in caller.f_locals:
            found[name] = caller.f_locals[name]
        elif name in caller.f_globals:
            found[name] = caller.f_globals[name]
        else:
            raise DataError(
                f"The matrix {name!r} of known(..., {name}) was not found: define a variable "
                f"{name} where fit() is called, or put it into the dict of data."
            )
    return found or None


def _judged(fit: Fit, on_check: OnCheck) -> Fit:
    """The fit, after what its user wants done where the certificate does not hold."""
    failed = [check for check in fit.estimates.checks if not check.passed]
    if failed and on_check != "ignore":
        message = "; ".join(
            f"{c.name}: {c.value:.3g} (tolerance {c.tolerance:.3g}): {c.message}" for c in failed
        )
        if on_check == "error":
            raise ModelError(f"The certificate does not hold: {message}")
        warnings.warn(
            f"The certificate of the optimum does not hold: {message}",
            ConvergenceWarning,
            stacklevel=3,
        )
    return fit
