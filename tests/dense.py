"""Moments of the fixed effects by brute force: the dense n × n covariance and differences.

Written from the papers with the covariance as a function of parameters of its own (standard
deviations and correlations on the data's scale), so that it shares nothing with the package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

import oracle

Build = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Dense:
    """X (n, p), V (n, n) as a function of φ, and φ."""

    y: np.ndarray
    X: np.ndarray
    V: Build
    phi: np.ndarray

    def likelihood(self, phi: np.ndarray, reml: bool) -> float:
        """−2 log-likelihood with β profiled out and all of φ free."""
        V = self.V(phi)
        VX = np.linalg.solve(V, self.X)
        information = self.X.T @ VX
        residual = self.y - self.X @ np.linalg.solve(information, VX.T @ self.y)
        value = np.linalg.slogdet(V)[1] + residual @ np.linalg.solve(V, residual)
        return value + np.linalg.slogdet(information)[1] * reml

    def covariance(self, phi: np.ndarray) -> np.ndarray:
        return np.linalg.inv(self.X.T @ np.linalg.solve(self.V(phi), self.X))


def dense(fit, parametrizations) -> Dense:
    """A fit with one (φ of the term, Σ as a function of it) for each random term."""
    design, estimates = fit.design, fit.estimates
    w = np.ones(fit.nobs) if design.weights is None else design.weights
    Z = [
        oracle.Term(r.values, r.codes, np.eye(r.values.shape[1]), len(r.levels)).design()
        for r in design.random
    ]
    K = [np.eye(len(r.levels)) if r.matrix is None else r.matrix for r in design.random]
    parts = [np.asarray(phi, dtype=float) for phi, _ in parametrizations]
    ends = np.cumsum([0, *(len(p) for p in parts)])

    def covariance(phi):
        total = np.diag(phi[-1] / w)
        for (a, b), z, k, (_, sigma) in zip(pairwise(ends), Z, K, parametrizations, strict=True):
            total = total + z @ np.kron(k, sigma(phi[a:b])) @ z.T
        return total

    y = design.y if design.offset is None else design.y - design.offset
    phi = np.concatenate([*parts, [estimates.sigma**2]])
    return Dense(y, design.X[:, estimates.kept], covariance, phi)


def elements(covariance) -> tuple[np.ndarray, Build]:
    """The lower triangle of Σ as parameters."""
    k = len(covariance)
    rows, columns = np.tril_indices(k)

    def build(phi):
        sigma = np.zeros((k, k))
        sigma[rows, columns] = sigma[columns, rows] = phi
        return sigma

    return covariance[rows, columns], build


def variances(covariance) -> tuple[np.ndarray, Build]:
    return np.diagonal(covariance).copy(), np.diag


def common(covariance) -> tuple[np.ndarray, Build]:
    return covariance[:1, 0].copy(), lambda phi: phi[0] * np.eye(len(covariance))


def correlated(covariance, correlation: Callable[[float, int], np.ndarray], one: bool = False):
    """Standard deviations, all or one, and a correlation."""
    k = len(covariance)
    sd = np.sqrt(np.diagonal(covariance))
    start = [*(sd[:1] if one else sd), covariance[1, 0] / (sd[0] * sd[1])]

    def build(phi):
        s = np.full(k, phi[0]) if one else phi[:-1]
        return np.outer(s, s) * correlation(phi[-1], k)

    return np.array(start), build


def exchangeable(rho, k):
    return np.where(np.eye(k, dtype=bool), 1.0, rho)


def first_order(rho, k):
    return rho ** np.abs(np.subtract.outer(np.arange(k), np.arange(k)))


def banded(covariance):
    """Standard deviations and the correlation at each lag."""
    k = len(covariance)
    sd = np.sqrt(np.diagonal(covariance))
    lags = covariance[0, 1:] / (sd[0] * sd[1:])
    distance = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))

    def build(phi):
        return np.outer(phi[:k], phi[:k]) * np.concatenate([[1.0], phi[k:]])[distance]

    return np.concatenate([sd, lags]), build


# -- Kenward and Roger ---------------------------------------------------------------------


@dataclass(frozen=True)
class Moments:
    """Φ, Φ_A, the P_i and W of Kenward and Roger (1997)."""

    phi: np.ndarray
    adjusted: np.ndarray
    P: np.ndarray
    W: np.ndarray


def kenward_roger(model: Dense) -> Moments:
    """Section 2 of the paper of 1997, with the bias of φ̂ of that of 2009."""
    V, X = model.V(model.phi), model.X
    inverse = np.linalg.inv(V)
    phi = np.linalg.inv(X.T @ inverse @ X)
    first = differences(model.V, model.phi)
    m = len(first)
    second = differences(lambda f: differences(model.V, f), model.phi)
    projected = inverse - inverse @ X @ phi @ X.T @ inverse
    left = [inverse @ G for G in first]
    P = np.array([-X.T @ L @ inverse @ X for L in left])
    reml = [projected @ G for G in first]
    W = np.linalg.inv(0.5 * np.array([[np.sum(a * b.T) for b in reml] for a in reml]))
    # E[φ̂ − φ] = −¼ W Σ W_jk tr(P V_i P V_jk); a linear structure has none
    bent = projected @ np.tensordot(W, second, 2)
    bias = -0.25 * W @ np.array([np.sum(a * bent.T) for a in reml])
    middle = np.zeros_like(phi)
    for i in range(m):
        for j in range(m):
            Q = X.T @ left[i] @ left[j] @ inverse @ X
            R = X.T @ inverse @ second[i, j] @ inverse @ X
            middle += W[i, j] * (Q - P[i] @ phi @ P[j] - 0.25 * R)
    # ∂Φ/∂φ_i = −ΦP_iΦ times the bias is taken off, within 2Φ(·)Φ
    middle += 0.5 * np.tensordot(bias, P, 1)
    return Moments(phi, phi + 2.0 * phi @ middle @ phi, P, W)


def differences(function: Build, phi: np.ndarray) -> np.ndarray:
    """First derivatives (m, n, n), exact for what is at most of fourth degree."""
    out = []
    for i in range(len(phi)):
        h = 1e-2 * max(abs(phi[i]), 0.1)
        e = np.zeros(len(phi))
        e[i] = h
        out.append(
            (
                8 * (function(phi + e) - function(phi - e))
                - function(phi + 2 * e)
                + function(phi - 2 * e)
            )
            / (12 * h)
        )
    return np.array(out)


def scaled_f(L, moments: Moments) -> tuple[float, float]:
    """λ and m of section 3 for L (r, p) of full rank, as printed."""
    r, phi = len(L), moments.phi
    theta = L.T @ np.linalg.solve(L @ phi @ L.T, L)
    S = [theta @ phi @ P @ phi for P in moments.P]
    A1 = sum(w * np.trace(S[i]) * np.trace(S[j]) for (i, j), w in np.ndenumerate(moments.W))
    A2 = sum(w * np.trace(S[i] @ S[j]) for (i, j), w in np.ndenumerate(moments.W))
    B = (A1 + 6 * A2) / (2 * r)
    g = ((r + 1) * A1 - (r + 4) * A2) / ((r + 2) * A2)
    c = np.array([g, r - g, r + 2 - g]) / (3 * r + 2 * (1 - g))
    mean = 1 / (1 - A2 / r)
    variance = 2 / r * (1 + c[0] * B) / ((1 - c[1] * B) ** 2 * (1 - c[2] * B))
    rho = variance / (2 * mean**2)
    m = 4 + (r + 2) / (r * rho - 1)
    return m / (mean * (m - 2)), m


# -- Satterthwaite -------------------------------------------------------------------------


def satterthwaite(model: Dense, L, reml: bool) -> np.ndarray:
    """2v²/Var(v̂) of each row of L, all by differences."""
    scaled = lambda t: model.phi * (1.0 + t)  # noqa: E731
    zero = np.zeros(len(model.phi))
    step = 2e-3  # a correlation near one must stay below it
    H = oracle.hessian(lambda t: model.likelihood(scaled(t), reml), zero, step)
    slopes = oracle.gradient(lambda t: model.covariance(scaled(t)), zero, step)
    C = model.covariance(model.phi)
    found = []
    for row in L:
        g = slopes @ row @ row
        found.append(2 * (row @ C @ row) ** 2 / (g @ np.linalg.solve(0.5 * H, g)))
    return np.array(found)
