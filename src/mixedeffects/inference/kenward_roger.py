"""Kenward–Roger: adjusted covariance of β̂, degrees of freedom and scale of its tests.

Kenward and Roger 1997 (Biometrics 53, 983–997); for structures that are not linear in their
parameters, with the term of Kenward and Roger 2009 (Comput. Stat. Data Anal. 53, 2583–2595).
V/σ² = Σ φ_a G_a is linear in the elements of each term's covariance and in the residual
variance; P_a = −X'V⁻¹G_aV⁻¹X, Q_ab = X'V⁻¹G_aV⁻¹G_bV⁻¹X and tr(V⁻¹G_aV⁻¹G_b) follow from
Z'V⁻¹Z and Z'V⁻¹X, those of the residual from the linearity: nothing has n rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance import AbstractCovariance
from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.problem import Problem
from mixedeffects.inference.components import Batch, batches
from mixedeffects.inference.freedom import AbstractFreedom, FTest, Method, rotated

Floats = NDArray[np.float64]

# Share of the largest below which an eigenvalue of the scaled information is none.
UNKNOWN = 1e-10
# A denominator of the paper's formulas below this is zero, where its limit is taken.
VANISHING = 1e-10


@dataclass(frozen=True)
class KenwardRoger(AbstractFreedom):
    """Scaled F with the adjusted covariance of β̂.

    Attributes
    ----------
    covariance : ndarray, shape (p, p)
        Φ_A, adjusted.
    unadjusted : ndarray, shape (p, p)
        Φ.
    slopes : ndarray, shape (e, p, p)
        ΦP_aΦ, minus the derivatives of Φ by the elements of V.
    spread : ndarray, shape (e, e)
        Covariance of the estimated elements of V.
    """

    name: ClassVar[Method] = "kenward-roger"
    unadjusted: Floats
    slopes: Floats
    spread: Floats

    def rows(self, L: Floats) -> Floats:
        variance = np.einsum("ri,ij,rj->r", L, self.unadjusted, L)
        slopes = np.einsum("ri,aij,rj->ra", L, self.slopes, L, optimize=True) / variance[:, None]
        with np.errstate(divide="ignore"):
            freedom: Floats = 2.0 / np.einsum("ra,ab,rb->r", slopes, self.spread, slopes)
        return freedom

    def joint(self, L: Floats, rhs: Floats | None = None) -> FTest:
        directions, squares = rotated(self, L, rhs)
        rank = len(squares)
        if rank == 0:
            return FTest(np.nan, 0, np.nan)
        if rank == 1:
            return FTest(float(squares[0]), 1, float(self.rows(directions)[0]))
        root = np.linalg.cholesky(directions @ self.unadjusted @ directions.T)
        scaled = np.linalg.solve(root, directions)
        slopes = scaled @ self.slopes @ scaled.T
        traces = np.trace(slopes, axis1=1, axis2=2)
        flat = slopes.reshape(len(slopes), -1)
        scale, den_df = scaled_f(
            rank, float(traces @ self.spread @ traces), float(((flat @ flat.T) * self.spread).sum())
        )
        return FTest(scale * float(squares.mean()), rank, den_df)


def scaled_f(rank: int, A1: float, A2: float) -> tuple[float, float]:
    """λ and m such that λF of ``rank`` hypotheses is about F(rank, m): the paper's section 3.

    Parameters
    ----------
    rank
        ℓ, at least 2.
    A1, A2
        ΣΣ W_ab tr(ΘΦP_aΦ) tr(ΘΦP_bΦ) and ΣΣ W_ab tr(ΘΦP_aΦΘΦP_bΦ).

    Raises
    ------
    ModelError
        If no F distribution has these moments.

    Examples
    --------
    >>> scaled_f(2, 0.0, 0.0)  # the variance parameters as good as known
    (1.0, inf)
    """
    if A2 < VANISHING:
        return 1.0, np.inf
    B = (A1 + 6.0 * A2) / (2.0 * rank)
    g = ((rank + 1) * A1 - (rank + 4) * A2) / ((rank + 2) * A2)
    common = 3.0 * rank + 2.0 * (1.0 - g)
    above = 1.0 + B * g / common
    below = 1.0 - B * (rank - g) / common
    last = 1.0 - B * (rank + 2.0 - g) / common
    mean = 1.0 - A2 / rank
    both_vanish = max(abs(mean), abs(below)) < VANISHING
    numerator = above if both_vanish else mean**2 * above
    denominator = last if both_vanish else below**2 * last
    if numerator == denominator:
        return mean, np.inf
    m = 4.0 + (rank + 2.0) * denominator / (numerator - denominator)
    scale = 1.0 if abs(m - 2.0) < 1e-2 else m * mean / (m - 2.0)
    if not (m > 0.0 and scale > 0.0):
        raise ModelError(
            f"Kenward-Roger's approximation fails for this test of rank {rank} (denominator df "
            f"{m:.3g}, scale {scale:.3g}): there are too few groups for it. Test fewer "
            "coefficients at once, or use df='satterthwaite'."
        )
    return scale, m


def kenward_roger(fit: Fit) -> KenwardRoger:
    """Kenward–Roger's quantities of a REML fit.

    A structure whose covariance is not linear in its parameters (cs of three and more columns,
    ar1, toep) has the second derivatives' part that no change of parameters removes; the
    result does not depend on how a structure is parametrized.  A variance at zero counts as
    estimated there; elements of V about which the data say nothing are left out.

    Raises
    ------
    ModelError
        For a fit by maximum likelihood, or one with too large a component of crossed effects.
    """
    problem = fit.problem
    if not problem.reml:
        raise ModelError(
            "Kenward-Roger is defined for REML fits, and this one is by maximum likelihood: "
            "fit again with reml=True, or use df='satterthwaite'."
        )
    elements = _elements(problem, fit.solution.optimum.theta)
    root = np.linalg.solve(fit.solution.fixed_root, np.eye(problem.plan.n_fixed))
    phi = root @ root.T
    moments = _with_residual(_moments(problem, elements), elements.present, phi, problem.n_rows)
    spread, adjusted = _adjusted(moments, elements, phi)
    back = np.linalg.solve(problem.basis.map, np.eye(len(phi)))
    variance = (fit.solution.sigma * problem.scale) ** 2
    return KenwardRoger(
        beta=fit.estimates.beta,
        covariance=variance * back @ adjusted @ back.T,
        unadjusted=fit.estimates.vcov,
        slopes=variance * back @ (phi @ moments.P @ phi) @ back.T,
        spread=spread,
    )


# -- elements of V -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Elements:
    """Matrices of which each grouping factor's covariance is a combination.

    ``factors`` T (k, k) per factor; ``bases`` (e_f, k, k) per factor; ``present`` (e,) the
    combination that Σ/σ² is; ``first`` (m, e) its derivatives by the parameters and
    ``second`` (m, m, e); where a structure is linear its parameters are the elements.
    """

    factors: list[Floats]
    bases: list[Floats]
    present: Floats
    first: Floats
    second: Floats


def _elements(problem: Problem, theta: Floats) -> _Elements:
    sizes = [int(k) for k in problem.plan.factor_size]
    factors = [np.zeros((k, k)) for k in sizes]
    bases: list[list[Floats]] = [[] for _ in sizes]
    parts: list[list[tuple[Floats, Floats, Floats]]] = [[] for _ in sizes]
    for term in problem.terms:
        own = theta[term.parameters]
        factors[term.grouping][term.columns, term.columns] = term.covariance.factor(own)
        basis, *combinations = _term_elements(term.covariance, own)
        lifted = np.zeros((len(basis), *factors[term.grouping].shape))
        lifted[:, term.columns, term.columns] = basis
        bases[term.grouping].append(lifted)
        parts[term.grouping].append((combinations[0], combinations[1], combinations[2]))
    flat = [part for members in parts for part in members]
    e, m = sum(len(p[0]) for p in flat), sum(len(p[1]) for p in flat)
    present, first, second = np.empty(e), np.zeros((m, e)), np.zeros((m, m, e))
    i = j = 0
    for own_present, own_first, own_second in flat:
        rows, columns = slice(i, i + len(own_first)), slice(j, j + len(own_present))
        present[columns], first[rows, columns] = own_present, own_first
        second[rows, rows, columns] = own_second
        i, j = rows.stop, columns.stop
    return _Elements(factors, [np.concatenate(b) for b in bases], present, first, second)


def _term_elements(
    covariance: AbstractCovariance, theta: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Basis (e, k, k), and by it TT' (e,), its derivatives (m, e) and (m, m, e)."""
    k = covariance.n_columns
    T = covariance.factor(theta)
    if covariance.closure == "affine" or not covariance.correlated:
        basis = _linear_basis(covariance)
        e = len(basis)
        first, second = np.eye(e), np.zeros((e, e, e))
        return basis, _combination(basis, (T @ T.T)[None])[0], first, second
    J, curved = covariance.jacobian(theta), covariance.second(theta)
    slopes = J @ T.T
    slopes = slopes + slopes.transpose(0, 2, 1)
    bends = np.einsum("iab,jcb->ijac", J, J)
    if curved is not None:
        bends = bends + curved @ T.T
    bends = bends + bends.transpose(0, 1, 3, 2)
    spanning = np.concatenate([(T @ T.T)[None], slopes, bends.reshape(-1, k, k)])
    basis = _orthonormal(spanning)
    m = len(slopes)
    second = _combination(basis, bends.reshape(-1, k, k)).reshape(m, m, -1)
    return basis, _combination(basis, (T @ T.T)[None])[0], _combination(basis, slopes), second


