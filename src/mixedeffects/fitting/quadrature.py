"""Adaptive Gauss-Hermite quadrature where the random effects are those of one factor's levels.

Each level's integral over its k effects is a sum over a product rule, whose nodes are laid at
the mode û and scaled by the curvature H there (Liu and Pierce 1994, Biometrika 81, 624-629;
Pinheiro and Bates 1995, J. Comput. Graph. Stat. 4, 12-35): u = û + Ct with CC' = H⁻¹, C lower
triangular.  The gradient is that of the finite sum, nodes following the parameters: with
H moving by dH, C moves by −C·low(C'dH C), low the lower triangle with half of its diagonal; so
B = C(I + 2Γ)C' stands where the Laplace approximation has H⁻¹.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra._weighted import add_levels
from mixedeffects.errors import ModelError
from mixedeffects.families.response import Response
from mixedeffects.fitting.boundary import least_deviation
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.joint_mode import check_joint, check_likelihood
from mixedeffects.fitting.laplace import Integral, LaplaceObjective
from mixedeffects.fitting.mode import Mode, Rows
from mixedeffects.fitting.optimize import Evaluation
from mixedeffects.fitting.restricted import RestrictedObjective
from mixedeffects.fitting.solve import SMALL

Floats = NDArray[np.float64]

# Effects a level, nodes an effect, and nodes in all.
EFFECTS, FINEST, MOST = 3, 101, 50_000
# Rows times nodes that are evaluated at once.
AT_ONCE = 200_000
# What to do instead.
WAY = "use quadrature=1 (Laplace), and judge its error by fit.check_laplace()."
EXACT = (
    "quadrature={} is for other than Gaussian responses: with the identity link the likelihood "
    "is computed exactly; leave it out."
)


@dataclass(frozen=True, slots=True)
class Rule:
    """Nodes t (J, k) and log w + t't/2 (J,), w the weights of a standard normal expectation."""

    nodes: Floats
    logs: Floats


@lru_cache
def product_rule(count: int, k: int) -> Rule:
    """The Gauss-Hermite rule of ``count`` nodes in each of k dimensions."""
    t, w = np.polynomial.hermite_e.hermegauss(count)
    logs = np.log(w / w.sum()) + 0.5 * t**2
    nodes = np.stack(np.meshgrid(*[t] * k, indexing="ij"), axis=-1).reshape(-1, k)
    sums = sum(np.meshgrid(*[logs] * k, indexing="ij"), np.zeros(()))
    return Rule(nodes, sums.ravel())


def check_quadrature(problem: GeneralProblem) -> None:
    """Refuse a rule for a model whose integral does not split into small ones.

    Raises
    ------
    ModelError
    """
    count, factors = problem.quadrature, len(problem.groupings)
    if count == 1 or factors == 0:
        return
    if problem.exact:
        raise ModelError(EXACT.format(count))
    if count == 0:
        check_joint(problem)
        return
    if factors != 1 or problem.groupings[0].relationship is not None:
        found = f"{factors} sets of them" if factors != 1 else "levels related by a matrix"
        raise ModelError(
            f"quadrature={count} needs the random effects of one grouping factor in one linear "
            f"predictor; this model has {found}, so that its likelihood is no product of small "
            f"integrals: {WAY}"
        )
    k = problem.groupings[0].values.shape[1]
    if k > EFFECTS:
        raise ModelError(
            f"quadrature={count} takes at most {EFFECTS} random effects a level; this model has "
            f"{k}, for which {count}^{k} nodes a level would be needed: {WAY}"
        )
    if count**k > MOST:
        finest = int(MOST ** (1.0 / k))
        raise ModelError(
            f"quadrature={count} with {k} random effects a level means {count}^{k} nodes; choose "
            f"at most {finest}."
        )


def objective_of(problem: GeneralProblem, u: Floats | None = None) -> LaplaceObjective:
    """The objective with the problem's number of nodes; it looks for the mode from ``u`` (q,).

    Raises
    ------
    ModelError
        If the problem's estimates are of no likelihood.
    """
    check_likelihood(problem)
    if problem.reml:
        return RestrictedObjective(problem, u)
    plain = problem.quadrature == 1 or not problem.groupings
    return LaplaceObjective(problem, u) if plain else QuadratureObjective(problem, u)


