"""Objective, gradient and curvature against the dense oracle, structure by structure."""

from __future__ import annotations

import numpy as np
import pytest

import oracle
from designs import Model, Spec, make_model
from mixedeffects.fitting import axes, lmm
from mixedeffects.fitting.estimates import standardized_theta
from mixedeffects.fitting.lmm import Objective
from mixedeffects.fitting.problem import TermArrays, build_problem, with_response

STRUCTURES = ("us", "diag", "id", "cs", "homcs", "ar1", "toep", "known")


# A zero diagonal of T is evaluated at FLOOR, which matters where no optimum can lie.
ABSOLUTE = {"inside": 1e-10, "zeros": 1e-6}


def lead(structure: str, k: int, factor: int = 0) -> Spec:
    return Spec(structure, k, factor, known=structure == "known")


LAYOUTS = {
    "one": lambda s: [lead(s, 3)],
    "nested": lambda s: [lead(s, 2), Spec("us", 1, 1)],
    "nested four deep": lambda s: [Spec("us", 1, 0), lead(s, 2, 2), Spec("us", 1, 3)],
    "crossed": lambda s: [lead(s, 3), Spec("us", 1, 1)],
    "partially crossed": lambda s: [lead(s, 2), Spec("diag", 2, 1)],
    "three crossed": lambda s: [lead(s, 2, 1), Spec("us", 2, 0), Spec("diag", 2, 1)],
}


def theta_at(model: Model, where: str) -> np.ndarray:
    """A point with all parameters inside, or with variances that are exactly zero."""
    rng = np.random.default_rng(21)
    parts = []
    for term in model.terms:
        covariance = term.covariance
        m = covariance.n_parameters
        d = getattr(covariance, "n_deviations", m)
        own = np.concatenate([rng.uniform(0.3, 1.4, d), rng.uniform(-0.25, 0.5, m - d)])
        if where == "zeros":
            # the first column of a triangle, else all standard deviations but one
            own[: covariance.n_columns if term.covariance.name == "us" else max(d - 1, 1)] = 0.0
        parts.append(own)
    return np.concatenate(parts)


def problem_of(model: Model, reml: bool, intercept: int | None = 0):
    return build_problem(
        model.response,
        model.X,
        model.terms,
        reml=reml,
        weights=model.weights,
        intercept=intercept,
    )


def relative_factor(term, theta):
    """T (k, k) for the columns as they are given; not triangular."""
    return np.linalg.solve(term.map, term.covariance.factor(theta[term.parameters]))


def dense_objective(model, problem, reml):
    """θ in the problem's standardized basis → the oracle's objective."""

    def value(theta):
        terms = [
            oracle.Term(a.values, a.codes, relative_factor(t, theta), a.n_levels, a.relationship)
            for a, t in zip(model.terms, problem.terms, strict=True)
        ]
        return oracle.objective(
            model.y,
            model.X,
            terms,
            weights=model.weights,
            offset=model.offset,
            reml=reml,
        )

    return value


CASES = [
    (structure, layout, reml, extras)
    for i, structure in enumerate(STRUCTURES)
    for j, layout in enumerate(LAYOUTS)
    for reml in (True, False)
    for extras in ((i + j + reml) % 2 == 0,)
]


@pytest.fixture(params=CASES, ids=lambda c: f"{c[0]}-{c[1]}-{'REML' if c[2] else 'ML'}-{c[3]}")
def setting(request):
    """A model with a structure in a design, with weights and offset in half of them."""
    structure, layout, reml, extras = request.param
    model = make_model(layout, LAYOUTS[layout](structure), 31, weighted=extras, offset=extras)
    return model, problem_of(model, reml), reml


@pytest.mark.parametrize("where", ["inside", "zeros"])
def test_value_and_gradient(setting, where):
    model, problem, reml = setting
    theta = theta_at(model, where)
    dense = dense_objective(model, problem, reml)
    objective = Objective(problem)
    here = objective(theta)
    assert here.value == pytest.approx(float(dense(theta)), rel=1e-11, abs=ABSOLUTE[where])
    expected = oracle.gradient(dense, theta)
    allowed = 1e-7 * max(np.abs(expected).max(), 1.0)
    if where == "zeros":  # which are evaluated at FLOOR, where the gradient is 2 G FLOOR
        allowed += 4 * axes.FLOOR * max(np.abs(G).max() for G in objective.by_covariance(theta))
    np.testing.assert_allclose(here.gradient, expected, rtol=0, atol=allowed)


def test_value_in_the_users_units(setting):
    model, problem, reml = setting
    theta = theta_at(model, "inside")
    value = Objective(problem).value(standardized_theta(problem.terms, theta))
    assert value == pytest.approx(model.objective(theta, reml), rel=1e-11)