def _linear_basis(covariance: AbstractCovariance) -> Floats:
    k = covariance.n_columns
    if covariance.closure == "affine":
        rows, columns = np.tril_indices(k)
        basis = np.zeros((len(rows), k, k))
        basis[np.arange(len(rows)), rows, columns] = 1.0
        basis[np.arange(len(rows)), columns, rows] = 1.0
        return basis
    J = covariance.jacobian(covariance.start())
    return J @ J.transpose(0, 2, 1)


def _orthonormal(matrices: Floats) -> Floats:
    """Orthonormal matrices (e, k, k) that span the given ones."""
    flat = matrices.reshape(len(matrices), -1)
    sizes = np.linalg.norm(flat, axis=1, keepdims=True)
    _, singular, axes = np.linalg.svd(flat / np.where(sizes > 0.0, sizes, 1.0))
    rank = int((singular > 1e-9 * singular[0]).sum())
    return cast(Floats, axes[:rank].reshape(-1, *matrices.shape[1:]))


def _combination(basis: Floats, matrices: Floats) -> Floats:
    """Coefficients (r, e) of matrices (r, k, k) in the span of a basis."""
    columns = basis.reshape(len(basis), -1).T
    solved = np.linalg.lstsq(columns, matrices.reshape(len(matrices), -1).T)[0]
    return cast(Floats, solved.T)


