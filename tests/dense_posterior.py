"""A linear mixed model's posterior from its textbook form: dense matrices over all rows."""

import numpy as np
from scipy.stats import multivariate_normal

from mixedeffects.bayes.prior_model import build_priors
from mixedeffects.families import build
from mixedeffects.formula.design import build_design


def gaussian_model(formula, data, priors=None, **arguments):
    """Design and prior of a linear mixed model."""
    design = build_design(formula, data, **arguments)
    return design, build_priors(design, build("gaussian"), priors)


class DensePosterior:
    """y ~ N(Xβ + o, ZΣZ' + σ²W⁻¹), β ~ N(m, P⁻¹), in the user's units."""

    def __init__(self, design, priors):
        self.design, self.priors = design, priors
        n = len(design.y)
        self.X = design.X
        self.y = design.y - (0.0 if design.offset is None else design.offset)
        self.noise = np.ones(n) if design.weights is None else 1.0 / design.weights
        self.Z = []
        for random in design.random:
            columns = np.zeros((n, len(random.levels), len(random.names)))
            columns[np.arange(n), random.codes] = random.values
            self.Z.append(columns.reshape(n, -1))

    def effects_covariance(self, roots):
        """Covariance of all random effects, level by level, term by term."""
        blocks = []
        for root, random in zip(roots, self.design.random, strict=True):
            L = len(random.levels)
            K = np.eye(L) if random.matrix is None else random.matrix
            blocks.append(np.kron(K, root @ root.T))
        total = sum(len(b) for b in blocks)
        whole, at = np.zeros((total, total)), 0
        for block in blocks:
            whole[at : at + len(block), at : at + len(block)] = block
            at += len(block)
        return whole

    def row_covariance(self, roots, sigma):
        Z = np.hstack(self.Z)
        return Z @ self.effects_covariance(roots) @ Z.T + sigma**2 * np.diag(self.noise)

    def prior_of_beta(self):
        """Mean and covariance, all priors being normal."""
        root, target = self.priors.coefficients.gaussian_root
        covariance = np.linalg.inv(root.T @ root)
        return covariance @ root.T @ target, covariance

    def log_marginal(self, roots, sigma):
        """log p(y | Λ, σ), β integrated out."""
        mean, covariance = self.prior_of_beta()
        V = self.row_covariance(roots, sigma) + self.X @ covariance @ self.X.T
        return multivariate_normal(self.X @ mean, V).logpdf(self.y)

    def log_likelihood(self, beta, roots, sigma):
        """log p(y | β, Λ, σ)."""
        return multivariate_normal(self.X @ beta, self.row_covariance(roots, sigma)).logpdf(self.y)

    def conditional(self, roots, sigma):
        """Mean and covariance of (β, b) given Λ and σ."""
        mean, covariance = self.prior_of_beta()
        G = self.effects_covariance(roots)
        p = len(mean)
        prior = np.zeros((p + len(G),) * 2)
        prior[:p, :p], prior[p:, p:] = covariance, G
        C = np.hstack([self.X, *self.Z])
        V = C @ prior @ C.T + sigma**2 * np.diag(self.noise)
        gain = np.linalg.solve(V, C @ prior).T
        start = np.concatenate([mean, np.zeros(len(G))])
        return start + gain @ (self.y - self.X @ mean), prior - gain @ C @ prior


def log_prior(posterior, x):
    """Of the coordinates but those of β, as ``coordinates`` has it."""
    total = posterior.priors.sigma.log_density(x[posterior.at_sigma])[0]
    for own, place in zip(posterior.priors.terms, posterior.places, strict=True):
        total += own.log_prior(x[place])[0]
    return total
