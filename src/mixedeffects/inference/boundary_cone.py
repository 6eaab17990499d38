"""Which covariances a hypothesis sets to zero, and what the likelihood ratio then follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mixedeffects.fitting.boundary import ANGLES, SINGULAR
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.problem import Problem, Term
from mixedeffects.inference.chi_bar import (
    AbstractReference,
    Mixture,
    covariance_cone,
    half_line,
    ray_cone,
)
from mixedeffects.inference.information import Direction, expected_information
from mixedeffects.inference.nesting import CarriedCovariances

Floats = NDArray[np.float64]
AnyProblem = Problem | GeneralProblem
Information = Callable[[Sequence[Direction], Sequence[Direction]], Floats]

# Eigenvalues below this share of the largest are zero.
ZERO = 1e-8
# Least eigenvalue of an information, scaled to a unit diagonal, that is not singular.
DEFINITE = 1e-6
# Points at which the span of a structure's covariances is measured.
SPAN = 200


@dataclass(slots=True)
class BoundaryCone:
    """The cone of covariances that the null hypothesis sets to zero.

    ``sizes`` m of each matrix of ``tested`` directions; ``free`` directions that are estimated
    under both hypotheses; ``rays``, the terms of other structures that are absent; ``others``,
    how many parameters the cones of those and of partly absent structures span; ``dropped``,
    whether a variance that is not tested is estimated to be zero.
    """

    sizes: list[int] = field(default_factory=list)
    tested: list[Direction] = field(default_factory=list)
    free: list[Direction] = field(default_factory=list)
    rays: list[int] = field(default_factory=list)
    others: int = 0
    partly: int = 0
    dropped: bool = False


def boundary_reference(
    problem: AnyProblem,
    carried: CarriedCovariances,
    df: int,
    information: Information | None = None,
) -> tuple[AbstractReference, bool]:
    """The likelihood ratio's distribution under the smaller model, of ``df`` parameters fewer.

    The second value says whether a variance that is not tested is zero at the estimates; it
    is then held there.  ``information`` on the tested directions, all else profiled out, of the
    tested and the free ones; by default that of a linear model.
    """
    if information is None:
        assert isinstance(problem, Problem)
        information = partial(_efficient, problem, carried)
    cone = boundary_cone(problem, carried)
    structured = bool(cone.rays) or cone.partly > 0
    dimension = sum(m * (m + 1) // 2 for m in cone.sizes)
    if not cone.sizes and not structured:
        return Mixture((1.0,), df), cone.dropped
    if cone.sizes == [1] and not structured:
        return half_line(df - 1), cone.dropped
    if structured:
        return _structured_reference(problem, cone, dimension, df, information), cone.dropped
    known = information(cone.tested, cone.free)
    if not _is_definite(known):  # the data cannot tell some of the covariances apart
        return Mixture((0.5, 0.5), df - 1, bound=True), cone.dropped
    return covariance_cone(known, cone.sizes, df - dimension), cone.dropped


def _structured_reference(
    problem: AnyProblem, cone: BoundaryCone, dimension: int, df: int, information: Information
) -> AbstractReference:
    """Other structures: exact for one variance times a correlation, else a bound.

    A cone inside a half-space of d dimensions takes no more than the half-space does.
    """
    own = sum(problem.terms[t].covariance.n_parameters for t in cone.rays) + cone.partly
    linear = df - dimension - own
    if len(cone.rays) == 1 and not cone.sizes and not cone.partly:
        (number,) = cone.rays
        covariance = problem.terms[number].covariance
        if covariance.n_deviations == 1 and covariance.n_parameters == 2:
            roots = [covariance.factor(np.array([1.0, angle])) for angle in ANGLES]
            basis, rays = _span(np.stack([T @ T.T for T in roots]))
            tested = [(number, D) for D in basis]
            known = information(tested, cone.free)
            return ray_cone(*_identified(known, rays), linear, f"{covariance.name} covariance")
    d = linear + dimension + cone.others + cone.partly
    return Mixture((0.5, 0.5), d - 1, bound=True)


def boundary_cone(problem: AnyProblem, carried: CarriedCovariances) -> BoundaryCone:
    """Sort each term's directions into tested, free and held at zero."""
    cone = BoundaryCone()
    pairs = zip(carried.generic, carried.estimated, strict=True)
    for number, (term, (generic, estimated)) in enumerate(zip(problem.terms, pairs, strict=True)):
        if term.covariance.closure == "affine":
            _unstructured(cone, number, generic, estimated)
        elif term.covariance.name == "diag":
            _diagonal(cone, number, generic, estimated)
        elif not np.any(generic):
            _absent(cone, number, term)
        else:
            _structured(cone, number, term, generic, estimated)
    return cone


