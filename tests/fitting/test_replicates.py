"""Compiled fits of many responses against the Python search that they are the twin of."""

from __future__ import annotations

import numpy as np
import pytest

import mixedeffects as me
from designs import KINDS, Spec, make_model
from mixedeffects.algebra._small import lower_root_of, newton_step_of
from mixedeffects.covariance.base import lower_root
from mixedeffects.fitting.lmm import Objective
from mixedeffects.fitting.optimize import newton_step
from mixedeffects.fitting.problem import build_problem, original_coefficients, with_response
from mixedeffects.fitting.replicates import fit_responses, make_search, replicate_fits
from mixedeffects.fitting.responses import response_products, starts
from mixedeffects.fitting.solve import solve

LAYOUTS = [
    ("one", [Spec("us", 2, 0)]),
    ("one", [Spec("diag", 2, 0)]),
    ("one", [Spec("id", 3, 0)]),
    ("one", [Spec("us", 1, 0, known=True)]),
    ("nested", [Spec("us", 1, 0), Spec("us", 1, 1)]),
    ("nested", [Spec("us", 2, 0), Spec("diag", 2, 1)]),
    ("nested four deep", [Spec("us", 1, f) for f in range(4)]),
    ("crossed", [Spec("us", 2, 0), Spec("us", 1, 1)]),
    ("crossed", [Spec("us", 1, 0), Spec("id", 2, 0), Spec("us", 1, 1)]),
    ("three crossed", [Spec("us", 1, 0), Spec("us", 1, 1), Spec("us", 1, 2)]),
    ("partially crossed", [Spec("us", 1, 0), Spec("us", 2, 1)]),
]


def problem_of(model, reml=True):
    return build_problem(
        model.response, model.X, model.terms, reml=reml, weights=model.weights, intercept=0
    )


def draws(model, count, seed, sizes=(0.0, 0.3, 1.0)):
    """Responses (n, R), some of them without random effects."""
    rng = np.random.default_rng(seed)
    n = len(model.y)
    y = np.empty((n, count))
    for r in range(count):
        y[:, r] = 3.0 + model.X @ rng.normal(size=model.X.shape[1]) + rng.normal(size=n)
        for term in model.terms:
            b = sizes[r % len(sizes)] * rng.normal(size=(term.n_levels, term.values.shape[1]))
            y[:, r] += np.einsum("ij,ij->i", term.values, b[term.codes])
    return y


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("kind", "specs"), LAYOUTS, ids=str)
def test_compiled_evaluation(kind, specs, weighted):
    problem = problem_of(make_model(kind, specs, 1, weighted=weighted), reml=weighted)
    search, objective = make_search(problem), Objective(problem, exact=False)
    rng = np.random.default_rng(2)
    constant = 2.0 * problem.dof * np.log(problem.scale) + problem.constant
    for size in (1.0, 0.2, 0.0):
        theta = size * rng.normal(size=problem.n_parameters)
        value, gradient, hessian = search.evaluate_at(theta, constant)
        expected = objective(theta)
        scale = np.abs(expected.hessian).max()
        # Sums in another order: some units in the last place of the largest terms.
        np.testing.assert_allclose(value, expected.value, rtol=1e-12)
        np.testing.assert_allclose(gradient, expected.gradient, atol=1e-10 * scale)
        np.testing.assert_allclose(hessian, expected.hessian, atol=1e-10 * scale)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(("kind", "specs"), LAYOUTS, ids=str)
def test_fits_equal_those_of_the_python_search(kind, specs, reml):
    model = make_model(kind, specs, 3, weighted=reml)
    problem = problem_of(model, reml)
    y = draws(model, 6, 4)
    found = fit_responses(problem, lambda a, b: y[:, a:b], y.shape[1], threads=1)
    covariances, vcov = found.covariances(problem), found.vcov(problem)
    for r, response in enumerate(y.T):
        own = with_response(problem, response)
        solution = solve(own, exact=False)
        beta = original_coefficients(own, solution.beta, solution.b)[0]
        sigma = solution.sigma * own.scale
        assert found.objective[r] == pytest.approx(solution.optimum.value, abs=1e-8)
        np.testing.assert_allclose(found.beta[r], beta, atol=1e-6 * np.abs(beta).max())
        np.testing.assert_allclose(found.sigma[r], sigma, rtol=1e-6)
        assert found.singular[r] == solution.singular
        for term, covariance in zip(problem.terms, covariances, strict=True):
            T = np.linalg.solve(
                term.map, term.covariance.factor(solution.optimum.theta[term.parameters])
            )
            # Both searches stop where a step promises 1e-10: within 1e-5 standard errors.
            expected = sigma**2 * T @ T.T
            np.testing.assert_allclose(covariance[r], expected, atol=1e-5 * (1 + expected.max()))
        root = np.linalg.solve(solution.fixed_root @ problem.basis.map, np.eye(len(beta)))
        np.testing.assert_allclose(vcov[r], sigma**2 * root @ root.T, rtol=1e-4, atol=1e-9)
    assert not found.reasons


def test_many_parameters_with_further_starts():
    model = make_model("crossed", [Spec("us", 3, 0), Spec("us", 2, 1)], 5)
    problem = problem_of(model)
    y = draws(model, 6, 6)
    found = fit_responses(problem, lambda a, b: y[:, a:b], 6, threads=1)
    assert found.singular.sum() >= 3
    for r in range(6):
        solution = solve(with_response(problem, y[:, r]), exact=False)
        assert found.objective[r] <= solution.optimum.value + 1e-8


