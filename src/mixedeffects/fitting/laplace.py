"""The Laplace approximation of a generalized model's marginal likelihood, with its gradient.

With ℓ the log-likelihood of the rows, H = Λ'Z'WZΛ + I and W = −∂²ℓ/∂η² at the mode û of
ℓ − u'u/2, the objective is −2ℓ + û'û + log|H|.  Its derivative through û is that of log|H| alone,
and enters by one adjoint solve; through W by the leverages ZΛH⁻¹Λ'Z' of the rows and the
third derivatives of ℓ (Skaug and Fournier 2006, Comput. Stat. Data Anal. 51, 699-709).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError
from mixedeffects.families.base import Derivatives
from mixedeffects.fitting.axes import Axes, Point
from mixedeffects.fitting.general import GeneralProblem, weighted_gram
from mixedeffects.fitting.mode import FINE, Last, Mode, ModeSearch, Rows
from mixedeffects.fitting.optimize import Evaluation, unknown_evaluation
from mixedeffects.fitting.weighted import WeightedFactor

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Integral:
    """−2 log of the integral over u, and its derivatives by what it is made of.

    ``leverages`` (n,) by W, by pair of predictors; ``traces``, half of those by T (k, k) of each
    grouping factor at constant modes, what ``slopes`` tells left out; ``slopes`` (n,) by the
    predictors at constant W; ``pull`` (q, 1) by the modes where they are no maximum of it.
    """

    value: float
    leverages: dict[tuple[int, int], Floats]
    traces: Floats
    slopes: Rows
    pull: Floats | None


class LaplaceObjective:
    """−2 log-likelihood by Laplace as a function of ψ = (θ, β), standardized.

    β holds the coefficients of all predictors, the family's extra parameters last.  The object
    owns the factor's workspace and starts each search for the mode from the last one, so it
    belongs to one fit and one thread.
    """

    def __init__(self, problem: GeneralProblem, u: Floats | None = None) -> None:
        self.problem = problem
        self.axes = Axes(problem.terms, problem.plan)
        self.rows = WeightedFactor(problem)
        self._search = ModeSearch(problem, self.rows, u)
        self._point: Point | None = None
        self._mode: Mode | None = None
        self._at = np.full(problem.n_parameters + problem.n_fixed, np.nan)
        self._by_beta = np.empty(0)
        self._curvature_beta = np.zeros((problem.n_fixed,) * 2)
        self._mixed = np.zeros((problem.n_parameters, problem.n_fixed))

    def __call__(self, psi: Floats) -> Evaluation:
        """Value, exact gradient and an approximate Hessian."""
        return self._evaluate(psi, True)

    def refine(self, psi: Floats) -> Evaluation:
        """The same at ψ, with modes from now on found as finely as differences need."""
        self._search.accuracy = FINE
        if self._search.fine and self._mode is not None and np.array_equal(self._at, psi):
            return self._express(psi)  # it was found so finely by itself
        return self(psi)

    def gradient(self, psi: Floats) -> Floats:
        """The exact gradient alone."""
        return self._evaluate(psi, False).gradient

    def _evaluate(self, psi: Floats, informed: bool) -> Evaluation:
        m = self.problem.n_parameters
        theta, beta = psi[:m], psi[m:]
        factors = self.axes.factors(theta)
        roots = self._roots(factors)
        mode = self._search.find(roots, beta)
        weights = None if mode is None else self._search.factored(roots, mode)
        if mode is None or weights is None:
            self._search.forget()
            return unknown_evaluation(np.inf, len(psi))
        integral = self._integrate(roots, mode)
        if not np.isfinite(integral.value):
            return unknown_evaluation(np.inf, len(psi))
        self._differentiate(integral, factors, roots, mode, weights)
        if informed:
            crossed = self._inform(theta, factors, roots, mode, weights)
            self._search.remember(mode, Last(roots, beta, crossed))
        self._at, self._mode = psi.copy(), mode if informed else None
        return self._express(psi)

    def _roots(self, factors: list[Floats]) -> list[Floats]:
        """T (k, k) of each grouping factor, its terms' along the diagonal."""
        flat, plan = self.axes.flat(factors), self.problem.plan
        sizes = plan.factor_size
        return [
            flat[plan.factor_ptr[f] : plan.factor_ptr[f + 1]].reshape(k, k)
            for f, k in enumerate(sizes)
        ]

    # -- derivatives ----------------------------------------------------------------------

    def _integrate(self, roots: list[Floats], mode: Mode) -> Integral:
        """The integral by Laplace, from the factor of H at the mode."""
        leverages = self.rows.leverages(roots)
        traces, _ = self.rows.factor.contract()
        slopes = {
            a: -2.0 * self._search.prior(mode.ell.first[a])
            for a in range(len(self.problem.predictors))
        }
        value = mode.penalized + self.rows.factor.log_determinant
        return Integral(value, leverages, traces, slopes, None)

    def _differentiate(
        self,
        integral: Integral,
        factors: list[Floats],
        roots: list[Floats],
        mode: Mode,
        weights: Mapping[tuple[int, int], Floats],
    ) -> None:
        rows, axes, curved = self.rows, self.axes, self.problem.curved
        ell = mode.ell
        by_weight = self._by_weight(ell, integral.leverages)
        v = self._adjoint({a: by_weight[a] for a in curved}, integral.pull, roots)
        adjoint = rows.spread(v, roots)
        slopes = by_weight
        for a in range(len(self.problem.predictors)):
            slopes[a] += integral.slopes[a]
            for b in curved:
                w = weights.get((min(a, b), max(a, b)))
                if w is not None:
                    slopes[a] -= w * adjoint[b]
        moment, score = rows.collect_one(slopes)[:, 0], rows.score
        traces = integral.traces + 0.5 * np.concatenate(
            [(moment[c].T @ mode.u[c] + score[c].T @ v[c]).ravel() for c in rows.columns]
        )
        halves, by_covariance = axes.by_factor(factors, traces, np.zeros_like(traces), 1.0)
        unknown = np.zeros((self.problem.n_parameters,) * 2)
        self._point = Point(
            integral.value, factors, halves, by_covariance, unknown, unknown, np.empty(0)
        )
        self._by_beta = np.concatenate(
            [p.basis.columns.T @ slopes[a] for a, p in enumerate(self.problem.predictors)]
        )

    def _inform(
        self,
        theta: Floats,
        factors: list[Floats],
        roots: list[Floats],
        mode: Mode,
        weights: Mapping[tuple[int, int], Floats],
    ) -> Floats:
        """The average information, with β X'(W − WZΛH⁻¹Λ'Z'W)[X Zc], c = Σ̇s for a direction Σ̇.

        That of the covariances with β is half of what a linear model with these weights observes,
        as none of it is expected.  Returns Z'WX (q, P).
        """
        axes, factor = self.axes, self.rows.factor
        axes.direct(theta, factors)
        information, _, moved, ends = factor.information_parts(
            axes.owner, axes.directions, axes.direction_ptr
        )
        assert self._point is not None
        self._point = replace(self._point, information=information, curvature=information)
        gram, crossed = self._fixed_products(mode, weights)
        right = self.rows.scale(crossed, roots)
        factor.forward(right)
        self._curvature_beta = 2.0 * (gram - right.T @ right)
        self._mixed = moved.T @ crossed - ends.T @ right
        return crossed

    def _by_weight(self, ell: Derivatives, leverages: Mapping[tuple[int, int], Floats]) -> Rows:
        """The integral's derivative (n,) by each predictor through W alone."""
        rows: Rows = {}
        for a in range(len(self.problem.predictors)):
            total = np.zeros(self.problem.n_rows)
            for (b, c), h in leverages.items():
                third = ell.third.get(_sorted(a, b, c))
                if third is not None:
                    part = h * third
                    total -= part if b == c else 2.0 * part
            rows[a] = self._search.prior(total)
        return rows

    def _adjoint(self, by_weight: Rows, pull: Floats | None, roots: list[Floats]) -> Floats:
        """v = H⁻¹ times the integral's derivative by the modes."""
        collected = self.rows.collect_one(by_weight)
        right = np.ascontiguousarray(self.rows.scale(collected, roots))
        if pull is not None:
            right += pull
        self.rows.factor.forward(right)
        self.rows.factor.backward(right)
        v: Floats = right[:, 0]
        return v

    def _fixed_products(
        self, mode: Mode, weights: Mapping[tuple[int, int], Floats]
    ) -> tuple[Floats, Floats]:
        """X'WX (P, P) and Z'WX (q, P), for the X of all predictors."""
        problem = self.problem
        if len(problem.predictors) > len(problem.curved):  # of the others, W is not made yet
            everyone = tuple(range(len(problem.predictors)))
            weights = self._search.weights(
                problem.family.derivatives(problem.response, mode.eta, 2, everyone)
            )
        return weighted_gram(problem, weights), self.rows.collect_fixed(weights)

    def _express(self, psi: Floats) -> Evaluation:
        assert self._point is not None
        m = self.problem.n_parameters
        gradient, correction, carry = self.axes.express(self._point, psi[:m])
        hessian = np.zeros((len(psi), len(psi)))
        hessian[:m, :m] = carry.T @ self._point.information @ carry + correction
        hessian[m:, m:] = self._curvature_beta
        hessian[:m, m:] = carry.T @ self._mixed
        hessian[m:, :m] = hessian[:m, m:].T
        slope = np.concatenate([gradient, self._by_beta])
        return Evaluation(self._point.value, slope, hessian, hessian)

    # -- axes and boundary -----------------------------------------------------------------

    def rotate(self, psi: Floats) -> tuple[Floats, Evaluation] | None:
        """Turn free terms to their principal axes, where one is nearly singular."""
        m = self.problem.n_parameters
        return self._turn(psi, upright=False) if self.axes.leaning(psi[:m]) else None

    @property
    def rotated(self) -> bool:
        """Whether some term's parameters are along turned axes."""
        return self.axes.rotated

    def principal(self, psi: Floats) -> Evaluation:
        """The point ψ (without rotations) along the principal axes of the free terms."""
        _, evaluation = self._turn(psi, upright=False)
        self._turn(self._at, upright=True)
        return evaluation

    def turned(self, psi: Floats) -> tuple[Floats, Evaluation]:
        """Turn to the principal axes and stay there."""
        return self._turn(psi, upright=False)

    def modes(self, psi: Floats) -> tuple[Floats, Floats]:
        """û (q,) and b̂ = Λû (q,) at ψ, in elimination order.

        Raises
        ------
        ModelError
            If the mode is not found.
        """
        m = self.problem.n_parameters
        roots = self._roots(self.axes.factors(psi[:m]))
        known = self._mode if np.array_equal(self._at, psi) else None
        mode = known or self._search.find(roots, psi[m:])
        if mode is None:
            raise no_modes(self.problem)
        b = np.empty_like(mode.u)
        for columns, T in zip(self.rows.columns, roots, strict=True):
            b[columns] = mode.u[columns] @ T.T
        return mode.u, b

    def by_covariance(self, psi: Floats) -> list[Floats]:
        """Derivative (k, k) of the objective by each term's covariance TT'."""
        return self._known_point(psi).by_covariance

    def upright(self, psi: Floats) -> tuple[Floats, Evaluation]:
        """Undo all rotations; the same point in the plain parameters."""
        return self._turn(psi, upright=True)

    def _turn(self, psi: Floats, upright: bool) -> tuple[Floats, Evaluation]:
        m = self.problem.n_parameters
        theta, self._point = self.axes.turn(self._known_point(psi), psi[:m], upright)
        self._search.forget()
        self._at, self._mode = np.concatenate([theta, psi[m:]]), None
        return self._at, self._express(self._at)

    def _known_point(self, psi: Floats) -> Point:
        if self._point is None or not np.array_equal(self._at, psi):
            self(psi)
        assert self._point is not None
        return self._point


def no_modes(problem: GeneralProblem) -> ModelError:
    """Why there is no mode, or none beside where the search had to stop."""
    edge = (
        f"with link {problem.family.link!r} some means lie at the edge of their range, use "
        "another link"
        if problem.bounded
        else "the likelihood may have no maximum there, simplify the model"
    )
    return ModelError(f"The most likely random effects were not found at these parameters: {edge}.")


def _sorted(a: int, b: int, c: int) -> tuple[int, int, int]:
    first, second, third = sorted((a, b, c))
    return first, second, third
