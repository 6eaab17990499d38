"""The mode of the random effects at given parameters, by Newton's method.

Each search starts where the last mode would have moved, to first order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.families.base import Derivatives
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.weighted import WeightedFactor

Floats = NDArray[np.float64]
Rows = dict[int, Floats]
Weights = dict[tuple[int, int], Floats]

# The mode is found when a Newton step, per effect in units of its conditional deviation, is below
# this; the step is still made, and squares it. Differences of the gradient need the finer one.
ROUGH, FINE = 1e-4, 1e-5
# For rough ones it is enough that its square is below this share of the first step: a foreseen
# mode errs by the square of the parameters' step, and a thousandth of that does not matter.
SHARE = 1e-3
# Newton steps to the mode, and halvings of one.
STEPS, HALVINGS = 100, 30


@dataclass(frozen=True, slots=True)
class Mode:
    """û (q,) and what follows from it.

    ``shift`` ZΛû (n,) by predictor; ``eta`` all predictors (n,); ``ell``, the log-likelihood of
    the rows with its derivatives; ``penalized``, −2ℓ + û'û.
    """

    u: Floats
    shift: Rows
    eta: tuple[Floats, ...]
    ell: Derivatives
    penalized: float


@dataclass(frozen=True, slots=True)
class Last:
    """Where a mode was found: T (k, k) of each factor, β (p,), and Z'WX (q, p) there."""

    roots: list[Floats]
    beta: Floats
    crossed: Floats