def test_structures_that_are_not_linear_take_the_python_search():
    model = make_model("one", [Spec("homcs", 3, 0)], 7)
    problem = problem_of(model)
    y = draws(model, 3, 8, sizes=(1.0,))
    found = fit_responses(problem, lambda a, b: y[:, a:b], 3, threads=1)
    assert found.fallbacks == 0
    for r in range(3):
        solution = solve(with_response(problem, y[:, r]), exact=False)
        assert found.objective[r] == solution.optimum.value
    root = problem.terms[0].covariance.factor(found.theta[1]) * found.sigma[1]
    scaled = np.linalg.solve(problem.terms[0].map, root)
    np.testing.assert_allclose(found.covariances(problem)[0][1], scaled @ scaled.T)


def test_any_number_of_threads_gives_the_same_numbers():
    model = make_model("nested", [Spec("us", 1, 0), Spec("us", 2, 1)], 9)
    problem = problem_of(model)
    y = draws(model, 80, 10)
    one, three = (
        fit_responses(problem, lambda a, b: y[:, a:b], 80, threads=threads) for threads in (1, 3)
    )
    for name in ("theta", "beta", "sigma", "objective", "roots", "singular", "evaluations"):
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))


def test_responses_of_a_fit_with_an_offset():
    data = dict(me.datasets.load("dyestuff"))
    data["o"] = np.linspace(0.0, 900.0, 30)
    fit = me.fit("Yield ~ 1 + offset(o) + (1 | Batch)", data)
    y = fit.simulate(3, seed=1)
    found = replicate_fits(fit._fit, y)
    for r in range(3):
        other = fit.refit(y[r])
        assert found.objective[r] == pytest.approx(other.objective, abs=1e-8)
        np.testing.assert_allclose(found.beta[r], other.beta, rtol=1e-7)
        np.testing.assert_allclose(found.vcov(fit._fit.problem)[r], other.vcov(), rtol=1e-5)


def test_progress_is_told_after_each_chunk():
    model = make_model("one", [Spec("us", 1, 0)], 11)
    y = draws(model, 70, 12)
    told = []
    fit_responses(problem_of(model), lambda a, b: y[:, a:b], 70, threads=2, progress=told.append)
    assert told == [32, 64, 70]


@pytest.mark.parametrize("shift", [0.0, 1e7])
def test_products_of_responses(shift):
    model = make_model("crossed", [Spec("us", 2, 0), Spec("us", 1, 1)], 13, weighted=True)
    problem = problem_of(model)
    y = draws(model, 3, 14) + shift
    found = response_products(problem, y)
    begin = starts(problem, found)
    width = problem.plan.n_fixed + 1
    for r in range(3):
        own = with_response(problem, y[:, r])
        # y of size 1e7 is itself rounded to 1e-9.
        close = {"atol": 1e-9 + 1e-15 * shift, "rtol": 1e-7 if shift else 1e-10}
        border = own.arranged.border.reshape(-1, width)[:, -1]
        np.testing.assert_allclose(found.border[:, r], border, **close)
        np.testing.assert_allclose(found.corner[:, r], own.arranged.corner[-1], **close)
        np.testing.assert_allclose(found.scale[r], own.scale, **close)
        np.testing.assert_allclose(found.least_squares[:, r], own.least_squares, **close)
        np.testing.assert_allclose(begin[r], Objective(own, False).start(), atol=1e-6)


def test_what_cannot_be_fitted_is_kept_and_said():
    model = make_model("one", [Spec("us", 1, 0)], 15)
    problem = problem_of(model)
    y = draws(model, 3, 16)
    y[:, 1] = model.X @ [1.0, 2.0, 3.0]
    found = fit_responses(problem, lambda a, b: y[:, a:b], 3, threads=1)
    assert list(found.reasons) == [1]
    assert "exactly" in found.reasons[1]
    assert np.isnan(found.sigma).tolist() == [False, True, False]


@pytest.mark.parametrize("m", [1, 2, 5])
def test_newton_step(m):
    rng = np.random.default_rng(m)
    for radius in (10.0, 0.1):
        gradient, hessian = rng.normal(size=m), rng.normal(size=(m, m))
        hessian = hessian + hessian.T
        step, promised = newton_step_of(gradient, hessian, radius)
        expected, decrease = newton_step(gradient, hessian, radius)
        np.testing.assert_allclose(step, expected, atol=1e-10)
        assert promised == pytest.approx(decrease, rel=1e-10)


@pytest.mark.parametrize(("k", "columns"), [(1, 1), (3, 3), (3, 4)])
def test_lower_root(k, columns):
    factor = np.random.default_rng(k).normal(size=(k, columns))
    root = lower_root_of(factor)
    assert not np.triu(root, 1).any()
    signs = np.sign(np.diagonal(root))
    np.testing.assert_allclose(root[:, :k] * signs, lower_root(factor)[:, :k], atol=1e-12)


def test_every_kind_of_grouping_is_there():
    assert {kind for kind, _ in LAYOUTS} >= set(KINDS) - {"five crossed"}
