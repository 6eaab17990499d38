"""Whether one model lies within another, judged by its columns and covariances, not its text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra._products import level_products
from mixedeffects.algebra.crossproducts import NO_WEIGHTS, Grouping
from mixedeffects.covariance import AbstractCovariance
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.general_estimates import designs_of
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.fitting.problem import Problem, Term
from mixedeffects.formula.effects import RandomDesign

Floats = NDArray[np.float64]
AnyFit = Fit | GeneralFit
AnyProblem = Problem | GeneralProblem

# Relative misfit of sums of squares, of columns and of covariances, that counts as rounding.
SQUARES = 1e-8
COLUMNS = 1e-7
COVARIANCES = 1e-6


@dataclass(frozen=True, slots=True)
class CarriedCovariances:
    """A smaller model's covariances as those of a larger one's terms, standardized, relative to σ².

    ``estimated`` (k, k) of each term of the larger model, at the smaller one's estimates;
    ``generic`` at some point inside the smaller one's range: its null space is what the
    hypothesis sets to zero.
    """

    generic: tuple[Floats, ...]
    estimated: tuple[Floats, ...]


def nothing_carried(large: AnyFit) -> CarriedCovariances:
    """A smaller model without random effects."""
    zeros = tuple(np.zeros((t.covariance.n_columns,) * 2) for t in large.problem.terms)
    return CarriedCovariances(zeros, zeros)


def fixed_effects_within(small: AnyFit, large: AnyFit) -> bool:
    """Whether the columns of the smaller X are combinations of the larger one's.

    Of each linear predictor that both have.
    """
    own, others = _columns(small), _columns(large)
    return all(_within_columns(X, others[name]) for name, X in own.items() if name in others)


def _columns(fit: AnyFit) -> dict[str, Floats]:
    """The columns (n, p) of each predictor; thresholds stand in for a constant."""
    if isinstance(fit, Fit):
        return {"conditional": fit.problem.basis.columns}
    found = {p.name: p.basis.columns for p in fit.problem.predictors}
    if fit.family.has_thresholds:
        ones = np.ones((fit.problem.n_rows, 1))
        found["conditional"] = np.hstack([ones, found["conditional"]])
    return found


def _within_columns(columns: Floats, others: Floats) -> bool:
    basis = np.linalg.qr(others).Q
    rest = columns - basis @ (basis.T @ columns)
    sizes = np.linalg.norm(columns, axis=0)
    return bool(np.all(np.linalg.norm(rest, axis=0) <= COLUMNS * sizes))


def random_terms(fit: AnyFit) -> list[tuple[str, RandomDesign]]:
    """The random terms of all linear predictors, each with its predictor, as in the problem."""
    if isinstance(fit, Fit):
        return [("conditional", random) for random in fit.design.random]
    return [
        (name, random)
        for name, own in designs_of(fit.design, fit.family)
        for random in (() if own is None else own.random)
    ]


def carry(small: AnyFit, large: AnyFit) -> CarriedCovariances | str:
    """The smaller model's covariances within the larger's terms, or which term has no place."""
    if not small.problem.terms:
        return nothing_carried(large)
    points = [_points(small, term) for term in small.problem.terms]
    n_points = min(len(p) for p in points)
    sums = [np.zeros((n_points, *(t.covariance.n_columns,) * 2)) for t in large.problem.terms]
    terms = zip(small.problem.terms, random_terms(small), points, strict=True)
    for term, (component, random), own in terms:
        for place in _candidates(component, random.label, large):
            moved = _represent(small.problem, term, own, large.problem, place)
            if moved is not None and _all_within(large.problem.terms[place].covariance, moved[1:]):
                sums[place] += moved[:n_points]
                break
        else:
            return f"{shown(random)} has no place in the random effects of the larger model"
    held = zip(large.problem.terms, random_terms(large), sums, strict=True)
    for term, (_, random), total in held:
        if not _all_within(term.covariance, total[1:]):
            return f"{shown(random)} does not hold the smaller model's terms"
    return CarriedCovariances(tuple(s[1] for s in sums), tuple(s[0] for s in sums))


def shown(random: RandomDesign) -> str:
    """A random term as a formula has it."""
    wrapped = random.label.startswith(f"{random.structure}(") and random.label.endswith(")")
    return random.label if wrapped else f"({random.label})"


def _points(fit: AnyFit, term: Term) -> Floats:
    """Σ/σ² of a term at its estimates and at points inside its range, (J, k, k)."""
    rng = np.random.default_rng(1)
    m = term.covariance.n_parameters
    start = term.covariance.start()
    inside = [start + 0.2 * rng.uniform(-1.0, 1.0, m) for _ in range(m + 2)]
    thetas = [fit.solution.optimum.theta[term.parameters], *inside]
    return np.stack([T @ T.T for T in map(term.covariance.factor, thetas)])


def _candidates(component: str, label: str, large: AnyFit) -> list[int]:
    """Terms of the larger model's predictor, the likeliest first: the same one, then small ones."""
    known = random_terms(large)
    sizes = [t.covariance.n_columns for t in large.problem.terms]
    places = [t for t, (owner, _) in enumerate(known) if owner == component]
    return sorted(places, key=lambda t: (known[t][1].label != label, sizes[t]))


