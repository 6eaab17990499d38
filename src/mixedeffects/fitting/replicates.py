"""The same model fitted to many responses: compiled, and threaded over chunks of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.blas_threads import single_threaded_blas
from mixedeffects.covariance import AbstractCovariance
from mixedeffects.errors import ModelError
from mixedeffects.fitting.checks import certify
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.problem import Problem, original_coefficients, with_response
from mixedeffects.fitting.refusals import EXACT_FIT, ROUNDING, physical_memory
from mixedeffects.fitting.responses import response_products, starts
from mixedeffects.fitting.searches import Search, is_searchable, make_search, searched
from mixedeffects.fitting.solve import Solution, solve

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]
Bools = NDArray[np.bool_]
# The responses (n, last − first), less the offset, of the replicates first..last.
Source = Callable[[int, int], Floats]
Progress = Callable[[int], None]

# Numbers that the responses of one chunk may take, and replicates that it holds at most.
CHUNK_SIZE, CHUNK = 1 << 21, 32


@dataclass(frozen=True, slots=True)
class Replicates:
    """Fits of R responses.

    ``theta`` (R, m) in the standardized basis; ``beta`` (R, p) of the user's columns that were
    kept; ``sigma`` (R,); ``objective`` (R,); ``roots`` (R, p, p) upper, with R'R the inverse of
    Cov(β̂)/σ² in the standardized basis; ``singular`` (R,); ``evaluations`` (R,).  ``reasons``
    of the replicates that have no certified optimum, by number: those that could not be fitted
    at all are NaN.  ``fallbacks`` counts those that the compiled search left to the other.
    """

    theta: Floats
    beta: Floats
    sigma: Floats
    objective: Floats
    roots: Floats
    singular: Bools
    evaluations: Integers
    reasons: dict[int, str]
    fallbacks: int

    def covariances(self, problem: Problem) -> list[Floats]:
        """σ²TT' (R, k, k) of each term, in the user's units."""
        found = []
        for term in problem.terms:
            own = self.theta[:, term.parameters]
            roots = np.linalg.solve(term.map, factors_of(term.covariance, own))
            found.append((roots @ roots.swapaxes(1, 2)) * self.sigma[:, None, None] ** 2)
        return found

    def vcov(self, problem: Problem) -> Floats:
        """Cov(β̂) (R, p, p) in the user's units."""
        p = self.beta.shape[1]
        roots = np.linalg.solve(self.roots @ problem.basis.map, np.eye(p))
        return (roots @ roots.swapaxes(1, 2)) * self.sigma[:, None, None] ** 2


def factors_of(covariance: AbstractCovariance, theta: Floats) -> Floats:
    """T (R, k, k) for R rows of a term's θ (R, m)."""
    if covariance.second(covariance.start()) is None:
        linear: Floats = np.tensordot(theta, covariance.jacobian(covariance.start()), 1)
        return linear
    return np.array([covariance.factor(own) for own in theta]).reshape(
        len(theta), covariance.n_columns, covariance.n_columns
    )


def replicate_fits(fit: Fit, y: Floats, *, threads: int | None = None) -> Replicates:
    """Fit responses (R, nobs), offset included, each as ``refit`` would.

    Examples
    --------
    >>> import mixedeffects as me
    >>> fit = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff"))
    >>> found = replicate_fits(fit._fit, fit.simulate(3, seed=1))
    >>> found.beta.shape, found.reasons
    ((3, 1), {})
    """
    offset = 0.0 if fit.design.offset is None else fit.design.offset
    return fit_responses(
        fit.problem, lambda first, last: (y[first:last] - offset).T, len(y), threads=threads
    )


