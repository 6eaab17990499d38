"""The prior of a model: defaults, addresses, densities in the user's units."""

import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats

import mixedeffects as me
from mixedeffects.bayes.prior_model import PriorModel, build_priors
from mixedeffects.bayes.priors import (
    LKJ,
    AbstractPrior,
    Exponential,
    Flat,
    Gamma,
    HalfNormal,
    HalfStudentT,
    Laplace,
    Normal,
    StudentT,
)
from mixedeffects.errors import ModelError
from mixedeffects.families import ZeroInflated, build
from mixedeffects.formula.design import build_design

# Central differences of step 1e-6 err by about 1e-9.
CLOSE = 1e-7
SLEEP = "Reaction ~ Days + (Days | Subject)"


def model_of(
    formula: str,
    data: Any,
    family: str = "gaussian",
    priors: Mapping[str, AbstractPrior] | None = None,
    **options: Any,
) -> PriorModel:
    kind = build(family)
    data = me.datasets.load(data) if isinstance(data, str) else data
    design = build_design(formula, data, kind=kind.response_kind, **options)
    inflated = "zero_inflation" in options.get("others", {})
    return build_priors(design, ZeroInflated(kind) if inflated else kind, priors)


def shown(model: PriorModel) -> dict[str, str]:
    table = model.table()
    return dict(zip(table["parameter"], table["prior"], strict=True))


