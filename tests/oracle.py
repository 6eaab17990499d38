"""Gaussian mixed models by brute force: the dense n × n covariance and nothing clever.

Everything follows from y ~ N(Xβ + o, σ²V), V = W⁻¹ + Σ Z (K ⊗ T Tᵀ) Zᵀ, one sum for each term.
Written for clarity, for n up to some 500, and sharing no code with the package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Term:
    """One random-effects term: ``values`` (n, k), ``codes`` (n,), T (k, k), K (L, L) or None."""

    values: np.ndarray
    codes: np.ndarray
    factor: np.ndarray
    n_levels: int
    known: np.ndarray | None = None

    def design(self, values=None, codes=None) -> np.ndarray:
        """Z (n, L k): column l k + j belongs to effect j of level l; a code of -1 is no level."""
        values = self.values if values is None else values
        codes = self.codes if codes is None else codes
        n, k = values.shape
        Z = np.zeros((n, self.n_levels, k))
        seen = np.flatnonzero(codes >= 0)
        Z[seen, codes[seen]] = values[seen]
        return Z.reshape(n, -1)

    def covariance(self) -> np.ndarray:
        """Covariance (L k, L k) of the random effects, relative to σ²."""
        K = np.eye(self.n_levels) if self.known is None else self.known
        return np.kron(K, self.factor @ self.factor.T)


@dataclass(frozen=True)
class Solution:
    """Everything about a Gaussian mixed model at given factors."""

    objective: float
    beta: np.ndarray
    vcov: np.ndarray
    sigma: float
    b: tuple[np.ndarray, ...]  # conditional modes, (L, k) a term
    b_covariance: tuple[np.ndarray, ...]  # Var(b | y, β), (L, k, k) a term
    fitted: np.ndarray
    joint: np.ndarray  # Var of (β̂ - β, b̂ - b), (p + q, p + q)

    @property
    def loglik(self) -> float:
        return -self.objective / 2


def log_determinant(matrix):
    """log|matrix|, analytic in the elements so that a complex step goes through it."""
    sign, modulus = np.linalg.slogdet(matrix)
    return modulus + 1j * np.angle(sign) if np.iscomplexobj(matrix) else modulus


def _covariance(terms: Sequence[Term], n: int, weights):
    V = np.diag(1.0 / (np.ones(n) if weights is None else weights))
    for term in terms:
        Z = term.design()
        V = V + Z @ term.covariance() @ Z.T
    return V


def objective(y, X, terms, *, weights=None, offset=None, reml=True):
    """-2 log-likelihood, or the REML criterion, profiled over β and σ, with all constants."""
    n, p = X.shape
    y = y if offset is None else y - offset
    V = _covariance(terms, n, weights)
    VX = np.linalg.solve(V, X)
    beta = np.linalg.solve(X.T @ VX, VX.T @ y)
    residual = y - X @ beta
    squares = residual @ np.linalg.solve(V, residual)
    nu = n - p if reml else n
    value = log_determinant(V) + nu * (1 + np.log(2 * np.pi * squares / nu))
    return value + log_determinant(X.T @ VX) if reml else value


def solve(y, X, terms, *, weights=None, offset=None, reml=True) -> Solution:
    """Estimates, predictions of the random effects and their variances, at given factors."""
    n, p = X.shape
    o = np.zeros(n) if offset is None else offset
    Z = np.hstack([term.design() for term in terms])
    G = _block_diagonal([term.covariance() for term in terms])
    V_inverse = np.linalg.inv(_covariance(terms, n, weights))
    beta_cov = np.linalg.inv(X.T @ V_inverse @ X)
    beta = beta_cov @ X.T @ V_inverse @ (y - o)
    residual = y - o - X @ beta
    sigma2 = residual @ V_inverse @ residual / (n - p if reml else n)
    GZ = G @ Z.T @ V_inverse
    b = GZ @ residual
    given_beta = G - GZ @ Z @ G
    cross = -GZ @ X @ beta_cov
    joint = np.block([[beta_cov, cross.T], [cross, given_beta - cross @ X.T @ GZ.T]])
    modes, spreads, start = [], [], 0
    for term in terms:
        k, q = len(term.factor), term.n_levels * len(term.factor)
        block = given_beta[start : start + q, start : start + q].reshape(term.n_levels, k, -1, k)
        modes.append(b[start : start + q].reshape(-1, k))
        spreads.append(sigma2 * np.einsum("lilj->lij", block))
        start += q
    return Solution(
        objective=float(objective(y, X, terms, weights=weights, offset=offset, reml=reml)),
        beta=beta,
        vcov=sigma2 * beta_cov,
        sigma=float(np.sqrt(sigma2)),
        b=tuple(modes),
        b_covariance=tuple(spreads),
        fitted=o + X @ beta + Z @ b,
        joint=sigma2 * joint,
    )


def prediction_variance(solution: Solution, X, terms, values, codes) -> np.ndarray:
    """Var(xβ̂ + zb̂ - xβ - zb) of each new row, with θ as if known.

    ``values`` and ``codes`` hold one array a term; a code of -1 is a level not seen before, which
    is predicted by zero and contributes its whole variance.
    """
    parts = [term.design(v, c) for term, v, c in zip(terms, values, codes, strict=True)]
    rows = np.hstack([X, *parts])
    variance = np.einsum("ij,jk,ik->i", rows, solution.joint, rows)
    for term, v, c in zip(terms, values, codes, strict=True):
        unseen = np.sum((v @ term.factor) ** 2, axis=1) * solution.sigma**2
        variance += np.where(np.asarray(c) < 0, unseen, 0.0)
    return variance


def gradient(function: Callable, theta, step=1e-2) -> np.ndarray:
    """Eighth-order central differences of a function of θ (m,): (m, ...)."""
    weights = np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280])
    theta = np.asarray(theta, dtype=float)
    return np.array(
        [
            sum(
                w * (function(theta + j * step * e) - function(theta - j * step * e)) / step
                for j, w in enumerate(weights, start=1)
            )
            for e in np.eye(len(theta))
        ]
    )


def complex_step(function: Callable, theta, step=1e-30) -> np.ndarray:
    """Gradient to rounding error of a function that is analytic and takes complex θ."""
    theta = np.asarray(theta, dtype=complex)
    return np.array([np.imag(function(theta + 1j * step * e)) / step for e in np.eye(len(theta))])


def hessian(function: Callable, theta, step=2e-2) -> np.ndarray:
    """Second derivatives by differences of differences."""
    second = gradient(lambda t: gradient(function, t, step), theta, step)
    return (second + second.T) / 2


def _block_diagonal(blocks):
    size = sum(len(block) for block in blocks)
    out, start = np.zeros((size, size)), 0
    for block in blocks:
        stop = start + len(block)
        out[start:stop, start:stop] = block
        start = stop
    return out
