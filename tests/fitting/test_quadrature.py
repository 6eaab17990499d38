"""Adaptive quadrature against brute-force integration, differences and other programs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import golden
import mixedeffects as me
import oracle
from general_designs import LAYOUTS, DenseLaplace, drawn_response, general_problem, point
from golden import assert_close
from mixedeffects.covariance import build as covariance_of
from mixedeffects.errors import ModelError
from mixedeffects.families import Binomial
from mixedeffects.families import build as family_of
from mixedeffects.fitting.general import PredictorArrays, build_general
from mixedeffects.fitting.general_solve import solve_general
from mixedeffects.fitting.laplace import LaplaceObjective
from mixedeffects.fitting.problem import TermArrays
from mixedeffects.fitting.quadrature import QuadratureObjective, objective_of, product_rule

FAMILIES = ("binomial", "poisson", "nbinom2", "gamma", "cumulative", "beta")


def small_problem(name, k, quadrature, structure="us", n=16, levels=4, weighted=False):
    """Few rows a level, of which no level has the same number."""
    rng = np.random.default_rng(17)
    family = family_of(name)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    codes = np.sort(rng.integers(0, levels, n)).astype(np.int32)
    codes[:levels] = np.arange(levels)
    b = 0.6 * rng.normal(size=(levels, k))
    eta = [X @ [0.2, 0.4, -0.3] + (X[:, :k] * b[codes]).sum(axis=1)]
    eta += [np.full(n, 0.6)] * family.has_dispersion
    term = TermArrays(X[:, :k], codes, levels, covariance_of(structure, k, None), 0, 0)
    dropped = int(family.has_thresholds)
    shift = 0.2 * rng.normal(size=n) if weighted else None
    given = [PredictorArrays("conditional", X[:, dropped:], dropped, shift, None, (term,))]
    one = np.ones((n, 1))
    response = drawn_response(family, eta, rng)
    others = (*family.predictors()[1:], *family.extras(response).names)
    given += [PredictorArrays(other, one, 0, None, 0, ()) for other in others]
    weights = rng.uniform(0.5, 2.0, n) if weighted else None
    return build_general(family, response, given, weights, quadrature)


def brute_force(problem, psi, step=0.25, reach=9.0):
    """−2 log-likelihood by the trapezoidal rule over all of u, level by level.

    It converges exponentially for functions as smooth as these; half of the step changes nothing.
    """
    dense, m = DenseLaplace(problem), problem.n_parameters
    g = problem.groupings[0]
    k = g.values.shape[1]
    T = np.zeros((k, k))
    for term in problem.terms:
        T[term.columns, term.columns] = term.covariance.factor(psi[:m][term.parameters])
    z, fixed = g.values @ T, dense.fixed(psi[m:])
    axis = np.arange(-reach, reach + step / 2, step)
    u = np.stack(np.meshgrid(*[axis] * k, indexing="ij"), axis=-1).reshape(-1, k)
    log_prior = -0.5 * (u**2).sum(axis=1) + k * np.log(step / np.sqrt(2 * np.pi))
    total = 0.0
    for level in np.unique(g.codes):
        logs = log_prior.copy()
        for i in np.flatnonzero(g.codes == level):
            row = problem.response.take(np.full(len(u), i))
            eta = [np.full(len(u), e[i]) for e in fixed]
            eta[0] = eta[0] + u @ z[i]
            logs += dense.w[i] * problem.family.log_density(row, tuple(eta))
        total += logs.max() + np.log(np.exp(logs - logs.max()).sum())
    return -2.0 * total


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("k", [1, 2])
def test_against_brute_force(name, k):
    problem = small_problem(name, k, 35, weighted=True)
    psi = point(problem)
    found = QuadratureObjective(problem).refine(psi).value
    assert found == pytest.approx(brute_force(problem, psi), abs=1e-8)


@pytest.mark.parametrize(("name", "structure"), [("poisson", "us"), ("binomial", "diag")])
def test_three_effects_against_brute_force(name, structure):
    problem = small_problem(name, 3, 27, structure, n=8, levels=2)
    psi = point(problem)
    found = QuadratureObjective(problem).refine(psi).value
    assert found == pytest.approx(brute_force(problem, psi, step=0.3, reach=7.5), abs=1e-8)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("nodes", [2, 3, 8])
@pytest.mark.parametrize("where", ["inside", "zeros"])
def test_gradient_of_the_finite_sum(name, k, nodes, where):
    """The gradient is that of the rule itself, however few its nodes."""
    problem = small_problem(name, k, nodes, "diag" if nodes == 8 else "us", weighted=nodes == 3)
    psi, objective = point(problem, where), QuadratureObjective(problem)
    here = objective.refine(psi)
    ways = np.linalg.qr(np.random.default_rng(9).normal(size=(len(psi), 2)))[0].T
    expected = oracle.gradient(lambda t: objective(psi + t @ ways).value, np.zeros(2), 2e-3)
    size = max(np.linalg.norm(here.gradient), 1.0)
    np.testing.assert_allclose(ways @ here.gradient, expected, rtol=0, atol=1e-6 * size)


@pytest.mark.parametrize("layout", ["dispersion", "zero_inflation"])
def test_random_effects_of_another_predictor(layout, monkeypatch):
    monkeypatch.setitem(LAYOUTS, "predictors", {layout: [("us", 2, 1)]})
    problem = general_problem("nbinom2", "predictors", 3, weighted=True, quadrature=5)
    psi, objective = point(problem), QuadratureObjective(problem)
    here = objective.refine(psi)
    expected = oracle.gradient(lambda p: objective(p).value, psi, 2e-3)
    size = np.linalg.norm(expected)
    np.testing.assert_allclose(here.gradient, expected, rtol=0, atol=1e-6 * size)


def test_one_node_is_laplace():
    problem = small_problem("poisson", 2, 1)
    psi = point(problem)
    laplace, one = LaplaceObjective(problem).refine(psi), QuadratureObjective(problem).refine(psi)
    assert one.value == pytest.approx(laplace.value, rel=1e-13)
    np.testing.assert_allclose(one.gradient, laplace.gradient, rtol=0, atol=1e-9)
    assert type(objective_of(problem)) is LaplaceObjective


def test_pieces_of_the_nodes_sum_to_the_whole(monkeypatch):
    problem = small_problem("poisson", 2, 7)
    psi = point(problem)
    whole = QuadratureObjective(problem)(psi)
    monkeypatch.setattr("mixedeffects.fitting.quadrature.AT_ONCE", 5 * problem.n_rows)
    pieces = QuadratureObjective(problem)(psi)
    assert pieces.value == pytest.approx(whole.value, rel=1e-13)
    np.testing.assert_allclose(pieces.gradient, whole.gradient, rtol=0, atol=1e-11)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_rule_integrates_polynomials(k):
    """Of a normal density: with the factor e^(-t't/2) back in, up to degree 2 count − 1."""
    rule = product_rule(6, k)
    w = np.exp(rule.logs - 0.5 * (rule.nodes**2).sum(axis=1))
    assert w.sum() == pytest.approx(1.0, rel=1e-13)
    np.testing.assert_allclose(rule.nodes.T @ (w[:, None] * rule.nodes), np.eye(k), atol=1e-13)
    assert w @ rule.nodes[:, 0] ** 10 == pytest.approx(945.0, rel=1e-12)


@pytest.mark.parametrize(("nodes", "error"), [(3, 0.1), (9, 1e-4), (27, 1e-9)])
def test_other_axes_are_the_same_integral_up_to_the_rule(nodes, error):
    problem = small_problem("poisson", 2, nodes)
    psi, objective = point(problem), QuadratureObjective(problem)
    before = objective.refine(psi).value
    turned, here = objective.turned(psi)
    assert here.value == objective(turned).value
    assert here.value == pytest.approx(before, abs=error)
    expected = oracle.gradient(lambda p: objective(p).value, turned, 2e-3)
    np.testing.assert_allclose(here.gradient, expected, rtol=0, atol=1e-5)


COUNTS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"

# -- through fit() -------------------------------------------------------------------------


@pytest.fixture(scope="module", params=golden.cases("quadrature"))
def case(request):
    return golden.load_case(request.param)


def test_golden(case):
    nodes = case.raw["model"]["nAGQ"]
    fit = me.fit(case.formula, case.data, family=case.family, quadrature=nodes)
    results, tolerances = case.results, case.tolerances
    exact = results["loglik_brute_force_integration_at_estimates"]
    assert_close(fit.loglik, results["loglik"], tolerances["loglik"], what="loglik")
    assert fit.loglik == pytest.approx(exact, abs=5e-4)  # the rule's error with 11 nodes
    table = fit.fixef()
    se = results.get("se") or {
        row["term"]: row["Std. Error"] for row in results["coefficients_table"]
    }
    for component, key in [("conditional", "fixef"), ("threshold", "thresholds")]:
        expected = results.get(key, {})
        own = table[table["component"] == component] if "component" in table else table
        if not expected:
            continue
        deviations = [se[name] for name in expected]
        assert_close(own["estimate"], list(expected.values()), tolerances[key], se=deviations)
        assert_close(own["std_error"], deviations, tolerances["se"])
    sd = [s for block in results["varcorr"] for s in block["sd"]]
    assert_close(fit.theta, sd, tolerances["sd"], what="sd")
    (modes,) = results["ranef"].values()
    assert_close(fit.estimates.terms[0].modes, modes["values"], tolerances["ranef"], what="modes")
    assert fit.converged


SURVIVAL = {
    "cauchit": (stats.cauchy.logcdf, stats.cauchy.logsf),
    "probit": (stats.norm.logcdf, stats.norm.logsf),
    "cloglog": (lambda x: np.log(-np.expm1(-np.exp(x))), lambda x: -np.exp(x)),
}


def exact_cbpp(data, link, beta, sd):
    """The log-likelihood of the model of ``COUNTS``, herd by herd, with nothing of the package."""
    X = np.column_stack([np.ones(len(data)), *(data["period"].astype(str) == p for p in "234")])
    y, n = data["incidence"].to_numpy(float), data["size"].to_numpy(float)
    log_p, log_q = SURVIVAL[link]
    constants = stats.binom.logpmf(y, n, 0.5) - n * np.log(0.5)
    u, total = np.linspace(-12.0, 12.0, 6001), 0.0
    for herd in data["herd"].unique():
        at = (data["herd"] == herd).to_numpy()
        eta = (X[at].astype(float) @ beta)[:, None] + sd * u
        logs = constants[at, None] + y[at, None] * log_p(eta) + (n - y)[at, None] * log_q(eta)
        total += np.log(np.exp(logs.sum(axis=0)) @ stats.norm.pdf(u) * (u[1] - u[0]))
    return total


@pytest.mark.parametrize(("link", "theirs_off"), [("cauchit", 0.2), ("probit", 0), ("cloglog", 0)])
def test_curvature_or_expected_information(cbpp, link, theirs_off):
    """lme4's Laplace has the expected information: which is nearer to maximum likelihood?"""
    case = golden.load_case(f"cbpp_{link}_laplace")
    ours = me.fit(COUNTS, cbpp, family=Binomial(link))
    best = me.fit(COUNTS, cbpp, family=Binomial(link), quadrature=51)
    theirs = np.array(list(case.results["fixef"].values()))
    at_best = exact_cbpp(cbpp, link, best.beta, best.theta[0])
    at_ours = exact_cbpp(cbpp, link, ours.beta, ours.theta[0])
    at_theirs = exact_cbpp(cbpp, link, theirs, case.results["theta"][0])
    assert best.loglik == pytest.approx(at_best, abs=1e-6)
    assert case.results["exact_loglik_at_laplace_estimates"] == pytest.approx(at_theirs)
    assert 0.0 < at_best - at_ours < 0.6 * (at_best - at_theirs)
    se = best.fixef()["std_error"].to_numpy()
    off, other = (np.abs((beta - best.beta) / se) for beta in (ours.beta, theirs))
    assert off.max() < 0.012
    assert other.max() > max(0.025, theirs_off)
    if link == "cauchit":  # the figures of docs/from-lme4.md
        assert [at_best, at_ours, at_theirs] == pytest.approx(
            [-90.8661, -90.8728, -90.8908], abs=5e-5
        )
        assert ours.loglik == pytest.approx(-91.0064, abs=5e-5)


@pytest.fixture(scope="module")
def cbpp():
    return me.datasets.load("cbpp")


def test_refit_keeps_the_rule(cbpp):
    fit = me.fit(COUNTS, cbpp, family="binomial", quadrature=9)
    assert fit.quadrature == 9
    again = fit.refit(fit.design.y)
    assert again.quadrature == 9
    assert again.loglik == pytest.approx(fit.loglik, abs=1e-9)
    assert me.fit(COUNTS, cbpp, family="binomial").loglik < fit.loglik - 0.01


def test_singular_fit_of_two_effects():
    """Where a variance is zero all rules agree: what is left is one effect or none."""
    problem = small_problem("poisson", 2, 5, n=60, levels=6)
    rng = np.random.default_rng(3)
    y = rng.poisson(np.exp(0.4), 60).astype(float)
    problem = replace(problem, response=problem.family.response(y))
    found = solve_general(problem)
    assert found.singular
    assert all(zero.slope > 0 for zero in found.zeros)
    assert np.isfinite(found.covariance).all()
    finer = solve_general(replace(problem, quadrature=11))
    assert found.optimum.value == pytest.approx(finer.optimum.value, abs=1e-3)


@pytest.mark.parametrize("nodes", [-1, 2.5, True, "9", 1000])
def test_a_rule_has_nodes(cbpp, nodes):
    with pytest.raises(ModelError, match="number of nodes"):
        me.fit(COUNTS, cbpp, family="binomial", quadrature=nodes)


@pytest.mark.parametrize(
    ("formula", "options", "says"),
    [
        ("incidence ~ 1 + (1 | herd) + (1 | period)", {}, "2 sets.*quadrature=1"),
        ("incidence ~ 1 + (0 + period | herd)", {}, "at most 3 random effects.*9\\^4"),
        (
            "incidence ~ 1 + (size + I(size ** 2) | herd)",
            {"quadrature": 99},
            "99\\^3 nodes; choose at most 36",
        ),
        ("incidence ~ 1 + (1 | herd)", {"family": "gaussian"}, "computed exactly"),
        (
            "incidence ~ 1 + (1 | herd)",
            {"family": "gaussian", "dispersion": "~ period"},
            "computed exactly",
        ),
        ("incidence ~ 1 + (1 | herd)", {"zero_inflation": "~ (1 | herd)"}, "2 sets"),
    ],
)
def test_integrals_that_are_not_small(cbpp, formula, options, says):
    with pytest.raises(ModelError, match=says):
        me.fit(formula, cbpp, **{"family": "poisson", "quadrature": 9, **options})