def differences(function, x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    moves = step * np.eye(len(x))
    return np.array([(function(x + m) - function(x - m)) / (2 * step) for m in moves])


def some_data(n: int = 60) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    group = np.arange(n) % 6
    x, z = rng.normal(2.0, 3.0, n), rng.normal(size=n)
    return {
        "g": group,
        "h": np.arange(n) // 10,
        "x": x,
        "z": z,
        "f": np.array(["a", "b", "c"])[np.arange(n) % 3],
        "y": 5.0 + x + rng.normal(size=n) + group,
        "count": rng.poisson(3.0, n).astype(float),
        "share": rng.uniform(0.1, 0.9, n),
        "rating": rng.permutation(np.arange(n) % 4),
    }


# -- defaults ------------------------------------------------------------------------------


def test_defaults_of_a_linear_model() -> None:
    data = me.datasets.load("sleepstudy")
    y, days = data["Reaction"].to_numpy(), data["Days"].to_numpy()
    s = y.std()
    assigned = {a.parameter.name: a.prior for a in model_of(SLEEP, "sleepstudy").assigned}
    assert list(assigned) == [
        "Intercept",
        "Days",
        "sd(Intercept | Subject)",
        "sd(Days | Subject)",
        "cor(Subject)",
        "sigma",
    ]
    assert assigned["Intercept"] == Normal(y.mean(), 2.5 * s)
    assert assigned["Days"] == Normal(0.0, 2.5 * s / days.std())
    assert assigned["sd(Days | Subject)"] == HalfStudentT(3, s / days.std())
    # what slopes contribute at Days = 0, far from the mean
    far = np.hypot(1.0, days.mean() / days.std())
    assert assigned["sd(Intercept | Subject)"].scale == pytest.approx(s * far)
    assert assigned["cor(Subject)"] == LKJ(1)
    assert assigned["sigma"] == HalfStudentT(3, s)


def test_units_of_response_and_columns_change_nothing() -> None:
    data = some_data()
    scaled = data | {"y": 1000.0 * data["y"] - 7.0, "x": 0.01 * data["x"] + 40.0}
    plain = model_of("y ~ x + z + (1 | g)", data)
    other = model_of("y ~ x + z + (1 | g)", scaled)
    beta = np.array([1.0, 2.0, -3.0])
    moved = np.array([1000.0 - 7.0, 2e5, -3000.0])
    moved[0] -= moved[1] * 40.0
    value, gradient = plain.coefficients.log_density(beta)
    value2, gradient2 = other.coefficients.log_density(moved)
    assert value2 == pytest.approx(value - 2 * np.log(1000.0) - np.log(1e5), rel=1e-9)
    assert gradient2[2] == pytest.approx(gradient[2] / 1000.0, rel=1e-7)
    for one, two in zip(plain.assigned[3:], other.assigned[3:], strict=True):
        assert two.prior.scale == pytest.approx(1000.0 * one.prior.scale)


def test_the_default_intercept_is_at_the_means() -> None:
    data = some_data()
    model = model_of("y ~ x + f + (1 | g)", data)
    own = model.coefficients
    assert own.names == ("Intercept", "x", "f[T.b]", "f[T.c]")
    means = [1.0, data["x"].mean(), 1 / 3, 1 / 3]
    np.testing.assert_allclose(own.functions[0], means)
    np.testing.assert_array_equal(own.functions[1:], np.eye(4)[1:])
    beta = np.array([1.0, 0.5, -1.0, 2.0])
    by_hand = stats.norm(data["y"].mean(), 2.5 * data["y"].std()).logpdf(beta @ means)
    for b, prior in zip(beta[1:], own.independent.priors[1:], strict=True):
        by_hand += stats.norm(0, prior.sd).logpdf(b)
    assert own.log_density(beta)[0] == pytest.approx(by_hand, rel=1e-12)
    assert "at the means" in shown(model)["Intercept"]


def test_a_given_intercept_is_the_coefficient() -> None:
    model = model_of(SLEEP, "sleepstudy", priors={"Intercept": Normal(250, 20)})
    np.testing.assert_array_equal(model.coefficients.functions, np.eye(2))
    assert shown(model)["Intercept"] == "Normal(250, 20)"


def test_defaults_follow_offsets() -> None:
    data = some_data()
    data["o"] = np.full(60, 100.0)
    data["y2"] = data["y"] + 100.0
    plain = model_of("y ~ x + (1 | g)", data)
    moved = model_of("y2 ~ x + offset(o) + (1 | g)", data)
    for one, two in zip(plain.assigned, moved.assigned, strict=True):
        assert str(one.prior) == str(two.prior)


def test_weights_are_in_the_unit_of_sigma() -> None:
    data = some_data() | {"w": np.full(60, 25.0)}
    plain = model_of("y ~ x + (1 | g)", data).sigma
    weighted = model_of("y ~ x + (1 | g)", data, weights="w").sigma
    assert plain is not None
    assert weighted is not None
    assert weighted.prior.scale == pytest.approx(5.0 * plain.prior.scale)


def test_without_an_intercept_the_location_counts() -> None:
    data = some_data() | {"far": 1000.0 + some_data()["y"]}
    priors = [a.prior for a in model_of("far ~ 0 + f + (1 | g)", data).assigned[:3]]
    # a cell mean of about 1000 is no surprise
    assert all(abs(p.log_density(1000.0) - p.log_density(0.0)) < 0.5 for p in priors)


def test_default_locations_of_links() -> None:
    data = some_data()
    counts = model_of("count ~ x + (1 | g)", data, "poisson").assigned[0].prior
    assert counts.mean == pytest.approx(np.log(data["count"].mean()), abs=0.05)
    assert counts.sd == 2.5
    shares = model_of("share ~ x + (1 | g)", data, "beta")
    assert shares.assigned[0].prior.mean == pytest.approx(0.0, abs=0.2)
    assert shares.assigned[1].prior.sd == pytest.approx(2.5 / data["x"].std())


def test_zero_inflation_is_about_uniform() -> None:
    model = model_of(
        "count ~ x + (1 | g)", some_data(), "poisson", others={"zero_inflation": "~ z"}
    )
    prior = model.assigned[2].prior
    assert model.assigned[2].parameter.name == "zero_inflation: Intercept"
    drawn = 1 / (1 + np.exp(-prior.draw(np.random.default_rng(1), 20_000)))
    assert stats.kstest(drawn, stats.uniform.cdf).statistic < 0.015


@pytest.mark.parametrize(
    ("family", "response"),
    [
        *((name, "count") for name in ("nbinom1", "nbinom2", "genpois", "compois", "tweedie")),
        *((name, "share") for name in ("beta", "ordbeta", "gamma", "lognormal")),
        *((name, "share") for name in ("inverse_gaussian", "student_t")),
        ("gaussian", "y"),
    ],
)
def test_one_dispersion_has_a_prior(family: str, response: str) -> None:
    model = model_of(f"{response} ~ x + (1 | g)", some_data(), family)
    sigma, kind = model.sigma, build(family)
    assert sigma is not None
    assert sigma.prior.support == "positive"
    for delta in (-0.7, 0.4):
        reported = float(kind.sigma(delta))
        # the density of δ: that of sigma, times |d sigma / dδ|
        step = 1e-6
        slope = abs(float(kind.sigma(delta + step)) - float(kind.sigma(delta - step))) / (2 * step)
        value, gradient = sigma.log_density_of_delta(delta)
        density = float(sigma.prior.log_density(reported))
        assert value == pytest.approx(density + np.log(slope), abs=1e-8)
        ends = [sigma.log_density_of_delta(delta + h)[0] for h in (step, -step)]
        assert gradient == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=CLOSE, abs=CLOSE)
        log_value, slope_of_log = sigma.log_density(np.log(reported))
        assert log_value == pytest.approx(density + np.log(reported), rel=1e-12)
        ends = [sigma.log_density(np.log(reported) + h)[0] for h in (step, -step)]
        assert slope_of_log == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=CLOSE, abs=CLOSE)


