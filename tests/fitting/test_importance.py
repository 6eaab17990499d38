"""Importance sampling against fine quadrature, and its pieces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from general_designs import general_problem
from mixedeffects.fitting.general_solve import solve_general
from mixedeffects.fitting.importance import importance, pieces_of, tail_shape
from mixedeffects.fitting.quadrature import QuadratureObjective


def exact(problem, solution):
    """Log-likelihood at the solution, and the step to its maximum."""
    objective = QuadratureObjective(replace(problem, quadrature=25))
    here = objective.refine(solution.optimum.theta)
    if solution.turned:
        _, here = objective.turned(solution.optimum.theta)
    return -0.5 * here.value, solution.covariance @ (-0.5 * here.gradient)


@pytest.mark.parametrize("name", ["binomial", "poisson", "nbinom2", "cumulative"])
@pytest.mark.parametrize("weighted", [False, True])
def test_error_and_step(name, weighted):
    problem = general_problem(name, "one", 2, weighted=weighted, offset=weighted)
    solution = solve_general(problem)
    found = importance(problem, solution, 4000, np.random.default_rng(1))
    value, step = exact(problem, solution)
    assert found.error == pytest.approx(
        value + 0.5 * solution.optimum.value, abs=3.5 * found.std_error
    )
    assert 0.0 < found.std_error < 0.1
    errors = np.std(found.parts, axis=0, ddof=1) / np.sqrt(len(found.parts))
    np.testing.assert_array_less(np.abs(found.step - step), 4.0 * errors + 1e-12)
    assert found.pieces == 4
    assert found.tail < 0.7


def test_error_of_quadrature():
    """Of few nodes: what is missing to many."""
    problem = replace(general_problem("binomial", "one", 2), quadrature=2)
    solution = solve_general(problem)
    found = importance(problem, solution, 4000, np.random.default_rng(1))
    value, _ = exact(problem, solution)
    assert found.error == pytest.approx(
        value + 0.5 * solution.optimum.value, abs=3.5 * found.std_error
    )


@pytest.mark.parametrize("layout", ["nested", "crossed", "predictors"])
def test_the_standard_error_is_the_scatter(layout):
    """Of several groupings and predictors, where there is nothing to compare with."""
    problem = general_problem("nbinom2", layout, 4)
    solution = solve_general(problem)
    runs = [importance(problem, solution, 400, np.random.default_rng(s)) for s in range(12)]
    errors = np.array([run.error for run in runs])
    claimed = np.sqrt(np.mean([run.std_error**2 for run in runs]))
    # twelve standard deviations scatter by a fifth
    assert 0.4 * claimed < errors.std(ddof=1) < 2.0 * claimed


def test_gaussian_models_have_no_error():
    problem = general_problem("gaussian", "crossed", 4)
    found = importance(problem, solve_general(problem), 200, np.random.default_rng(1))
    # only the mixture's weights scatter, about one
    assert abs(found.error) < 4.0 * found.std_error
    np.testing.assert_allclose(found.step, 0.0, atol=4.0 * found.parts.std(axis=0).max())


@pytest.mark.parametrize(("layout", "count"), [("one", 4), ("nested", 4), ("crossed", 1)])
def test_pieces(layout, count):
    """Of the coarser factor's levels where one is nested in the other, one where they cross."""
    problem = general_problem("poisson", layout, 1)
    pieces = pieces_of(problem)
    assert len(pieces.sizes) == count
    assert pieces.sizes.sum() == len(pieces.effects) == problem.plan.offset[-1]
    codes = problem.groupings[-1].codes if layout != "crossed" else np.zeros(problem.n_rows)
    assert len(set(zip(pieces.rows, codes, strict=True))) == count


@pytest.mark.parametrize("shape", [0.2, 0.9])
def test_shape_of_a_pareto_tail(shape):
    u = np.random.default_rng(0).random(200_000)
    assert tail_shape(u**-shape) == pytest.approx(shape, abs=0.1)


def test_weights_without_a_tail():
    assert tail_shape(np.ones(1000)) == -np.inf
    assert tail_shape(np.random.default_rng(0).random(1000)) < 0.0
