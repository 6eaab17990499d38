"""The likelihood by importance sampling from the Gaussian approximation of the random effects.

The integral over u is a product over the pieces into which rows and levels fall apart, each
weighed by itself.  Draws come in pairs û ± Cz, CC' = H⁻¹, with z normal or, for a share of them,
Student's t, whose tails bound the weights (Hesterberg 1995, Technometrics 37, 185-194); the
mixture's density weighs all (Owen and Zhou 2000, J. Am. Stat. Assoc. 95, 135-143).  The score
follows from the same draws: ∂ log ∫ p(y, u) du = E[∂ log p(y, u) | y] (Fisher's identity).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from mixedeffects.algebra.cholesky import columns_of
from mixedeffects.fitting.axes import Point
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.general_solve import GeneralSolution
from mixedeffects.fitting.laplace import LaplaceObjective

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

# Share of the draws that come from Student's t, and its degrees of freedom.
WIDE, FREEDOM = 0.2, 4.0
# Parts of the draws, whose scatter is the score's error.
PARTS = 10


@dataclass(frozen=True, slots=True)
class Importance:
    """What the draws say of the approximation at an optimum.

    ``error`` of its log-likelihood, exact less approximate, with ``std_error``; ``step`` (m + P,)
    of ψ̂ to first order if the exact likelihood were maximized, zero for parameters at a boundary,
    and by each of the ``parts`` (PARTS, m + P) of the draws; ``pieces`` of the integral;
    ``tail``, the shape k̂ of the weights of the largest piece.
    """

    error: float
    std_error: float
    step: Floats
    parts: Floats
    pieces: int
    tail: float


def importance(
    problem: GeneralProblem, solution: GeneralSolution, n: int, rng: np.random.Generator
) -> Importance:
    """Sample about n sets of random effects at a solution."""
    sampler = _Sampler(problem, solution)
    sizes = sampler.pieces.sizes
    largest = int(np.argmax(sizes))
    pairs = max(2, round(0.5 * n / PARTS))
    wide = max(1, round(WIDE * pairs))
    first, second, whole = np.zeros(len(sizes)), np.zeros(len(sizes)), _Sums(sampler)
    scores, weights = [], []
    for _ in range(PARTS):
        sums = _Sums(sampler)
        for number in range(pairs):
            z = rng.standard_normal(len(sampler.u))
            if number < wide:
                scale = np.sqrt(FREEDOM / rng.chisquare(FREEDOM, len(sizes)))
                z *= scale[sampler.pieces.effects]
            pair = sampler.add(z, wide / pairs, sums)
            first += pair.mean(axis=0)
            second += pair.mean(axis=0) ** 2
            weights += [pair[0, largest], pair[1, largest]]
        scores.append(sampler.score(sums))
        whole.add(sums)
    count = PARTS * pairs
    mean = first / count
    spread = np.maximum(second / count - mean**2, 0.0) / (count - 1) / mean**2
    beyond_laplace = float(np.log(mean).sum() + 0.5 * spread.sum())
    return Importance(
        error=beyond_laplace + 0.5 * (solution.optimum.value - sampler.laplace),
        std_error=float(np.sqrt(spread.sum())),
        step=solution.covariance @ sampler.score(whole),
        parts=np.array(scores) @ solution.covariance,
        pieces=len(sizes),
        tail=tail_shape(np.array(weights)),
    )


@dataclass(frozen=True, slots=True)
class _Pieces:
    """The piece of each row (n,) and random effect (q,), and how many effects each has."""

    rows: Places
    effects: Places
    sizes: NDArray[np.int64]


class _Sampler:
    """The Gaussian approximation at a solution, and the joint density of draws from it."""

    def __init__(self, problem: GeneralProblem, solution: GeneralSolution) -> None:
        self.problem, plan = problem, problem.plan
        self._objective = LaplaceObjective(problem, solution.u)
        self._psi = solution.optimum.theta
        if solution.turned:
            self._psi, _ = self._objective.turned(self._psi)
        self.laplace = self._objective.refine(self._psi).value
        self.u, _ = self._objective.modes(self._psi)
        m, axes = problem.n_parameters, self._objective.axes
        self._factors = axes.factors(self._psi[:m])
        flat = axes.flat(self._factors)
        self._roots = [
            flat[plan.factor_ptr[f] : plan.factor_ptr[f + 1]].reshape(k, k)
            for f, k in enumerate(plan.factor_size)
        ]
        self._fixed = [p.fixed(self._psi[m:]) for p in problem.predictors]
        self.columns = [columns_of(plan, f) for f in range(len(problem.groupings))]
        self.pieces = pieces_of(problem)
        self._at_mode, _ = self._joint(self.u)

    def add(self, z: Floats, share: float, sums: _Sums) -> Floats:
        """Add the pair û ± Cz to the sums; its weights (2, pieces) relative to Laplace.

        ``share`` of the draws z (q,) is from Student's t.
        """
        sizes = self.pieces.sizes
        squares = np.bincount(self.pieces.effects, z**2, len(sizes))
        half = 0.5 * (FREEDOM + sizes)
        student = gammaln(half) - gammaln(0.5 * FREEDOM) - half * np.log1p(squares / FREEDOM)
        student -= 0.5 * sizes * np.log(0.5 * FREEDOM)
        density = np.logaddexp(np.log1p(-share) - 0.5 * squares, np.log(share) + student)
        move = z[:, None].copy()
        self._objective.rows.factor.backward(move)
        pair = np.empty((2, len(sizes)))
        for i, sign in enumerate((1.0, -1.0)):
            u = self.u + sign * move[:, 0]
            joint, slopes = self._joint(u)
            pair[i] = np.exp(joint - self._at_mode - density)
            self._add(sums, pair[i], u, slopes)
        return pair

    def _joint(self, u: Floats) -> tuple[Floats, dict[int, Floats]]:
        """ℓ − u'u/2 of each piece, and the slopes (n,) of ℓ by each predictor."""
        problem = self.problem
        eta = list(self._fixed)
        for a, shift in self._objective.rows.spread(u, self._roots).items():
            eta[a] = eta[a] + shift
        ell = problem.family.derivatives(problem.response, tuple(eta), 1, problem.curved)
        w = np.ones(problem.n_rows) if problem.weights is None else problem.weights
        possible = np.isfinite(ell.value)
        count = len(self.pieces.sizes)
        joint: Floats = np.bincount(self.pieces.rows, w * ell.value, count).astype(np.float64)
        joint -= 0.5 * np.bincount(self.pieces.effects, u**2, count)
        return joint, {a: np.where(possible, w * s, 0.0) for a, s in ell.first.items()}

    def _add(self, sums: _Sums, weights: Floats, u: Floats, slopes: dict[int, Floats]) -> None:
        sums.weights += weights
        of_rows = weights[self.pieces.rows]
        for a, rows in slopes.items():
            sums.slopes[a] += of_rows * rows
        scores = self._objective.rows.collect({a: slopes[a][:, None] for a in self.problem.curved})
        for moments, columns in zip(sums.moments, self.columns, strict=True):
            of_levels = weights[self.pieces.effects[columns[:, 0]]]
            weighted = of_levels[:, None, None] * scores[columns]
            moments += weighted * u[columns][:, None, :]

    def score(self, sums: _Sums) -> Floats:
        """The derivative (m + P,) of the exact log-likelihood by ψ, from weighted sums."""
        problem, axes = self.problem, self._objective.axes
        m, pieces, totals = problem.n_parameters, self.pieces, sums.weights
        traces = np.concatenate(
            [
                (moments / totals[pieces.effects[columns[:, 0]]][:, None, None]).sum(axis=0).ravel()
                for moments, columns in zip(sums.moments, self.columns, strict=True)
            ]
        )
        slopes, by_covariance = axes.by_factor(self._factors, traces, np.zeros_like(traces), 1.0)
        unknown = np.zeros((m, m))
        point = Point(0.0, self._factors, slopes, by_covariance, unknown, unknown, np.empty(0))
        gradient, _, _ = axes.express(point, self._psi[:m])
        own = [
            p.basis.columns.T @ (sums.slopes[a] / totals[pieces.rows])
            for a, p in enumerate(problem.predictors)
        ]
        return np.concatenate([0.5 * gradient, *own])