def test_a_dispersion_formula_has_coefficients_in_its_place() -> None:
    data = some_data()
    model = model_of("y ~ x + (1 | g)", data, others={"dispersion": "~ z + (1 | h)"})
    assert model.sigma is None
    assert list(shown(model)) == [
        *("Intercept", "x", "dispersion: Intercept", "dispersion: z"),
        *("sd(Intercept | g)", "dispersion: sd(Intercept | h)"),
    ]
    assert model.assigned[2].prior == Normal(np.log(data["y"].var()), 2.5)
    assert model.deviation_names == (("sd(Intercept | g)",), ("dispersion: sd(Intercept | h)",))
    assert model_of("count ~ x + (1 | g)", data, "poisson").sigma is None


def test_structures_have_their_own_parameters() -> None:
    data = some_data() | {"t": np.arange(60) % 4}
    priors = shown(
        model_of("y ~ x + (z || g) + cs(f | h) + ar1(t | g)", data, priors={"cor(h)": LKJ(4)})
    )
    assert {n for n in priors if "g)" in n} == {
        *("sd(Intercept | g)", "sd(z | g)", "sd(all | g)", "cor(g)")
    }
    assert priors["cor(h)"] == "LKJ(4)"
    assert priors["cor(g)"] == "LKJ(1)"


def test_aliased_columns_have_no_prior() -> None:
    data = some_data() | {"x2": 2.0 * some_data()["x"]}
    assert model_of("y ~ x + x2 + (1 | g)", data).coefficients.names == ("Intercept", "x")


def test_columns_are_those_that_a_fit_keeps() -> None:
    data = some_data() | {"x2": 2.0 * some_data()["x"]}
    fit = me.fit("y ~ f + x + x2 + (1 | g)", data)
    names = model_of("y ~ f + x + x2 + (1 | g)", data).coefficients.names
    assert list(names) == fit.fixef()["term"].tolist()


def test_table_is_in_the_callers_library() -> None:
    polars = pytest.importorskip("polars")
    table = model_of("y ~ x + (1 | g)", polars.DataFrame(some_data())).table()
    assert isinstance(table, polars.DataFrame)
    assert table.columns == ["parameter", "prior", "source"]


# -- addresses -----------------------------------------------------------------------------

FORMULA = "y ~ x + z + (x | g) + (1 | h)"


