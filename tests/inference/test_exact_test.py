"""The exact distribution of the (restricted) likelihood ratio of one variance."""

import numpy as np
import pytest

import golden
import mixedeffects as me
from mixedeffects.inference.exact_test import Spectrum, exact_p_value, spectrum
from mixedeffects.inference.likelihood_ratio import linear_objective

REFERENCES = [
    ("dyestuff", "exact_rlrt", "(1 | Batch)"),
    ("factorial", "exact_rlrt", "(1 | g)"),
    ("sleepstudy_slope_given_intercept", "exact_rlrt_slope", "(0 + Days | Subject)"),
    ("sleepstudy_slope_given_intercept", "exact_rlrt_intercept", "(1 | Subject)"),
    ("penicillin", "exact_rlrt_plate", "(1 | plate)"),
    ("penicillin", "exact_rlrt_sample", "(1 | sample)"),
    ("schools", "exact_rlrt_rater", "(1 | rater)"),
    ("schools", "exact_rlrt_school", "(1 | school)"),
]


def fitted(case, **changes):
    options = {"reml": case.reml, "weights": case.weights, "on_check": "ignore"} | changes
    return me.fit(case.formula, case.data, **options)


def row_of(table, term):
    (found,) = [row for row in table.to_dict("records") if row["term"] == term]
    return found


@pytest.mark.parametrize(("name", "block", "term"), REFERENCES)
def test_p_values_are_those_of_rlrsim(name, block, term):
    case = golden.r_cases("tests")[name]
    reference = case.results[block]
    row = row_of(fitted(case).test_random("exact"), term)
    assert row["statistic"] == pytest.approx(reference["statistic"], abs=1e-5)
    # four standard errors of both simulations; where R drew none of 1e6, its p is below 1e-5
    error = np.hypot(row["simulation_error"], reference["mc_standard_error"])
    assert abs(row["p_value"] - reference["p_value"]) <= 4 * error + 2e-6


@pytest.mark.parametrize("name", ["dyestuff", "factorial"])
def test_maximum_likelihood_has_its_own_distribution(name):
    case = golden.r_cases("tests")[name]
    reference = case.results["exact_lrt"]
    row = fitted(case, reml=False).test_random().iloc[1]
    assert row["reference"] == "exact"
    assert row["statistic"] == pytest.approx(reference["statistic"], abs=1e-5)
    error = np.hypot(row["simulation_error"], reference["mc_standard_error"])
    assert abs(row["p_value"] - reference["p_value"]) <= 4 * error


@pytest.mark.parametrize(
    ("id_", "block", "term"),
    [
        ("dyestuff_reml", "exact_rlrt", "(1 | Batch)"),
        ("sleepstudy_ri_reml", "exact_rlrt", "(1 | Subject)"),
        ("sleepstudy_ri_ml", "exact_lrt", "(1 | Subject)"),
        ("sleepstudy_slope_only_reml", "exact_rlrt_slope", "(0 + Days | Subject)"),
    ],
)
def test_the_reference_cases(id_, block, term):
    case = golden.load_case(id_)
    reference = case.results[block]
    table = fitted(case, reml=case.reml).test_random(method="exact").set_index("term")
    row = table.loc[term]
    assert row["reference"].startswith("exact")
    assert row["statistic"] == pytest.approx(reference["statistic"], abs=1e-5)
    error = np.hypot(row["simulation_error"], reference["mc_standard_error"])
    assert abs(row["p_value"] - reference["p"]) <= 4 * error


@pytest.mark.parametrize("name", ["dyestuff", "factorial"])
def test_quantiles_of_the_null_distribution(name):
    case = golden.r_cases("tests")[name]
    null = case.results["null"]
    known = spectrum(fitted(case)._fit.problem, 0, slice(0, 1))
    for percent, quantile in null["quantiles"].items():
        if quantile > 0:
            p, error = exact_p_value(known, quantile)
            # R's quantile of 1e6 draws is uncertain by about sqrt(p(1 - p)/1e6)
            assert p == pytest.approx(
                1 - float(percent[:-1]) / 100, abs=4 * error + 2e-3 * p + 1e-4
            )
    p, error = exact_p_value(known, 1e-9)
    assert p == pytest.approx(1 - null["zero"], abs=4 * error + 2e-3)


def test_one_eigenvalue_agrees_with_direct_simulation():
    """With one eigenvalue the supremum has a closed form: a function of an F statistic."""
    known = Spectrum(np.array([5.0]), np.array([5.0]), np.full(6, 5.0), 29, 29)
    rng = np.random.default_rng(1)
    w, rest = rng.chisquare(5, 400_000), rng.chisquare(24, 400_000)
    variance = np.maximum((w / 5) / (rest / 24) - 1, 0) / 5
    profile = 29 * np.log((w + rest) / (w / (1 + 5 * variance) + rest)) - 5 * np.log1p(5 * variance)
    for statistic in (0.1, 1.0, 2.7, 6.4):
        p, error = exact_p_value(known, statistic)
        direct = np.mean(profile >= statistic)
        assert abs(p - direct) <= 4 * np.hypot(error, np.sqrt(direct / len(w)))


