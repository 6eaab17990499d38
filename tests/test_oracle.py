"""The brute-force oracle itself, against lme4's results and against its own definitions."""

from __future__ import annotations

import numpy as np
import pytest

import golden
import oracle
from golden import assert_close
from mixedeffects.covariance import build

# (columns, group) of each random term, in lme4's order of θ
CASES = {
    "sleepstudy_corr_reml": [("1 Days", "Subject")],
    "sleepstudy_corr_ml": [("1 Days", "Subject")],
    "sleepstudy_ri_ml": [("1", "Subject")],
    "sleepstudy_diag_reml": [("1", "Subject"), ("Days", "Subject")],
    "sleepstudy_weights_ml": [("1", "Subject")],
    "sleepstudy_weights_reml": [("1 Days", "Subject")],
    "sleepstudy_offset_reml": [("1 Days", "Subject")],
    "dyestuff2_singular_reml": [("1", "Batch")],
    "penicillin_ml": [("1", "plate"), ("1", "sample")],
    "pastes_nested_ml": [("1", "sample"), ("1", "batch")],
}


def arrays(case, theta=None):
    """y, X, terms and options of a case at θ."""
    data, theta = case.data, np.atleast_1d(case.results["theta"] if theta is None else theta)
    ones = np.ones(len(data))

    def columns(names):
        return np.column_stack([ones if n in ("1", "Intercept") else data[n] for n in names])

    terms = []
    for effects, group in CASES[case.id]:
        structure = build("us", len(effects.split()))
        own, theta = np.split(theta, [structure.n_parameters])
        codes = data[group].cat.codes.to_numpy()
        levels = data[group].cat.categories
        terms.append(
            oracle.Term(columns(effects.split()), codes, structure.factor(own), len(levels))
        )
    X = columns([case.term(name) for name in case.results["fixef"]])
    y = data[case.formula.split(" ~ ")[0]].to_numpy(float)
    options = {
        "weights": None if case.weights is None else data[case.weights].to_numpy(float),
        "offset": data["off"].to_numpy(float) if "offset(" in case.formula else None,
        "reml": case.reml,
    }
    return y, X, terms, options


@pytest.fixture(params=CASES)
def case(request):
    return golden.load_case(request.param)


def test_solution_agrees_with_lme4(case):
    y, X, terms, options = arrays(case)
    solution = oracle.solve(y, X, terms, **options)
    results, tolerances = case.results, case.tolerances
    assert_close(solution.loglik, results["loglik"], {"atol": 1e-8}, what="loglik")
    assert_close(solution.beta, list(results["fixef"].values()), {"rtol": 1e-8}, what="fixef")
    assert_close(solution.vcov, results["vcov"]["matrix"], {"rtol": 1e-7, "atol": 1e-9})
    assert_close(solution.sigma, results["sigma"], {"rtol": 1e-8}, what="sigma")
    assert_close(solution.fitted[:20], results["fitted_first20"], {"rtol": 1e-8}, what="fitted")
    for group, block in results["ranef"].items():
        own = [i for i, (_, name) in enumerate(CASES[case.id]) if name == group]
        b = np.hstack([solution.b[i] for i in own])
        spread = np.hstack([np.diagonal(solution.b_covariance[i], axis1=1, axis2=2) for i in own])
        rows = [list(case.data[group].cat.categories).index(level) for level in block["levels"]]
        assert_close(b[rows], block["values"], tolerances["ranef"], what="ranef")
        assert_close(np.sqrt(spread)[rows], block["condsd"], tolerances["condsd"], what="condsd")


def test_reference_is_an_optimum(case):
    def objective(theta):
        y, X, terms, options = arrays(case, theta)
        return oracle.objective(y, X, terms, **options)

    theta = np.atleast_1d(case.results["theta"])
    gradient = oracle.gradient(objective, theta)
    hessian = oracle.hessian(objective, theta)
    eigenvalues = np.linalg.eigvalsh(hessian)
    assert np.all(np.abs(gradient) < 1e-3)
    if not case.results["singular"]:
        expected = case.raw["optimizer_check"]["min_hessian_eigenvalue"]
        assert eigenvalues[0] == pytest.approx(expected, rel=1e-4)


def test_complex_step_agrees_with_differences():
    case = golden.load_case("sleepstudy_corr_reml")
    y, X, terms, options = arrays(case)

    def objective(theta):
        factor = np.array([[theta[0], 0 * theta[0]], [theta[1], theta[2]]])
        term = oracle.Term(terms[0].values, terms[0].codes, factor, 18)
        return oracle.objective(y, X, [term], **options)

    theta = np.array([0.7, 0.3, 0.4])
    np.testing.assert_allclose(
        oracle.gradient(objective, theta), oracle.complex_step(objective, theta), rtol=1e-9
    )


def test_prediction_variance_follows_its_definition():
    """Var(Ay - xβ - zb) for the linear predictor Ay, with a relationship between levels."""
    rng = np.random.default_rng(4)
    n, L = 40, 6
    root = rng.normal(size=(L, L))
    known = root @ root.T / L + np.eye(L)
    X = np.column_stack([np.ones(n), rng.normal(size=n)])
    values = np.column_stack([np.ones(n), rng.normal(size=n)])
    factor = np.array([[0.8, 0], [0.3, 0.5]])
    term = oracle.Term(values, rng.integers(L, size=n), factor, L, known)
    weights = rng.uniform(0.5, 2, n)
    y = rng.normal(size=n)
    solution = oracle.solve(y, X, [term], weights=weights)

    x_new, z_new, codes = X[:4], values[4:8], np.array([0, 3, 5, -1])
    z = term.design(z_new, codes)
    Z, G = term.design(), term.covariance()
    V = np.diag(1 / weights) + Z @ G @ Z.T
    V_inverse = np.linalg.inv(V)
    B = np.linalg.inv(X.T @ V_inverse @ X) @ X.T @ V_inverse
    A = x_new @ B + z @ G @ Z.T @ V_inverse @ (np.eye(n) - X @ B)
    error = A @ V @ A.T - 2 * A @ Z @ G @ z.T + z @ G @ z.T
    expected = solution.sigma**2 * np.diagonal(error).copy()
    expected[3] += solution.sigma**2 * np.sum((z_new[3] @ factor) ** 2)
    np.testing.assert_allclose(
        oracle.prediction_variance(solution, x_new, [term], [z_new], [codes]), expected
    )


def test_level_order_in_the_data_does_not_matter():
    case = golden.load_case("penicillin_ml")
    y, X, terms, options = arrays(case)
    order = np.random.default_rng(1).permutation(len(y))
    shuffled = [oracle.Term(t.values[order], t.codes[order], t.factor, t.n_levels) for t in terms]
    expected = oracle.objective(y, X, terms, **options)
    value = oracle.objective(y[order], X[order], shuffled, **options)
    assert value == pytest.approx(expected, rel=1e-13)
