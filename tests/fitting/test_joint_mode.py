"""Coefficients as modes, ``quadrature=0``, against lme4's nAGQ = 0 and against differences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import golden
import mixedeffects as me
import oracle
from general_designs import DenseLaplace, general_problem
from golden import assert_close
from mixedeffects.errors import ModelError
from mixedeffects.families import Binomial
from mixedeffects.fitting.joint_mode import JointObjective
from mixedeffects.fitting.joint_solve import solve_joint
from mixedeffects.fitting.laplace import LaplaceObjective


@pytest.fixture(scope="module", params=golden.cases("joint"))
def case(request):
    return golden.load_case(request.param)


@pytest.fixture(scope="module")
def fit(case):
    return me.fit(case.formula, case.data, family=case.family, quadrature=0)


def test_estimates_are_those_of_lme4(case, fit):
    results, tolerances = case.results, case.tolerances
    names = list(results["fixef"])
    se = [results["se"][name] for name in names]
    assert list(fit.fixef()["term"]) == [case.term(name) for name in names]
    assert_close(fit.beta, list(results["fixef"].values()), tolerances["fixef"], se=se)
    assert_close(fit.fixef()["std_error"], se, tolerances["se"], what="se")
    assert_close(fit.loglik, results["loglik"], tolerances["loglik"], what="loglik")
    assert_close(fit.theta, results["theta"], tolerances["theta"], what="theta")
    assert fit.aic == pytest.approx(results["aic"], abs=1e-4)
    assert fit.converged


def test_modes_and_means_are_those_of_lme4(case, fit):
    reference = case.results["fitted_first20"]
    assert_close(np.asarray(fit.fitted())[:20], reference, case.tolerances["fitted"])
    for group, block in case.results.get("ranef", {}).items():
        term = next(t for t in fit._fit.estimates.terms if t.group == group)
        order = [list(map(str, term.levels)).index(level) for level in block["levels"]]
        assert_close(term.modes[order], block["values"], case.tolerances["ranef"], what=group)


@pytest.mark.parametrize("layout", ["one", "nested", "crossed"])
@pytest.mark.parametrize("name", ["poisson", "binomial"])
def test_value_and_gradient(name, layout):
    """F is the dense Laplace approximation at β̂(θ), where −2X'ℓ' = 0, and dF/dθ is exact."""
    problem = general_problem(name, layout, 3, weighted=True, offset=True)
    rng = np.random.default_rng(5)
    theta = np.concatenate([t.covariance.start() for t in problem.terms])
    theta = theta * rng.uniform(0.4, 1.1, len(theta))
    objective = JointObjective(problem, np.zeros(problem.n_fixed))
    here = objective.refine(theta)
    psi = objective.full(theta)
    assert here.value == pytest.approx(DenseLaplace(problem)(psi), rel=1e-9)
    u, _ = objective.modes(psi)
    score = oracle.gradient(lambda beta: penalized(problem, psi, u, beta), psi[len(theta) :])
    np.testing.assert_allclose(score, 0, atol=1e-6)
    expected = oracle.gradient(lambda t: objective(t).value, theta, 4e-3)
    np.testing.assert_allclose(here.gradient, expected, rtol=1e-6, atol=1e-6)


def penalized(problem, psi, u, beta):
    """−2ℓ at given u, whose coefficients the mode maximizes too."""
    objective = LaplaceObjective(problem)
    m = problem.n_parameters
    roots = objective._roots(objective.axes.factors(psi[:m]))
    shift = objective.rows.spread(u, roots)
    eta = [p.fixed(beta) + shift[a] for a, p in enumerate(problem.predictors)]
    rows = problem.family.log_density(problem.response, tuple(eta))
    return -2.0 * float(rows @ (1.0 if problem.weights is None else problem.weights))


def test_another_start_ends_at_the_same_estimates():
    problem = general_problem("binomial", "crossed", 2)
    one = solve_joint(problem)
    other = solve_joint(problem, one.optimum.theta + 0.3)
    np.testing.assert_allclose(other.optimum.theta, one.optimum.theta, atol=1e-4)


@pytest.fixture(scope="module")
def cbpp():
    return golden.load_case("cbpp_logit_laplace").data


FORMULA = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@pytest.fixture(scope="module")
def joint(cbpp):
    return me.fit(FORMULA, cbpp, family="binomial", quadrature=0)


def test_it_says_what_it_is(joint, cbpp):
    text = str(joint.summary())
    assert "Laplace approximation with the coefficients as modes" in text
    assert "standard errors take the variances as known" in " ".join(text.split())
    laplace = me.fit(FORMULA, cbpp, family="binomial")
    assert joint.loglik < laplace.loglik
    assert (np.abs(joint.beta) < np.abs(laplace.beta)).all()


def test_a_link_that_is_not_canonical(cbpp):
    fit = me.fit(FORMULA, cbpp, family=Binomial("probit"), quadrature=0)
    assert fit.converged


def test_zero_variance(cbpp):
    rng = np.random.default_rng(2)
    data = cbpp.assign(k=rng.binomial(cbpp["size"], 0.3))
    fit = me.fit("cbind(k, size - k) ~ period + (1 | herd)", data, family="binomial", quadrature=0)
    assert fit.converged
    assert fit.is_singular
    np.testing.assert_allclose(
        fit.beta, me.fit(fit.formula, data, family="binomial").beta, atol=1e-5
    )


def test_saved_and_refitted(joint, cbpp, tmp_path):
    joint.save(tmp_path / "fit.me")
    loaded = me.load(tmp_path / "fit.me")
    pd.testing.assert_frame_equal(loaded.fixef(), joint.fixef())
    again = loaded.refit(cbpp["incidence"])
    assert again.loglik == pytest.approx(joint.loglik, abs=1e-8)
    np.testing.assert_allclose(loaded.predict(cbpp), joint.fitted(), atol=1e-12)


@pytest.mark.parametrize(
    "ask",
    [
        lambda fit, data: fit.confint(method="profile"),
        lambda fit, data: fit.bootstrap(2, seed=1),
        lambda fit, data: fit.influence("herd"),
        lambda fit, data: fit.test_random(),
        lambda fit, data: fit.simulated_residuals(n=10, seed=1),
        lambda fit, data: me.compare(fit, me.fit(FORMULA, data, family="binomial")),
    ],
)
def test_what_needs_a_likelihood_is_refused(joint, cbpp, ask):
    with pytest.raises(ModelError, match="quadrature=1"):
        ask(joint, cbpp)