# -- moments -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Moments:
    """P (e, p, p), Q (e, e, p, p), tr(V⁻¹G_aV⁻¹G_b) (e, e) and tr(V⁻¹G_a) (e,)."""

    P: Floats
    Q: Floats
    pairs: Floats
    single: Floats


def _moments(problem: Problem, elements: _Elements) -> _Moments:
    """Sums over the components of the random effects."""
    counts = [len(b) for b in elements.bases]
    e, p = sum(counts), problem.plan.n_fixed
    ends = np.cumsum([0, *counts])
    places = [slice(a, b) for a, b in pairwise(ends.tolist())]
    moments = _Moments(np.zeros((e, p, p)), np.zeros((e, e, p, p)), np.zeros((e, e)), np.zeros(e))
    for batch in batches(problem, p * (2 + max(counts))):
        _add(moments, batch, elements, places)
    return moments


def _add(moments: _Moments, batch: Batch, elements: _Elements, places: list[slice]) -> None:
    ZVZ, ZVX = _whitened(batch, elements.factors)
    c, _, p = ZVX.shape
    moved = [
        _moved(basis, ZVX[:, own]) for basis, own in zip(elements.bases, batch.own, strict=True)
    ]
    for f, rows in enumerate(places):
        own, basis = batch.own[f], elements.bases[f]
        e, k, s = len(basis), basis.shape[1], own.stop - own.start
        if s == 0:
            continue
        left = moved[f].reshape(c * s, e * p)
        sums = ZVX[:, own].reshape(c * s, p).T @ left
        moments.P[rows] -= sums.reshape(p, e, p).transpose(1, 0, 2)
        blocks = np.einsum("clalb->ab", ZVZ[:, own, own].reshape(c, s // k, k, s // k, k))
        moments.single[rows] += np.einsum("eab,ab->e", basis, blocks)
        for g, columns in enumerate(places[: f + 1]):
            other, others = batch.own[g], elements.bases[g]
            block = ZVZ[:, own, other]
            moments.pairs[rows, columns] += _pair_traces(block, basis, others)
            right = (block @ moved[g]).reshape(c * s, -1)
            Q = (left.T @ right).reshape(e, p, len(others), p).transpose(0, 2, 1, 3)
            moments.Q[rows, columns] += Q
            if g < f:
                moments.pairs[columns, rows] = moments.pairs[rows, columns].T
                moments.Q[columns, rows] = moments.Q[rows, columns].transpose(1, 0, 3, 2)


def _whitened(batch: Batch, factors: list[Floats]) -> tuple[Floats, Floats]:
    """Z'V⁻¹Z (c, s, s) and Z'V⁻¹X (c, s, p) with V relative to σ²."""
    c, s, p = batch.ZWX.shape
    both = np.concatenate([batch.ZWZ, batch.ZWX], axis=2)
    scaled = np.empty_like(both)
    for T, own in zip(factors, batch.own, strict=True):
        k = len(T)
        scaled[:, own] = (T.T @ both[:, own].reshape(c, -1, k, s + p)).reshape(c, -1, s + p)
    M = np.zeros((c, s, s))
    for T, own in zip(factors, batch.own, strict=True):
        columns = scaled[:, :, own]
        M[:, :, own] = (columns.reshape(c, s, -1, len(T)) @ T).reshape(columns.shape)
    M[:, np.arange(s), np.arange(s)] += 1.0
    Y = _forward(cast(Floats, np.linalg.cholesky(M)), scaled)
    reduced = both - Y[:, :, :s].transpose(0, 2, 1) @ Y
    return reduced[:, :, :s], reduced[:, :, s:]


def _forward(L: Floats, rhs: Floats) -> Floats:
    """L⁻¹ rhs of stacked lower triangles."""
    if len(L) > 1:
        return cast(Floats, np.linalg.solve(L, rhs))
    from scipy.linalg import solve_triangular

    solved: Floats = solve_triangular(L[0], rhs[0], lower=True, check_finite=False)[None]
    return solved


def _moved(basis: Floats, ZVX: Floats) -> Floats:
    """(I ⊗ D_a) Z'V⁻¹X of one factor's rows, (c, s, e·p)."""
    c, s, p = ZVX.shape
    e, k, _ = basis.shape
    stacked = basis.transpose(1, 0, 2).reshape(k * e, k) @ ZVX.reshape(c, s // k, k, p)
    return stacked.reshape(c, s, e * p)


def _pair_traces(block: Floats, basis: Floats, others: Floats) -> Floats:
    """tr(V⁻¹G_aV⁻¹G_b) (e, e') of the elements of two factors from their Z'V⁻¹Z (c, s, s')."""
    c, s, t = block.shape
    k, j = basis.shape[1], others.shape[1]
    flat = block.reshape(c, s // k, k, t // j, j).transpose(2, 4, 0, 1, 3).reshape(k * j, -1)
    gram = (flat @ flat.T).reshape(k, j, k, j)
    traces: Floats = np.einsum("eab,apbq,gpq->eg", basis, gram, others, optimize=True)
    return traces


def _with_residual(moments: _Moments, present: Floats, phi: Floats, n_rows: int) -> _Moments:
    """The same with the residual variance last: G = V/σ² − Σ φ_a G_a."""
    P, Q, pairs, single = moments.P, moments.Q, moments.pairs, moments.single
    e, p = len(present), len(phi)
    last_P = -np.linalg.inv(phi) - np.tensordot(present, P, 1)
    last_Q = -P - np.tensordot(present, Q, 1)
    corner_Q = -last_P - np.tensordot(present, last_Q.transpose(0, 2, 1), 1)
    last_pairs = single - present @ pairs
    corner_pairs = n_rows - present @ single - present @ last_pairs
    whole_Q = np.empty((e + 1, e + 1, p, p))
    whole_Q[:e, :e], whole_Q[e, :e], whole_Q[e, e] = Q, last_Q, corner_Q
    whole_Q[:e, e] = last_Q.transpose(0, 2, 1)
    return _Moments(
        np.concatenate([P, last_P[None]]),
        whole_Q,
        np.block([[pairs, last_pairs[:, None]], [last_pairs[None], corner_pairs]]),
        np.append(single, n_rows - present @ single),
    )


def _adjusted(moments: _Moments, elements: _Elements, phi: Floats) -> tuple[Floats, Floats]:
    """Covariance of the elements of V (e + 1, e + 1) and Φ_A (p, p), standardized."""
    P, Q = moments.P, moments.Q
    e = len(P)
    shifted = phi @ P
    flat = shifted.reshape(e, -1)
    crossed = shifted.transpose(0, 2, 1).reshape(e, -1)
    information = moments.pairs - 2.0 * np.einsum("abij,ij->ab", Q, phi) + flat @ crossed.T
    m = len(elements.first)
    J = np.zeros((m + 1, e))
    J[:m, : e - 1], J[m, e - 1] = elements.first, 1.0
    inner = 2.0 * _inverse(J @ information @ J.T)
    spread = J.T @ inner @ J
    bend = np.append(np.tensordot(inner[:m, :m], elements.second, 2), 0.0)
    bend = bend - 0.5 * J.T @ (inner @ (J @ (information @ bend)))
    middle = np.tensordot(spread, Q, 2) + 0.25 * np.tensordot(bend, P, 1)
    middle -= np.tensordot(P, np.tensordot(spread, shifted, 1), ([0, 2], [0, 1]))
    adjusted = phi + 2.0 * phi @ middle @ phi
    return spread, 0.5 * (adjusted + adjusted.T)


def _inverse(information: Floats) -> Floats:
    """Inverse over the directions of which the data tell, whatever the parameters' units."""
    sizes = np.sqrt(np.maximum(np.diagonal(information), 0.0))
    scale = np.where(sizes > 0.0, sizes, 1.0)
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    kept = values > UNKNOWN * values.max(initial=0.0)
    inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    return cast(Floats, inverse / np.outer(scale, scale))