@pytest.mark.parametrize("where", ["inside", "zeros"])
def test_hessian_is_the_derivative_of_the_gradient(setting, where):
    model, problem, _ = setting
    theta = theta_at(model, where)
    objective = Objective(problem)
    here = objective(theta)
    expected = oracle.gradient(lambda t: objective(t).gradient, theta, 5e-3)
    size = np.abs(expected).max()
    np.testing.assert_allclose(here.hessian, expected, rtol=0, atol=2e-6 * size)
    np.testing.assert_allclose(here.hessian, here.hessian.T, atol=1e-12 * size)


def test_average_information(setting):
    """Hessian less information is y'PV̇PV̇Py/σ² − tr(PV̇PV̇), P = V⁻¹ in the trace for ML."""
    model, problem, reml = setting
    theta = theta_at(model, "inside")
    here = Objective(problem)(theta)
    n = len(model.y)
    V = np.diag(1.0 / (np.ones(n) if model.weights is None else model.weights))
    slopes = []
    for arrays, term in zip(model.terms, problem.terms, strict=True):
        T = relative_factor(term, theta)
        jacobian = np.linalg.solve(term.map, term.covariance.jacobian(theta[term.parameters]))
        K = np.eye(arrays.n_levels) if arrays.relationship is None else arrays.relationship
        Z = oracle.Term(arrays.values, arrays.codes, T, arrays.n_levels).design()
        V = V + Z @ np.kron(K, T @ T.T) @ Z.T
        slopes += [Z @ np.kron(K, J @ T.T + T @ J.T) @ Z.T for J in jacobian]
    inverse = np.linalg.inv(V)
    VX = inverse @ model.X
    P = inverse - VX @ np.linalg.solve(model.X.T @ VX, VX.T)
    Py = P @ model.response
    sigma2 = model.response @ Py / problem.dof
    Q = P if reml else inverse
    moved = np.array([slope @ Py for slope in slopes])
    quadratic = moved @ P @ moved.T / sigma2
    trace = np.array([[np.sum((Q @ a) * (Q @ b).T) for a in slopes] for b in slopes])
    difference = here.hessian - here.information
    size = np.abs(here.hessian).max()
    np.testing.assert_allclose(difference, quadratic - trace, rtol=0, atol=1e-9 * size)


def test_without_exact_curvature(monkeypatch):
    """Beyond a number of random effects the information stands for the Hessian."""
    model = make_model("crossed", [Spec("us", 2, 0), Spec("cs", 3, 1)], 3)
    problem, theta = problem_of(model, True), theta_at(model, "inside")
    exact = Objective(problem)(theta)
    monkeypatch.setattr(lmm, "EXACT", 0)
    cheap = Objective(problem)(theta)
    np.testing.assert_array_equal(cheap.information, exact.information)
    np.testing.assert_array_equal(cheap.hessian, cheap.information)
    np.testing.assert_array_equal(cheap.gradient, exact.gradient)


@pytest.mark.parametrize("where", ["inside", "zeros"])
@pytest.mark.parametrize("reml", [True, False])
def test_turned_coordinates(reml, where):
    """Turning factors to their principal axes changes coordinates, not the model."""
    specs = [Spec("us", 3, 0), Spec("us", 2, 1), Spec("diag", 2, 0)]
    model = make_model("crossed", specs, 4)
    problem, theta = problem_of(model, reml), theta_at(model, where)
    objective = Objective(problem)
    before = objective(theta)
    moved = objective.rotate(theta)
    if moved is None:  # far from a singular point there is no need
        assert where == "inside"
        return
    turned, here = moved
    assert here.value == before.value
    assert objective.value(turned) == pytest.approx(before.value, rel=1e-12)
    again = objective(turned)
    size = max(np.abs(before.hessian).max(), 1.0)
    np.testing.assert_allclose(here.gradient, again.gradient, atol=1e-7 * size)
    np.testing.assert_allclose(here.hessian, again.hessian, atol=1e-6 * size)
    expected = oracle.gradient(objective.value, turned)
    np.testing.assert_allclose(here.gradient, expected, atol=1e-7 * size)
    curvature = oracle.gradient(lambda t: objective(t).gradient, turned, 5e-3)
    np.testing.assert_allclose(here.hessian, curvature, atol=2e-6 * size)
    objective(turned)
    back, there = objective.upright(turned)
    plain = Objective(problem)
    assert plain.value(back) == pytest.approx(before.value, rel=1e-12)
    np.testing.assert_allclose(there.gradient, plain(back).gradient, atol=1e-7 * size)
    np.testing.assert_allclose(there.hessian, plain(back).hessian, atol=1e-6 * size)


