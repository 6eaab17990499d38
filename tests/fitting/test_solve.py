"""Optima and their certificates: saddles, zeros, maximal models, and how long it takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import golden
import mixedeffects as me
from designs import Spec, make_model
from mixedeffects.covariance import build
from mixedeffects.errors import ConvergenceWarning, ModelError
from mixedeffects.fitting.checks import certify
from mixedeffects.fitting.lmm import Objective
from mixedeffects.fitting.optimize import minimize
from mixedeffects.fitting.problem import TermArrays, build_problem
from mixedeffects.fitting.solve import solve

SLEEP = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def sleepstudy():
    return me.datasets.load("sleepstudy")


@pytest.mark.parametrize("start", [(0, 0, 0), (1e-9, 0, 1e-9), (1, 0, 0), (0, 0, 1), (50, 9, 50)])
@pytest.mark.parametrize("reml", [True, False])
def test_saddles_at_zero_variances_are_left(sleepstudy, start, reml):
    """MixedModels.jl once stayed at such a start: the gradient there is zero."""
    expected = me.fit(SLEEP, sleepstudy, reml=reml)
    found = me.fit(SLEEP, sleepstudy, reml=reml, start=start)
    assert found.converged
    assert found.objective == pytest.approx(expected.objective, abs=1e-7)
    np.testing.assert_allclose(found.theta, expected.theta, atol=1e-4)


@pytest.mark.parametrize("name", ["penicillin", "pastes", "dyestuff"])
def test_all_variances_started_at_zero(name):
    formula = {
        "penicillin": "diameter ~ 1 + (1 | plate) + (1 | sample)",
        "pastes": "strength ~ 1 + (1 | batch / cask)",
        "dyestuff": "Yield ~ 1 + (1 | Batch)",
    }[name]
    data = me.datasets.load(name)
    expected = me.fit(formula, data)
    found = me.fit(formula, data, start=np.zeros(len(expected.theta)))
    assert found.converged
    assert found.objective == pytest.approx(expected.objective, abs=1e-7)


def test_a_variance_that_is_truly_zero():
    data = me.datasets.load("dyestuff2")
    fit = me.fit("Yield ~ 1 + (1 | Batch)", data)
    assert fit.theta.tolist() == [0.0]
    assert fit.is_singular
    assert fit.converged
    names = [check.name for check in fit.checks]
    assert names == ["gradient", "curvature", "boundary: sd(Intercept | Batch)"]
    n = len(data)
    residual = np.sqrt(((data["Yield"] - data["Yield"].mean()) ** 2).sum() / (n - 1))
    assert fit.sigma == pytest.approx(residual, rel=1e-10)
    assert fit.ranef()["estimate"].abs().max() < 1e-12
    assert set(fit.ranef()["std_error"]) == {0.0}


def test_certificate_of_a_good_optimum():
    gradient, hessian = np.array([1e-6, 0.0]), np.diag([4.0, 2.0])
    checks = certify(gradient, hessian, [("sd(x | g)", 3.0)], 100, True)
    assert [check.passed for check in checks] == [True, True, True]
    assert "exact Hessian" in checks[1].message
    assert checks[0].value == pytest.approx(1e-6 / np.sqrt(2 * 4.0))


@pytest.mark.parametrize(
    ("failing", "gradient", "hessian", "slope"),
    [
        ("gradient", [0.1, 0.0], [4.0, 2.0], 1.0),
        ("gradient", [np.nan, 0.0], [4.0, 2.0], 1.0),
        ("curvature", [0.0, 0.0], [4.0, -0.5], 1.0),
        ("curvature", [0.0, 0.0], [4.0, 0.0], 1.0),
        ("boundary: sd(x | g)", [0.0, 0.0], [4.0, 2.0], -0.5),
    ],
)
def test_certificate_fails(failing, gradient, hessian, slope):
    checks = certify(np.array(gradient), np.diag(hessian), [("sd(x | g)", slope)], 100, False)
    failed = [check for check in checks if not check.passed]
    assert [check.name for check in failed] == [failing]
    assert any(word in failed[0].message for word in ("refit", "simplify"))


def test_no_parameters_need_no_certificate():
    assert all(c.passed for c in certify(np.empty(0), np.empty((0, 0)), [], 10, True))


def test_the_gradient_of_the_certificate_counts_standard_errors():
    """A Newton step of one standard error has the value 1."""
    variance = 0.3  # of the parameter, = 2 / Hessian of −2 log-likelihood
    hessian = np.array([[2 / variance]])
    step = np.sqrt(variance)
    (check, _) = certify(hessian[0] * step, hessian, [], 10, True)
    assert check.value == pytest.approx(1.0)
    assert not check.passed


def stopped_early(monkeypatch, evaluations):
    from mixedeffects.fitting import solve as module

    def few(*arguments, **options):
        return minimize(*arguments, **options, max_evaluations=evaluations)

    monkeypatch.setattr(module, "minimize", few)


def test_a_fit_that_stops_early_says_so(monkeypatch, sleepstudy):
    stopped_early(monkeypatch, 2)
    with pytest.warns(ConvergenceWarning, match=r"gradient: .*tolerance.*refit") as seen:
        fit = me.fit(SLEEP, sleepstudy, start=(3, 0, 3))
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert not fit.converged
    assert not fit.checks[0].passed
    with pytest.raises(ModelError, match="certificate does not hold"):
        me.fit(SLEEP, sleepstudy, start=(3, 0, 3), on_check="error")
    assert not me.fit(SLEEP, sleepstudy, start=(3, 0, 3), on_check="ignore").converged


def test_optimum_is_reported_in_the_optimizers_coordinates(sleepstudy):
    optimum = me.fit(SLEEP, sleepstudy).optimum
    assert optimum.status == "converged"
    assert np.abs(optimum.gradient).max() < 1e-4
    assert np.linalg.eigvalsh(optimum.hessian).min() > 0
    values = [step.value for step in optimum.trace if step.accepted]
    assert np.all(np.diff(values) <= 1e-9)


@pytest.mark.parametrize("structure", ["us", "diag", "id", "cs", "homcs", "ar1", "toep"])
@pytest.mark.parametrize("seed", range(6))
def test_optimum_of_every_structure(structure, seed):
    """Never worse than from a dozen other starts; θ, Σ and the objective belong together."""
    problem, covariance = repeated_measures(structure, seed)
    solution = solve(problem)
    objective = Objective(problem)
    starts = other_starts(covariance, seed)
    best = min(minimize(objective, s, lower=covariance.lower).value for s in starts)
    theta = solution.optimum.theta
    assert solution.optimum.value <= best + 1e-6
    canonical = covariance.parameters(covariance.factor(theta))
    assert objective.value(canonical) == pytest.approx(solution.optimum.value, abs=1e-6)
    assert certified(solution, problem)


def repeated_measures(structure, seed, k=4):
    """Random effects of k occasions with signs and zeros of all kinds."""
    rng = np.random.default_rng(seed)
    sd = rng.choice([0.0, 0.3, 1.0, 3.0], k) * rng.choice([-1, 1], k)
    root = np.linalg.cholesky(0.7 + 0.3 * np.eye(k)) * sd[:, None]
    n_levels, repeats = (8, 16)[seed % 2], 3
    b = rng.normal(size=(n_levels, k)) @ root.T
    group = np.repeat(np.arange(n_levels, dtype=np.int32), k * repeats)
    occasion = np.tile(np.repeat(np.arange(k), repeats), n_levels)
    y = 1 + b[group, occasion] + rng.normal(size=len(group))
    covariance = build(structure, k)
    term = TermArrays(np.eye(k)[occasion], group, n_levels, covariance, None, 0)
    X = np.ones((len(y), 1))
    return build_problem(y, X, [term], reml=bool(seed % 2), intercept=0), covariance


def other_starts(covariance, seed, count=12):
    rng = np.random.default_rng(100 + seed)
    m, d = covariance.n_parameters, covariance.n_deviations
    for _ in range(count):
        if d == 0:
            root = rng.normal(size=(covariance.n_columns,) * 2) * rng.choice([0.1, 1.0, 3.0])
            yield covariance.parameters(np.tril(root))
        else:
            yield np.concatenate([rng.choice([0.05, 0.5, 2.0], d), rng.uniform(-0.3, 1.0, m - d)])


def certified(solution, problem):
    zeros = [("zero", zero.slope) for zero in solution.zeros]
    here = solution.principal
    checks = certify(here.gradient, here.hessian, zeros, problem.n_rows, solution.exact)
    return all(check.passed for check in checks)


# -- how many evaluations -------------------------------------------------------------------


@pytest.fixture(scope="module")
def evaluations():
    """Evaluations and number of variance parameters of the reference's models."""
    counts = {}
    for name in golden.cases("lmm"):
        case = golden.load_case(name)
        fit = me.fit(
            case.formula, case.data, reml=case.reml, weights=case.weights, offset=case.offset
        )
        counts[name] = (fit.optimum.evaluations, len(fit.theta))
    return pd.DataFrame.from_dict(counts, orient="index", columns=["count", "m"])