def _unstructured(cone: BoundaryCone, number: int, generic: Floats, estimated: Floats) -> None:
    _, null = _range_and_null(generic)
    present, zero = _range_and_null(estimated)
    if null.shape[1]:
        cone.sizes.append(null.shape[1])
        cone.tested += [(number, D) for D in _symmetric(null)]
    cone.dropped |= zero.shape[1] > null.shape[1]
    cone.free += [(number, D) for D in _symmetric(present)]
    for r in present.T:
        cone.free += [(number, np.outer(r, c) + np.outer(c, r)) for c in null.T]


def _diagonal(cone: BoundaryCone, number: int, generic: Floats, estimated: Floats) -> None:
    zero = ZERO * max(float(np.diagonal(generic).max()), 1.0)
    for i in range(len(generic)):
        direction = np.zeros_like(generic)
        direction[i, i] = 1.0
        if generic[i, i] <= zero:
            cone.sizes.append(1)
            cone.tested.append((number, direction))
        elif estimated[i, i] < SINGULAR**2:
            cone.dropped = True
        else:
            cone.free.append((number, direction))


def _absent(cone: BoundaryCone, number: int, term: Term) -> None:
    covariance = term.covariance
    if covariance.n_parameters == 1:
        cone.sizes.append(1)
        cone.tested.append((number, np.eye(covariance.n_columns)))
        return
    rng = np.random.default_rng(1)
    thetas = rng.uniform(-1.5, 1.5, (SPAN, covariance.n_parameters))
    roots = [covariance.factor(np.maximum(theta, covariance.lower)) for theta in thetas]
    basis, _ = _span(np.stack([T @ T.T for T in roots]))
    cone.rays.append(number)
    cone.others += len(basis)


def _structured(
    cone: BoundaryCone, number: int, term: Term, generic: Floats, estimated: Floats
) -> None:
    present, null = _range_and_null(generic)
    if null.shape[1]:
        cone.partly += max(term.covariance.n_parameters - present.shape[1], 1)
        return
    values, vectors = np.linalg.eigh(estimated)
    if values[0] <= SINGULAR**2:
        cone.dropped = True
        return
    theta = term.covariance.parameters(vectors * np.sqrt(values))
    moved = term.covariance.jacobian(theta) @ term.covariance.factor(theta).T
    cone.free += [(number, D + D.T) for D in moved]


def _efficient(
    problem: Problem,
    carried: CarriedCovariances,
    tested: Sequence[Direction],
    free: Sequence[Direction],
) -> Floats:
    """Information on the tested directions with all others profiled out."""
    factors = [_root(S) for S in carried.estimated]
    whole = expected_information(problem, factors, [*tested, *free])
    d = len(tested)
    if not free:
        return whole
    cross = whole[:d, d:]
    efficient: Floats = whole[:d, :d] - cross @ np.linalg.pinv(whole[d:, d:]) @ cross.T
    return efficient


def _is_definite(information: Floats) -> bool:
    scale = np.sqrt(np.maximum(np.diagonal(information), 1e-300))
    least = np.linalg.eigvalsh(information / np.outer(scale, scale))[0]
    return bool(least > DEFINITE)


def _identified(information: Floats, rays: Floats) -> tuple[Floats, Floats]:
    """Both along the principal axes that have information; rays without any left out.

    The variance of an effect of every single row is the residual's: that direction has none.
    """
    sizes, axes = np.linalg.eigh(information)
    told = sizes > DEFINITE * sizes[-1]
    turned = rays @ axes[:, told]
    lengths = (turned**2) @ sizes[told]
    return np.diag(sizes[told]), turned[lengths > DEFINITE * lengths.max()]


def _root(S: Floats) -> Floats:
    values, vectors = np.linalg.eigh(S)
    root: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
    return root


def _range_and_null(S: Floats) -> tuple[Floats, Floats]:
    values, vectors = np.linalg.eigh(S)
    zero = values <= ZERO * max(float(values[-1]), 1.0)
    return vectors[:, ~zero], vectors[:, zero]


def _symmetric(basis: Floats) -> list[Floats]:
    """Orthonormal symmetric directions over the columns of a basis, upper triangle by row."""
    rows, columns = np.triu_indices(basis.shape[1])
    directions = []
    for a, b in zip(rows, columns, strict=True):
        D = np.outer(basis[:, a], basis[:, b])
        directions.append(D if a == b else (D + D.T) * np.sqrt(0.5))
    return directions


def _span(matrices: Floats) -> tuple[Floats, Floats]:
    """An orthonormal basis (d, k, k) of matrices (J, k, k), and their coordinates (J, d)."""
    flat = matrices.reshape(len(matrices), -1)
    _, sizes, axes = np.linalg.svd(flat, full_matrices=False)
    axes = axes[sizes > ZERO * sizes[0]]
    return axes.reshape(-1, *matrices.shape[1:]), flat @ axes.T