def fit_responses(
    problem: Problem,
    source: Source,
    count: int,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Replicates:
    """Fit ``count`` responses, each as ``refit`` would.

    Parameters
    ----------
    source
        Makes the responses of a chunk when its turn comes, in the thread that fits them.
    threads
        How many; by default one for each processor with memory for its factor.  The results
        do not depend on it.
    progress
        Called with the number of replicates that are done, after each chunk.
    """
    size = max(1, min(CHUNK, CHUNK_SIZE // problem.n_rows))
    chunks = [slice(a, min(a + size, count)) for a in range(0, count, size)]
    run = _Run(problem, count)
    threads = affordable_threads(problem) if threads is None else threads
    done = 0
    for chunk in run_threads(lambda c: run.fit(c, source(c.start, c.stop)), chunks, threads):
        done += chunk
        if progress is not None:
            progress(done)
    return run.replicates()


def run_threads(
    work: Callable[[slice], int], chunks: Sequence[slice], threads: int
) -> Iterator[int]:
    """The results of ``work`` on each chunk, in order."""
    if min(threads, len(chunks)) <= 1:
        yield from map(work, chunks)
        return
    with single_threaded_blas(), ThreadPoolExecutor(min(threads, len(chunks))) as pool:
        yield from pool.map(work, chunks)


def affordable_threads(problem: Problem | GeneralProblem) -> int:
    """As many threads as there are processors, and memory for their factors."""
    try:
        processors = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        processors = os.cpu_count() or 1
    memory = physical_memory()
    if memory is None:
        return processors
    return max(1, min(processors, int(0.5 * memory / (1 + problem.plan.memory))))


class _Run:
    """The arrays that the chunks of one run fill, each its own rows."""

    def __init__(self, problem: Problem, count: int) -> None:
        m, p = problem.n_parameters, problem.plan.n_fixed
        self.problem = problem
        self.theta = np.full((count, m), np.nan)
        self.beta = np.full((count, p), np.nan)
        self.sigma = np.full(count, np.nan)
        self.objective = np.full(count, np.nan)
        self.roots = np.full((count, p, p), np.nan)
        self.evaluations = np.zeros(count, dtype=np.int32)
        self.singular = np.zeros(count, dtype=bool)
        self.reasons: dict[int, str] = {}
        self.fallbacks = 0
        self._compiled = is_searchable(problem)
        self._searches: SimpleQueue[Search] = SimpleQueue()

    def fit(self, chunk: slice, y: Floats) -> int:
        """Fit the responses (n, R) of a chunk; how many there were."""
        none = np.zeros(y.shape[1], dtype=bool)
        certified = self._search(chunk, y) if self._compiled else none
        for r in np.flatnonzero(~certified):
            self._solve(chunk.start + int(r), y[:, r])
        return len(certified)

    def _search(self, chunk: slice, y: Floats) -> Bools:
        """The compiled fits of a chunk; which of them have a certificate."""
        problem = self.problem
        responses = response_products(problem, y)
        scale = responses.scale
        told = scale > EXACT_FIT * np.abs(y).max(axis=0, initial=0.0)
        with np.errstate(divide="ignore"):
            constants = 2.0 * problem.dof * np.log(scale) + problem.constant
        search = self._take()
        found = searched(
            search,
            responses.border,
            responses.corner,
            starts(problem, responses),
            constants,
            problem.n_rows,
        )
        self._searches.put(search)
        beta = responses.least_squares + scale * found.beta.T
        self.beta[chunk] = problem.basis.original(beta).T
        self.sigma[chunk] = found.sigma * scale
        for name in ("theta", "objective", "roots", "singular", "evaluations"):
            getattr(self, name)[chunk] = getattr(found, name)
        certified: Bools = found.certified & told
        return certified

    def _take(self) -> Search:
        """A search that no other thread uses."""
        try:
            return self._searches.get_nowait()
        except Empty:
            return make_search(self.problem)

    def _solve(self, r: int, y: Floats) -> None:
        """One replicate without the compiled search."""
        self.fallbacks += self._compiled
        try:
            problem = with_response(self.problem, y)
            if problem.scale <= EXACT_FIT * np.abs(y).max(initial=0.0):
                raise ModelError("the fixed effects explain the response exactly")
            solution = solve(problem, exact=False)
            if solution.sigma < ROUNDING:
                raise ModelError("the random effects explain the response exactly")
        except (ModelError, np.linalg.LinAlgError) as error:
            self.reasons[r] = str(error)
            for array in (self.theta, self.beta, self.sigma, self.objective, self.roots):
                array[r] = np.nan
            return
        optimum = solution.optimum
        self.theta[r], self.objective[r] = optimum.theta, optimum.value
        self.beta[r] = original_coefficients(problem, solution.beta, solution.b)[0]
        self.sigma[r] = solution.sigma * problem.scale
        self.roots[r], self.singular[r] = solution.fixed_root, solution.singular
        self.evaluations[r] = optimum.evaluations
        self._judge(r, solution)

    def _judge(self, r: int, solution: Solution) -> None:
        principal = solution.principal
        zeros = [("a variance at zero", zero.slope) for zero in solution.zeros]
        checks = certify(
            principal.gradient, principal.hessian, zeros, self.problem.n_rows, solution.exact
        )
        failed = [f"{c.name}: {c.message}" for c in checks if not c.passed]
        if failed:
            self.reasons[r] = "; ".join(failed)

    def replicates(self) -> Replicates:
        return Replicates(
            theta=self.theta,
            beta=self.beta,
            sigma=self.sigma,
            objective=self.objective,
            roots=self.roots,
            singular=self.singular,
            evaluations=self.evaluations,
            reasons=dict(sorted(self.reasons.items())),
            fallbacks=self.fallbacks,
        )