@dataclass(slots=True)
class _Sums:
    """Sums over the nodes, with weights e^(log w + t't/2 + Δ), Δ of a level's log-integrand.

    Per level: ``total`` (L,), of t ``node`` (L, k), of tt' ``square`` (L, k, k), of the scores
    Z's ``score`` (L, k), of Z's t' ``mixed`` (L, k, k); per row: the ``slopes`` (n,) of its log
    density by each predictor.
    """

    total: Floats
    node: Floats
    square: Floats
    score: Floats
    mixed: Floats
    slopes: Rows

    def divide(self) -> None:
        """From sums to means."""
        self.node /= self.total[:, None]
        self.square /= self.total[:, None, None]
        self.score /= self.total[:, None]
        self.mixed /= self.total[:, None, None]


class QuadratureObjective(LaplaceObjective):
    """−2 log-likelihood by adaptive Gauss-Hermite quadrature, else as its base class."""

    def __init__(self, problem: GeneralProblem, u: Floats | None = None) -> None:
        super().__init__(problem, u)
        grouping = problem.groupings[0]
        self._codes, self._values = grouping.codes, grouping.values
        self._n_levels = len(self.rows.columns[0])
        self._rule = product_rule(problem.quadrature, self._values.shape[1])
        self._tiles: dict[int, Response] = {}

    def _integrate(self, roots: list[Floats], mode: Mode) -> Integral:
        """The integral by the rule, from the factor of H at the mode."""
        T, columns = roots[0], self.rows.columns[0]
        (curved,) = self.problem.curved
        factor = self.rows.factor
        factor.invert(False)
        H_inverse = factor.level_covariances(self.problem.plan.position[0])
        C = cast(Floats, np.linalg.cholesky(H_inverse))
        at = mode.u[columns]
        sums = self._sums(mode, at, C, T)
        with np.errstate(divide="ignore"):
            value = mode.penalized + factor.log_determinant - 2.0 * np.log(sums.total).sum()
        if not np.isfinite(value):
            return Integral(np.inf, {}, np.empty(0), {}, None)
        sums.divide()
        # Γ is the mean of C'∇g t', g the log-integrand, ∇g = T'Z's − u
        mean = at + np.einsum("lab,lb->la", C, sums.node)
        spread = at[:, :, None] * sums.node[:, None, :] + C @ sums.square
        gamma = np.swapaxes(C, 1, 2) @ (T.T @ sums.mixed - spread)
        low = np.tril(gamma) - 0.5 * gamma * np.eye(len(T))
        B = C @ (np.eye(len(T)) + low + np.swapaxes(low, 1, 2)) @ np.swapaxes(C, 1, 2)
        z = self._values @ T
        leverages = np.einsum("ia,iab,ib->i", z, B[self._codes], z)
        W = -self._search.prior(mode.ell.second[curved, curved])
        products = self._by_level(self._values, self._values * W[:, None])
        traces = np.einsum("lab,bc,lcd->ad", products, T, B)
        traces -= np.einsum("lab,lcb->ac", sums.mixed, C)
        pull = np.empty((len(mode.u), 1))
        pull[columns, 0] = 2.0 * (mean - sums.score @ T)
        slopes = {a: -2.0 * rows for a, rows in sums.slopes.items()}
        return Integral(float(value), {(curved, curved): leverages}, traces.ravel(), slopes, pull)

    def _sums(self, mode: Mode, at: Floats, C: Floats, T: Floats) -> _Sums:
        n, k, levels = self.problem.n_rows, len(T), self._n_levels
        sums = _Sums(
            np.zeros(levels),
            np.zeros((levels, k)),
            np.zeros((levels, k, k)),
            np.zeros((levels, k)),
            np.zeros((levels, k, k)),
            {a: np.zeros(n) for a in range(len(self.problem.predictors))},
        )
        J = len(self._rule.nodes)
        size = min(J, max(1, AT_ONCE // n))
        for start, stop in pairwise([*range(0, J, size), J]):
            self._add(sums, slice(start, stop), mode, at, C, T)
        for rows in sums.slopes.values():
            rows /= sums.total[self._codes]
        return sums

    def _add(self, sums: _Sums, part: slice, mode: Mode, at: Floats, C: Floats, T: Floats) -> None:
        """Add some nodes to the sums."""
        t, logs = self._rule.nodes[part], self._rule.logs[part]
        moves = np.einsum("lab,jb->laj", C, t)
        scaled = T @ moves
        shifts = sum(
            self._values[:, a, None] * scaled[self._codes, a] for a in range(scaled.shape[1])
        )
        density, slopes = self._densities(mode, shifts)
        (curved,) = self.problem.curved
        change = self._by_level(
            np.ones((len(shifts), 1)), density - self._search.prior(mode.ell.value)[:, None]
        )
        change = change[:, 0] - ((at[:, :, None] + 0.5 * moves) * moves).sum(axis=1)
        weight = np.exp(logs + change)
        scores = self._by_level(self._values, slopes[curved])
        sums.total += weight.sum(axis=1)
        sums.node += weight @ t
        sums.square += np.einsum("lj,ja,jb->lab", weight, t, t)
        sums.score += np.einsum("lj,laj->la", weight, scores)
        sums.mixed += np.einsum("lj,laj,jb->lab", weight, scores, t)
        of_rows = weight[self._codes]
        for a, slope in slopes.items():
            sums.slopes[a] += np.einsum("ij,ij->i", of_rows, slope)

    def _densities(self, mode: Mode, shifts: Floats) -> tuple[Floats, Rows]:
        """Weighted log-density of the rows at each node, and its slopes by predictor, (n, J)."""
        n, J = shifts.shape
        problem, (curved,) = self.problem, self.problem.curved
        eta = [e if e.ndim == 0 else np.repeat(e, J) for e in mode.eta]
        eta[curved] = eta[curved] + shifts.ravel()
        ell = problem.family.derivatives(self._tiled(J), tuple(eta), 1, problem.curved)
        value = ell.value.reshape(n, J)
        slopes = {a: s.reshape(n, J) for a, s in ell.first.items()}
        if problem.weights is not None:
            w = problem.weights[:, None]
            value, slopes = value * w, {a: s * w for a, s in slopes.items()}
        impossible = ~np.isfinite(value)
        if impossible.any():
            value = np.where(impossible, -np.inf, value)
            slopes = {a: np.where(impossible, 0.0, s) for a, s in slopes.items()}
        return value, slopes

    def _tiled(self, J: int) -> Response:
        """The response with each row J times."""
        if J not in self._tiles:
            n = self.problem.n_rows
            self._tiles[J] = self.problem.response.take(np.repeat(np.arange(n), J))
        return self._tiles[J]

    def _by_level(self, left: Floats, right: Floats) -> Floats:
        """Sums (L, k, m) of left·right' over the rows of each level."""
        k, m = left.shape[1], right.shape[1]
        out = np.zeros((self._n_levels, k, m))
        starts = np.arange(self._n_levels, dtype=np.int64) * (k * m)
        ones = np.ones(len(left))
        add_levels(self._codes, left, np.ascontiguousarray(right), ones, starts, m, out.reshape(-1))
        return out

    def rotate(self, psi: Floats) -> tuple[Floats, Evaluation] | None:
        """Turn no sooner than the solution is, and back: other axes are another sum."""
        if least_deviation(self.problem, psi) < SMALL:
            return super().rotate(psi)
        return self.upright(psi) if self.rotated else None

    def _turn(self, psi: Floats, upright: bool) -> tuple[Floats, Evaluation]:
        """As in the base class; the nodes lie otherwise along other axes."""
        turned, here = super()._turn(psi, upright)
        return (turned, here) if self._values.shape[1] == 1 else (turned, self(turned))
