"""What must not change a generalized fit, and starts and scales that must not stop it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import mixedeffects as me
from mixedeffects import families

N, GROUPS = 240, 16


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(GROUPS), N // GROUPS)
    x = rng.normal(size=N)
    eta = 0.3 + 0.5 * x + 0.5 * rng.normal(size=GROUPS)[g]
    return {
        "g": g,
        "x": x,
        "count": rng.poisson(np.exp(eta)),
        "binary": (rng.random(N) < 1 / (1 + np.exp(-eta))).astype(int),
        "positive": np.exp(eta) * rng.gamma(3, 1 / 3, size=N),
        "normal": eta + np.exp(0.3 * x) * rng.normal(size=N),
        "heavy": eta + rng.standard_t(4, size=N),
        "few": rng.poisson(np.maximum(3 + 0.5 * x, 0.05)),
    }


def fitted(formula, data, **options):
    """A fit whose certificate holds."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return me.fit(formula, data, **options)


FAMILIES = [
    ("binary", "binomial"),
    ("count", "poisson"),
    ("count", "nbinom1"),
    ("positive", "gamma"),
    ("positive", "inverse_gaussian"),
    ("positive", "lognormal"),
    ("heavy", "student_t"),
]


@pytest.mark.parametrize(("response", "family"), FAMILIES)
def test_order_of_rows(data, response, family):
    order = np.random.default_rng(0).permutation(N)
    plain = fitted(f"{response} ~ x + (x | g)", data, family=family)
    other = fitted(
        f"{response} ~ x + (x | g)", {k: v[order] for k, v in data.items()}, family=family
    )
    assert other.loglik == pytest.approx(plain.loglik, abs=1e-7)
    np.testing.assert_allclose(other.beta, plain.beta, atol=1e-5)


@pytest.mark.parametrize(("response", "family"), FAMILIES)
def test_a_covariate_far_from_zero_and_in_other_units(data, response, family):
    plain = fitted(f"{response} ~ x + (1 | g)", data, family=family)
    for shift, scale, digits in [(1e7, 1.0, 1e-5), (0.0, 1e6, 1e-6), (0.0, 1e-6, 1e-6)]:
        moved = {**data, "x": data["x"] * scale + shift}
        other = fitted(f"{response} ~ x + (1 | g)", moved, family=family)
        assert other.loglik == pytest.approx(plain.loglik, abs=1e-6)
        assert other.beta[1] * scale == pytest.approx(plain.beta[1], rel=digits)
        error = np.sqrt(other.vcov()[1, 1]) * scale
        assert error == pytest.approx(np.sqrt(plain.vcov()[1, 1]), rel=1e-4)


@pytest.mark.parametrize("size", [1e-8, 1e8])
@pytest.mark.parametrize(
    ("response", "options"),
    [
        ("normal", {"family": "gaussian", "dispersion": "~ x"}),
        ("heavy", {"family": "student_t"}),
        ("positive", {"family": "gamma"}),
        ("positive", {"family": "lognormal"}),
        ("positive", {"family": families.Gamma(link="identity")}),
        ("positive", {"family": families.Gaussian(link="log")}),
        ("positive", {"family": families.Gamma(link="inverse")}),
    ],
)
def test_units_of_the_response(data, response, options, size):
    plain = fitted(f"{response} ~ x + (1 | g)", data, **options)
    other = fitted(
        f"{response} ~ x + (1 | g)", {**data, response: data[response] * size}, **options
    )
    assert other.loglik + N * np.log(size) == pytest.approx(plain.loglik, abs=1e-5)
    assert other.optimum.evaluations <= plain.optimum.evaluations + 12
    ratio = np.sqrt(np.diagonal(other.vcov()) / np.diagonal(plain.vcov()))
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-3) or options["family"] in (
        families.Gaussian(link="log"),
    )


def test_a_dispersion_formula_of_a_constant_is_the_linear_model(data):
    general = fitted("normal ~ x + (1 | g)", data, dispersion="~ 1")
    linear = me.fit("normal ~ x + (1 | g)", data, reml=False)
    assert general.loglik == pytest.approx(linear.loglik, abs=1e-7)
    assert general.sigma == pytest.approx(linear.sigma, rel=1e-5)
    np.testing.assert_allclose(general.beta, linear.beta, atol=1e-6)


def test_an_offset_of_the_dispersion_is_a_weight_of_the_linear_model():
    data = me.datasets.load("sleepstudy")
    data["w"] = np.linspace(0.5, 2.0, len(data))
    linear = me.fit("Reaction ~ Days + (1 | Subject)", data, weights="w", reml=False)
    general = me.fit("Reaction ~ Days + (1 | Subject)", data, dispersion="~ 1 + offset(-log(w))")
    assert general.loglik == pytest.approx(linear.loglik, abs=1e-7)
    np.testing.assert_allclose(general.beta, linear.beta, rtol=1e-6)
    np.testing.assert_allclose(general.vcov(), linear.vcov(), rtol=1e-3)


