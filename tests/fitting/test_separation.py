"""Parameters without a finite estimate: found, named, and kept from the others."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import mixedeffects as me
from mixedeffects.fitting.separation import has_ray


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    n, groups = 300, 20
    g = np.repeat(np.arange(groups), n // groups)
    x = rng.normal(size=n)
    f = np.where(rng.random(n) < 0.5, "a", "b")
    eta = 0.3 + 0.5 * x + 0.5 * rng.normal(size=groups)[g]
    return {
        "g": g,
        "x": x,
        "f": f,
        "binary": (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int),
        "count": rng.poisson(np.exp(eta)),
        "successes": rng.binomial(10, 1 / (1 + np.exp(-eta))),
        "ordered": np.digitize(eta + rng.logistic(size=n), [-1, 0.5, 2]),
        "heavy": eta + rng.normal(size=n),
    }


def separated(formula, data, y, **options):
    """The fit, and the message of its one failed check."""
    with pytest.warns(me.errors.ConvergenceWarning):
        fit = me.fit(formula, {**data, "y": y}, **options)
    (check,) = [c for c in fit.checks if not c.passed]
    assert not fit.converged
    assert np.isfinite(fit.fixef()["std_error"]).all()
    return fit, check


def errors_by_term(fit):
    table = fit.fixef()
    return dict(zip(table["term"], table["std_error"], strict=True))


FAMILIES = [
    ("binomial", "binary", 1),
    ("poisson", "count", 0),
    ("nbinom2", "count", 0),
    ("cumulative", "ordered", 3),
]


@pytest.mark.parametrize(("family", "response", "outcome"), FAMILIES)
def test_a_level_with_one_outcome_is_named_and_the_others_stand(data, family, response, outcome):
    y = np.where(data["f"] == "b", outcome, data[response])
    fit, check = separated("y ~ x + f + (1 | g)", data, y, family=family)
    assert check.name == "separation"
    assert "no finite estimates of f[T.b]:" in check.message
    assert ("separate the response" in check.message) == (family != "cumulative")
    assert "f[T.b]" in str(fit.summary())
    # the rows of the level say nothing of the others, whose fit is that of the rest
    other = {name: values[data["f"] == "a"] for name, values in data.items()}
    other["y"] = y[data["f"] == "a"]
    alone = me.fit("y ~ x + (1 | g)", other, family=family, on_check="ignore")
    assert fit.loglik == pytest.approx(alone.loglik, abs=1e-5)
    expected = errors_by_term(alone)
    found = errors_by_term(fit)
    assert found["f[T.b]"] > 1e3
    assert found["x"] == pytest.approx(expected["x"], rel=1e-4)


def test_complete_separation_names_all_columns(data):
    _, check = separated("y ~ x + (1 | g)", data, (data["x"] > 0).astype(int), family="binomial")
    assert "no finite estimates of Intercept, x: they separate" in check.message


def test_the_reference_level_separates_by_the_intercept(data):
    y = np.where(data["f"] == "a", 0, data["binary"])
    _, check = separated("y ~ x + f + (1 | g)", data, y, family="binomial")
    assert "no finite estimates of Intercept, f[T.b]:" in check.message


def test_the_part_of_the_zeros_separates(data):
    y = np.where(data["f"] == "b", 0, data["count"])
    y = np.where((data["f"] == "a") & (y == 0), 1, y)
    y[np.flatnonzero(data["f"] == "b")[:5]] = 2
    _, check = separated(
        "y ~ x + (1 | g)", data, y, family="truncated_poisson", zero_inflation="~ f"
    )
    assert check.name == "separation: zero_inflation"
    assert "Intercept, f[T.b]: they separate" in check.message


def test_outcomes_that_are_constant_within_levels(data):
    _, check = separated("y ~ x + (1 | g)", data, data["g"] % 2, family="binomial")
    assert check.name == "separation: g"
    assert "same in all rows of each level of 'g'" in check.message


def test_an_ordinary_fit_asks_for_no_program(data, monkeypatch):
    import scipy.optimize

    monkeypatch.setattr(scipy.optimize, "linprog", None)
    fit = me.fit("binary ~ x + f + (1 | g)", data, family="binomial")
    assert fit.converged
    assert all("separation" not in c.name for c in fit.checks)


@pytest.mark.parametrize(
    ("family", "response", "options", "says"),
    [
        ("nbinom2", "successes", {}, "family 'poisson' fits as well"),
        ("nbinom1", "successes", {}, "family 'poisson' fits as well"),
        ("poisson", "count", {"zero_inflation": "~ 1"}, "without zero_inflation fits as well"),
        ("betabinomial", "cbind(successes, 10 - successes)", {}, "'binomial' fits as well"),
        ("student_t", "heavy", {}, "family 'gaussian' fits as well"),
    ],
)
def test_a_dispersion_at_its_end_leaves_a_simpler_family(data, family, response, options, says):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = me.fit(f"{response} ~ x + (1 | g)", data, family=family, **options)
    (check,) = [c for c in fit.checks if c.name.startswith("limit: ")]
    assert check.passed
    assert says in check.message
    assert says in " ".join(str(fit.summary()).split())
    simpler = {"nbinom2": "poisson", "nbinom1": "poisson", "betabinomial": "binomial"}
    name = simpler.get(family, "gaussian" if family == "student_t" else family)
    other = me.fit(
        f"{response} ~ x + (1 | g)", data, family=name, reml=None if name != "gaussian" else False
    )
    assert fit.loglik == pytest.approx(other.loglik, abs=1e-5)
    expected = errors_by_term(other)
    for term in ("Intercept", "x"):
        own = fit.fixef()
        own = own[own["component"] == "conditional"].set_index("term")
        assert own.loc[term, "std_error"] == pytest.approx(expected[term], rel=2e-3)


def test_a_power_at_its_end(data):
    table = {**data, "count": data["count"].astype(float)}
    fit = me.fit("count ~ x + (1 | g)", table, family="tweedie")
    (check,) = [c for c in fit.checks if c.name == "limit: power"]
    assert "power is estimated as 1" in check.message
    table = fit.fixef()
    assert np.isfinite(table["std_error"]).all()
    assert table[table["component"] == "shape"]["estimate"].item() == pytest.approx(1.01, abs=1e-3)


def test_overdispersion_is_told_with_what_to_do(data):
    rng = np.random.default_rng(2)
    y = rng.negative_binomial(0.7, 0.7 / (0.7 + np.exp(0.5 + 0.5 * data["x"])))
    fit = me.fit("y ~ x + (1 | g)", {**data, "y": y}, family="poisson")
    (check,) = [c for c in fit.checks if c.name == "overdispersion"]
    assert check.passed
    assert check.value > 1.5
    assert "'nbinom2'" in check.message
    assert "Overdispersion" in str(fit.summary())
    calm = me.fit("count ~ x + (1 | g)", data, family="poisson")
    assert all(c.name != "overdispersion" for c in calm.checks)
    binary = me.fit("binary ~ x + (1 | g)", data, family="binomial")
    assert all(c.name != "overdispersion" for c in binary.checks)


def test_rays_of_a_cone():
    quadrant = np.eye(2)
    assert has_ray(quadrant, np.empty((0, 2)))
    assert has_ray(quadrant, np.array([[1.0, 0.0]]))
    assert not has_ray(quadrant, np.eye(2))
    assert not has_ray(np.vstack([quadrant, -quadrant]), np.empty((0, 2)))
    assert not has_ray(np.empty((0, 2)), quadrant)
