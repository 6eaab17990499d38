"""The tests whose power is asked for: each gives p values of simulated responses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.problem import Problem, with_response
from mixedeffects.fitting.replicates import CHUNK, Replicates, affordable_threads, run_threads
from mixedeffects.fitting.uncertainty import uncertainty_at
from mixedeffects.inference.freedom import AbstractFreedom, Asymptotic, Constant, Satterthwaite
from mixedeffects.inference.hypotheses import Hypotheses, linear_test
from mixedeffects.inference.kenward_roger import kenward_roger_at
from mixedeffects.inference.power_ratios import RatioTest, bare, random_test
from mixedeffects.inference.power_runs import AbstractPowerTest, Results, Run
from mixedeffects.inference.reductions import reductions
from mixedeffects.inference.refits import each_refit

Floats = NDArray[np.float64]
Method = Literal["wald", "lrt"]


def power_test(fit: Fit, test: Any, method: Method, freedom: AbstractFreedom) -> AbstractPowerTest:
    """The test of a text or matrix: of a random term where it names one, else of coefficients.

    Raises
    ------
    FormulaError, ModelError
        If there is no such term or coefficient, or the likelihood ratio has no smaller model.
    """
    if is_random(fit, test):
        return random_test(fit, test)
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
    known = {bare(r.term) for r in reductions(fit.design)}
    return bare(test) in known or not any("|" in name for name in fit.design.x_names)


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
