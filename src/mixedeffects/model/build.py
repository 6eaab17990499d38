"""fit() in four steps; load()."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mixedeffects import saving
from mixedeffects.errors import DataError, ModelError
from mixedeffects.fitting.fit import completed, fit_design, problem_of
from mixedeffects.formula.design import build_design
from mixedeffects.formula.grammar import parse_formula
from mixedeffects.model.mixed_fit import MixedFit
from mixedeffects.model.options import OnCheck, check_option, judged


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
    check_option("on_check", on_check, ("warn", "error", "ignore"))
    _check_switches(reml, progress)
    check_option("missing", missing, ("drop", "error"))
    known = _known_matrices(formula, data, sys._getframe(1))
    if known and isinstance(data, Mapping):
        data = {name: values for name, values in data.items() if name not in known}
    design = build_design(
        formula, data, weights=weights, offset=offset, missing=missing, known=known
    )
    fitted = fit_design(design, reml is None or bool(reml), start, progress)
    return MixedFit(judged(fitted, on_check))


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
