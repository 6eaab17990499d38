"""The joint log-density of coefficients, covariances and random effects, with its gradient.

Every level's effects b = Tu are standardized by what its rows tell of them, −b'Ab/2 + r'b about:
w = Ku − K⁻ᵀT'r with K'K = T'AT + I has about the same normal distribution whatever the covariance
TT'.  Effects of which rows tell much are so centred (b itself, in its own units), those of
which they tell little are not (b = Tw).  Such partial centring is of Papaspiliopoulos, Roberts,
Sköld (2007) A general framework for the parametrization of hierarchical models, Statistical
Science 22, 59–73.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra._joint import levels_backward, levels_forward, multiply_levels
from mixedeffects.algebra._weighted import add_rows, gather
from mixedeffects.algebra.cholesky import columns_of
from mixedeffects.bayes.coordinates import AbstractTermCoordinates
from mixedeffects.bayes.roots import Pullback, changed_root
from mixedeffects.bayes.stretched import StretchedCoordinates
from mixedeffects.fitting.general import GeneralProblem

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]


@dataclass(frozen=True)
class Target:
    """A posterior: a problem with its prior.

    ``log_prior`` of all coefficients (p,) of the problem's basis, with its gradient;
    ``coordinates`` of each term's covariance in the user's units.
    """

    problem: GeneralProblem
    log_prior: Callable[[Floats], tuple[float, Floats]]
    coordinates: tuple[AbstractTermCoordinates | StretchedCoordinates, ...]

    @cached_property
    def places(self) -> list[slice]:
        """Of each term's coordinates in ψ, behind the coefficients."""
        ends = self.problem.n_fixed + np.cumsum([0, *(c.dimension for c in self.coordinates)])
        return [slice(int(a), int(b)) for a, b in pairwise(ends)]

    @property
    def dimension(self) -> int:
        """Of ψ: coefficients and coordinates."""
        return self.problem.n_fixed + sum(c.dimension for c in self.coordinates)

    def prior(self, psi: Floats) -> tuple[float, Floats]:
        """Log-density of the prior at ψ and its gradient."""
        p = self.problem.n_fixed
        gradient = np.empty(len(psi))
        value, gradient[:p] = self.log_prior(psi[:p])
        for coordinates, place in zip(self.coordinates, self.places, strict=True):
            own, gradient[place] = coordinates.log_prior(psi[place])
            value += own
        return value, gradient

    def plain_prior(self, psi: Floats) -> float:
        """The same as a density of the logarithms of deviations, whatever the coordinates."""
        value = self.log_prior(psi[: self.problem.n_fixed])[0]
        for own, place in zip(self.coordinates, self.places, strict=True):
            value += own.plain_prior(psi[place])
        return value

    def root(self, number: int, x: Floats) -> tuple[Floats, Pullback]:
        """T (k, k) of a term in the problem's basis, and the way from ∂/∂T to ∂/∂x."""
        root, pull = self.coordinates[number].root(x)
        T, pull_basis = changed_root(root, self.problem.terms[number].map)
        return T, lambda by_T: pull(pull_basis(by_T))


# A (L, k, k) and r (L, k) of the levels of a grouping factor.
Told = tuple[Floats, Floats]


class Levels:
    """The random effects of one grouping factor's levels, and the memory that they need.

    ``columns`` (L, k) places in w; ``information`` A (L, k, k) and r (L, k).
    """

    def __init__(self, problem: GeneralProblem, number: int, told: Told) -> None:
        plan = problem.plan
        k = int(plan.factor_size[number])
        self.predictor = problem.predictor[number]
        self.codes, self.values = (
            problem.groupings[number].codes,
            problem.groupings[number].values,
        )
        self.columns = columns_of(plan, number)
        self.terms = [(i, t.columns) for i, t in enumerate(problem.terms) if t.grouping == number]
        self.T = np.zeros((k, k))
        self.b: Floats = np.empty(self.columns.shape)
        self._told = told
        self._m = np.empty(self.columns.shape)
        self._starts = np.ascontiguousarray(self.columns[:, 0])
        self._K = np.empty((*self.columns.shape, k))
        self._u = np.empty(self.columns.shape)
        self.slopes = np.zeros(self.columns.shape)
        self._slope_starts = k * np.arange(len(self.columns), dtype=np.int64)
        self._by_T = np.empty((k, k))
        self._work = np.empty((3, k * k))

    def forward(self, w: Floats) -> float:
        """Set b (L, k) from w (q,) at the present T; the levels' own log-density, up to 2π."""
        A, r = self._told
        density: float = levels_forward(
            self.T, A, r, self._starts, w, self._K, self._m, self._u, self.b
        )
        return density

    def backward(self, w: Floats, rows: Floats, by_w: Floats) -> Floats:
        """Set the derivatives by w at their places; returns those by T (k, k).

        ``rows`` (n,) are those of the log-likelihood by the rows' predictor.
        """
        self.collect(rows)
        A, r = self._told
        levels_backward(
            self.T,
            A,
            r,
            self._starts,
            w,
            self._K,
            self._m,
            self._u,
            self.slopes,
            by_w,
            self._by_T,
            self._work,
        )
        return self._by_T

    def collect(self, rows: Floats) -> None:
        """Set ``slopes`` (L, k) by b from those (n,) by the rows' predictor."""
        self.slopes[:] = 0.0
        add_rows(self.codes, self.values, rows, self._slope_starts, self.slopes.reshape(-1))

    def told(self) -> Told:
        """A, and r such that w = 0 where b is as it is, and most likely."""
        A = self._told[0]
        return A, self.slopes + np.einsum("lij,lj->li", A, self.b)

    def standardize(self, u: Floats, out: Floats) -> None:
        """Set w (q,) = Ku − m at this factor's places, at the present T."""
        self.forward(out)
        out[self.columns] = np.einsum("lij,lj->li", self._K, u[self.columns]) - self._m

    @property
    def centring(self) -> float:
        """1 − tr (K'K)⁻¹/k, the mean over levels: how far their effects are centred."""
        inverse = np.linalg.inv(self._K)
        return float(1.0 - np.mean(np.sum(inverse**2, axis=(1, 2))) / self.b.shape[1])

    def multiply(self, x: Floats, transposed: bool, out: Floats) -> None:
        """Set Kx, or K'x, for x (q, m) at this factor's places, K that of the last `forward`."""
        multiply_levels(self._K, self._starts, x, transposed, out)