def test_evaluations_of_the_reference_models(evaluations):
    assert evaluations["count"].median() <= 8
    assert evaluations.loc[evaluations["m"] <= 6, "count"].max() <= 15
    assert evaluations["count"].max() <= 40


# -- maximal models of few rows --------------------------------------------------------------


def maximal_problem(seed):
    """48 or 96 rows, two crossed factors with three correlated effects each, some truly zero."""
    rng = np.random.default_rng(seed)
    n_subjects, n_items, repeats = [(12, 4, 1), (8, 6, 1), (6, 8, 2)][seed % 3]
    subject = np.tile(np.repeat(np.arange(n_subjects), n_items), repeats)
    item = np.tile(np.arange(n_items), n_subjects * repeats)
    n = len(subject)
    Z = np.column_stack([np.ones(n), rng.choice([-0.5, 0.5], n), rng.normal(size=n)])
    roots = [
        np.tril(rng.normal(size=(3, 3))) * rng.choice([0, 1], p=[p, 1 - p], size=(3, 1))
        for p in (0.4, 0.5)
    ]
    y = Z @ [1.0, 0.5, 0.2] + rng.normal(size=n)
    terms = []
    for number, (codes, root) in enumerate(zip((subject, item), roots, strict=True)):
        n_levels = int(codes.max()) + 1
        b = rng.normal(size=(n_levels, 3)) @ root.T
        y = y + np.einsum("ij,ij->i", Z, b[codes])
        terms.append(TermArrays(Z, codes.astype(np.int32), n_levels, build("us", 3), 0, number))
    return build_problem(y, Z, terms, reml=bool(seed % 2), intercept=0)


