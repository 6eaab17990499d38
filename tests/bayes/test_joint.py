"""The joint log-density against a textbook sum, its gradient against differences."""

from __future__ import annotations

import numpy as np
import pytest

from general_designs import LAYOUTS, general_problem, inflatable, point
from mixedeffects.bayes.coordinates import term_coordinates
from mixedeffects.bayes.independent import Independent, PositiveIndependent
from mixedeffects.bayes.joint import JointDensity, Target
from mixedeffects.bayes.priors import LKJ, HalfStudentT, Normal
from mixedeffects.bayes.roots import changed_root
from mixedeffects.families import FAMILIES

CASES = [
    (name, layout)
    for name in FAMILIES
    for layout in LAYOUTS
    if layout != "predictors" or inflatable(name) or FAMILIES[name].has_dispersion
]


def target_of(problem, sd=2.0):
    """The problem with normal, half-t and LKJ priors."""
    coordinates = tuple(
        term_coordinates(
            t.covariance,
            PositiveIndependent(
                [HalfStudentT(3, 1.0)] * (t.covariance.n_deviations or t.covariance.n_columns)
            ),
            LKJ(2.0),
        )
        for t in problem.terms
    )
    prior = Independent([Normal(0.0, sd)] * problem.n_fixed)
    return Target(problem, prior.log_density, coordinates)


def point_of(target, rng):
    """ψ with ordinary parameters."""
    problem = target.problem
    psi = np.empty(target.dimension)
    psi[: problem.n_fixed] = point(problem)[problem.n_parameters :]
    for place in target.places:
        psi[place] = rng.uniform(-1.0, 0.3, place.stop - place.start)
    return psi


def information_of(problem, rng):
    """Any r (L, k) and positive semidefinite A (L, k, k); of every third level zero."""
    found = []
    for f, g in enumerate(problem.groupings):
        k = int(problem.plan.factor_size[f])
        root = rng.normal(size=(g.n_levels, k, k)) * rng.choice([0.3, 3.0], (g.n_levels, 1, 1))
        root[::3] = 0.0
        found.append((root @ root.transpose(0, 2, 1), rng.normal(size=root.shape[:2])))
    return found


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def case(request):
    """Half of the models have weights and offsets."""
    name, layout = request.param
    extra = (list(FAMILIES).index(name) + list(LAYOUTS).index(layout)) % 2 == 0
    problem = general_problem(name, layout, 3, weighted=extra, offset=extra)
    rng = np.random.default_rng(8)
    target = target_of(problem)
    joint = JointDensity(target, information_of(problem, rng))
    psi = point_of(target, rng)
    w = 0.3 * rng.normal(size=int(problem.plan.offset[-1]))
    while not np.isfinite(joint(psi, w)[0]):  # "genpois" has no density at small means
        psi[0] += 0.3
    return joint, psi, w


def textbook(joint, psi, w):
    """log p(y | b) + Σ log N(b; 0, Σ) + log |∂b/∂w| + log p(ψ), all levels one by one."""
    target, problem = joint.target, joint.target.problem
    eta = [np.full(problem.n_rows, p.fixed(psi)) for p in problem.predictors]
    value = target.prior(psi)[0]
    for f, levels in enumerate(joint.levels):
        g, k = problem.groupings[f], levels.b.shape[1]
        covariance = np.zeros((k, k))
        for number, term in enumerate(problem.terms):
            if term.grouping == f:
                M = term.map @ target.coordinates[number].root(psi[target.places[number]])[0]
                covariance[term.columns, term.columns] = M @ M.T
        T = np.linalg.cholesky(covariance)
        for level, (A, r) in enumerate(zip(*joint.told[f], strict=True)):
            flipped = np.linalg.cholesky((T.T @ A @ T + np.eye(k))[::-1, ::-1])
            K = flipped[::-1, ::-1].T
            v = w[levels.columns[level]] + np.linalg.solve(K.T, T.T @ r)
            b = T @ np.linalg.solve(K, v)
            rows = g.codes == level
            eta[levels.predictor][rows] += g.values[rows] @ b
            value -= (
                0.5 * b @ np.linalg.solve(covariance, b) + 0.5 * np.linalg.slogdet(covariance)[1]
            )
            value += np.linalg.slogdet(T)[1] - np.linalg.slogdet(K)[1]
    weights = np.ones(problem.n_rows) if problem.weights is None else problem.weights
    return value + weights @ problem.family.log_density(problem.response, tuple(eta))


def test_value_is_the_textbook_sum(case):
    joint, psi, w = case
    value, expected = joint(psi, w)[0], textbook(joint, psi, w)
    assert np.isfinite(value)
    assert value == pytest.approx(expected, rel=1e-11, abs=1e-9)


def test_gradient_is_that_of_differences(case):
    joint, psi, w = case
    _, by_psi, by_w = joint(psi, w)
    rng = np.random.default_rng(2)
    chosen = [*range(len(psi)), *(len(psi) + rng.choice(len(w), 6, replace=False))]
    at = np.concatenate([psi, w])
    gradient = np.concatenate([by_psi, by_w])
    step = 1e-5
    for i in chosen:
        ends = []
        for sign in (1.0, -1.0):
            moved = at.copy()
            moved[i] += sign * step
            ends.append(joint(moved[: len(psi)], moved[len(psi) :])[0])
        # differences err by step² times the third derivative, and by rounding over the step
        assert gradient[i] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=2e-4)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_root_in_another_basis(k):
    rng = np.random.default_rng(k)
    basis, root = np.triu(rng.normal(size=(k, k))) + 2 * np.eye(k), np.tril(rng.normal(size=(k, k)))
    root[np.diag_indices(k)] = rng.uniform(0.5, 2.0, k)
    T, pull = changed_root(root, basis)
    np.testing.assert_allclose(T, np.linalg.cholesky(basis @ root @ root.T @ basis.T), rtol=1e-9)
    weights, step = np.tril(rng.normal(size=(k, k))), 1e-6
    by_root = pull(weights)
    for i, j in zip(*np.tril_indices(k), strict=True):
        move = np.zeros((k, k))
        move[i, j] = step
        change = changed_root(root + move, basis)[0] - changed_root(root - move, basis)[0]
        assert by_root[i, j] == pytest.approx(
            np.sum(weights * change) / (2 * step), rel=1e-6, abs=1e-8
        )