@pytest.mark.parametrize(
    ("address", "prior", "parameters"),
    [
        ("x", Normal(0, 1), {"x"}),
        ("b", Normal(0, 1), {"x", "z"}),
        ("Intercept", StudentT(3, 0, 1), {"Intercept"}),
        ("sd(x | g)", HalfNormal(1), {"sd(x | g)"}),
        ("sd(x|g)", HalfNormal(1), {"sd(x | g)"}),
        (" sd( x | g ) ", HalfNormal(1), {"sd(x | g)"}),
        ("sd(g)", Exponential(1), {"sd(Intercept | g)", "sd(x | g)"}),
        ("sd", Gamma(2, 1), {"sd(Intercept | g)", "sd(x | g)", "sd(Intercept | h)"}),
        ("cor(g)", LKJ(2), {"cor(g)"}),
        ("cor(x | g)", LKJ(2), {"cor(g)"}),
        ("cor", LKJ(2), {"cor(g)"}),
        ("sigma", Exponential(1), {"sigma"}),
        ("conditional: x", Laplace(0, 1), {"x"}),
    ],
)
def test_addresses(address: str, prior: AbstractPrior, parameters: set[str]) -> None:
    model = model_of(FORMULA, some_data(), priors={address: prior})
    given = {a.parameter.name for a in model.assigned if a.source == "given"}
    assert given == parameters
    assert {a.prior for a in model.assigned if a.source == "given"} == {prior}


def test_the_narrowest_address_wins_in_any_order() -> None:
    priors = {
        "sd": HalfNormal(1),
        "sd(g)": HalfNormal(2),
        "sd(x | g)": HalfNormal(3),
        "b": Normal(0, 1),
        "z": Normal(0, 2),
    }
    for order in (1, -1):
        given = dict(list(priors.items())[::order])
        found = {
            a.parameter.name: a.prior for a in model_of(FORMULA, some_data(), priors=given).assigned
        }
        assert found["sd(Intercept | h)"] == HalfNormal(1)
        assert found["sd(Intercept | g)"] == HalfNormal(2)
        assert found["sd(x | g)"] == HalfNormal(3)
        assert (found["x"], found["z"]) == (Normal(0, 1), Normal(0, 2))


def test_classes_are_of_one_predictor() -> None:
    model = model_of(
        "count ~ x + (1 | g)",
        some_data(),
        "nbinom2",
        {"b": Normal(0, 1), "dispersion: b": Normal(0, 2), "zero_inflation: z": Normal(0, 3)},
        others={"dispersion": "~ z", "zero_inflation": "~ z"},
    )
    priors = shown(model)
    assert priors["x"] == "Normal(0, 1)"
    assert priors["dispersion: z"] == "Normal(0, 2)"
    assert priors["zero_inflation: z"] == "Normal(0, 3)"


def test_a_column_comes_before_a_class_of_its_name() -> None:
    data = some_data() | {"b": some_data()["z"]}
    priors = shown(model_of("y ~ x + b + (1 | g)", data, priors={"b": Normal(0, 7)}))
    assert priors["b"] == "Normal(0, 7)"
    assert priors["x"] != "Normal(0, 7)"


def test_one_name_for_two_parameters() -> None:
    data = some_data() | {"sigma": some_data()["z"]}
    with pytest.raises(ModelError, match="'conditional: sigma' and 'dispersion: sigma'"):
        model_of("y ~ sigma + (1 | g)", data, priors={"sigma": Flat()})
    given = {"dispersion: sigma": Exponential(1), "conditional: sigma": Normal(0, 1)}
    priors = shown(model_of("y ~ sigma + (1 | g)", data, priors=given))
    assert priors["dispersion: sigma"] == "Exponential(1)"
    assert priors["conditional: sigma"] == "Normal(0, 1)"


def test_two_correlation_matrices_of_one_group() -> None:
    formula = "y ~ x + (1 + x | g) + (0 + f | g)"
    given = {"cor(1 + x | g)": LKJ(3), "cor(g)": LKJ(2)}
    found = [
        a
        for a in model_of(formula, some_data(), priors=given).assigned
        if "cor" in a.parameter.name
    ]
    assert {str(a.prior) for a in found} == {"LKJ(3)", "LKJ(2)"}
    assert len({a.parameter.name for a in found}) == 2


