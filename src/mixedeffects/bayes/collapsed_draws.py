"""Many points of a collapsed posterior: their densities, and exact draws of β and u at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra._collapsed import Collapsed
from mixedeffects.algebra.blas_threads import single_threaded_blas
from mixedeffects.algebra.cholesky import columns_of
from mixedeffects.bayes.collapsed import CollapsedPosterior
from mixedeffects.bayes.compiled_density import compiled_density, is_compilable
from mixedeffects.fitting.replicates import affordable_threads

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
Progress = Callable[[int], None]

# Multiplications between two looks at the progress, and random effects that are drawn at a time.
PIECE, CHUNK_SIZE, CHUNK = 2e9, 1 << 20, 500


@dataclass(frozen=True, slots=True)
class Points:
    """D points of a posterior.

    ``roots`` (D, k, k), Λ of each term in the user's units; ``log_sigma`` (D,); ``log_prior``
    (D,) of these, up to a constant; ``T`` (D, Σk²) and ``held`` (D, P), of the standardized
    columns, as a workspace takes them; ``beta`` (D, P), the coefficients that are coordinates.
    """

    roots: tuple[Floats, ...]
    log_sigma: Floats
    log_prior: Floats
    T: Floats
    held: Floats
    beta: Floats

    def take(self, rows: Places) -> Points:
        """Some of them."""
        return Points(
            tuple(root[rows] for root in self.roots),
            *(own[rows] for own in (self.log_sigma, self.log_prior, self.T, self.held, self.beta)),
        )


def joined(parts: Sequence[Points]) -> Points:
    """Points one after the other."""
    roots = zip(*(part.roots for part in parts), strict=True)
    return Points(
        tuple(np.concatenate(own) for own in roots),
        np.concatenate([part.log_sigma for part in parts]),
        np.concatenate([part.log_prior for part in parts]),
        np.concatenate([part.T for part in parts]),
        np.concatenate([part.held for part in parts]),
        np.concatenate([part.beta for part in parts]),
    )


@dataclass(frozen=True, slots=True)
class Completed:
    """Draws of β (D, P) and of the modes (D, L, k) of each term, in the user's units."""

    beta: Floats
    modes: tuple[Floats, ...]


def points_at(posterior: CollapsedPosterior, x: Floats) -> Points:
    """The points at coordinates x (D, d)."""
    log_sigma, held = x[:, posterior.at_sigma], x[:, posterior.at_sigma + 1 :]
    roots, log_prior = _roots_and_priors(posterior, np.ascontiguousarray(x))
    T = posterior.relative(roots, log_sigma)
    beta = posterior.beta(x)
    return Points(tuple(roots), log_sigma, log_prior, T, np.ascontiguousarray(held), beta)


def _roots_and_priors(posterior: CollapsedPosterior, x: Floats) -> tuple[list[Floats], Floats]:
    if is_compilable(posterior):
        sizes = [t.covariance.n_columns for t in posterior.problem.terms]
        ends = np.cumsum([0, *(k * k for k in sizes)])
        flat, priors = np.empty((len(x), ends[-1])), np.empty(len(x))
        compiled_density(posterior).roots(x, flat, priors)
        parts = zip(pairwise(ends), sizes, strict=True)
        return [flat[:, a:b].reshape(-1, k, k) for (a, b), k in parts], priors
    sigma = posterior.priors.sigma
    assert sigma is not None
    priors = np.array([sigma.log_density(own)[0] for own in x[:, posterior.at_sigma]])
    for coordinates, place in zip(posterior.priors.terms, posterior.places, strict=True):
        priors += [coordinates.log_prior(own)[0] for own in x[:, place]]
    return posterior.roots(x), priors


def log_priors_of_coefficients(posterior: CollapsedPosterior, beta: Floats) -> Floats:
    """(D,) at β (D, P)."""
    coefficients = posterior.priors.coefficients
    values = beta @ coefficients.functions.T
    total = np.zeros(len(beta))
    for prior, own in zip(coefficients.independent.priors, values.T, strict=True):
        total += prior.log_density(own)
    return total


def log_densities(
    posterior: CollapsedPosterior, points: Points, progress: Progress | None = None
) -> Floats:
    """(D,) up to a constant; of the first ones only, after an interrupt.

    Raises
    ------
    KeyboardInterrupt
        When the user stops it before the first is done.
    """
    log_sigma = points.log_sigma - np.log(posterior.problem.scale)
    values = np.empty(len(log_sigma))

    def fill(workspace: Collapsed, rows: slice, number: int) -> None:
        workspace.values(points.T[rows], log_sigma[rows], points.held[rows], values[rows])

    operations = posterior.problem.plan.operations
    size = max(1, min(CHUNK, int(PIECE / operations)))
    done = _run(posterior, len(values), size, fill, progress)
    found = points.log_prior[:done] - 0.5 * values[:done]
    if posterior.n_held:
        found += log_priors_of_coefficients(posterior, points.beta[:done])
    return found


def complete(posterior: CollapsedPosterior, points: Points, seed: int) -> Completed:
    """Draw u and, unless it is given, β; ``seed`` decides, whatever the threads."""
    problem, n = posterior.problem, len(points.log_sigma)
    plan = posterior.workspace_arguments[0]
    q, p = int(plan.offset[-1]), plan.n_fixed
    log_sigma = points.log_sigma - np.log(problem.scale)
    places = [columns_of(plan, term.grouping)[:, term.columns] for term in problem.terms]
    back = [problem.scale * np.linalg.inv(term.map).T for term in problem.terms]
    beta = np.empty((n, p)) if p else points.beta
    modes = tuple(np.empty((n, *place.shape)) for place in places)

    def fill(workspace: Collapsed, rows: slice, number: int) -> None:
        rng = np.random.default_rng((seed, number))
        noise = rng.standard_normal((rows.stop - rows.start, q + p))
        b, values = np.empty((len(noise), q)), np.empty(len(noise))
        workspace.draw(points.T[rows], log_sigma[rows], points.held[rows], noise, b, values)
        for own, place, mapping in zip(modes, places, back, strict=True):
            own[rows] = b[:, place] @ mapping
        if p:
            standard = problem.least_squares + problem.scale * noise[:, q:]
            beta[rows] = problem.basis.original(standard.T).T

    size = max(1, min(CHUNK, CHUNK_SIZE // (1 + q)))
    if _run(posterior, n, size, fill, None) < n:
        raise KeyboardInterrupt
    return Completed(beta, modes)


def _run(
    posterior: CollapsedPosterior,
    n: int,
    size: int,
    fill: Callable[[Collapsed, slice, int], None],
    progress: Progress | None,
) -> int:
    """Fill n rows, so many at a time, in threads; how many are done, in order."""
    chunks = [slice(a, min(a + size, n)) for a in range(0, n, size)]
    threads = min(affordable_threads(posterior.problem), len(chunks))
    workspaces: SimpleQueue[Collapsed] = SimpleQueue()
    for _ in range(threads):
        workspaces.put(Collapsed(*posterior.own_arguments()))

    def work(number: int) -> None:
        workspace = workspaces.get()
        fill(workspace, chunks[number], number)
        workspaces.put(workspace)

    done = 0
    with single_threaded_blas(), ThreadPoolExecutor(threads) as pool:
        try:
            for chunk, _ in zip(chunks, pool.map(work, range(len(chunks))), strict=True):
                done = chunk.stop
                if progress is not None:
                    progress(done)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            if not done:
                raise
    return done
