"""Profile likelihood by brute force: dense covariances and a general constrained optimizer."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from mixedeffects.covariance import build


class DenseModel:
    """−2 log-likelihood of a fit's design in (θ, log σ), in the user's columns; β by GLS."""

    def __init__(self, fit):
        design = fit.design
        self.X = design.X[:, fit.estimates.kept]
        self.y = design.y if design.offset is None else design.y - design.offset
        self.weights = np.ones(len(self.y)) if design.weights is None else design.weights
        self.terms = []
        start = 0
        for random in design.random:
            covariance = build(random.structure, len(random.names), random.positions)
            Z = np.zeros((len(self.y), len(random.levels), len(random.names)))
            Z[np.arange(len(self.y)), random.codes] = random.values
            stop = start + covariance.n_parameters
            self.terms.append((covariance, Z, random.matrix, slice(start, stop)))
            start = stop

    def covariance(self, y):
        """V (n, n), relative to σ²."""
        V = np.diag(1 / self.weights)
        for number, (_, Z, K, _own) in enumerate(self.terms):
            S = self.relative(y, number)
            K = np.eye(Z.shape[1]) if K is None else K
            V += np.einsum("ilj,jk,lr,mrk->im", Z, S, K, Z, optimize=True)
        return V

    def log_information(self, y):
        """log|X'V⁻¹X/σ²| with what makes the REML criterion of the deviance."""
        p = self.X.shape[1]
        information = self.X.T @ np.linalg.solve(self.covariance(y), self.X)
        return np.linalg.slogdet(information)[1] - p * (2 * y[-1] + np.log(2 * np.pi))

    def relative(self, y, number):
        covariance, *_, own = self.terms[number]
        T = covariance.factor(y[own])
        return T @ T.T

    def deviance(self, y, fixed=None):
        """At y = (θ, log σ); ``fixed`` a coefficient's number and its value."""
        variance = np.exp(2 * y[-1])
        V = self.covariance(y)
        root = cho_factor(V)
        X, r = self.X, self.y
        if fixed is not None:
            r = r - X[:, fixed[0]] * fixed[1]
            X = np.delete(X, fixed[0], axis=1)
        if X.shape[1]:
            VX = cho_solve(root, X)
            r = r - X @ np.linalg.solve(X.T @ VX, VX.T @ r)
        squares = r @ cho_solve(root, r)
        n = len(r)
        logdet = 2 * np.log(np.diagonal(root[0])).sum()
        return n * np.log(2 * np.pi * variance) + logdet + squares / variance

    def natural(self, y, parameter):
        """The standard deviation, correlation or σ."""
        if parameter.kind == "sigma":
            return np.exp(y[-1])
        S = np.exp(2 * y[-1]) * self.relative(y, parameter.number)
        i, j = parameter.columns[0], parameter.columns[-1]
        if parameter.kind == "sd":
            return np.sqrt(S[i, i])
        return S[i, j] / np.sqrt(S[i, i] * S[j, j])

    def profile(self, parameter, value, starts):
        """The least deviance with the parameter held at a value."""
        fixed = (parameter.number, value) if parameter.kind == "fixed" else None
        constraints = []
        if fixed is None:
            sign, size = np.sign(value), abs(value)
            held = {"type": "eq", "fun": lambda y: self.natural(y, parameter) / size - sign}
            constraints = [held]
        best = np.inf
        for start in starts:
            found = minimize(
                lambda y: self.deviance(y, fixed),
                start,
                method="SLSQP",
                constraints=constraints,
                options={"ftol": 1e-12, "maxiter": 500},
            )
            if fixed is not None or abs(constraints[0]["fun"](found.x)) < 1e-7:
                best = min(best, found.fun)
        return best
