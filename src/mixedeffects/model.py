"""fit() in four steps, and MixedFit, where a user meets everything."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects import saving
from mixedeffects.covariance import build
from mixedeffects.data.frames import make_table
from mixedeffects.effects import predict as prediction
from mixedeffects.effects.random import covariance_table, modes_table
from mixedeffects.effects.simulate import draw_modes, draw_noise
from mixedeffects.errors import ConvergenceWarning, DataError, ModelError
from mixedeffects.fitting.conditional import ConditionalFactor, coefficient_slopes
from mixedeffects.fitting.estimates import Estimates, TermNames, estimate, standardized_theta
from mixedeffects.fitting.problem import Problem, TermArrays, build_problem, with_response
from mixedeffects.fitting.solve import Solution, solve
from mixedeffects.formula.design import Design, build_design
from mixedeffects.formula.grammar import parse_formula
from mixedeffects.inference.wald import check_level, coefficient_table, quantile
from mixedeffects.show.summary import Summary, summarize

__all__ = ["MixedFit", "fit", "load"]

Floats = NDArray[np.float64]
OnCheck = Literal["warn", "error", "ignore"]

# Values beyond this, or below its inverse, overflow or vanish when squared and summed.
LARGEST = 1e140
# Relative standard deviations from which no optimizer comes back.
FARTHEST = 1e8
# Weights that differ by more do not add up.
WIDEST = 1e14
# A response whose residual is this small a share of it has none, and a residual this small a
# share of what the fixed effects leave has lost its digits among products.
EXACT_FIT = 1e-13
ROUNDING = 3e-6


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
    problem = _problem(design, reml is None or bool(reml))
    solution = solve(problem, _start(problem, start), on_step=progress)
    return _finish(design, problem, solution, on_check)


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

    def __init__(
        self, design: Design, problem: Problem, solution: Solution, estimates: Estimates
    ) -> None:
        self.design = design
        self.estimates = estimates
        self._problem = problem
        self._solution = solution
        self._conditional: ConditionalFactor | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_conditional": None}

    def __repr__(self) -> str:
        kind = "REML" if self.reml else "ML"
        return (
            f"<MixedFit {self.formula!r} by {kind}: {self.nobs:,} rows, "
            f"log-likelihood {self.loglik:.4f}>"
        )

    # -- values ---------------------------------------------------------------------------

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
    def optimum(self) -> Any:
        return self.estimates.optimum

    @property
    def checks(self) -> tuple[Any, ...]:
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
        return self._table(modes_table(self.estimates, self._factor()))

    def confint(self, method: str = "wald", level: float = 0.95, df: str = "asymptotic") -> Any:
        """Table of confidence intervals of the fixed effects."""
        _check_option("method", method, ("wald",))
        table = coefficient_table(self.estimates, df, level)
        return self._table({key: table[key] for key in ("term", "conf_low", "conf_high")})

    # -- rows -----------------------------------------------------------------------------

    def fitted(self) -> Any:
        """Xβ̂ + Zb̂ + offset of the rows used; a Series with their labels for pandas data."""
        return self._labelled(self._fitted())

    def residuals(self, kind: Literal["response", "pearson", "scaled"] = "response") -> Any:
        """Residuals of the rows used.

        Parameters
        ----------
        kind
            ``"response"``, y − fitted; ``"pearson"``, times √weight; ``"scaled"``, that over σ.
        """
        _check_option("kind", kind, ("response", "pearson", "scaled"))
        residuals = self.design.y - self._fitted()
        if kind != "response" and self.design.weights is not None:
            residuals = residuals * np.sqrt(self.design.weights)
        return self._labelled(residuals / self.sigma if kind == "scaled" else residuals)

    def predict(
        self,
        data: Any = None,
        *,
        random: prediction.Random = "conditional",
        interval: prediction.Interval | None = None,
        std_error: bool = False,
        new_levels: Literal["error", "population", "sample"] = "error",
        scale: Literal["response", "link"] = "response",
        level: float = 0.95,
        include_theta: bool = False,
        offset: Any = None,
        seed: int | np.random.Generator | None = None,
    ) -> Any:
        """Predictions for new data, or for the rows used.

        Parameters
        ----------
        data
            As in ``fit``; the rows used where omitted. A row with a missing value gets NaN.
        random
            ``"conditional"`` on the groups' estimated effects, or ``"population"``.
        interval
            ``"confidence"`` for the mean, ``"prediction"`` for a new observation.
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
        needs_random = random == "conditional" or interval == "prediction"
        rows, complete, frame = self._rows(data, needs_random, random, new_levels, offset)
        modes = [t.modes for t in self.estimates.terms] if random == "conditional" else []
        drawn = None
        if random == "conditional" and new_levels == "sample":
            counts = [int(c.max(initial=-1)) + 1 for c in rows.new_codes]
            drawn = draw_modes(
                self.estimates, counts, [None] * len(counts), np.random.default_rng(seed)
            )
        estimate_ = prediction.mean(rows, self.beta, modes, drawn)
        if interval is None and not std_error:
            return _spread(estimate_, complete)
        variance = prediction.variance(rows, self.estimates, self._factor(), random, interval)
        if include_theta:
            variance = variance + self._theta_variance(rows, random)
        se = np.sqrt(variance)
        columns = {"estimate": estimate_, "std_error": se}
        if interval is not None:
            half = quantile(np.inf, level) * se
            columns |= {"conf_low": estimate_ - half, "conf_high": estimate_ + half}
        table = {name: _spread(column, complete) for name, column in columns.items()}
        return make_table(table, frame, frame.index)

    def simulate(
        self,
        n: int | None = None,
        *,
        random: Literal["marginal", "conditional"] = "marginal",
        seed: int | np.random.Generator | None = None,
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
        rng = np.random.default_rng(seed)
        draws = np.stack([self._simulate(random, rng) for _ in range(1 if n is None else n)])
        return draws[0] if n is None else draws

    def refit(self, y: Any, *, on_check: OnCheck = "warn") -> MixedFit:
        """The same model of another response: nobs values, or one for each row of the data.

        The pattern's analysis and all cross-products but those of y are reused.
        """
        _check_option("on_check", on_check, ("warn", "error", "ignore"))
        response = self._response(y)
        less = response if self.design.offset is None else response - self.design.offset
        _check_response(less, self.design.response)
        problem = with_response(self._problem, less)
        _check_explained(problem, less, self.design.response)
        solution = solve(problem, exact=False)
        design = replace(self.design, y=response)
        return _finish(design, problem, solution, on_check)

    # -- shown ----------------------------------------------------------------------------

    def summary(self, df: str = "asymptotic", level: float = 0.95) -> Summary:
        """Everything at a glance: prints as text, shows as HTML in a notebook.

        Parameters
        ----------
        df, level
            Of the tests and intervals, as in ``fixef``.
        """
        residuals = np.asarray(self.residuals("scaled"))
        return summarize(self.design, self.estimates, residuals, df, level)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def save(self, path: str | Path) -> None:
        """Write the fit to one file, with the columns it needs; ``load`` reads it again.

        Raises
        ------
        OSError
            If the file cannot be written; one that was there stays as it was.
        """
        saving.write(path, saving.SavedFit(self.design, self.reml, self._solution.optimum))

    # -- parts ----------------------------------------------------------------------------

    def _factor(self) -> ConditionalFactor:
        if self._conditional is None:
            self._conditional = ConditionalFactor(self._problem, self._solution.optimum.theta)
        return self._conditional

    def _table(self, columns: Mapping[str, Any]) -> Any:
        return make_table(columns, self.design.frame)

    def _labelled(self, values: Floats) -> Any:
        index = self.design.frame.index
        if index is None:
            return values
        import pandas as pd

        return pd.Series(values, index=index[self.design.rows])

    def _own_rows(self) -> prediction.Rows:
        design = self.design
        return prediction.Rows(
            X=design.X[:, self.estimates.kept],
            values=tuple(r.values for r in design.random),
            codes=tuple(r.codes for r in design.random),
            new_codes=tuple(np.full_like(r.codes, -1) for r in design.random),
            offset=design.offset,
        )

    def _fitted(self) -> Floats:
        modes = [t.modes for t in self.estimates.terms]
        return prediction.mean(self._own_rows(), self.beta, modes)

    def _rows(
        self, data: Any, needs_random: bool, random: str, new_levels: Any, offset: Any
    ) -> tuple[prediction.Rows, NDArray[np.bool_], Any]:
        if data is None:
            frame = self.design.frame
            index = None if frame.index is None else frame.index[self.design.rows]
            rows = self._own_rows()
            return rows, np.ones(self.nobs, dtype=bool), replace(frame, index=index)
        new = self.design.spec.apply(
            data,
            new_levels=new_levels if random == "conditional" else "population",
            random=needs_random,
            offset=offset,
        )
        keep = new.complete
        rows = prediction.Rows(
            X=new.X[keep][:, self.estimates.kept],
            values=tuple(np.ascontiguousarray(r.values[keep]) for r in new.random)
            or tuple(np.zeros((int(keep.sum()), len(t.names))) for t in self.estimates.terms),
            codes=tuple(r.codes[keep] for r in new.random)
            or tuple(np.full(int(keep.sum()), -1, np.int32) for _ in self.estimates.terms),
            new_codes=tuple(r.new_codes[keep] for r in new.random),
            offset=None if new.offset is None else new.offset[keep],
        )
        return rows, keep, new.frame

    def _theta_variance(self, rows: prediction.Rows, random: str) -> Floats:
        """J Cov(θ̂) J' of the predictions, Cov(θ̂) = 2H⁻¹ over the parameters off the boundary."""
        slopes = coefficient_slopes(self._problem, self._solution.optimum.theta)
        jacobian = np.column_stack(
            [
                prediction.mean(
                    replace(rows, offset=None), beta, modes if random == "conditional" else []
                )
                for beta, modes in slopes
            ]
            or [np.zeros((len(rows.X), 0))]
        )
        values, vectors = np.linalg.eigh(self._solution.optimum.hessian)
        free = values > 1e-8 * np.abs(values).max(initial=0.0)
        along = jacobian @ vectors[:, free]
        variance: Floats = (2.0 * along**2 / values[free]).sum(axis=1)
        return variance

    def _simulate(self, random: str, rng: np.random.Generator) -> Floats:
        rows, design = self._own_rows(), self.design
        modes = [t.modes for t in self.estimates.terms]
        if random == "marginal":
            modes = draw_modes(
                self.estimates,
                [len(t.levels) for t in self.estimates.terms],
                [r.matrix for r in design.random],
                rng,
            )
        return prediction.mean(rows, self.beta, modes) + draw_noise(
            self.nobs, self.sigma, design.weights, rng
        )

    def _response(self, y: Any) -> Floats:
        try:
            if np.iscomplexobj(y):
                raise TypeError
            response = np.asarray(y, dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError("The new response must be real numbers, one for each row.") from None
        if response.shape == (self.design.n_rows,):
            response = response[self.design.rows]
        if response.shape != (self.nobs,):
            raise DataError(
                f"The new response has shape {np.shape(y)}; {self.nobs} values are needed, one for "
                f"each row used (or {self.design.n_rows}, one for each row of the data)."
            )
        if not np.all(np.isfinite(response)):
            row = int(np.flatnonzero(~np.isfinite(response))[0])
            raise DataError(f"The new response is not finite at position {row}.")
        return response


def load(path: str | Path) -> MixedFit:
    """Read a fit that ``fit.save(path)`` wrote; nothing is optimized again, no code is run.

    Raises
    ------
    FileFormatError
        If the file is missing, truncated, altered, of a later version or of another kind,
        or its objective is not what its data and parameters give.
    """
    saved = saving.read(path)
    problem = _problem(saved.design, saved.reml)
    return _finish(saved.design, problem, saving.resume(problem, saved), "ignore")


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


def _problem(design: Design, reml: bool) -> Problem:
    y = design.y if design.offset is None else design.y - design.offset
    _check_response(y, design.response)
    _check_magnitudes(design)
    factors: dict[str, int] = {}
    terms = []
    for number, random in enumerate(design.random):
        _check_levels(random, len(y))
        key = random.group if random.matrix is None else f"known {number}"
        terms.append(
            TermArrays(
                values=random.values,
                codes=random.codes,
                n_levels=len(random.levels),
                covariance=build(random.structure, len(random.names), _times(random)),
                intercept=random.names.index("Intercept") if "Intercept" in random.names else None,
                factor=factors.setdefault(key, len(factors)),
                relationship=random.matrix,
            )
        )
    problem = build_problem(
        y,
        design.X,
        terms,
        reml=reml,
        weights=design.weights,
        intercept=design.x_names.index("Intercept") if design.has_intercept else None,
    )
    _check_size(problem)
    _check_explained(problem, y, design.response)
    return problem


def _times(random: Any) -> tuple[float, ...] | None:
    return None if random.positions is None else tuple(map(float, random.positions))


def _check_response(y: Floats, name: str) -> None:
    _check_magnitude(f"The response {name!r}", y)
    if len(y) and np.ptp(y) <= 1e-13 * np.abs(y).max():
        raise ModelError(
            f"The response {name!r} is constant ({y[0]:g} in every row): there is no variation "
            "to model."
        )


def _check_magnitudes(design: Design) -> None:
    for name, column in zip(design.x_names, design.X.T, strict=True):
        _check_magnitude(f"Column {name!r}", column)
    for random in design.random:
        for name, column in zip(random.names, random.values.T, strict=True):
            _check_magnitude(f"Column {name!r} of ({random.label})", column)
    if (w := design.weights) is not None and w.max() > WIDEST * w.min():
        raise DataError(
            f"The weights range from {w.min():.3g} to {w.max():.3g}, more than the digits of a "
            "number hold: rows of the least weight say nothing, drop them."
        )


def _check_magnitude(what: str, values: Floats) -> None:
    """Refuse values whose squares a number cannot hold."""
    size = max(float(values.max()), -float(values.min())) if len(values) else 0.0
    if size > LARGEST or 0.0 < size < 1.0 / LARGEST:
        raise DataError(
            f"{what} has values up to {size:.3g}, whose squares a number cannot hold: use other "
            "units."
        )


def _check_explained(problem: Problem, y: Floats, name: str) -> None:
    size = np.abs(y).max(initial=0.0)
    if problem.products.corner[-1, -1] == 0.0 or problem.scale <= EXACT_FIT * size:
        raise ModelError(
            f"The fixed effects explain the response {name!r} exactly: nothing is left for "
            "random effects and residual. Is a covariate made from the response?"
        )


def _check_residual(solution: Solution, name: str) -> None:
    if solution.sigma < ROUNDING:
        raise ModelError(
            f"The random effects explain the response {name!r} exactly: the residual variance is "
            "not told from rounding. Is the response constant within groups? Then model one row "
            "a group, or leave out the term."
        )


def _check_size(problem: Problem) -> None:
    n, p = problem.n_rows, problem.plan.n_fixed
    if n <= p:
        raise ModelError(
            f"{n} rows are too few for {p} fixed effects: leave out terms or add data."
        )


def _check_levels(random: Any, n: int) -> None:
    levels, k = len(random.levels), len(random.names)
    if levels < 2 and random.matrix is None:
        raise ModelError(
            f"Grouping factor {random.group!r} has one level ({random.levels[0]!r}): a variance "
            f"between groups needs at least two. Leave out ({random.label})."
        )
    # independent slopes are told apart by their covariates, one column at a time
    k = 1 if random.structure == "diag" else k
    if random.matrix is None and random.structure != "ar1" and levels * k >= n:
        raise ModelError(
            f"Term ({random.label}) has {levels * k} random effects ({levels} levels of "
            f"{random.group!r} × {k}) for {n} observations: they cannot be told from the "
            "residual. Leave out slopes or the term."
        )


def _start(problem: Problem, start: Any) -> Floats | None:
    if start is None:
        return None
    try:
        theta = np.asarray(start, dtype=np.float64)
    except (TypeError, ValueError):
        raise ModelError(f"start={start!r} is not numbers: give values of theta.") from None
    if theta.shape != (problem.n_parameters,) or not np.all(np.isfinite(theta)):
        raise ModelError(
            f"start needs {problem.n_parameters} finite values, one for each of theta; it has "
            f"shape {theta.shape}."
        )
    if np.abs(theta).max(initial=0.0) < LARGEST:
        theta = standardized_theta(problem.terms, theta)
    if np.abs(theta).max(initial=0.0) > FARTHEST:
        raise ModelError(
            f"start={start!r} has standard deviations beyond {FARTHEST:g} times the residual's: "
            "start nearer, or leave it out."
        )
    return theta


def _finish(design: Design, problem: Problem, solution: Solution, on_check: OnCheck) -> MixedFit:
    _check_residual(solution, design.response)
    names = [TermNames(r.label, r.group, r.structure, r.names, r.levels) for r in design.random]
    estimates = estimate(problem, solution, design.x_names, names)
    failed = [check for check in estimates.checks if not check.passed]
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
    return MixedFit(design, problem, solution, estimates)


def _spread(values: Floats, complete: NDArray[np.bool_]) -> Floats:
    if complete.all():
        return values
    result = np.full(len(complete), np.nan)
    result[complete] = values
    return result
