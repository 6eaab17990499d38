"""Random small generalized models, and their Laplace approximation by dense matrices.

The dense way shares the families' derivatives with the package (which have their own tests
against complex steps), and nothing else: Z as one matrix, its own Newton, ``slogdet``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixedeffects.covariance import build as covariance_of
from mixedeffects.families import AbstractFamily, Response, ZeroInflated
from mixedeffects.families import build as family_of
from mixedeffects.fitting.general import GeneralProblem, PredictorArrays, build_general
from mixedeffects.fitting.problem import TermArrays

N = 48
# The dispersion's predictor: at 0.4 "genpois" gives all counts, sizes are ordinary everywhere.
LEVEL = {"dispersion": 0.4, "zero_inflation": -0.7}


def inflatable(name: str) -> bool:
    return name not in {"cumulative", "gaussian", "lognormal", "student_t", "ordbeta", "binomial"}


def random_terms(
    rng: np.random.Generator, X: np.ndarray, specs: Sequence[tuple[str, int, int]]
) -> tuple[TermArrays, ...]:
    """Terms (structure, columns, factor) over nested (0 in 1) and crossed (2) factors."""
    inner = np.arange(len(X)) // 3
    codes = {0: inner, 1: inner // 4, 2: np.arange(len(X)) % 6}
    return tuple(
        TermArrays(
            X[:, :k].copy(),
            codes[factor].astype(np.int32),
            int(codes[factor].max()) + 1,
            covariance_of(structure, k, None),
            0,
            factor,
        )
        for structure, k, factor in specs
    )


LAYOUTS: dict[str, dict[str, list[tuple[str, int, int]]]] = {
    "one": {"conditional": [("us", 2, 1)]},
    "nested": {"conditional": [("us", 1, 0), ("diag", 2, 1)]},
    "crossed": {"conditional": [("us", 2, 1), ("us", 1, 2)]},
    "predictors": {
        "conditional": [("us", 2, 1)],
        "dispersion": [("us", 1, 2)],
        "zero_inflation": [("us", 1, 1)],
    },
}


def whole_family(name: str, layout: str) -> AbstractFamily:
    family = family_of(name)
    return ZeroInflated(family) if layout == "predictors" and inflatable(name) else family


def drawn_response(
    family: AbstractFamily, eta: Sequence[np.ndarray], rng: np.random.Generator
) -> Response:
    n = len(eta[0])
    binomial = family.response_kind == "binomial" or (
        isinstance(family, ZeroInflated) and family.base.response_kind == "binomial"
    )
    trials = np.full(n, 5.0) if binomial else None
    if family.has_thresholds:
        codes = np.arange(n, dtype=float) % 4
        start = family.response(codes)
        y = family.draw(rng, start, (eta[0], *family.extras(start).start))
        return family.response(y)
    blank = Response(np.zeros(n), trials=trials)
    extras = family.extras(Response(np.linspace(0.0, 1.0, 9))).start
    return family.response(family.draw(rng, blank, (*eta, *extras)), trials)


def general_problem(
    name: str | AbstractFamily,
    layout: str,
    seed: int = 0,
    *,
    weighted: bool = False,
    offset: bool = False,
    quadrature: int = 1,
) -> GeneralProblem:
    """A model whose random effects have deviations near 0.5."""
    rng = np.random.default_rng(seed)
    family = whole_family(name, layout) if isinstance(name, str) else name
    X = np.column_stack([np.ones(N), rng.normal(size=(N, 2))])
    others = np.column_stack([np.ones(N), rng.normal(size=N)])
    eta, predictors = [], []
    for predictor in family.predictors():
        conditional = predictor == "conditional"
        columns = X if conditional else others
        terms = random_terms(rng, columns, LAYOUTS[layout].get(predictor, []))
        level = 0.3 if conditional else LEVEL[predictor]
        linear = columns @ np.array([level, 0.3, -0.2])[: columns.shape[1]]
        for term in terms:
            b = 0.5 * rng.normal(size=(term.n_levels, term.values.shape[1]))
            linear = linear + (term.values * b[term.codes]).sum(axis=1)
        shift = 0.3 * rng.normal(size=N) if offset else None
        eta.append(linear if shift is None else linear + shift)
        dropped = int(conditional and family.has_thresholds)
        predictors.append(
            PredictorArrays(
                predictor, columns[:, dropped:], dropped, shift, None if dropped else 0, terms
            )
        )
    response = drawn_response(family, eta, rng)
    one = np.ones((N, 1))
    predictors += [
        PredictorArrays(extra, one, 0, None, 0, ()) for extra in family.extras(response).names
    ]
    weights = rng.uniform(0.5, 2.0, N) if weighted else None
    return build_general(family, response, predictors, weights, quadrature)


def point(problem: GeneralProblem, where: str = "inside", seed: int = 5) -> np.ndarray:
    """ψ with ordinary parameters, or with some variances that are zero."""
    rng = np.random.default_rng(seed)
    theta = []
    for term in problem.terms:
        m, k = term.covariance.n_parameters, term.covariance.n_columns
        own = rng.uniform(0.3, 0.7, m)
        if term.covariance.name == "us" and k == 2:
            own[1] = 0.2
        if where == "zeros":
            own[: k if term.covariance.name == "us" else 1] = 0.0
        theta.append(own)
    beta = np.zeros(problem.n_fixed)
    start = problem.family.extras(problem.response).start
    for predictor in problem.predictors:
        first = LEVEL.get(predictor.name, 0.2)
        own = rng.uniform(-0.3, 0.3, predictor.basis.columns.shape[1])
        if not (problem.family.has_thresholds and predictor.name == "conditional"):
            own[0] = first * np.abs(1.0 / predictor.basis.columns[0, 0])
        beta[predictor.coefficients] = own
    if len(start):
        beta[-len(start) :] = start + 0.1
    return np.concatenate([*theta, beta])


class DenseLaplace:
    """−2 log-likelihood by Laplace, and the matrices that it is made of, at ψ."""

    def __init__(self, problem: GeneralProblem) -> None:
        self.problem = problem
        self.w = np.ones(problem.n_rows) if problem.weights is None else problem.weights

    def design(self, theta: np.ndarray) -> dict[int, np.ndarray]:
        """ZΛ (n, q) of each predictor that carries random effects."""
        problem = self.problem
        sizes = [len(np.unique(g.codes)) * g.values.shape[1] for g in problem.groupings]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        found: dict[int, np.ndarray] = {}
        for f, (g, a) in enumerate(zip(problem.groupings, problem.predictor, strict=True)):
            k = g.values.shape[1]
            T = np.zeros((k, k))
            for term in problem.terms:
                if term.grouping == f:
                    own = theta[term.parameters]
                    T[term.columns, term.columns] = term.covariance.factor(own)
            z = g.values @ T
            Z = found.setdefault(a, np.zeros((problem.n_rows, starts[-1])))
            for j in range(k):
                Z[np.arange(len(z)), starts[f] + k * g.codes + j] += z[:, j]
        return found

    def fixed(self, beta: np.ndarray) -> list[np.ndarray]:
        found = []
        for p in self.problem.predictors:
            eta = p.basis.columns @ beta[p.coefficients]
            found.append(eta if p.offset is None else eta + p.offset)
        return found

    def parts(self, psi: np.ndarray):
        """û, −2ℓ + û'û and H."""
        problem, m = self.problem, self.problem.n_parameters
        Z, fixed = self.design(psi[:m]), self.fixed(psi[m:])
        q = next(iter(Z.values())).shape[1]

        def at(u):
            eta = [e + Z[a] @ u if a in Z else e for a, e in enumerate(fixed)]
            ell = problem.family.derivatives(problem.response, tuple(eta), 2, problem.curved)
            return float(u @ u - 2.0 * self.w @ ell.value), ell

        u = np.zeros(q)
        value, ell = at(u)
        for _ in range(200):
            slope = u - sum(Z[a].T @ (self.w * ell.first[a]) for a in Z)
            H = np.eye(q)
            for (a, b), second in ell.second.items():
                if a in Z and b in Z:
                    part = Z[a].T @ (Z[b] * (self.w * second)[:, None])
                    H -= part if a == b else part + part.T
            if np.abs(slope).max() < 1e-12:
                break
            values, vectors = np.linalg.eigh(H)
            step = -vectors @ ((vectors.T @ slope) / np.maximum(np.abs(values), 1e-2))
            while True:
                new, there = at(u + step)
                if new <= value + 1e-11 * abs(value):
                    break
                step = 0.5 * step
            u, value, ell = u + step, new, there
        return u, value, H

    def __call__(self, psi: np.ndarray) -> float:
        _, penalized, H = self.parts(psi)
        sign, log_determinant = np.linalg.slogdet(H)
        assert sign > 0
        return penalized + log_determinant