def check_maximal(seed, starts):
    problem = maximal_problem(seed)
    rng = np.random.default_rng(10_000 + seed)
    solution = solve(problem)
    objective, best = Objective(problem), np.inf
    for _ in range(starts):
        roots = [np.tril(rng.normal(size=(3, 3))) * rng.choice([0.1, 1, 3]) for _ in range(2)]
        theta = np.concatenate([build("us", 3).parameters(root) for root in roots])
        best = min(best, minimize(objective, theta).value)
    assert solution.optimum.value <= best + 1e-6, f"data set {seed}: a false optimum"
    assert certified(solution, problem), f"data set {seed}: no certificate"
    return solution.optimum.evaluations


def test_maximal_models():
    counts = [check_maximal(seed, 4) for seed in range(40)]
    assert max(counts) <= 40


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 500, 100))
def test_five_hundred_maximal_models(first):
    counts = [check_maximal(seed, 12) for seed in range(first, first + 100)]
    assert max(counts) <= 40


def test_an_exact_hessian_is_not_needed(monkeypatch):
    """Large problems have only the average information: the same optimum, more steps."""
    from mixedeffects.fitting import lmm

    specs = [Spec("us", 2, 0), Spec("diag", 2, 1)]
    model = make_model("partially crossed", specs, 5)
    problem = build_problem(model.y, model.X, model.terms, reml=True, intercept=0)
    exact = solve(problem)
    monkeypatch.setattr(lmm, "EXACT", 0)
    cheap = solve(problem)
    assert (exact.exact, cheap.exact) == (True, False)
    assert cheap.optimum.value == pytest.approx(exact.optimum.value, abs=1e-8)
    assert cheap.optimum.evaluations <= 40
    bad = replace(cheap.optimum, theta=np.zeros(6))
    assert bad.value == cheap.optimum.value