def _represent(
    small: AnyProblem, term: Term, points: Floats, large: AnyProblem, place: int
) -> Floats | None:
    """S (J, k, k) with Z_t(I ⊗ S)Z_t' = Z_s(I ⊗ Σ)Z_s' for each of the points, or None.

    The level of the smaller model's group may lie within one of the larger's: (1 | g:f) is a
    covariance of (0 + f | g).  Least squares over all pairs of rows, by sums within levels.
    """
    other = large.terms[place]
    inner, outer = small.groupings[term.grouping], large.groupings[other.grouping]
    if not _levels_within(inner, outer):
        return None
    z = np.ascontiguousarray(inner.values[:, term.columns])
    Z = np.ascontiguousarray(outer.values[:, other.columns])
    G = level_products(outer.codes, Z, Z, NO_WEIGHTS, outer.n_levels)
    B = level_products(inner.codes, Z, z, NO_WEIGHTS, inner.n_levels)
    H = level_products(inner.codes, z, z, NO_WEIGHTS, inner.n_levels)
    k = Z.shape[1]
    normal = np.einsum("lab,lcd->acbd", G, G).reshape(k * k, k * k)
    solutions = []
    for sigma in points:
        moments = np.einsum("lai,ij,lcj->ac", B, sigma, B, optimize=True)
        product = H @ sigma
        square = float(np.einsum("lij,lji->", product, product))
        S = np.linalg.lstsq(normal, moments.ravel(), rcond=1e-12)[0].reshape(k, k)
        if square - float(np.sum(moments * S)) > SQUARES * square:
            return None
        solutions.append(0.5 * (S + S.T))
    return np.stack(solutions)


def _levels_within(inner: Grouping, outer: Grouping) -> bool:
    """Whether each level of one lies within one of the other; related levels must be the same."""
    above = np.full(inner.n_levels, -1)
    above[inner.codes] = outer.codes
    if not np.array_equal(above[inner.codes], outer.codes):
        return False
    if inner.relationship is None and outer.relationship is None:
        return True
    if inner.relationship is None or outer.relationship is None:
        return False
    return bool(
        np.array_equal(inner.codes, outer.codes)
        and np.allclose(inner.relationship, outer.relationship)
    )


def _all_within(covariance: AbstractCovariance, matrices: Floats) -> bool:
    """Whether a structure can be each of the matrices (J, k, k)."""
    return all(_within(covariance, S) for S in matrices)


def _within(covariance: AbstractCovariance, S: Floats) -> bool:
    size = float(np.abs(S).max())
    values, vectors = np.linalg.eigh(S)
    if size == 0.0 or values[0] < -COVARIANCES * size:
        return size == 0.0
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    with np.errstate(all="ignore"):
        T = covariance.factor(covariance.parameters(root))
    return bool(np.abs(T @ T.T - S).max() <= COVARIANCES * size)