def test_flat_correlations_are_uniform() -> None:
    model = model_of(SLEEP, "sleepstudy", priors={"cor": Flat()})
    assert shown(model)["cor(Subject)"] == "LKJ(1)"


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        ({"X": Normal(0, 1)}, r"no parameter 'X' to give a prior\. Did you mean 'x'\?"),
        ({"sd(x | k)": HalfNormal(1)}, r"Did you mean 'sd\(x \| g\)'\?"),
        ({"nothing": Normal(0, 1)}, "It has: 'Intercept', 'x', 'z', .* and the classes 'b'"),
        ({"dispersion: b": Normal(0, 1)}, "no parameter 'dispersion: b'"),
        ({"sd": Normal(0, 1)}, r"Normal\(0, 1\) is no prior of 'sd\(Intercept \| g\)'"),
        ({"sigma": StudentT(3, 0, 1)}, "positive: HalfNormal, HalfStudentT, Exponential, Gamma"),
        ({"x": HalfNormal(1)}, "any real number: Normal, StudentT, Laplace or Flat"),
        ({"x": LKJ(1)}, "no prior of 'x'"),
        ({"cor": Normal(0, 1)}, "correlations: LKJ or Flat"),
        ({"x": "normal(0, 1)"}, "give an object of me.priors"),
        ({"x": Normal}, "the class Normal, without its parameters"),
        ({"x": 3.0}, "The prior of 'x' is 3.0"),
        ({1: Normal(0, 1)}, "the key 1"),
        ({"sd(g)": HalfNormal(1), "sd( g)": HalfNormal(2)}, "one parameter: keep one"),
        ([Normal(0, 1)], "takes a dict"),
    ],
)
def test_bad_addresses_and_priors(priors: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        model_of(FORMULA, some_data(), priors=priors)


# -- coefficients --------------------------------------------------------------------------


def test_gaussian_form_is_the_density() -> None:
    given = {"z": Normal(1, 0.5), "x": Flat()}
    own = model_of(FORMULA, some_data(), priors=given).coefficients
    assert own.gaussian_root is not None
    root, target = own.gaussian_root
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 3))
    found = own.log_density(first)[0] - own.log_density(second)[0]
    by_root = [-0.5 * float(np.sum((root @ b - target) ** 2)) for b in (first, second)]
    assert found == pytest.approx(by_root[0] - by_root[1], rel=1e-10)
    assert np.linalg.matrix_rank(root) == len(root) == 2


def test_other_priors_have_no_gaussian_form() -> None:
    own = model_of(FORMULA, some_data(), priors={"x": Laplace(0, 1)}).coefficients
    assert own.gaussian_root is None


def test_gradient_of_coefficients() -> None:
    given = {"x": StudentT(3, 0, 1), "dispersion: z": Laplace(1, 2)}
    own = model_of(FORMULA, some_data(), priors=given, others={"dispersion": "~ z"}).coefficients
    beta = np.array([3.0, 0.4, -0.3, 1.0, 0.7])
    _, gradient = own.log_density(beta)
    expected = differences(lambda at: own.log_density(at)[0], beta)
    np.testing.assert_allclose(gradient, expected, rtol=CLOSE, atol=CLOSE)


def test_far_columns_keep_their_digits() -> None:
    data = some_data() | {"far": some_data()["x"] + 1e7}
    near = model_of("y ~ x + (1 | g)", data).coefficients
    far = model_of("y ~ far + (1 | g)", data).coefficients
    beta = np.array([5.0, 1.5])
    moved = np.array([5.0 - 1.5e7, 1.5])
    assert far.log_density(moved)[0] == pytest.approx(near.log_density(beta)[0], rel=1e-7)


# -- extra parameters ----------------------------------------------------------------------

EXTRAS = [
    ("rating ~ x + (1 | g)", "cumulative", {}),
    ("rating ~ x + (1 | g)", "cumulative", {"0|1": Normal(-1, 2)}),
    ("rating ~ x + (1 | g)", "cumulative", {"threshold": StudentT(4, 0, 2)}),
    ("y ~ x + (1 | g)", "student_t", {}),
    ("y ~ x + (1 | g)", "student_t", {"df": Exponential(0.1)}),
    ("count ~ x + (1 | g)", "tweedie", {}),
    ("count ~ x + (1 | g)", "tweedie", {"power": Normal(1.5, 0.1)}),
    ("share ~ x + (1 | g)", "ordbeta", {}),
    ("share ~ x + (1 | g)", "ordbeta", {"cutpoint.1": Normal(-3, 1)}),
]


