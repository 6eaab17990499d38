"""The posterior of a linear mixed model with the random effects integrated out.

Coordinates x: those of each term's covariance, then log σ, then, unless they are integrated out
too, the coefficients of the standardized columns.  ``algebra/_collapsed.pyx`` says how.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra._collapsed import Collapsed
from mixedeffects.algebra.cholesky import analyse, arrange, columns_of
from mixedeffects.algebra.crossproducts import Crossproducts
from mixedeffects.bayes.prior_model import PriorModel
from mixedeffects.bayes.priors import Normal
from mixedeffects.covariance.base import lower_root
from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import problem_of
from mixedeffects.fitting.problem import Problem
from mixedeffects.fitting.solve import solve
from mixedeffects.formula.design import Design

Floats = NDArray[np.float64]
Density = Callable[[Floats], tuple[float, Floats]]

NONE: Floats = np.empty(0)
# Terms that a workspace has room for.
MOST_TERMS = 64
# A search begins no nearer to a boundary than at these deviations, in units of σ, and angles.
LEAST, STEEPEST = 0.05, 1.5


@dataclass(frozen=True)
class CollapsedPosterior:
    """A posterior with its random effects integrated out, and with normal or flat priors its
    coefficients.

    Attributes
    ----------
    problem : Problem
        Of the REML criterion where coefficients are integrated out, else of the likelihood.
    priors : PriorModel
    """

    problem: Problem
    priors: PriorModel

    @cached_property
    def places(self) -> tuple[slice, ...]:
        """Of each term's coordinates in x; log σ is behind them."""
        ends = np.cumsum([0, *(c.dimension for c in self.priors.terms)])
        return tuple(slice(int(a), int(b)) for a, b in pairwise(ends))

    @property
    def at_sigma(self) -> int:
        """Place of log σ."""
        return int(self.places[-1].stop)

    @property
    def n_held(self) -> int:
        """Coefficients that are coordinates."""
        return 0 if self.problem.reml else len(self.problem.basis.kept)

    @property
    def dimension(self) -> int:
        return self.at_sigma + 1 + self.n_held

    @cached_property
    def workspace_arguments(self) -> tuple[Any, ...]:
        """What a ``Collapsed`` is made of, but for the arrays that each owns."""
        problem = self.problem
        terms = [(t.grouping, t.column, t.covariance.n_columns) for t in problem.terms]
        if self.n_held:
            return _without_columns(problem, terms)
        p = problem.plan.n_fixed
        root, target = self._standardized_prior()
        precision, moment = (root.T @ root).reshape(p, p), root.T @ target
        square = float(target @ target)
        return problem.plan, problem.arranged, terms, precision, moment, square, problem.dof

    def own_arguments(self) -> tuple[Any, ...]:
        """The same with arrays that a workspace may overwrite."""
        plan, arranged, *rest = self.workspace_arguments
        own = replace(arranged, border=arranged.border.copy(), corner=arranged.corner.copy())
        return plan, own, *rest

    def _standardized_prior(self) -> tuple[Floats, Floats]:
        """R and t of exp(−½|Rβ − t|²) for the coefficients of the standardized columns."""
        problem, found = self.problem, self.priors.coefficients.gaussian_root
        assert found is not None
        root, target = found
        if root.size:
            root = cast(Floats, np.linalg.solve(problem.basis.map.T, root.T).T)
        return problem.scale * root, target - root @ problem.least_squares

    @cached_property
    def constant(self) -> float:
        """What the workspace's −2 log p(y) and the prior of β lack of the log-density."""
        problem = self.problem
        scales = np.log(2.0 * np.pi) + 2.0 * np.log(problem.scale)
        likelihood = -0.5 * (problem.dof * scales + problem.constant)
        if self.n_held:
            return float(likelihood)
        normal = [p.sd for p in self.priors.coefficients.independent.priors if type(p) is Normal]
        return float(likelihood - np.log(normal).sum() - 0.5 * len(normal) * np.log(2.0 * np.pi))

    def start(self) -> Floats:
        """x where the search for the mode begins: at the fit without priors, inside."""
        problem = self.problem
        solution = solve(problem, exact=False)
        sigma = solution.sigma * problem.scale
        x = np.zeros(self.dimension)
        x[self.at_sigma] = np.log(sigma)
        x[self.at_sigma + 1 :] = solution.beta[: self.n_held]
        parts = zip(problem.terms, self.priors.terms, self.places, strict=True)
        for term, coordinates, place in parts:
            T = term.covariance.factor(solution.optimum.theta[term.parameters])
            back = sigma * np.linalg.inv(term.map)
            own = coordinates.of_root(lower_root(back @ T))
            d = len(coordinates.deviations)
            sizes = np.linalg.norm(back, axis=1)[:d]
            own[:d] = np.maximum(own[:d], np.log(LEAST * sizes))
            own[d:] = np.clip(own[d:], -STEEPEST, STEEPEST)
            x[place] = own
        return x

    def beta(self, x: Floats) -> Floats:
        """The coefficients (D, P) of the user's columns that are coordinates of x (D, d)."""
        own, problem = x[:, self.at_sigma + 1 :], self.problem
        if not self.n_held:
            return own
        return problem.basis.original((problem.least_squares + problem.scale * own).T).T

    def roots(self, x: Floats) -> list[Floats]:
        """Λ (D, k, k) of each term at x (D, d)."""
        return [
            np.array([coordinates.root(own)[0] for own in x[:, place]])
            for coordinates, place in zip(self.priors.terms, self.places, strict=True)
        ]

    def relative(self, roots: list[Floats], log_sigma: Floats) -> Floats:
        """T (D, Σk²) in the standardized basis, the terms' one after the other."""
        scale = np.exp(-log_sigma)[:, None, None]
        parts = zip(self.problem.terms, roots, strict=True)
        return np.concatenate(
            [(scale * (t.map @ root)).reshape(len(root), -1) for t, root in parts], axis=1
        )


