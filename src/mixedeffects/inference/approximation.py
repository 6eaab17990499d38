"""How good the approximation of a generalized fit's likelihood is, and what its error does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import make_table
from mixedeffects.errors import ModelError
from mixedeffects.fitting.checks import Check
from mixedeffects.fitting.estimates import RandomTermEstimate
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.fitting.importance import PARTS, Importance, importance
from mixedeffects.fitting.quadrature import check_quadrature

Floats = NDArray[np.float64]

# An estimate may be off by this share of its standard error.
SHIFT = 0.2
# k̂ of the weights beyond which their mean cannot be trusted (Vehtari et al. 2024).
TAIL = 0.7
# Nodes to try where there were none; fewest draws.
NODES, FEWEST = 15, 100


@dataclass(frozen=True, slots=True)
class ApproximationError:
    """What importance sampling says of a fit's approximate likelihood.

    Attributes
    ----------
    error, std_error : float
        Exact log-likelihood less the approximate one at the estimates, about, with the standard
        error of the sampling.
    pieces : int
        Independent parts of the random effects, each weighed by itself.
    draws : int
    checks : tuple of Check
        Whether the error matters for the estimates, and whether the draws can tell.
    table : table
        ``component term shift std_error``: by how many of its standard errors each estimate
        would move, about, if the exact likelihood were maximized.
    """

    error: float
    std_error: float
    pieces: int
    draws: int
    checks: tuple[Check, ...]
    table: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Shift:
    component: str
    term: str
    value: float
    std_error: float

    @property
    def certain(self) -> float:
        """What remains of it after two standard errors."""
        return max(abs(self.value) - 2.0 * self.std_error, 0.0)


def approximation_error(fit: GeneralFit, n: int, seed: Any) -> ApproximationError:
    """Estimate the error of the likelihood by n draws of the random effects.

    Raises
    ------
    ModelError
        If the likelihood is exact, or n is too small.
    """
    if not fit.problem.groupings or fit.problem.exact:
        why = "is Gaussian in" if fit.problem.groupings else "has no"
        raise ModelError(
            f"The model {why} its random effects: its likelihood is exact, there is no "
            "approximation to check."
        )
    if n < FEWEST:
        raise ModelError(f"n={n} draws are too few: give {FEWEST} or more.")
    found = importance(fit.problem, fit.solution, n, np.random.default_rng(seed))
    shifts = list(_shifts(fit, found))
    columns: dict[str, Any] = {
        "component": [s.component for s in shifts],
        "term": [s.term for s in shifts],
        "shift": np.array([s.value for s in shifts]),
        "std_error": np.array([s.std_error for s in shifts]),
    }
    return ApproximationError(
        found.error,
        found.std_error,
        found.pieces,
        n,
        (_estimates_check(fit, found, shifts, n), _draws_check(found)),
        make_table(columns, fit.design.frame),
    )


def _shifts(fit: GeneralFit, found: Importance) -> Iterator[_Shift]:
    """Of the fixed effects in the user's columns, of all others as the optimizer has them."""
    m, steps = fit.problem.n_parameters, np.vstack([found.step, found.parts])
    sizes = np.sqrt(np.diagonal(fit.solution.covariance))
    names = [
        (term.component, f"{term.group}.{name}")
        for term in fit.estimates.terms
        for name in _parameters(term, fit.solution.turned)
    ]
    for (component, name), own, size in zip(names, steps[:, :m].T, sizes[:m], strict=True):
        yield _shift(component, name, own, size)
    count = len(fit.family.predictors())
    components, predictors = fit.estimates.components, fit.problem.predictors
    for of, predictor in zip(components[:count], predictors[:count], strict=True):
        moved = predictor.basis.original(steps[:, m:][:, predictor.coefficients].T)
        deviations = np.sqrt(np.diagonal(of.vcov))
        for name, own, size in zip(of.x_names, moved, deviations, strict=True):
            yield _shift(of.name, name, own, size)
    shared = [(of.name, name) for of in components[count:] for name in of.x_names]
    for (component, name), predictor in zip(shared, predictors[count:], strict=True):
        place = m + predictor.first
        yield _shift(component, name, steps[:, place], sizes[place])


def _parameters(term: RandomTermEstimate, turned: bool) -> tuple[str, ...]:
    """What a term's parameters are, if along the principal axes of its covariance or not."""
    return tuple("along an axis" for _ in term.theta) if turned else term.theta_names


def _shift(component: str, term: str, steps: Floats, size: float) -> _Shift:
    """From the step and those of the parts of the draws, (1 + PARTS,)."""
    if not size > 0.0:
        return _Shift(component, term, 0.0, 0.0)
    scatter = float(np.std(steps[1:], ddof=1)) / np.sqrt(PARTS)
    return _Shift(component, term, float(steps[0] / size), scatter / size)


# -- checks --------------------------------------------------------------------------------


def _estimates_check(fit: GeneralFit, found: Importance, shifts: list[_Shift], n: int) -> Check:
    worst = max(shifts, key=lambda s: (s.certain > SHIFT, s.certain, abs(s.value)))
    way = "the Laplace approximation" if fit.quadrature <= 1 else f"quadrature={fit.quadrature}"
    error = f"{found.error:+.3g} ± {found.std_error:.2g}"
    message = (
        f"the exact log-likelihood lies {error} from that of {way}, and its maximum "
        f"{abs(worst.value):.2g} ± {worst.std_error:.2g} standard errors from the estimate of "
        f"{worst.term!r}, the farthest"
    )
    passed = bool(worst.certain <= SHIFT)
    if not passed:
        message += f": {_way_out(fit)}"
    elif any(abs(s.value) + 2.0 * s.std_error > SHIFT for s in shifts):
        message += f"; for a surer answer draw more: n={10 * n}"
    return Check("approximation", passed, abs(worst.value), SHIFT, message)


def _way_out(fit: GeneralFit) -> str:
    nodes = NODES if fit.quadrature <= 1 else 2 * fit.quadrature + 1
    try:
        check_quadrature(replace(fit.problem, quadrature=nodes))
    except ModelError:
        return (
            "no quadrature is available for these random effects; the bias stays unless there are "
            "fewer of them, and fit.bootstrap() shows it"
        )
    return f"fit again with quadrature={nodes}, and check again"


def _draws_check(found: Importance) -> Check:
    passed = bool(found.tail <= TAIL)
    message = (
        "the weights of the draws have a variance: their means can be trusted"
        if passed
        else "a few draws carry most of the weight: the likelihood is far from what the "
        "approximation says, and neither it nor this check can be trusted"
    )
    return Check("importance weights", passed, found.tail, TAIL, message)
