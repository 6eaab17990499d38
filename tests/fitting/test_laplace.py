"""The Laplace objective against dense matrices and differences, family by family."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import mixedeffects as me
import oracle
from general_designs import LAYOUTS, DenseLaplace, general_problem, inflatable, point
from mixedeffects.errors import ModelError
from mixedeffects.families import FAMILIES, Binomial
from mixedeffects.fitting.checks import certify
from mixedeffects.fitting.differences import differenced_hessian
from mixedeffects.fitting.laplace import LaplaceObjective

CASES = [
    (name, layout)
    for name in FAMILIES
    for layout in LAYOUTS
    if layout != "predictors" or inflatable(name) or FAMILIES[name].has_dispersion
]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def problem(request):
    """Half of the models have weights and offsets."""
    name, layout = request.param
    extra = (list(FAMILIES).index(name) + list(LAYOUTS).index(layout)) % 2 == 0
    return general_problem(name, layout, 3, weighted=extra, offset=extra)


@pytest.mark.parametrize("where", ["inside", "zeros"])
def test_value_and_gradient(problem, where):
    psi = point(problem, where)
    objective, dense = LaplaceObjective(problem), DenseLaplace(problem)
    here = objective.refine(psi)
    # zero variances are evaluated at 1e-8
    assert here.value == pytest.approx(dense(psi), rel=1e-9 if where == "inside" else 1e-8)
    # along some directions that move every parameter
    ways = np.linalg.qr(np.random.default_rng(9).normal(size=(len(psi), 2)))[0].T
    expected = oracle.gradient(lambda t: objective(psi + t @ ways).value, np.zeros(2), 4e-3)
    size = max(np.linalg.norm(here.gradient), 1.0)
    np.testing.assert_allclose(ways @ here.gradient, expected, rtol=0, atol=1e-6 * size)


@pytest.mark.parametrize("layout", ["one", "crossed"])
@pytest.mark.parametrize("where", ["inside", "zeros"])
def test_turned_coordinates(layout, where):
    """Turning factors to their principal axes changes coordinates, not the model."""
    problem = general_problem("poisson", layout, 4)
    psi, objective = point(problem, where), LaplaceObjective(problem)
    before = objective.refine(psi)
    turned, here = objective.turned(psi)
    assert here.value == before.value
    again = objective(turned)
    assert again.value == pytest.approx(before.value, rel=1e-11)
    size = np.abs(before.gradient).max()
    np.testing.assert_allclose(here.gradient, again.gradient, rtol=0, atol=1e-6 * size)
    expected = oracle.gradient(lambda p: objective(p).value, turned, 4e-3)
    np.testing.assert_allclose(again.gradient, expected, rtol=0, atol=1e-6 * size)
    back, after = objective.upright(turned)
    assert after.value == pytest.approx(before.value, rel=1e-11)
    np.testing.assert_allclose(np.abs(back), np.abs(psi), atol=1e-7)


def test_derivative_by_a_covariance():
    """∂/∂(TT') is that of the objective as a function of the variance, at zero too."""
    problem = general_problem("poisson", "nested", 4)
    psi, objective = point(problem), LaplaceObjective(problem)
    psi[0] = 0.0
    objective.refine(psi)
    (slope,) = objective.by_covariance(psi)[0].ravel()

    def value(variance):
        moved = psi.copy()
        moved[0] = np.sqrt(variance)
        return objective(moved).value

    # one-sided differences of third order
    h = 1e-3
    a, b, c, d = (value(i * h) for i in range(4))
    assert slope == pytest.approx((-11 * a + 18 * b - 9 * c + 2 * d) / (6 * h), rel=1e-4)


def second_differences(function, x, step):
    """Second derivatives (m, m) by four points each."""
    m = len(x)
    e = step * np.eye(m)
    out = np.empty((m, m))
    for i in range(m):
        for j in range(i + 1):
            corners = [s * t * function(x + s * e[i] + t * e[j]) for s in (1, -1) for t in (1, -1)]
            out[i, j] = out[j, i] = sum(corners) / (4.0 * step**2)
    return out


@pytest.mark.parametrize("name", ["binomial", "nbinom2", "cumulative", "gamma"])
def test_differenced_hessian(name):
    """Against differences of dense values; the steps of both show in the fourth digit."""
    problem = general_problem(name, "crossed", 6, weighted=True)
    psi, objective = point(problem), LaplaceObjective(problem)
    hessian, lacking = differenced_hessian(objective, psi, objective.refine(psi))
    assert lacking == 0
    np.testing.assert_array_equal(hessian, hessian.T)
    expected = second_differences(DenseLaplace(problem), psi, 2e-3)
    size = np.sqrt(np.outer(np.abs(np.diagonal(expected)), np.abs(np.diagonal(expected))))
    np.testing.assert_array_less(np.abs(hessian - expected), 1e-3 * size + 1e-5)


def test_what_cannot_be_differenced_is_told():
    """Neither side of the second parameter has a gradient: its row is the approximate one."""
    problem = general_problem("poisson", "crossed", 6)
    psi, objective = point(problem), LaplaceObjective(problem)
    here, whole = objective.refine(psi), objective.gradient

    def walled(moved):
        return whole(moved) if moved[1] == psi[1] else np.full(len(psi), np.nan)

    objective.gradient = walled
    hessian, lacking = differenced_hessian(objective, psi, here)
    assert lacking == 1
    assert hessian[1, 1] == here.hessian[1, 1]
    (_, check) = certify(np.zeros(2), np.eye(2), [], 10, True, lacking)
    assert "average information for 1 parameters" in check.message


def test_modes():
    """û and Λû in elimination order."""
    problem = general_problem("poisson", "crossed", 7, offset=True)
    psi, objective = point(problem), LaplaceObjective(problem)
    objective.refine(psi)
    u, b = objective.modes(psi)
    dense = DenseLaplace(problem)
    expected, _, _ = dense.parts(psi)
    order = np.concatenate([c.ravel() for c in objective.rows.columns])
    np.testing.assert_allclose(u[order], expected, atol=1e-9)
    eta = dense.design(psi[: problem.n_parameters])[0] @ expected
    rows = sum(
        np.einsum("ia,ia->i", g.values, b[c][g.codes])
        for g, c in zip(problem.groupings, objective.rows.columns, strict=True)
    )
    np.testing.assert_allclose(rows, eta, atol=1e-9)


def test_an_impossible_point_is_no_point():
    """A mean that the family does not have: infinite, so that the search steps back."""
    problem = replace(general_problem("binomial", "one", 8), family=Binomial("log"))
    psi = point(problem)
    psi[problem.n_parameters] = 50.0
    assert LaplaceObjective(problem)(psi).value == np.inf


@pytest.mark.parametrize("options", [{"family": "poisson"}, {"dispersion": "~ x"}])
def test_related_levels_are_refused_rather_than_taken_for_independent(options):
    data = {"y": np.arange(24) % 5, "x": np.tile([0.0, 1.0], 12), "g": np.arange(24) // 4}
    K = np.eye(6) + 0.5
    with pytest.raises(ModelError, match="with a known matrix"):
        me.fit("y ~ x + known(1 | g, K)", {**data, "K": K}, **options)
