"""The tests whose power is asked for: each gives p values of simulated responses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit, problem_of
from mixedeffects.fitting.problem import Problem, with_response
from mixedeffects.fitting.replicates import (
    CHUNK,
    Progress,
    Replicates,
    affordable_threads,
    fit_responses,
    run_threads,
)
from mixedeffects.fitting.uncertainty import uncertainty_at
from mixedeffects.inference.boundary_cone import boundary_reference
from mixedeffects.inference.chi_bar import AbstractReference, Mixture
from mixedeffects.inference.draws import Draws
from mixedeffects.inference.exact_test import exact_p_value, spectrum
from mixedeffects.inference.freedom import AbstractFreedom, Asymptotic, Constant, Satterthwaite
from mixedeffects.inference.hypotheses import Hypotheses, linear_test
from mixedeffects.inference.kenward_roger import kenward_roger_at
from mixedeffects.inference.likelihood_ratio import statistic_of
from mixedeffects.inference.nesting import carry, nothing_carried
from mixedeffects.inference.ratio_bootstrap import FLAT, linear_objectives_of
from mixedeffects.inference.reductions import Reduction, reduced_fit, reductions
from mixedeffects.inference.refits import each_refit
from mixedeffects.inference.variance_tests import is_exact

Floats = NDArray[np.float64]
Results = tuple[Floats, dict[int, str]]
Method = Literal["wald", "lrt"]
# P(statistic or more) under the smaller model.
Tail = Callable[[float], float]

# How many statistics an exact distribution is computed at, and the largest (p about 1e-8): its
# logarithm is smooth between them.
GRID, LARGEST = 24, 30.0


@dataclass(frozen=True, slots=True)
class Run:
    """One simulation: the model that makes responses, n of them, and how they are fitted."""

    truth: Fit
    draws: Draws
    n: int
    threads: int | None
    progress: Progress | None

    def source(self, first: int, last: int) -> Floats:
        """Responses (nobs, last − first), less the offset."""
        return self.draws.mean[:, None] + self.draws.deviations(first, last)

    def fits(self, problem: Problem, *, told: bool = True) -> Replicates:
        """All responses fitted; whether progress is told."""
        progress = self.progress if told else None
        return fit_responses(problem, self.source, self.n, threads=self.threads, progress=progress)


class AbstractPowerTest(ABC):
    """A test of a fitted model."""

    @property
    @abstractmethod
    def text(self) -> str:
        """What is tested and how, for a reader."""

    @abstractmethod
    def p_values(self, run: Run) -> Results:
        """p values (n,), and why a replicate has none, by number."""


# -- fixed effects -------------------------------------------------------------------------


@dataclass(frozen=True)
class HypothesisTest(AbstractPowerTest):
    """t or F test of Lβ = rhs with a method's degrees of freedom at each replicate's estimates."""

    asked: Hypotheses
    df: str

    @property
    def text(self) -> str:
        return f"{', '.join(self.asked.labels)} ({self.df})"

    def p_values(self, run: Run) -> Results:
        problem, found = run.truth.problem, run.fits(run.truth.problem)
        p, reasons = np.full(run.n, np.nan), dict(found.reasons)

        def work(chunk: slice) -> int:
            y = run.source(chunk.start, chunk.stop)
            for r in set(range(chunk.start, chunk.stop)) - set(found.reasons):
                try:
                    freedom = replicate_freedom(problem, found, r, y[:, r - chunk.start], self.df)
                    p[r] = freedom.joint(self.asked.L, self.asked.rhs).p_value
                except (ModelError, np.linalg.LinAlgError) as error:
                    reasons[r] = str(error)
            return len(y)

        chunks = [slice(i, min(i + CHUNK, run.n)) for i in range(0, run.n, CHUNK)]
        threads = affordable_threads(problem) if run.threads is None else run.threads
        for _ in run_threads(work, chunks, threads):
            pass
        return p, reasons


def replicate_freedom(
    problem: Problem, found: Replicates, r: int, y: Floats, df: str
) -> AbstractFreedom:
    """The degrees of freedom of replicate r, of the response y (n,), as its fit would have them."""
    beta, theta, sigma = found.beta[r], found.theta[r], float(found.sigma[r])
    root = np.linalg.solve(found.roots[r], np.eye(len(beta)))
    if df == "kenward-roger":
        return kenward_roger_at(problem, theta, root, sigma, beta)
    common = beta, problem.basis.map, sigma * root
    if df == "satterthwaite":
        return Satterthwaite(*common, uncertainty_at(with_response(problem, y), theta))
    if df == "residual":
        return Constant(*common, float(problem.n_rows - len(beta)))
    return Asymptotic(*common, np.inf)


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


# -- random effects ------------------------------------------------------------------------


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


# -- a test of the user's own --------------------------------------------------------------


@dataclass(frozen=True)
class OwnTest(AbstractPowerTest):
    """A function of a fit that gives a p value."""

    compute: Callable[[Fit], Any]
    name: str

    @property
    def text(self) -> str:
        return f"{self.name}(fit)"

    def p_values(self, run: Run) -> Results:
        def compute(fit: Fit) -> Floats:
            p = float(self.compute(fit))
            if np.isnan(p):
                raise ModelError("the test gave no p value")
            return np.array([p])

        values, reasons, _ = each_refit(run.truth, run.draws, run.n, compute, run.progress)
        p = values[:, 0] if values.shape[1] else np.full(run.n, np.nan)
        p[list(reasons)] = np.nan
        outside = np.flatnonzero((p < 0.0) | (p > 1.0))
        if len(outside):
            p_value_of(p[outside[0]])
        return p, reasons


def p_value_of(given: Any) -> float:
    """A number between 0 and 1.

    Raises
    ------
    ModelError
        If it is not.
    """
    try:
        p = float(given)
    except (TypeError, ValueError):
        raise ModelError(f"The test gave {given!r}; it should give one p value.") from None
    if not 0.0 <= p <= 1.0:
        raise ModelError(f"The test gave {p:g}, which is no p value between 0 and 1.")
    return p


# -- likelihood ratios ---------------------------------------------------------------------


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


# -- which test is asked for ---------------------------------------------------------------


def power_test(fit: Fit, test: Any, method: Method, freedom: AbstractFreedom) -> AbstractPowerTest:
    """The test of a text or matrix: of a random term where it names one, else of coefficients.

    Raises
    ------
    FormulaError, ModelError
        If there is no such term or coefficient, or the likelihood ratio has no smaller model.
    """
    if is_random(fit, test):
        return _random_test(fit, test)
    asked = linear_test(fit, freedom, test).hypotheses
    if method == "wald":
        return HypothesisTest(asked, freedom.name)
    if np.any((asked.L != 0.0).sum(axis=1) != 1) or np.any(asked.rhs != 0.0):
        raise ModelError(
            "A likelihood ratio leaves out coefficients: name a term or some of them, such as "
            f"'{fit.estimates.x_names[-1]}', or use method='wald'."
        )
    columns = sorted(int(fit.estimates.kept[j]) for j in np.flatnonzero(asked.L.any(axis=0)))
    return RatioTest(", ".join(fit.design.x_names[j] for j in columns), tuple(columns))


def is_random(fit: Fit, test: Any) -> bool:
    """Whether a text is about a random term; levels in names of coefficients may have a ``|``."""
    if not isinstance(test, str) or "|" not in test:
        return False
    known = {_bare(r.term) for r in reductions(fit.design)}
    return _bare(test) in known or not any("|" in name for name in fit.design.x_names)


def _random_test(fit: Fit, test: str) -> RandomTest:
    known = reductions(fit.design)
    same = [r for r in known if _bare(r.term) == _bare(test)]
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


def _bare(text: str) -> str:
    return "".join(text.split())
