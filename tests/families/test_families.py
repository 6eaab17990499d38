"""Names, links, checks of responses, starts and shared parameters of the families."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from families.points import NAMES, grid, values
from mixedeffects import families
from mixedeffects.errors import DataError, ModelError
from mixedeffects.families import FAMILIES, Cumulative, Poisson, ZeroInflated, build


def test_names():
    assert list(FAMILIES) == [
        *("gaussian", "binomial", "betabinomial", "poisson", "nbinom1", "nbinom2", "genpois"),
        *("compois", "truncated_poisson", "truncated_nbinom1", "truncated_nbinom2", "gamma"),
        *("inverse_gaussian", "lognormal", "beta", "ordbeta", "tweedie", "student_t"),
        "cumulative",
    ]
    assert set(families.__all__) == {
        *("FAMILIES", "AbstractFamily", "Derivatives", "Extras", "Response", "build"),
        *(kind.__name__ for kind in FAMILIES.values()),
        "ZeroInflated",
    }


def test_a_family_is_built_from_its_name_its_class_or_itself():
    assert build("poisson") == build(Poisson) == build(Poisson()) == Poisson(link="log")
    assert build(Poisson(link="sqrt")).link == "sqrt"


@pytest.mark.parametrize(
    ("family", "says"),
    [
        ("poison", "Did you mean 'poisson'"),
        ("negative binomial", "nbinom1, nbinom2"),
        (3, "Unknown family 3"),
    ],
)
def test_unknown_families_list_the_known_ones(family, says):
    with pytest.raises(ModelError, match=says):
        build(family)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_links_list_the_known_ones(name):
    with pytest.raises(ModelError, match=f"'{name}' has no link 'lgit'"):
        FAMILIES[name](link="lgit")


def test_unknown_thresholds_and_doubled_inflation():
    with pytest.raises(ModelError, match="neither 'flexible' nor 'equidistant'"):
        Cumulative(threshold="symmetric")
    with pytest.raises(ModelError, match="takes no zero_inflation="):
        ZeroInflated(Cumulative())
    with pytest.raises(ModelError, match="takes no zero_inflation="):
        ZeroInflated(ZeroInflated(Poisson()))


# -------------------------------------------------------------------- responses
BAD = [
    ("gaussian", [1.0, np.inf], None, "inf in row 1"),
    ("student_t", [np.nan, 1.0], None, "nan in row 0"),
    ("poisson", [1.0, 2.5], None, r"2\.5 in row 1\. .*counts 0, 1, 2.*offset"),
    ("poisson", [1.0, -1.0, -3.0], None, r"-1 in row 1 \(and in 1 more\)"),
    ("nbinom2", [0.5], None, "nbinom2.*counts"),
    ("compois", [np.inf], None, "inf in row 0"),
    ("truncated_poisson", [1.0, 0.0], None, "counts 1, 2, 3.*zero_inflation="),
    ("truncated_nbinom1", [1.5], None, "1.5 in row 0"),
    ("gamma", [1.0, 0.0], None, "positive values.*zero_inflation=.*tweedie"),
    ("inverse_gaussian", [-2.0], None, "-2 in row 0"),
    ("lognormal", [0.0], None, "0 in row 0"),
    ("beta", [0.3, 1.0], None, "strictly between 0 and 1.*ordbeta"),
    ("ordbeta", [0.3, 1.2], None, "1.2 in row 1"),
    ("tweedie", [-0.1], None, "zero or positive"),
    ("binomial", [0.0, 2.0], None, "0 or 1.*weights="),
    ("binomial", [0.25, 0.5], None, "0.25 in row 0 .*proportions"),
    ("binomial", [1.0, 1.0], [2.0, 0.0], "'trials of y' is 0 in row 1.*drop the rows"),
    ("binomial", [1.0], [2.5], "'trials of y' is 2.5"),
    ("binomial", [1.0, 3.0], [2.0, 2.0], "3 in row 1.*more than its trials"),
    ("binomial", [0.4], [2.0], "Successes are whole"),
    ("betabinomial", [-1.0], [2.0], "-1 in row 0"),
    ("cumulative", [0.0, 1.5], None, "Codes of ordered categories"),
    ("cumulative", [0.0, 0.0], None, "one category only"),
    ("cumulative", [0.0, 2.0], None, "No row of 'y' is in category 2 of 3"),
]


@pytest.mark.parametrize(("name", "y", "trials", "says"), BAD)
def test_impossible_values_name_the_row_and_a_way_out(name, y, trials, says):
    trials = None if trials is None else np.array(trials)
    with pytest.raises(DataError, match=says):
        build(name).response(np.array(y), trials)


def test_rows_are_counted_as_the_caller_does():
    with pytest.raises(DataError, match="'kills' is -4 in row 31"):
        build("poisson").response(np.array([1.0, -4.0]), name="kills", rows=np.array([30, 31]))


@pytest.mark.parametrize("name", [n for n in NAMES if n not in {"binomial", "betabinomial"}])
def test_two_columns_are_for_trials(name):
    with pytest.raises(ModelError, match="takes one column"):
        build(name).response(values(name)[0], np.full(len(values(name)[0]), 9.0))


def test_zeros_of_a_hurdle_are_no_fault_but_its_other_values_are_checked():
    family = ZeroInflated(build("truncated_nbinom2"))
    assert family.response(np.array([0.0, 3.0, 0.0])).y.tolist() == [0, 3, 0]
    with pytest.raises(DataError, match=r"2\.5 in row 2"):
        family.response(np.array([0.0, 3.0, 2.5]))
    assert ZeroInflated(build("gamma")).response(np.zeros(3)).y.tolist() == [0, 0, 0]


def test_successes_may_be_rounded_proportions():
    n = np.array([3.0, 7.0, 49.0])
    response = build("binomial").response(np.array([1 / 3, 2 / 7, 48 / 49]) * n, n)
    assert response.y.tolist() == [1, 2, 48]
    np.testing.assert_allclose(response.observed, [1 / 3, 2 / 7, 48 / 49])


# -------------------------------------------------------------------- starts and extras
@pytest.mark.parametrize("name", NAMES)
def test_starts_are_finite_and_possible_with_every_link(name):
    for link in FAMILIES[name].links:
        family = FAMILIES[name](link=link)
        response, predictors = grid(family)
        eta = family.initial_eta(response)
        assert eta.shape == response.y.shape
        extras = family.extras(response)
        delta = (np.asarray(family.initial_dispersion(response)),) * family.has_dispersion
        point = (eta, *delta, *(np.asarray(p) for p in extras.start))
        assert len(point) == len(predictors)
        found = family.derivatives(response, point, 3)
        for term in (found.value, *found.first.values(), *found.second.values()):
            assert np.isfinite(term).all()


@pytest.mark.parametrize("name", [n for n in NAMES if n != "cumulative"])
def test_starts_of_zero_inflation(name):
    family = ZeroInflated(build(name))
    response, _ = grid(family.base)
    y = np.append(response.y, np.zeros(len(response.y)))
    trials = None if response.trials is None else np.append(response.trials, response.trials)
    inflated = family.response(y, trials)
    assert np.isfinite(family.initial_eta(inflated)).all()
    assert np.isfinite(family.initial_dispersion(inflated))
    assert -4 < family.initial_zero_inflation(inflated) < 4
    assert family.predictors()[-1] == "zero_inflation"


@pytest.mark.parametrize("name", ["student_t", "tweedie", "ordbeta", "cumulative"])
def test_shared_parameters_on_the_users_scale(name):
    kinds = [Cumulative(), Cumulative(threshold="equidistant")]
    for family in kinds if name == "cumulative" else [build(name)]:
        response, _ = grid(family)
        extras = family.extras(response)
        psi = extras.start + 0.2
        shown, jacobian = extras.to_user(psi)
        assert len(extras.names) == len(psi) == len(shown)
        back = extras.from_user(np.stack([shown, shown]))
        np.testing.assert_allclose(back, np.stack([psi, psi]), rtol=1e-10, atol=1e-12)
        for k, step in enumerate(1e-6 * np.eye(len(psi))):
            slope = (extras.to_user(psi + step)[0] - extras.to_user(psi - step)[0]) / 2e-6
            np.testing.assert_allclose(jacobian[:, k], slope, rtol=1e-6, atol=1e-8)


def test_thresholds_start_at_the_shares_of_the_categories():
    family = Cumulative()
    response = family.response(np.repeat([0.0, 1.0, 2.0], [1, 2, 1]))
    extras = family.extras(response)
    assert extras.names == ("1|2", "2|3")
    np.testing.assert_allclose(extras.to_user(extras.start)[0], np.log([1 / 3, 3]))
    two = family.response(np.array([0.0, 1.0]))
    assert Cumulative(threshold="equidistant").extras(two).names == ("threshold.1",)


# -------------------------------------------------------------------- invariances
@pytest.mark.parametrize("name", NAMES)
def test_rows_are_independent(name):
    family = build(name)
    response, predictors = grid(family)
    order = np.random.default_rng(1).permutation(len(response.y))
    one = family.log_density(response, predictors)
    two = family.log_density(response.take(order), tuple(p[order] for p in predictors))
    np.testing.assert_allclose(two, one[order], rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_families_and_responses_pickle(name):
    family = build(name)
    response, predictors = grid(family)
    expected = family.log_density(response, predictors)
    family, response = pickle.loads(pickle.dumps((family, response)))
    np.testing.assert_array_equal(family.log_density(response, predictors), expected)


def test_what_is_remembered_follows_the_inputs():
    family = build("nbinom2")
    response = family.response(np.arange(6.0))
    eta = np.linspace(0, 1, 6)
    for delta in (0.3, 2.0, 0.3):
        fresh = family.response(np.arange(6.0))
        np.testing.assert_array_equal(
            family.log_density(response, (eta, np.asarray(delta))),
            family.log_density(fresh, (eta, np.asarray(delta))),
        )


@pytest.mark.parametrize(
    ("name", "link", "eta"),
    [("poisson", "identity", -0.5), ("gamma", "inverse", -2.0), ("binomial", "log", 0.4)],
)
def test_impossible_means_have_density_zero_and_no_warning(name, link, eta):
    family = FAMILIES[name](link=link)
    response = family.response(np.array([1.0]))
    point = (np.array([eta]), np.zeros(1))[: 1 + family.has_dispersion]
    assert family.derivatives(response, point, 3).value[0] == -np.inf


@pytest.mark.parametrize("name", ["gaussian", "poisson", "binomial", "gamma", "inverse_gaussian"])
def test_deviance_is_twice_the_distance_from_a_perfect_fit(name):
    family = build(name)
    response, predictors = grid(family)
    scale = np.exp(predictors[1]) if name in {"gaussian", "inverse_gaussian"} else 1.0
    if name == "gamma":
        scale = np.exp(-predictors[1])
    with np.errstate(all="ignore"):
        perfect = np.clip(family.g.forward(response.observed), -36, 36)
    best = family.log_density(response, (perfect, *predictors[1:]))
    gap = 2 * (best - family.log_density(response, predictors)) * scale
    deviance = family.deviance(response, predictors)
    np.testing.assert_allclose(deviance, gap, rtol=1e-8, atol=1e-9)


def test_negative_binomials_approach_poisson():
    y = np.array([0.0, 3.0, 40.0, 1e6])
    eta = np.array([1.0, 1.5, 3.5, 13.8])
    poisson = build("poisson")
    expected = poisson.derivatives(poisson.response(y), (eta,), 3)
    for name, delta in (("nbinom2", np.log(1e14)), ("nbinom1", np.log(1e-14))):
        family = build(name)
        found = family.derivatives(family.response(y), (eta, np.asarray(delta)), 3, (0, 1))
        np.testing.assert_allclose(found.value, expected.value, rtol=1e-8)
        np.testing.assert_allclose(found.first[0], expected.first[0], rtol=1e-7)
        np.testing.assert_allclose(found.second[0, 0], expected.second[0, 0], rtol=1e-7)
        # what is left of the dispersion is the first term of its expansion
        mu = np.exp(eta)
        left = ((y - mu) ** 2 - y) / 2 * (-1e-14 if name == "nbinom2" else 1e-14 / mu)
        np.testing.assert_allclose(found.first[1], left, rtol=1e-5, atol=1e-25)