@pytest.mark.parametrize("reml", [True, False])
def test_by_covariance(reml):
    """The derivative by TT', also along directions in which it is zero."""
    model = make_model("crossed", [Spec("us", 3, 0), Spec("us", 1, 1)], 5)
    problem = problem_of(model, reml)
    dense = dense_objective(model, problem, reml)
    theta = theta_at(model, "inside")
    theta[[2, 4, 5]] = 0.0  # the third column is a combination of the first two
    slope = Objective(problem).by_covariance(theta)[0]
    term = problem.terms[0]
    T = term.covariance.factor(theta[term.parameters])
    rng = np.random.default_rng(0)
    for _ in range(4):
        a = rng.normal(size=3)
        a /= np.linalg.norm(a)

        def along(step, a=a):
            root = np.linalg.cholesky(T @ T.T + step**2 * np.outer(a, a) + 1e-24 * np.eye(3))
            moved = theta.copy()
            moved[term.parameters] = term.covariance.parameters(root)
            return dense(moved)

        h = 2e-3
        first, second = along(h) - dense(theta), along(2 * h) - dense(theta)
        expected = (16 * first - second) / (12 * h * h)
        assert a @ slope @ a == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_value_alone_is_that_of_an_evaluation():
    model = make_model("three crossed", LAYOUTS["three crossed"]("ar1"), 6)
    objective = Objective(problem_of(model, True))
    theta = theta_at(model, "inside")
    assert objective.value(theta) == objective(theta).value


@pytest.mark.parametrize("bad", [np.nan, 1e200])
def test_points_that_cannot_be_factored_are_infinite(bad):
    model = make_model("crossed", [Spec("us", 2, 0)], 6)
    objective = Objective(problem_of(model, True))
    theta = objective.start()
    theta[0] = bad
    here = objective(theta)
    assert here.value == np.inf
    assert np.all(np.isnan(here.gradient))


def test_no_intercept_and_no_fixed_effects():
    model = make_model("crossed", [Spec("us", 2, 0), Spec("us", 1, 1)], 7)
    theta = theta_at(model, "inside")
    for columns in ([1, 2], [1], []):
        bare = Model(model.y, model.X[:, columns], model.terms, None, None)
        for reml in (True, False):
            problem = problem_of(bare, reml, intercept=None)
            value = Objective(problem).value(standardized_theta(problem.terms, theta))
            assert value == pytest.approx(bare.objective(theta, reml), rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_another_response(weighted):
    specs = [Spec("us", 2, 0), Spec("diag", 2, 1)]
    one = make_model("crossed", specs, 8, weighted=weighted)
    other = np.random.default_rng(0).normal(size=len(one.y)) * 50 + one.X @ [10, 2, 3]
    theta = theta_at(one, "inside")
    changed = Objective(with_response(problem_of(one, True), other))(theta)
    fresh = Model(other, one.X, one.terms, one.weights, None)
    expected = Objective(problem_of(fresh, True))(theta)
    assert changed.value == pytest.approx(expected.value, rel=1e-12)
    np.testing.assert_allclose(changed.gradient, expected.gradient, atol=1e-9)


@pytest.mark.parametrize("reml", [True, False])
def test_more_random_effects_than_rows(reml):
    """Two crossed factors and a relationship with one row a level: q > n."""
    model = make_model("one", [Spec("known", 1, 0, True)], 9)
    n = len(model.y)
    rng = np.random.default_rng(1)
    own = np.arange(n, dtype=np.int32)
    K = np.exp(-np.abs(own[:, None] - own) / 5.0)
    term = TermArrays(np.ones((n, 1)), own, n, model.terms[0].covariance, 0, 99, K)
    both = Model(model.y, model.X, (term, *model.terms), rng.uniform(0.5, 2, n), None)
    theta = np.array([0.8, 0.5])
    value = Objective(problem_of(both, reml)).value(theta)
    assert value == pytest.approx(both.objective(theta, reml), rel=1e-11)


@pytest.mark.parametrize("split", [0.0, 0.5])
def test_sparse_and_dense_ways_agree(monkeypatch, split):
    """The planner decides about time alone."""
    from mixedeffects.algebra import cholesky

    model = make_model("partially crossed", [Spec("us", 2, 0), Spec("us", 2, 1)], 10)
    theta = theta_at(model, "inside")
    planned = Objective(problem_of(model, True))(theta)
    order = cholesky.order

    def truncated(*arguments):
        leading, pointers, rows = order(*arguments)
        count = int(split * len(leading))
        return leading[:count].copy(), pointers[: count + 1].copy(), rows[: pointers[count]].copy()

    monkeypatch.setattr(cholesky, "order", truncated)
    problem = problem_of(model, True)
    assert problem.plan.n_dense > 0
    other = Objective(problem)(theta)
    assert other.value == pytest.approx(planned.value, rel=1e-12)
    np.testing.assert_allclose(other.gradient, planned.gradient, atol=1e-9)
    np.testing.assert_allclose(other.hessian, planned.hessian, atol=1e-8)