class ModeSearch:
    """Finds û, and leaves H = Λ'Z'WZΛ + I factored there.

    ``u`` (q,) is the last mode, ``accuracy`` (ROUGH or FINE) that of the next ones; ``fine``,
    whether the last search ended as FINE asks, by whichever accuracy it went.
    """

    def __init__(self, problem: GeneralProblem, rows: WeightedFactor, u: Floats | None) -> None:
        self.problem, self.rows = problem, rows
        self.u = np.zeros(int(problem.plan.offset[-1])) if u is None else u.copy()
        self.accuracy = ROUGH
        self._last: Last | None = None
        self.fine = self._near = False
        self._held: Mode | None = None
        self._weights: Weights = {}

    def remember(self, mode: Mode, last: Last) -> None:
        """Start the next searches from here."""
        self.u, self._last = mode.u, last

    def forget(self) -> None:
        """Start the next search from the last mode as it is: the axes have turned."""
        self._last = None

    def find(self, roots: list[Floats], beta: Floats) -> Mode | None:
        """û by Newton with step halving, with third derivatives; None where it is not found."""
        fixed, order = self.fixed(beta), 3 if self._near else 2
        here = self._at(self._foreseen(roots, beta), fixed, roots, order)
        if not np.isfinite(here.penalized):
            self._last = None
            here = self._at(np.zeros_like(self.u), fixed, roots, order)
        limit = self.accuracy**2
        for number in range(STEPS):
            weights = self.factored(roots, here)
            if weights is None:
                weights = self.weights(here.ell)
                weights = {k: np.maximum(w, 0.0) * (k[0] == k[1]) for k, w in weights.items()}
                if not self._factorize(roots, here, weights):
                    return None
            step = self.rows.factor.u - here.u
            bound = float(step @ step) / len(step)
            length = self._length(step, here, roots) if number == 0 or bound < limit else np.inf
            if number == 0:
                limit = self._limit(length)
                self._near = length < limit
            self.fine, last = length < FINE**2, length < limit
            if number == 0 and self.accuracy == FINE and order == 3 and length < FINE**4:
                return here  # as near as a step from FINE would bring it
            if self.problem.bounded:
                step = self._inside(here, step, weights, roots)
            there = self._towards(here, step, fixed, roots, 3 if last else 2)
            if there is None:
                self.fine = False
                return self._at(here.u, fixed, roots, 3) if bound < (10 * ROUGH) ** 2 else None
            if last:
                return there
            here = there
        return None

    def factored(self, roots: list[Floats], mode: Mode) -> Weights | None:
        """W at a mode, with H factored there; None where it has no factor."""
        if self._held is not mode:
            weights = self.weights(mode.ell)
            if not self._factorize(roots, mode, weights):
                return None
            self._held, self._weights = mode, weights
        return self._weights

    def _foreseen(self, roots: list[Floats], beta: Floats) -> Floats:
        """The last û, moved along as the parameters did, to first order."""
        last, factor = self._last, self.rows.factor
        if last is None:
            return self.u
        ends = last.crossed @ (last.beta - beta)[:, None]
        turns = [new - old for new, old in zip(roots, last.roots, strict=True)]
        turned = any(turn.any() for turn in turns)
        if turned:
            ends -= factor.products(self.rows.unscale(self.u[:, None], turns))
        right = self.rows.scale(ends, last.roots)
        if turned:
            right += self.rows.scale(factor.s[:, None], turns)
        factor.forward(right)
        factor.backward(right)
        foreseen: Floats = self.u + right[:, 0]
        return foreseen

    def _length(self, step: Floats, here: Mode, roots: list[Floats]) -> float:
        """Mean square of a Newton step in conditional standard deviations."""
        slope = self.rows.scale(self.rows.score[:, None], roots)[:, 0] - here.u
        return abs(float(step @ slope)) / len(step)

    def _limit(self, first: float) -> float:
        """The length of a last step, after a first one."""
        limit = self.accuracy**2
        return limit if self.accuracy == FINE else max(limit, SHARE * float(np.sqrt(first)))

    def _inside(
        self, here: Mode, step: Floats, weights: dict[tuple[int, int], Floats], roots: list[Floats]
    ) -> Floats:
        """The step, with more curvature in the rows that it takes out of the family's range.

        To halve it instead would hold all levels where one of them meets its bound.
        """
        family, response = self.problem.family, self.problem.response
        for _ in range(HALVINGS):
            moved = self.rows.spread(step, roots)
            eta = [e + moved[a] if a in moved else e for a, e in enumerate(here.eta)]
            outside = ~np.isfinite(family.log_density(response, tuple(eta)))
            if not outside.any():
                break
            for a, rows in moved.items():
                least = np.abs(self.prior(here.ell.first[a])) / np.maximum(np.abs(rows), 1e-12)
                stiff = 4.0 * np.maximum(np.abs(weights[a, a]), least)
                weights[a, a] = np.where(outside, stiff, weights[a, a])
            if not self._factorize(roots, here, weights):
                break
            step = self.rows.factor.u - here.u
        return step

    def _towards(
        self, here: Mode, step: Floats, fixed: list[Floats], roots: list[Floats], order: int
    ) -> Mode | None:
        share = 1.0
        for _ in range(HALVINGS):
            there = self._at(here.u + share * step, fixed, roots, order)
            if there.penalized <= here.penalized + 1e-12 * (1.0 + abs(here.penalized)):
                return there
            share *= 0.5
        return None

    def _at(self, u: Floats, fixed: list[Floats], roots: list[Floats], order: int) -> Mode:
        shift = self.rows.spread(u, roots)
        eta = tuple(e + shift[a] if a in shift else e for a, e in enumerate(fixed))
        problem = self.problem
        ell = problem.family.derivatives(problem.response, eta, order, problem.curved)
        return Mode(u, shift, eta, ell, float(u @ u - 2.0 * self.prior(ell.value).sum()))

    def fixed(self, beta: Floats) -> list[Floats]:
        """Xβ + offset of each predictor."""
        return [predictor.fixed(beta) for predictor in self.problem.predictors]

    def weights(self, ell: Derivatives) -> dict[tuple[int, int], Floats]:
        """W (n,) by pair of predictors."""
        return {pair: -self.prior(rows) for pair, rows in ell.second.items()}

    def prior(self, rows: Floats) -> Floats:
        return rows if self.problem.weights is None else rows * self.problem.weights

    def _factorize(
        self, roots: list[Floats], here: Mode, weights: Mapping[tuple[int, int], Floats]
    ) -> bool:
        """Factor H; the border is such that a solve gives the Newton step's end."""
        rows = self.rows
        rows.step(
            weights, {a: self.prior(here.ell.first[a]) for a in self.problem.curved}, here.shift
        )
        self._held = None
        if rows.factor.factorize(np.concatenate([r.ravel() for r in roots])) != 0:
            return False
        rows.factor.solve()
        return True
