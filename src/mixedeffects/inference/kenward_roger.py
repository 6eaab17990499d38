"""Kenward–Roger: adjusted covariance of β̂, degrees of freedom and scale of its tests.

Kenward and Roger 1997 (Biometrics 53, 983–997); for structures that are not linear in their
parameters, with the term of Kenward and Roger 2009 (Comput. Stat. Data Anal. 53, 2583–2595).
V/σ² = Σ φ_a G_a is linear in the elements of each term's covariance and in the residual
variance; P_a = −X'V⁻¹G_aV⁻¹X, Q_ab = X'V⁻¹G_aV⁻¹G_bV⁻¹X and tr(V⁻¹G_aV⁻¹G_b) follow from
Z'V⁻¹Z and Z'V⁻¹X, those of the residual from the linearity: nothing has n rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.problem import Problem
from mixedeffects.inference.elements import Elements, elements_of
from mixedeffects.inference.freedom import AbstractFreedom, FTest, Method, rotated
from mixedeffects.inference.moments import Moments, moments_of

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
    root : ndarray, shape (p, p)
        Of Φ_A, adjusted, in the basis.
    unadjusted : ndarray, shape (p, p)
        A root of Φ in the basis.
    slopes : ndarray, shape (e, p, p)
        ΦP_aΦ in the basis, minus the derivatives of Φ by the elements of V.
    spread : ndarray, shape (e, e)
        Covariance of the estimated elements of V.
    """

    name: ClassVar[Method] = "kenward-roger"
    unadjusted: Floats
    slopes: Floats
    spread: Floats

    def rows(self, L: Floats) -> Floats:
        return self._inner_rows(self.inner(L))

    def _inner_rows(self, L: Floats) -> Floats:
        variance = ((L @ self.unadjusted) ** 2).sum(axis=1)
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
            return FTest(float(squares[0]), 1, float(self._inner_rows(directions)[0]))
        root = np.linalg.qr((directions @ self.unadjusted).T).R.T
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
    solution = fit.solution
    root = cast(Floats, np.linalg.solve(solution.fixed_root, np.eye(problem.plan.n_fixed)))
    sigma = solution.sigma * problem.scale
    return kenward_roger_at(problem, solution.optimum.theta, root, sigma, fit.estimates.beta)


def kenward_roger_at(
    problem: Problem, theta: Floats, root: Floats, sigma: float, beta: Floats
) -> KenwardRoger:
    """The same at the optimum θ (m,), standardized, of a problem of any response.

    ``root`` (p, p) of Cov(β̂)/σ² in the basis; ``sigma`` and ``beta`` (p,) in the user's units.
    """
    elements = elements_of(problem, theta)
    phi = root @ root.T
    moments = _with_residual(moments_of(problem, elements), elements.present, phi, problem.n_rows)
    spread, adjusted = _adjusted(moments, elements, phi)
    return KenwardRoger(
        beta=beta,
        map=problem.basis.map,
        root=sigma * _root(adjusted),
        unadjusted=sigma * root,
        slopes=sigma**2 * (phi @ moments.P @ phi),
        spread=spread,
    )


# -- the adjustment -----------------------------------------------------------------------


def _with_residual(moments: Moments, present: Floats, phi: Floats, n_rows: int) -> Moments:
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
    return Moments(
        np.concatenate([P, last_P[None]]),
        whole_Q,
        np.block([[pairs, last_pairs[:, None]], [last_pairs[None], corner_pairs]]),
        np.append(single, n_rows - present @ single),
    )


def _adjusted(moments: Moments, elements: Elements, phi: Floats) -> tuple[Floats, Floats]:
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


def _root(adjusted: Floats) -> Floats:
    try:
        return cast(Floats, np.linalg.cholesky(adjusted))
    except np.linalg.LinAlgError:
        raise ModelError(
            "Kenward-Roger's adjusted covariance of the coefficients has a negative variance: "
            "these data are too few for it. Use df='satterthwaite'."
        ) from None


def _inverse(information: Floats) -> Floats:
    """Inverse over the directions of which the data tell, whatever the parameters' units."""
    sizes = np.sqrt(np.maximum(np.diagonal(information), 0.0))
    scale = np.where(sizes > 0.0, sizes, 1.0)
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    kept = values > UNKNOWN * values.max(initial=0.0)
    inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    return cast(Floats, inverse / np.outer(scale, scale))
