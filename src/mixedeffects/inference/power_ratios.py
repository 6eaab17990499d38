"""Likelihood ratios of simulated responses: of coefficients, and of random terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit, problem_of
from mixedeffects.fitting.problem import Problem
from mixedeffects.inference.boundary_cone import boundary_reference
from mixedeffects.inference.chi_bar import AbstractReference, Mixture
from mixedeffects.inference.exact_test import exact_p_value, spectrum
from mixedeffects.inference.likelihood_ratio import statistic_of
from mixedeffects.inference.nesting import carry, nothing_carried
from mixedeffects.inference.power_runs import AbstractPowerTest, Results, Run
from mixedeffects.inference.ratio_bootstrap import FLAT, linear_objectives_of
from mixedeffects.inference.reductions import Reduction, reduced_fit, reductions
from mixedeffects.inference.variance_tests import is_exact

Floats = NDArray[np.float64]
# P(statistic or more) under the smaller model.
Tail = Callable[[float], float]

# How many statistics an exact distribution is computed at, and the largest (p about 1e-8): its
# logarithm is smooth between them.
GRID, LARGEST = 24, 30.0


@dataclass(frozen=True)
class RatioTest(AbstractPowerTest):
    """Likelihood ratio, by maximum likelihood, against the model without some coefficients."""

    label: str
    columns: tuple[int, ...]

    @property
    def text(self) -> str:
        return f"{self.label} (likelihood ratio)"

    def p_values(self, run: Run) -> Results:
        design = run.truth.design
        left = [j for j in range(len(design.x_names)) if j not in self.columns]
        smaller = replace(
            design,
            X=np.ascontiguousarray(design.X[:, left]),
            x_names=tuple(design.x_names[j] for j in left),
            has_intercept=design.has_intercept and 0 in left,
        )
        small, large = problem_of(smaller, False), run.truth.problem
        if large.reml:
            large = problem_of(design, False)
        fewer = large.plan.n_fixed - small.plan.n_fixed
        if not fewer:
            raise ModelError(f"Without {self.label} other columns say the same: nothing to test.")
        without, reasons = objectives(run, small, told=False)
        return compared(without, *objectives(run, large), reasons, Mixture((1.0,), fewer).upper)


@dataclass(frozen=True)
class RandomTest(AbstractPowerTest):
    """Likelihood ratio of a random term, as ``test_random`` has it.

    ``reference`` is the boundary's distribution at the estimates of the fit. Where the exact
    distribution is affordable it is that of each size's own design.
    """

    number: int
    term: str
    reference: AbstractReference

    @property
    def text(self) -> str:
        return f"{self.term} (likelihood ratio)"

    def p_values(self, run: Run) -> Results:
        truth, reml = run.truth, run.truth.problem.reml
        reduction = reduction_of(truth, self.number, self.term)
        if reduction.random:
            small = problem_of(replace(truth.design, random=reduction.random), reml)
            without, reasons = objectives(run, small, told=False)
        else:
            without, reasons = linear_objectives_of(truth.problem, run.source, run.n), {}
        larger = objectives(run, truth.problem)
        upper: Tail = self.reference.upper
        if is_exact(truth, not reduction.random, reduction, "auto"):
            upper = _exact_upper(truth.problem, reduction, without - larger[0])
        return compared(without, *larger, reasons, upper)


def reduction_of(fit: Fit, number: int, term: str) -> Reduction:
    return next(r for r in reductions(fit.design) if (r.number, r.term) == (number, term))


def _exact_upper(problem: Problem, reduction: Reduction, statistics: Floats) -> Tail:
    """The exact distribution's tail, interpolated over the range of the statistics."""
    assert reduction.variance is not None
    known = spectrum(problem, reduction.number, reduction.variance)
    largest = float(np.clip(np.nanmax(statistics, initial=1.0), 1.0, LARGEST))
    # the square root of a statistic is about normal, the logarithm of its tail a parabola
    grid = largest * np.linspace(1e-3, 1.0, GRID) ** 2
    tails = np.log([max(exact_p_value(known, float(s))[0], 1e-300) for s in grid])

    def upper(statistic: float) -> float:
        if statistic <= 0.0:
            return 1.0
        return float(np.exp(np.interp(np.sqrt(statistic), np.sqrt(grid), tails)))

    return upper


def objectives(run: Run, problem: Problem, *, told: bool = True) -> Results:
    """Optima (n,), and why a replicate has none. A flat one is an optimum all the same."""
    found = run.fits(problem, told=told)
    reasons = {r: why for r, why in found.reasons.items() if not why.startswith(FLAT)}
    return found.objective, reasons


def compared(
    without: Floats,
    larger: Floats,
    reasons: dict[int, str],
    others: dict[int, str],
    upper: Tail,
) -> Results:
    """p values of likelihood ratios (n,)."""
    reasons, p = {**others, **reasons}, np.full(len(larger), np.nan)
    for r in set(range(len(p))) - set(reasons):
        statistic = statistic_of(float(without[r]), float(larger[r]))
        if statistic is None:
            reasons[r] = "the larger model's optimum is not the best"
        else:
            p[r] = min(upper(statistic), 1.0)
    return p, reasons


def random_test(fit: Fit, test: str) -> RandomTest:
    """The test of the random term that ``test_random`` gives this name.

    Raises
    ------
    ModelError
        If it has none of that name, or the term leaves no smaller model to compare with.
    """
    known = reductions(fit.design)
    same = [r for r in known if bare(r.term) == bare(test)]
    if not same:
        listed = ", ".join(repr(r.term) for r in known)
        raise ModelError(
            f"{test!r} is not a random term that a test leaves out; test_random() has: {listed}."
        )
    reduction, small = same[0], reduced_fit(fit, same[0])
    carried = nothing_carried(fit) if small is None else carry(small, fit)
    if isinstance(carried, str):
        raise ModelError(f"There is no test of {test!r}: {carried}.")
    fewer = fit.problem.n_parameters - (0 if small is None else small.problem.n_parameters)
    reference, _ = boundary_reference(fit.problem, carried, fewer)
    return RandomTest(reduction.number, reduction.term, reference)


def bare(text: str) -> str:
    """A text without blanks."""
    return "".join(text.split())