class _Sums:
    """Weighted sums over draws: of 1 by piece, of ∂ℓ/∂η by row and of ∂ℓ/∂T by level."""

    def __init__(self, sampler: _Sampler) -> None:
        problem = sampler.problem
        self.weights = np.zeros(len(sampler.pieces.sizes))
        self.slopes = [np.zeros(problem.n_rows) for _ in problem.predictors]
        self.moments = [np.zeros((*c.shape, c.shape[1])) for c in sampler.columns]

    def add(self, other: _Sums) -> None:
        self.weights += other.weights
        for own, more in zip(self.slopes + self.moments, other.slopes + other.moments, strict=True):
            own += more


def pieces_of(problem: GeneralProblem) -> _Pieces:
    """What levels and rows hang together: the connected components of their graph."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    plan, groupings = problem.plan, problem.groupings
    vertices = [plan.position[f][g.codes] for f, g in enumerate(groupings)]
    n = len(plan.size)
    first = np.concatenate([vertices[0]] * max(len(groupings) - 1, 1))
    other = np.concatenate(vertices[1:] or vertices)
    graph = coo_array((np.ones(len(first), dtype=bool), (first, other)), shape=(n, n))
    count, piece = connected_components(graph, directed=False)
    effects = np.repeat(piece, plan.size).astype(np.intp)
    sizes = np.bincount(effects, minlength=count)
    return _Pieces(piece[vertices[0]].astype(np.intp), effects, sizes)


def tail_shape(weights: Floats) -> float:
    """Shape k̂ of a generalized Pareto distribution of the largest of n weights.

    Zhang and Stephens (2009), Technometrics 51, 316-325, with the prior and the tail's length
    of Vehtari, Simpson, Gelman, Yao and Gabry (2024), JMLR 25(72).  Below 0.7 means of the weights
    can be trusted.
    """
    ordered = np.sort(weights)
    count = int(min(0.2 * len(ordered), 3.0 * np.sqrt(len(ordered))))
    x = ordered[-count:] - ordered[-count - 1]
    x = x[x > 1e-10 * ordered[-1]]
    if len(x) < 5:
        return -np.inf
    n, m = len(x), 30 + int(np.sqrt(len(x)))
    b = 1.0 / x[-1] + (1.0 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))) / (
        3.0 * x[int(n / 4 + 0.5) - 1]
    )
    k = np.log1p(-b[:, None] * x).mean(axis=1)
    profile = n * (np.log(-b / k) - k - 1.0)
    chance = np.exp(profile - profile.max())
    best = float(b @ chance / chance.sum())
    shape = float(np.log1p(-best * x).mean())
    return (n * shape + 5.0) / (n + 10.0)