@pytest.mark.parametrize(("formula", "family", "given"), EXTRAS)
def test_extras(formula: str, family: str, given: dict[str, AbstractPrior]) -> None:
    model = model_of(formula, some_data(), family, given)
    own, rng = model.extras, np.random.default_rng(2)
    for _ in range(3):
        beta = model.coefficients.draw(rng)
        values = own.draw(rng, beta)
        psi = own.transform.from_user(values)
        value, by_psi, by_beta = own.log_density(psi, beta)
        # the prior of values, less what thresholds have at the means, and the Jacobian
        shifted = values - own.shifts @ beta - own.constant
        density = sum(
            float(p.log_density(v)) for p, v in zip(own.independent.priors, shifted, strict=True)
        )
        jacobian = np.linalg.slogdet(own.transform.to_user(psi)[1])[1]
        assert value == pytest.approx(density + jacobian, rel=1e-10, abs=1e-10)
        expected = differences(lambda at, b=beta: own.log_density(at, b)[0], psi)
        np.testing.assert_allclose(by_psi, expected, rtol=CLOSE, atol=CLOSE)
        expected = differences(lambda at, p=psi: own.log_density(p, at)[0], beta)
        np.testing.assert_allclose(by_beta, expected, rtol=CLOSE, atol=CLOSE)


def test_thresholds_are_at_the_means_unless_given() -> None:
    data = some_data()
    own = model_of("rating ~ x + (1 | g)", data, "cumulative", {"1|2": Normal(0, 1)}).extras
    np.testing.assert_allclose(own.shifts[:, 0], [data["x"].mean(), 0.0, data["x"].mean()])


def test_thresholds_by_the_categories_they_part() -> None:
    data = some_data() | {"mood": np.array(["bad", "fair", "good"])[np.arange(60) % 3]}
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(data)
    frame["mood"] = pandas.Categorical(frame["mood"], ["bad", "fair", "good"], ordered=True)
    model = model_of("mood ~ x + (1 | g)", frame, "cumulative", {"fair|good": Normal(2, 1)})
    assert shown(model)["fair|good"] == "Normal(2, 1)"
    assert "bad|fair" in shown(model)


def test_equidistant_thresholds() -> None:
    design = build_design("rating ~ x + (1 | g)", some_data(), kind="ordinal")
    family = me.families.Cumulative(threshold="equidistant")
    given = {"threshold.1": Normal(0, 1), "spacing": HalfNormal(2)}
    priors = shown(build_priors(design, family, given))
    assert priors["threshold.1"] == "Normal(0, 1)"
    assert priors["spacing"] == "HalfNormal(2)"
    with pytest.raises(ModelError, match="no prior of 'spacing'"):
        build_priors(design, family, {"spacing": Normal(0, 1)})


@pytest.mark.parametrize(("name", "factor"), [("y", 1e200), ("y", 1e-200), ("x", 1e200), ("y", 0)])
def test_impossible_values_are_left_to_what_samples(name: str, factor: float) -> None:
    data = some_data()
    model = model_of("y ~ x + (x | g)", data | {name: factor * data[name]})
    assert {"Intercept", "sd(x | g)", "sigma"} <= set(shown(model))


@pytest.mark.parametrize(
    ("response", "family"),
    [
        *(("y", "gaussian"), ("rating", "cumulative"), ("y", "student_t")),
        *(("count", "tweedie"), ("share", "ordbeta")),
    ],
)
def test_a_prior_can_be_pickled(response: str, family: str) -> None:
    model = model_of(f"{response} ~ x + (x | g)", some_data(), family)
    again = pickle.loads(pickle.dumps(model))
    beta, rng = np.full(len(model.coefficients.names), 0.3), np.random.default_rng(1)
    assert again.coefficients.log_density(beta)[0] == model.coefficients.log_density(beta)[0]
    x = model.terms[0].draw(rng)
    assert again.terms[0].log_prior(x)[0] == model.terms[0].log_prior(x)[0]
    psi = np.full(len(model.extras.names), -0.4)
    assert again.extras.log_density(psi, beta)[0] == model.extras.log_density(psi, beta)[0]