class JointDensity:
    """log p(y, w, ψ) up to a constant, and its gradient.

    ψ holds the coefficients of all predictors in the problem's basis, then the coordinates of
    each term's covariance.  The object owns its workspace: one serves one thread.
    ``told``: A and r of each grouping factor's levels.
    """

    def __init__(self, target: Target, told: Sequence[Told]) -> None:
        problem = target.problem
        self.target = target
        self.told = tuple(told)
        self.levels = [Levels(problem, f, own) for f, own in enumerate(told)]
        self.n_effects = int(problem.plan.offset[-1])
        self._response = problem.response.take(slice(None))
        self._shape = problem.response.y.shape
        self._places = target.places
        self._everyone = tuple(range(len(problem.predictors)))

    def __call__(self, psi: Floats, w: Floats) -> tuple[float, Floats, Floats]:
        """The value and its derivatives by ψ and by w (q,); not finite where there is none."""
        problem = self.target.problem
        value, by_psi = self.target.prior(psi)
        density, pullbacks = self.set_effects(psi, w)
        value += density
        eta = self._predictors(psi)
        ell = problem.family.derivatives(self._response, eta, 1, self._everyone)
        weights = problem.weights
        value += float(ell.value.sum() if weights is None else weights @ ell.value)
        rows = [
            np.ascontiguousarray(r if weights is None else weights * r)
            for r in (ell.first[a] for a in self._everyone)
        ]
        for predictor, slopes in zip(problem.predictors, rows, strict=True):
            by_psi[predictor.coefficients] += (
                slopes.sum() if predictor.constant else slopes @ predictor.basis.columns
            )
        by_w = np.empty(len(w))
        for levels in self.levels:
            by_T = levels.backward(w, rows[levels.predictor], by_w)
            for number, columns in levels.terms:
                by_psi[self._places[number]] += pullbacks[number](by_T[columns, columns])
        return value, by_psi, by_w

    def set_effects(self, psi: Floats, w: Floats) -> tuple[float, list[Pullback]]:
        """Set T and b of each grouping factor's levels.

        Returns log p(w | ψ), and the way from derivatives by T to those by x, by term.
        """
        pullbacks: list[Pullback] = [_nothing] * len(self._places)
        for levels in self.levels:
            for number, columns in levels.terms:
                root = self.target.root(number, psi[self._places[number]])
                levels.T[columns, columns], pullbacks[number] = root
        return sum(levels.forward(w) for levels in self.levels), pullbacks

    def standardize(self, psi: Floats, u: Floats) -> Floats:
        """w (q,) of effects u at ψ; K is then that of ψ."""
        w = np.zeros(len(u))
        self.set_effects(psi, w)
        for levels in self.levels:
            levels.standardize(u, w)
        return w

    def about(self, psi: Floats, u: Floats) -> JointDensity:
        """The same with each level's r such that w = 0 at ψ and u, the effects' mode there."""
        self(psi, self.standardize(psi, u))
        return JointDensity(self.target, [levels.told() for levels in self.levels])

    def multiply(self, x: Floats, transposed: bool) -> Floats:
        """Kx or K'x for x (q, m), K that of the last evaluation."""
        out = np.empty_like(x)
        for levels in self.levels:
            levels.multiply(x, transposed, out)
        return out

    def _predictors(self, psi: Floats) -> tuple[Floats, ...]:
        """η of each predictor: (n,), or one number for all rows."""
        eta = [predictor.fixed(psi) for predictor in self.target.problem.predictors]
        for levels in self.levels:
            a = levels.predictor
            if not eta[a].ndim:
                eta[a] = np.full(self._shape, eta[a])
            gather(levels.codes, levels.values, levels.b, eta[a])
        return tuple(eta)


def _nothing(by_T: Floats) -> Floats:
    return by_T