def test_tiny_probabilities_keep_their_relative_accuracy():
    """Against the F distribution, of which the statistic is an increasing function."""
    from scipy import stats

    known = Spectrum(np.array([5.0]), np.array([5.0]), np.full(6, 5.0), 29, 29)
    for F in (30.0, 300.0, 3000.0):
        variance = (F - 1) / 5
        w, rest = 5 * F, 24.0
        profile = 29 * np.log((w + rest) / (w / (1 + 5 * variance) + rest))
        statistic = profile - 5 * np.log1p(5 * variance)
        p, error = exact_p_value(known, statistic)
        assert error < 0.15 * p
        assert abs(p - stats.f.sf(F, 5, 24)) <= 4 * error


def test_unequal_eigenvalues_agree_with_brute_force():
    """The likelihood ratio of simulated responses themselves, maximized by a fine grid."""
    rng = np.random.default_rng(4)
    g = rng.integers(0, 6, 40)
    x = rng.normal(size=40)
    data = {"y": rng.normal(size=40), "x": x, "g": g}
    problem = me.fit("y ~ x + (1 | g)", data, on_check="ignore")._fit.problem
    X, Z = np.column_stack([np.ones(40), x]), (g[:, None] == np.arange(6)).astype(float)
    # y'Py and log-determinants over a grid of variances, for all draws at once
    y = rng.standard_normal((40, 20_000))
    profile = []
    for variance in np.concatenate([[0], np.geomspace(1e-4, 1e4, 200)]):
        V = np.eye(40) + variance * Z @ Z.T
        inverse = np.linalg.inv(V)
        P = inverse - inverse @ X @ np.linalg.solve(X.T @ inverse @ X, X.T @ inverse)
        constant = np.linalg.slogdet(V)[1] + np.linalg.slogdet(X.T @ inverse @ X)[1]
        profile.append(38 * np.log(np.einsum("ij,ij->j", y, P @ y)) + constant)
    ratios = profile[0] - np.min(profile, axis=0)
    known = spectrum(problem, 0, slice(0, 1))
    for statistic in (0.5, 2.0, 4.0):
        p, error = exact_p_value(known, statistic)
        direct = np.mean(ratios >= statistic)
        assert abs(p - direct) <= 4 * np.hypot(error, np.sqrt(direct / len(ratios)))


def test_the_spectrum_with_weights_and_relationships():
    """Eigenvalues of L'Z'PZL from dense matrices of all rows."""
    rng = np.random.default_rng(5)
    g, w = np.repeat(np.arange(5), 6), rng.uniform(0.5, 2, 30)
    x = rng.normal(size=30)
    K = np.exp(-np.abs(np.subtract.outer(np.arange(5.0), np.arange(5.0))))
    data = {"y": rng.normal(size=30), "x": x, "g": g, "K": K}
    fit = me.fit("y ~ x + known(1 | g, K)", data, weights=w, on_check="ignore")
    X, Z = np.column_stack([np.ones(30), x]), (g[:, None] == np.arange(5)).astype(float)
    Z = Z @ np.linalg.cholesky(K)
    P = np.diag(w) - np.diag(w) @ X @ np.linalg.solve(X.T @ np.diag(w) @ X, X.T @ np.diag(w))
    known = spectrum(fit._fit.problem, 0, slice(0, 1))
    mu = np.linalg.eigvalsh(Z.T @ P @ Z)
    assert np.allclose(np.repeat(known.mu, known.counts.astype(int)), mu[1:], rtol=1e-8)
    assert np.allclose(known.xi, np.linalg.eigvalsh(Z.T @ np.diag(w) @ Z), rtol=1e-8)
    assert known.dof == known.factor == 28


def test_a_homogeneous_term_has_one_variance():
    rng = np.random.default_rng(6)
    data = {
        "y": rng.normal(size=60),
        "f": np.tile(["a", "b"], 30),
        "g": np.repeat(np.arange(10), 6),
    }
    row = me.fit("y ~ f + id(0 + f | g)", data, on_check="ignore").test_random().iloc[1]
    other = me.fit("y ~ f + (1 | g:f)", data, on_check="ignore").test_random().iloc[1]
    assert row["reference"] == other["reference"] == "exact"
    assert row["statistic"] == pytest.approx(other["statistic"], abs=1e-7)
    assert row["p_value"] == pytest.approx(other["p_value"], rel=1e-3)


def test_nothing_more_than_zero_is_certain():
    known = Spectrum(np.array([5.0]), np.array([5.0]), np.full(6, 5.0), 29, 29)
    assert exact_p_value(known, 0.0) == (1.0, 0.0)
    assert exact_p_value(known, 3.0) == exact_p_value(known, 3.0)


def test_the_model_without_random_effects_has_its_likelihood():
    rng = np.random.default_rng(7)
    n, w = 40, rng.uniform(0.5, 2.0, 40)
    data = {"y": rng.normal(size=n), "x": rng.normal(size=n), "g": np.repeat(np.arange(8), 5)}
    X = np.column_stack([np.ones(n), data["x"]])
    beta = np.linalg.solve(X.T * w @ X, X.T * w @ data["y"])
    square = np.sum(w * (data["y"] - X @ beta) ** 2)
    for reml in (False, True):
        dof = n - 2 * reml
        # densities N(Xβ, σ²/w) at σ² = square/dof, and for REML log|X'WX/σ²| and p log 2π
        dense = n * np.log(2 * np.pi * square / dof) - np.log(w).sum() + dof
        if reml:
            dense += np.linalg.slogdet(X.T * w @ X)[1] - 2 * np.log(2 * np.pi * square / dof)
        fit = me.fit("y ~ x + (1 | g)", data, reml=reml, weights=w, on_check="ignore")
        assert linear_objective(fit._fit.problem) == pytest.approx(dense, abs=1e-9)
