"""Flat priors: refused where they leave no posterior, taken where they do."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import mixedeffects as me
from mixedeffects.bayes.improper import FALL
from mixedeffects.bayes.prior_model import build_priors
from mixedeffects.bayes.priors import AbstractPrior, Flat, HalfNormal, Normal
from mixedeffects.errors import ModelError
from mixedeffects.families import ZeroInflated, build
from mixedeffects.formula.design import build_design

FLAT_SLOPES = {"Intercept": Flat(), "b": Flat()}


def check(
    formula: str,
    data: dict[str, np.ndarray],
    family: str = "gaussian",
    priors: Mapping[str, AbstractPrior] | None = None,
    **options: Any,
) -> None:
    kind = build(family)
    design = build_design(formula, data, kind=kind.response_kind, **options)
    inflated = "zero_inflation" in options.get("others", {})
    build_priors(design, ZeroInflated(kind) if inflated else kind, priors)


def grouped(levels: int, rows: int = 8) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    n = levels * rows
    g = np.repeat(np.arange(levels), rows)
    x = rng.normal(size=n)
    return {
        "g": g,
        "x": x,
        "between": (g > 0).astype(float),
        "y": x + rng.normal(size=n),
        "yes": (rng.random(n) < 0.5).astype(float),
        "count": rng.poisson(1.0, n).astype(float),
        "share": rng.uniform(0.1, 0.9, n),
    }


# -- standard deviations -------------------------------------------------------------------


def test_three_levels_beside_flat_coefficients() -> None:
    priors = {"sd": Flat(), **FLAT_SLOPES}
    check("y ~ x + (1 | g)", grouped(3), priors=priors)
    with pytest.raises(ModelError, match=r"1 independent comparison beside 2 flat coefficients"):
        check("y ~ x + (1 | g)", grouped(2), priors=priors)


def test_two_levels_beside_proper_coefficients() -> None:
    check("y ~ x + (1 | g)", grouped(2), priors={"sd": Flat()})


def test_the_rule_is_where_the_integral_ends() -> None:
    """The marginal likelihood of τ falls like τ^−r: whether its integral has an end."""

    def tail(levels: int, flat: bool) -> float:
        data = grouped(levels)
        Z = (data["g"][:, None] == np.arange(levels)).astype(float)
        prior = 1e12 if flat else 25.0

        def density(log_tau: float) -> float:
            tau = np.exp(log_tau)
            V = tau**2 * Z @ Z.T + np.eye(len(Z)) + prior
            L = np.linalg.cholesky(V)
            z = np.linalg.solve(L, data["y"])
            return float(-0.5 * z @ z - np.log(np.diagonal(L)).sum()) + log_tau

        # the slope of log(likelihood · τ) by log τ, far out: negative where it is integrable
        return (density(np.log(3e4)) - density(np.log(3e3))) / np.log(10.0)

    assert tail(3, True) == pytest.approx(-1.0, abs=0.05)  # r = 2
    assert tail(2, True) == pytest.approx(0.0, abs=0.05)  # r = 1: refused
    assert tail(2, False) == pytest.approx(-1.0, abs=0.05)  # r = 2


def test_flat_coefficients_between_levels_take_comparisons() -> None:
    priors = {"sd": Flat(), **FLAT_SLOPES}
    with pytest.raises(ModelError, match="1 independent"):
        check("y ~ between + (1 | g)", grouped(3), priors=priors)
    check("y ~ between + (1 | g)", grouped(4), priors=priors)


def test_several_deviations_need_more() -> None:
    check("y ~ 1 + (x | g)", grouped(2), priors={"sd": Flat()})
    with pytest.raises(ModelError, match=r"'sd.Intercept | g.', 'sd.x | g.'.* 2 independent"):
        check("y ~ x + (x | g)", grouped(2), priors={"sd": Flat(), **FLAT_SLOPES})
    check("y ~ x + (x | g)", grouped(3), priors={"sd": Flat(), **FLAT_SLOPES})


def test_nested_levels_are_not_counted_twice() -> None:
    data = grouped(2, 12)
    data["h"] = np.arange(24) // 8 + 3 * data["g"]  # 4 levels, nested in 2
    assert len(set(data["h"])) == 4
    with pytest.raises(ModelError, match="independent"):
        check("y ~ 1 + (1 | g) + (1 | h)", data, priors={"sd": Flat(), "Intercept": Flat()})


def test_levels_with_one_outcome_tell_nothing() -> None:
    data = grouped(4)
    data["yes"] = data["between"]  # the same in all rows of a level
    with pytest.raises(ModelError, match="0 independent"):
        check("yes ~ 1 + (1 | g)", data, "binomial", {"sd": Flat()})
    data["yes"][::8] = 1.0
    data["yes"][1::8] = 0.0
    check("yes ~ 1 + (1 | g)", data, "binomial", {"sd": Flat()})


def test_levels_without_a_count_tell_nothing() -> None:
    data = grouped(3)
    data["count"] = np.where(data["g"] == 0, 1.0 + data["count"], 0.0)
    with pytest.raises(ModelError, match="1 independent"):
        check("count ~ 1 + (1 | g)", data, "poisson", {"sd": Flat()})


def test_ordinal_levels_at_one_end_tell_nothing() -> None:
    data = grouped(3)
    data["rating"] = np.where(data["g"] == 0, np.arange(24) % 3, 2).astype(float)
    with pytest.raises(ModelError, match="1 independent"):
        check("rating ~ x + (1 | g)", data, "cumulative", {"sd": Flat()})


def test_deviations_of_other_predictors_are_never_flat() -> None:
    with pytest.raises(ModelError, match=r"'dispersion: sd.Intercept | g.'"):
        check(
            "y ~ x + (1 | g)",
            grouped(9),
            priors={"dispersion: sd": Flat()},
            others={"dispersion": "~ 1 + (1 | g)"},
        )


# -- coefficients --------------------------------------------------------------------------


def test_flat_coefficients_that_separate() -> None:
    data = grouped(4)
    data["all"] = np.where(data["yes"] == 1, 1.0, np.arange(32) % 2)  # 0 for failures only
    with pytest.raises(ModelError, match=r"'all'.* separate the response"):
        check("yes ~ x + all + (1 | g)", data, "binomial", FLAT_SLOPES)
    # a proper intercept at the means holds the other failures back
    check("yes ~ x + all + (1 | g)", data, "binomial", {"b": Flat()})
    check("yes ~ x + all + (1 | g)", data, "binomial", {"x": Flat(), "all": Normal(0, 2.5)})
    check("yes ~ x + (1 | g)", data, "binomial", FLAT_SLOPES)


def test_flat_coefficients_that_separate_categories() -> None:
    data = grouped(4)
    data["rating"] = np.arange(32) % 3
    data["top"] = np.where(data["rating"] == 2, np.arange(32) % 2, 0)  # 1 at the top only
    with pytest.raises(ModelError, match=r"'top'.* separate the response"):
        check("rating ~ top + (1 | g)", data, "cumulative", {"b": Flat(), "threshold": Flat()})
    given = {f"{j}|{j + 1}": Normal(0, 2) for j in range(2)}
    with pytest.raises(ModelError, match=r"'top'.* separate the response"):
        check("rating ~ top + (1 | g)", data, "cumulative", given | {"b": Flat()})
    # thresholds at the means hold the other rows back
    check("rating ~ top + (1 | g)", data, "cumulative", {"b": Flat()})
    check("rating ~ x + (1 | g)", data, "cumulative", {"b": Flat(), "threshold": Flat()})


@pytest.mark.parametrize("family", ["poisson", "nbinom2", "tweedie"])
def test_flat_coefficients_of_levels_without_counts(family: str) -> None:
    data = grouped(4)
    data["none"] = (np.arange(32) % 4 == 0).astype(float)
    data["count"] = np.where(data["none"] == 1, 0.0, data["count"])
    with pytest.raises(ModelError, match=r"'none'.* separate the response"):
        check("count ~ x + none + (1 | g)", data, family, FLAT_SLOPES)
    check("count ~ x + (1 | g)", data, family, FLAT_SLOPES)


def test_flat_coefficients_of_truncated_counts() -> None:
    data = grouped(4)
    data["ones"] = (np.arange(32) % 4 == 0).astype(float)
    data["count"] = np.where(data["ones"] == 1, 1.0, data["count"] + 2.0)
    with pytest.raises(ModelError, match="'ones'"):
        check("count ~ x + ones + (1 | g)", data, "truncated_poisson", FLAT_SLOPES)


def test_far_columns_are_no_separation() -> None:
    data = grouped(4)
    data["far"] = 1e5 + data["x"]
    check("yes ~ far + (1 | g)", data, "binomial", FLAT_SLOPES)


def test_a_flat_zero_inflation() -> None:
    data, others = grouped(4), {"zero_inflation": "~ 1"}
    for address in ("zero_inflation: Intercept", "zero_inflation: x"):
        rest = {"zero_inflation": "~ x"} if address.endswith("x") else others
        priors = {address: Flat()}
        if address.endswith("x"):
            data["x"] = np.abs(data["x"])
            priors["zero_inflation: Intercept"] = Flat()
        with pytest.raises(ModelError, match="without extra zeros"):
            check("count ~ 1 + (1 | g)", data, "poisson", priors, others=rest)
    # of a hurdle model it is a logistic regression
    priors = {"zero_inflation: Intercept": Flat()}
    check("count ~ 1 + (1 | g)", data, "truncated_poisson", priors, others=others)


@pytest.mark.parametrize("family", ["nbinom1", "nbinom2"])
def test_a_flat_logarithm_of_a_dispersion(family: str) -> None:
    with pytest.raises(ModelError, match="the family is Poisson"):
        check(
            "count ~ 1 + (1 | g)",
            grouped(4),
            family,
            {"dispersion: Intercept": Flat()},
            others={"dispersion": "~ x"},
        )


def test_a_flat_logarithm_of_a_variance() -> None:
    check(
        "y ~ 1 + (1 | g)",
        grouped(4),
        priors={"dispersion: Intercept": Flat()},
        others={"dispersion": "~ x"},
    )


# -- what all rows share -------------------------------------------------------------------


def test_a_flat_sigma() -> None:
    check("y ~ x + (1 | g)", grouped(4), priors={"sigma": Flat(), **FLAT_SLOPES})
    few = {"y": np.array([1.0, 2.0, 4.0]), "x": np.array([0.0, 1, 3]), "g": np.array([0, 0, 1])}
    with pytest.raises(ModelError, match="3 rows beside 2 flat coefficients does not fall"):
        check("y ~ x + (1 | g)", few, priors={"sigma": Flat(), **FLAT_SLOPES})


@pytest.mark.parametrize("family", ["nbinom2", "compois"])
def test_a_flat_dispersion_with_a_simpler_family_at_its_end(family: str) -> None:
    with pytest.raises(ModelError, match="as it grows the family is"):
        check("count ~ 1 + (1 | g)", grouped(4), family, {"sigma": Flat()})
    check("count ~ 1 + (1 | g)", grouped(4), "nbinom1", {"sigma": Flat()})


def test_a_flat_dispersion_of_truncated_counts() -> None:
    data = grouped(4)
    data["count"] += 1.0
    with pytest.raises(ModelError, match="does not fall fast enough"):
        check("count ~ 1 + (1 | g)", data, "truncated_nbinom1", {"sigma": Flat()})


@pytest.mark.parametrize("family", ["nbinom1", "genpois", "gamma", "lognormal", "beta", "tweedie"])
def test_how_likelihoods_fall(family: str) -> None:
    """The powers of sigma that the rule counts, from the families' own densities."""
    kind, data = build(family), grouped(6)
    y = data["count"] if kind.zero_mass else data["share"]
    response = kind.response(y)
    extras = tuple(np.asarray(s) for s in kind.extras(response).start)
    eta = np.asarray(np.median(kind.initial_eta(response)))
    sign = 1.0 if float(kind.sigma(1.0)) > 1.0 else -1.0
    deltas = sign * np.array([20.0, 22.0])
    logs = [float(np.log(kind.sigma(d))) for d in deltas]
    values = [kind.log_density(response, (eta, np.asarray(d), *extras)).sum() for d in deltas]
    power = -(values[1] - values[0]) / (logs[1] - logs[0])
    telling = np.count_nonzero(y) if kind.zero_mass else len(y)
    assert power >= 0.95 * FALL.get(family, 1.0) * telling


def test_flat_extras() -> None:
    with pytest.raises(ModelError, match=r"'df'.* Gaussian"):
        check("y ~ 1 + (1 | g)", grouped(4), "student_t", {"df": Flat()})
    with pytest.raises(ModelError, match="never 0"):
        check("share ~ 1 + (1 | g)", grouped(4), "ordbeta", {"cutpoint.1": Flat()})
    check("count ~ 1 + (1 | g)", grouped(4), "tweedie", {"power": Flat()})
    data = grouped(4) | {"rating": np.arange(32) % 3}
    check("rating ~ 1 + (1 | g)", data, "cumulative", {"threshold": Flat()})


def test_proper_priors_are_never_refused() -> None:
    check("y ~ x + (1 | g)", grouped(2), priors={"sd": HalfNormal(1), **FLAT_SLOPES})
    assert me.priors.Flat().proper is False