class PlainDensity:
    """The log-density of x, with its gradient; one serves one thread."""

    def __init__(self, posterior: CollapsedPosterior) -> None:
        self.posterior = posterior
        self.workspace = Collapsed(*posterior.own_arguments())
        self._by_T = np.empty(sum(t.covariance.n_columns**2 for t in posterior.problem.terms))
        self._by_beta = np.empty(posterior.n_held)

    def __call__(self, x: Floats) -> tuple[float, Floats]:
        """NaN where there is no density."""
        posterior, problem = self.posterior, self.posterior.problem
        at, log_sigma = posterior.at_sigma, float(x[posterior.at_sigma])
        gradient = np.zeros(len(x))
        value = posterior.constant
        pulls, factors = [], []
        for term, own, place in zip(
            problem.terms, posterior.priors.terms, posterior.places, strict=True
        ):
            root, pull = own.root(x[place])
            prior, gradient[place] = own.log_prior(x[place])
            value += prior
            pulls.append(pull)
            factors.append(np.exp(-log_sigma) * (term.map @ root))
        T = np.concatenate([factor.ravel() for factor in factors])
        twice, slope = self.workspace.evaluate(
            T, log_sigma - np.log(problem.scale), x[at + 1 :], self._by_T, self._by_beta
        )
        if not np.isfinite(twice):
            return float("nan"), gradient
        assert posterior.priors.sigma is not None
        prior, gradient[at] = posterior.priors.sigma.log_density(log_sigma)
        gradient[at] -= 0.5 * (slope - self._by_T @ T)
        start = 0
        for term, pull, place in zip(problem.terms, pulls, posterior.places, strict=True):
            k = term.covariance.n_columns
            by_T = self._by_T[start : start + k * k].reshape(k, k)
            gradient[place] += pull(-0.5 * np.exp(-log_sigma) * (term.map.T @ by_T))
            start += k * k
        if posterior.n_held:
            value += self._add_prior_of_beta(x, gradient[at + 1 :])
        return value + prior - 0.5 * twice, gradient

    def _add_prior_of_beta(self, x: Floats, gradient: Floats) -> float:
        """The log prior of the coefficients in x; sets their part of the gradient."""
        posterior, problem = self.posterior, self.posterior.problem
        beta = posterior.beta(x[None])[0]
        value, by_beta = posterior.priors.coefficients.log_density(beta)
        carried = np.linalg.solve(problem.basis.map.T, by_beta)
        gradient[:] = problem.scale * carried - 0.5 * self._by_beta
        return value


def collapse(design: Design, priors: PriorModel) -> CollapsedPosterior:
    """The posterior, with the coefficients integrated out where their priors are normal or flat.

    Raises
    ------
    ModelError
        If the model cannot be estimated from these data, or has too many random terms.
    """
    if len(design.random) > MOST_TERMS:
        raise ModelError(
            f"The model has {len(design.random)} random terms; up to {MOST_TERMS} can be sampled."
        )
    normal = priors.coefficients.gaussian_root is not None
    return CollapsedPosterior(problem_of(design, reml=normal), priors)


def _without_columns(problem: Problem, terms: list[tuple[int, int, int]]) -> tuple[Any, ...]:
    """The arguments of a workspace whose coefficients are given."""
    products = problem.products
    bare = Crossproducts(
        diagonal=products.diagonal,
        pairs=products.pairs,
        border=tuple(border[:, :, -1:] for border in products.border),
        corner=products.corner[-1:, -1:],
        n_rows=products.n_rows,
        log_weights=products.log_weights,
    )
    relationships = tuple(g.relationship for g in problem.groupings)
    plan = analyse(bare, [r is not None for r in relationships])
    held = np.empty((int(plan.offset[-1]), len(products.corner) - 1))
    for f, border in enumerate(products.border):
        held[columns_of(plan, f)] = border[:, :, :-1]
    arranged = arrange(bare, plan, relationships)
    nothing = (np.empty((0, 0)), NONE, 0.0)
    return plan, arranged, terms, *nothing, problem.dof, held, products.corner
