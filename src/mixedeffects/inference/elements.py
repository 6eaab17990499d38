"""The matrices of which V is a linear combination, and how a structure's parameters move it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance import AbstractCovariance
from mixedeffects.fitting.problem import Problem

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Elements:
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


def elements_of(problem: Problem, theta: Floats) -> Elements:
    """The elements of a problem's covariances at θ (standardized)."""
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
    return Elements(factors, [np.concatenate(b) for b in bases], present, first, second)


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