@pytest.mark.parametrize("exposure", [1.0, np.log(1e6), 1e6])
def test_offsets_of_any_size_are_the_intercept(data, exposure):
    plain = fitted("count ~ x + (1 | g)", data, family="poisson")
    other = fitted(
        "count ~ x + (1 | g)", data, family="poisson", offset=np.full(N, float(exposure))
    )
    assert other.loglik == pytest.approx(plain.loglik, abs=1e-6)
    assert other.beta[0] + exposure == pytest.approx(plain.beta[0], abs=1e-6)
    assert other.beta[1] == pytest.approx(plain.beta[1], abs=1e-6)


def test_weight_two_is_a_row_twice(data):
    twice = {k: np.concatenate([v, v]) for k, v in data.items()}
    for response, family in [("count", "poisson"), ("positive", "gamma")]:
        one = fitted(f"{response} ~ x + (1 | g)", twice, family=family)
        other = fitted(f"{response} ~ x + (1 | g)", data, family=family, weights=np.full(N, 2.0))
        assert other.loglik == pytest.approx(one.loglik, abs=1e-6)
        np.testing.assert_allclose(other.beta, one.beta, atol=1e-5)
        np.testing.assert_allclose(other.vcov(), one.vcov(), rtol=1e-3)


def test_weights_of_very_different_sizes(data):
    weights = np.where(data["g"] < 8, 1.0, 1e-6)
    fit = fitted("count ~ x + (1 | g)", data, family="poisson", weights=weights)
    half = {k: v[data["g"] < 8] for k, v in data.items()}
    alone = fitted("count ~ x + (1 | g)", half, family="poisson")
    assert fit.beta == pytest.approx(alone.beta, abs=1e-3)


LINKS = [
    ("few", families.Poisson(link="identity")),
    ("count", families.Poisson(link="sqrt")),
    ("binary", families.Binomial(link="cauchit")),
    ("binary", families.Binomial(link="cloglog")),
    ("binary", families.Binomial(link="loglog")),
    ("positive", families.Gamma(link="identity")),
    ("positive", families.Gamma(link="inverse")),
]


@pytest.mark.parametrize(("response", "family"), LINKS)
def test_links_whose_means_may_leave_their_range(data, response, family):
    fit = me.fit(f"{response} ~ x + (1 | g)", data, family=family, on_check="ignore")
    assert np.isfinite(fit.loglik)
    assert np.isfinite(fit.fixef()["std_error"]).all()
    for start in (0.01, 0.3):
        other = me.fit(
            f"{response} ~ x + (1 | g)", data, family=family, start=[start], on_check="ignore"
        )
        assert fit.loglik >= other.loglik - 1e-6


def test_means_at_the_edge_of_their_range_are_told(data):
    """Probabilities that grow by a line meet 0 and 1, where no Laplace approximation is."""
    with pytest.raises(me.errors.ModelError, match="edge of their range, use another link"):
        me.fit("binary ~ x + (1 | g)", data, family=families.Binomial(link="identity"))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["binomial", "poisson", "nbinom2", "gamma", "cumulative"])
def test_no_better_optimum_is_found_from_many_starts(family):
    """60 small random data sets; never worse than the best of five starts by more than 1e-6."""
    rng = np.random.default_rng(11)
    for _ in range(60):
        n, groups = int(rng.integers(24, 80)), int(rng.integers(4, 9))
        g, x = rng.integers(0, groups, n), rng.normal(size=n)
        eta = rng.normal() + rng.normal() * x + rng.gamma(1, 0.7) * rng.normal(size=groups)[g]
        draw = {
            "binomial": lambda eta=eta, n=n: (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int),
            "poisson": lambda eta=eta: rng.poisson(np.exp(np.minimum(eta, 6))),
            "nbinom2": lambda eta=eta: rng.poisson(
                rng.gamma(1.5, np.exp(np.minimum(eta, 6)) / 1.5)
            ),
            "gamma": lambda eta=eta: np.exp(eta) * rng.gamma(2, 0.5, size=len(eta)),
            "cumulative": lambda eta=eta, n=n: np.digitize(eta + rng.logistic(size=n), [-1, 1]),
        }[family]
        table = {"y": draw(), "x": x, "g": g}
        try:
            fit = me.fit("y ~ x + (x | g)", table, family=family, on_check="ignore")
        except me.errors.ModelError:  # nothing varies
            continue
        for _ in range(5):
            start = rng.normal(size=3) * np.array([1.0, 0.5, 1.0])
            other = me.fit(
                "y ~ x + (x | g)", table, family=family, start=list(start), on_check="ignore"
            )
            assert fit.loglik >= other.loglik - 1e-6
