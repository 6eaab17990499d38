"""fit() in four steps; load()."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mixedeffects import saving
from mixedeffects.errors import ModelError
from mixedeffects.families import AbstractFamily
from mixedeffects.families import build as build_family
from mixedeffects.fitting.fit import Fit, fit_design
from mixedeffects.fitting.general_fit import GeneralFit, fit_general
from mixedeffects.fitting.no_residual import without_residual
from mixedeffects.fitting.quadrature import EXACT, FINEST
from mixedeffects.model.designs import (
    Asked,
    design_of,
    leaves_no_residual,
    refuse_dispersion,
    refuse_weights,
    whole_family,
)
from mixedeffects.model.generalized import GeneralizedFit
from mixedeffects.model.linear import LinearFit
from mixedeffects.model.mixed_fit import MixedFit
from mixedeffects.model.options import OnCheck, check_option, is_whole, judged

if TYPE_CHECKING:
    from mixedeffects.model.posterior import Posterior


def fit(
    formula: str,
    data: Any,
    *,
    family: str | AbstractFamily = "gaussian",
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
    """Fit a linear or a generalized linear mixed model.

    Parameters
    ----------
    formula
        lme4's grammar, such as ``"Reaction ~ Days + (Days | Subject)"``.
    data
        A pandas, polars or pyarrow table, anything else that narwhals reads, a dict of
        columns, or the path of a CSV, Parquet or Arrow/Feather file.
    family
        A name, such as ``"binomial"`` or ``"nbinom2"``, or an object of ``me.families`` with
        its link and options.
    reml
        Restricted maximum likelihood (the default of linear models), or maximum likelihood for
        False. Generalized models are fitted by maximum likelihood, and so is a Gaussian model
        with ``dispersion="~ 0"``, unless ``reml=True`` asks for the other.
    weights, offset
        A column's name, or n values. In linear models the residual variance is σ²/weight;
        beside a proportion of successes weights are its numbers of trials; else they multiply
        the rows' log-likelihoods. Refused for other Gaussian models, where both could be meant.
    dispersion
        One-sided formula of the logarithm of the family's dispersion, such as ``"~ x"``, with
        random effects where wanted; one number for all rows without it. ``"~ 0"`` fixes a
        Gaussian model's residual standard deviation at 2⁻¹³ = 1.2e-4 of the response's (about
        the fixed effects), so that a structured term, such as ``us(0 + time | subject)``, is
        the rows' whole covariance.
    zero_inflation
        One-sided formula of the logit of the probability of an extra zero; with a family
        without zeros, a hurdle model. No extra zeros without it.
    quadrature
        Nodes of adaptive Gauss-Hermite quadrature along each random effect, for models whose
        random effects are one to three of one grouping factor; 1 is the Laplace approximation.
        0 is what lme4 calls so: coefficients of a binomial or Poisson mean are estimated along
        with the random effects, which biases them, with standard errors at known variances.
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
    >>> counts = me.fit(
    ...     "count ~ mined + (1 | site)",
    ...     me.datasets.load("salamanders"),
    ...     family="nbinom2",
    ...     zero_inflation="~ mined",
    ... )
    >>> round(counts.loglik, 3), counts.family, round(counts.sigma, 3)
    (-864.711, 'nbinom2', 0.965)
    """
    kind = build_family(family)
    given = {"dispersion": dispersion, "zero_inflation": zero_inflation}
    others = {name: text for name, text in given.items() if text is not None}
    general = bool(others) or kind != build_family("gaussian")
    _refuse(kind, others, reml, residual, quadrature)
    if general:
        refuse_weights(kind, weights)
    check_option("on_check", on_check, ("warn", "error", "ignore"))
    _check_switches(reml, progress)
    check_option("missing", missing, ("drop", "error"))
    bare = leaves_no_residual(kind, others)
    asked = Asked(formula, weights, offset, missing, {} if bare else others)
    design = design_of(asked, data, kind, sys._getframe(1))
    if general:
        whole = without_residual(design) if bare else whole_family(kind, others)
        return GeneralizedFit(
            judged(
                fit_general(design, whole, start, progress, int(quadrature), bool(reml)), on_check
            )
        )
    fitted = fit_design(design, reml is None or bool(reml), start, progress)
    return LinearFit(judged(fitted, on_check))


def load(path: str | Path) -> MixedFit | Posterior:
    """Read what ``fit.save(path)`` or ``post.save(path)`` wrote.

    Nothing is optimized or sampled again, and no code is run.

    Raises
    ------
    FileFormatError
        If the file is missing, truncated, altered, of a later version or of another kind,
        or a fit's objective is not what its data and parameters give.
    """
    found = saving.read(path)
    if isinstance(found, Fit):
        return LinearFit(found)
    if isinstance(found, GeneralFit):
        return GeneralizedFit(found)
    from mixedeffects.model.posterior import Posterior

    return Posterior(found)


# -- steps of fit() ------------------------------------------------------------------------


def _refuse(
    family: AbstractFamily, others: Mapping[str, str], reml: Any, residual: Any, quadrature: int
) -> None:
    if residual is not None:
        raise ModelError(f"residual={residual!r} is not available in this version: leave it out.")
    refuse_dispersion(family, others)
    bare = leaves_no_residual(family, others)
    if reml and not bare and (others or family.name != "gaussian" or family.link != "identity"):
        raise ModelError(
            "reml=True is for Gaussian models with one residual variance: leave it out for "
            "maximum likelihood."
        )
    if not is_whole(quadrature) or not 0 <= quadrature <= FINEST:
        raise ModelError(
            f"quadrature={quadrature!r} is not a number of nodes: give a whole number from 1 "
            f"(Laplace) to {FINEST}, or 0 for coefficients as modes."
        )
    if quadrature != 1 and not others and family == build_family("gaussian"):
        raise ModelError(EXACT.format(quadrature))


def _check_switches(reml: Any, progress: Any) -> None:
    if reml is not None and not isinstance(reml, bool | np.bool_):
        raise ModelError(f"reml={reml!r} is not one of True, False, None.")
    if progress is not None and not callable(progress):
        raise ModelError(
            f"progress={progress!r} cannot be called: give a function of (evaluations, objective)."
        )
