"""Models and data that cannot be fitted, refused in words before or after the fact."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import DataError, ModelError
from mixedeffects.families import AbstractFamily, Response
from mixedeffects.families.no_residual import NoResidual
from mixedeffects.fitting.general import GeneralProblem, linear_predictors
from mixedeffects.fitting.problem import Problem
from mixedeffects.fitting.solve import Solution
from mixedeffects.formula.design import Design
from mixedeffects.formula.effects import RandomDesign
from mixedeffects.formula.positions import OVER_SPACE

Floats = NDArray[np.float64]

# Values beyond this, or below its inverse, overflow or vanish when squared and summed.
LARGEST = 1e140
# Weights that differ by more do not add up.
WIDEST = 1e14
# Standard deviations between a covariate and zero that thresholds can make up for.
FAR = 2e3
# A response whose residual is this small a share of it has none, and a residual this small a
# share of what the fixed effects leave has lost its digits among products.
EXACT_FIT = 1e-13
ROUNDING = 3e-6


def check_response(y: Floats, name: str) -> None:
    """Refuse a response (n,) that is constant, or too large or small to square."""
    _check_magnitude(f"The response {name!r}", y)
    if len(y) and np.ptp(y) <= 1e-13 * np.abs(y).max():
        raise ModelError(
            f"The response {name!r} is constant ({y[0]:g} in every row): there is no variation "
            "to model."
        )


def check_magnitudes(design: Design) -> None:
    """Refuse covariates and weights that cannot be squared and summed."""
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


def check_explained(problem: Problem, y: Floats, name: str) -> None:
    """Refuse a response that the fixed effects explain exactly."""
    size = np.abs(y).max(initial=0.0)
    if problem.products.corner[-1, -1] == 0.0 or problem.scale <= EXACT_FIT * size:
        raise ModelError(
            f"The fixed effects explain the response {name!r} exactly: nothing is left for "
            "random effects and residual. Is a covariate made from the response?"
        )


def check_residual(solution: Solution, name: str) -> None:
    """Refuse a fit whose residual is rounding."""
    if solution.sigma < ROUNDING:
        raise ModelError(
            f"The random effects explain the response {name!r} exactly: the residual variance is "
            "not told from rounding. Is the response constant within groups? Then model one row "
            "a group, or leave out the term."
        )


def check_not_empty(name: str, design: Design) -> None:
    """Refuse a further predictor that is fixed at zero."""
    if name != "conditional" and not (design.X.shape[1] or design.random):
        raise ModelError(
            f"{name}='~ {design.formula.partition('~')[2].strip()}' has nothing to estimate, and "
            f"would fix that predictor at zero: leave {name} out."
        )


def check_no_constant(design: Design) -> None:
    """Refuse columns that add up to a constant where thresholds stand in for it."""
    X, ones = design.X, np.ones(len(design.y))
    rest = ones - X @ np.linalg.lstsq(X, ones)[0]
    if X.shape[1] and float(rest @ rest) < 1e-12 * len(ones):
        raise ModelError(
            f"The columns {', '.join(map(repr, design.x_names))} add up to a constant, which an "
            "ordinal model's thresholds are there for: leave out '0 +' or '- 1'."
        )


def check_zeros(family: AbstractFamily, response: Response, name: str) -> None:
    """Refuse a model of zeros for a response that has none."""
    if "zero_inflation" in family.predictors() and np.all(response.y != 0):
        raise ModelError(
            f"The response {name!r} has no zeros, so that nothing can be said of them: leave out "
            "zero_inflation."
        )


def check_variation(family: AbstractFamily, response: Response, design: Design) -> None:
    """Refuse a response whose likelihood grows without end, or which says nothing."""
    y, trials, name = response.y, response.trials, design.response
    _check_magnitude(f"The response {name!r}", y)
    everywhere = f"The response {name!r} is"
    if trials is not None and (not y.any() or np.array_equal(y, trials)):
        outcome = "a success" if y.any() else "a failure"
        raise ModelError(
            f"{everywhere} {outcome} in every row and trial: no coefficient has a finite estimate, "
            "there is no variation to model."
        )
    least = 1.0 if family.name.startswith("truncated") else 0.0
    if np.all(y == least) and family.name != "gaussian":
        raise ModelError(f"{everywhere} {least:g} in every row: there is no variation to model.")
    if trials is None and design.offset is None and len(y) and np.ptp(y) == 0.0:
        raise ModelError(f"{everywhere} {y[0]:g} in every row: there is no variation to model.")


def check_unrelated(design: Design, family: AbstractFamily) -> None:
    """Refuse a relationship matrix, which these fits do not know yet."""
    for random in (r for one in (design, *design.others.values()) for r in one.random):
        if random.matrix is not None:
            raise ModelError(
                f"({random.label}) with a known matrix is for Gaussian models with one residual "
                f"variance in this version, not for family {family.name!r}: leave the matrix out."
            )


def check_near(design: Design, family: AbstractFamily) -> None:
    """Refuse covariates far from zero where no intercept takes up their means."""
    if not family.has_thresholds:
        return
    for name, column in zip(design.x_names, design.X.T, strict=True):
        centre, spread = float(np.mean(column)), float(np.std(column))
        if spread > 0.0 and abs(centre) > FAR * spread:
            raise DataError(
                f"Column {name!r} lies about {centre:.6g} with a standard deviation of only "
                f"{spread:.3g}: thresholds would lose their digits. Subtract its mean first."
            )


def check_general_levels(design: Design, family: AbstractFamily) -> None:
    """Refuse terms that cannot be told from the variation of measurements about their means.

    Counts may have effects of each row: those are their overdispersion.
    """
    terms = [r for one in (design, *design.others.values()) for r in one.random]
    for random in () if family.discrete or isinstance(family, NoResidual) else terms:
        check_levels(random, len(design.y))


def check_general(problem: GeneralProblem) -> None:
    """Refuse more coefficients than rows can tell, and a factor that the machine cannot hold."""
    if problem.n_rows <= problem.n_fixed:
        raise ModelError(
            f"{problem.n_rows} rows are too few for {problem.n_fixed} coefficients: leave out "
            "terms or add data."
        )
    check_memory(problem)


def check_explained_means(problem: GeneralProblem, beta: Floats, b: Floats, name: str) -> None:
    """Refuse a fit of measurements, β (p,) and b (q,), that leaves no variation about means."""
    family, response = problem.family, problem.response
    if family.discrete or "zero_inflation" in family.predictors():
        return
    if isinstance(family, NoResidual):  # as it is meant to
        return
    eta = linear_predictors(problem, beta, b)
    with np.errstate(all="ignore"):
        spread = np.sqrt(np.median(family.variance(response, eta)))
    if spread < ROUNDING * np.std(response.y):
        raise ModelError(
            f"The model explains the response {name!r} exactly: the variation about its means is "
            "not told from rounding, and the likelihood has no maximum. Is a covariate made from "
            "the response, or the response constant within groups?"
        )


def check_size(problem: Problem) -> None:
    """Refuse more fixed effects than rows can tell."""
    n, p = problem.n_rows, problem.plan.n_fixed
    if n <= p:
        raise ModelError(
            f"{n} rows are too few for {p} fixed effects: leave out terms or add data."
        )


def check_memory(problem: Problem | GeneralProblem) -> None:
    """Refuse a factor that this machine cannot hold."""
    needed, present = problem.plan.memory, physical_memory()
    if present is not None and needed > present:
        raise ModelError(
            f"This model needs {needed / 1e9:,.0f} GB for its factor ({problem.plan.way}), and the "
            f"machine has {present / 1e9:,.0f} GB: leave out one of the crossed factors, or fit a "
            "part of the data."
        )


def physical_memory() -> int | None:
    """Bytes of memory, or None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def check_levels(random: RandomDesign, n: int) -> None:
    """Refuse a term whose effects cannot be told from a constant or from the residual."""
    levels, k = len(random.levels), len(random.names)
    if random.structure in OVER_SPACE:  # two parameters, which the correlations tell
        return
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
