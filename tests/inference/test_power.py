"""Power: the level where nothing is there, noncentral F elsewhere, the tests of the refits."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

import mixedeffects as me
from mixedeffects.errors import ConvergenceWarning, FormulaError, ModelError
from mixedeffects.inference.draws import parametric_draws
from mixedeffects.inference.power import binomial_limits
from mixedeffects.inference.power_designs import resized, with_parameters
from mixedeffects.inference.streams import Streams

# Simulated shares lie within four standard errors of the truth but once in 16,000 tests.
ERRORS = 4.0


def within_error(share, expected, n):
    return np.abs(share - expected) <= ERRORS * np.sqrt(expected * (1.0 - expected) / n)


def arms(groups=10, rows=4):
    """Two treatments, each group has one; neighbours alternate."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(groups), rows)
    y = rng.normal(size=groups)[g] * 2.0 + rng.normal(size=len(g))
    return pd.DataFrame({"y": y, "t": g % 2, "g": g, "x": np.tile(np.arange(rows), groups)})


@pytest.fixture(scope="module")
def balanced():
    return me.fit("y ~ t + (1 | g)", arms())


@pytest.fixture(scope="module")
def sleep():
    return me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))


@pytest.fixture(scope="module")
def dyestuff():
    return me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff"))


# -- what is known ---------------------------------------------------------------------------------

SD, SIGMA = 2.0, 1.0


def noncentral(effect, groups, rows, alpha=0.05):
    """Power of the F test of two arms on group means; exact unless a variance is zero."""
    variance = 4.0 * (SD**2 + SIGMA**2 / rows) / groups
    critical = stats.f.isf(alpha, 1, groups - 2)
    return stats.ncf.sf(critical, 1, groups - 2, effect**2 / variance)


def simulated(fit, effect, **options):
    return me.power(
        fit,
        "t",
        600,
        effects={"t": effect},
        sds={"sd(Intercept | g)": SD},
        sigma=SIGMA,
        seed=2,
        **options,
    )


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger"])
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_the_level_where_there_is_no_effect(balanced, df, alpha):
    found = simulated(balanced, 0.0, df=df, alpha=alpha)
    assert within_error(found.power[0], alpha, 600)


def test_noncentral_f_along_groups(balanced):
    sizes = [4, 10, 16]
    found = simulated(balanced, 3.0, extend={"g": sizes})
    expected = np.array([noncentral(3.0, groups, 4) for groups in sizes])
    assert np.all(within_error(found.power, expected, 600)), (found.power, expected)
    assert found.table["size"].tolist() == sizes


def test_noncentral_f_along_observations(balanced):
    found = simulated(balanced, 3.0, extend={"within": [1, 5]})
    expected = np.array([noncentral(3.0, 10, rows) for rows in (4, 20)])
    assert np.all(within_error(found.power, expected, 600)), (found.power, expected)


def test_asymptotic_tests_of_few_groups_reject_too_often(balanced):
    found = simulated(balanced, 0.0, df="asymptotic", extend={"g": 4})
    assert found.power[0] > 0.1


def test_the_level_of_random_terms(dyestuff, sleep):
    """Exact for one variance; at 5% asymptotic tests of 18 slopes are near enough."""
    found = me.power(dyestuff, "(1 | Batch)", 1000, sds={"sd(Intercept | Batch)": 0}, seed=1)
    assert within_error(found.power[0], 0.05, 1000)
    found = me.power(sleep, "Days in (Days | Subject)", 1000, sds={"sd(Days | Subject)": 0}, seed=1)
    assert 0.02 < found.power[0] < 0.07


def test_binomial_limits():
    for k, n in ((0, 20), (3, 20), (20, 20), (500, 1000)):
        for level in (0.8, 0.95):
            expected = stats.binomtest(k, n).proportion_ci(level, method="exact")
            found = binomial_limits([k], [n], level)[0]
            np.testing.assert_allclose(found, [expected.low, expected.high], rtol=1e-9)


def test_the_table_is_of_the_p_values(balanced):
    found = simulated(balanced, 2.0, extend={"g": [6, 10]}, level=0.9)
    shares = (found.p_values < 0.05).mean(axis=1)
    table = found.table
    assert list(table) == ["size", "power", "conf_low", "conf_high", "n", "failed"]
    np.testing.assert_array_equal(table["power"], shares)
    limits = binomial_limits(shares * 600, [600, 600], 0.9)
    np.testing.assert_allclose(table[["conf_low", "conf_high"]], limits)
    assert table["n"].tolist() == [600, 600]
    assert table["failed"].tolist() == [0, 0]


# -- each replicate's test is that of its refit ----------------------------------------------------


def refits(fit, truth, n, seed):
    """Fits to the responses that a simulation with this seed sees."""
    draws = parametric_draws(truth, "marginal", Streams(seed))
    for y in (draws.mean[:, None] + draws.deviations(0, n)).T:
        yield fit.refit(y, on_check="ignore")


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger", "residual", "asymptotic"])
@pytest.mark.parametrize("test", ["Days", "Days = 5", [[1.0, 0.0], [0.0, 1.0]]])
def test_wald_tests(sleep, df, test):
    found = me.power(sleep, test, 6, effects={"Days": 4}, df=df, seed=8)
    truth = with_parameters(sleep._fit, {"Days": 4}, None, None)
    expected = [other.test(test, df=df).joint.p_value for other in refits(sleep, truth, 6, 8)]
    # the two searches end within their tolerance of each other
    np.testing.assert_allclose(found.p_values[0], expected, rtol=1e-3)


def test_wald_tests_of_weighted_and_offset_models():
    data = arms().assign(w=lambda d: 1.0 + d["x"], o=lambda d: 10.0 * d["x"])
    fit = me.fit("y ~ t + x + (1 | g)", data, weights="w", offset="o")
    found = me.power(fit, "x", 5, seed=3)
    draws = parametric_draws(fit._fit, "marginal", Streams(3))
    responses = draws.mean + data["o"].to_numpy() + draws.deviations(0, 5).T
    expected = [fit.refit(y).test("x").joint.p_value for y in responses]
    np.testing.assert_allclose(found.p_values[0], expected, rtol=1e-3)


def test_likelihood_ratios_of_terms(sleep):
    found = me.power(sleep, "Days", 5, effects={"Days": 4}, method="lrt", seed=8)
    truth = with_parameters(sleep._fit, {"Days": 4}, None, None)
    data = me.datasets.load("sleepstudy")
    for p, other in zip(found.p_values[0], refits(sleep, truth, 5, 8), strict=True):
        own = data.assign(Reaction=other._fit.design.y)
        small = me.fit("Reaction ~ 1 + (Days | Subject)", own, reml=False)
        large = me.fit("Reaction ~ Days + (Days | Subject)", own, reml=False)
        assert p == pytest.approx(me.compare(small, large)["p_value"][1], rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("term", ["Days in (Days | Subject)", "Days  in (Days|Subject)"])
def test_likelihood_ratios_of_slopes(sleep, term):
    change = {"sd(Days | Subject)": 2.0}
    found = me.power(sleep, term, 5, sds=change, seed=8)
    others = refits(sleep, with_parameters(sleep._fit, None, change, None), 5, 8)
    expected = [other.test_random()["p_value"][1] for other in others]
    np.testing.assert_allclose(found.p_values[0], expected, rtol=1e-3)


def test_likelihood_ratios_of_one_variance(dyestuff):
    """Interpolated, and from other draws: some percent of a p value."""
    found = me.power(dyestuff, "(1 | Batch)", 8, seed=8)
    others = refits(dyestuff, dyestuff._fit, 8, 8)
    expected = np.array([other.test_random()["p_value"][1] for other in others])
    seen = expected > 1e-6
    np.testing.assert_allclose(found.p_values[0][seen], expected[seen], rtol=0.15)
    assert np.all(found.p_values[0][~seen] < 1e-5)


def test_a_test_of_ones_own(sleep):
    def slope(fit):
        return fit.fixef().set_index("term")["p_value"]["Days"]

    own = me.power(sleep, slope, 5, effects={"Days": 4}, extend={"Subject": [6, 20]}, seed=1)
    built = me.power(sleep, "Days", 5, effects={"Days": 4}, extend={"Subject": [6, 20]}, seed=1)
    np.testing.assert_allclose(own.p_values, built.p_values, rtol=1e-3)
    assert "slope(fit)" in repr(own)


def test_names_with_a_bar_are_no_random_terms():
    data = arms().assign(t=lambda d: np.where(d["t"] > 0, "b|c", "a"))
    fit = me.fit("y ~ t + (1 | g)", data)
    found = me.power(fit, "t[T.b|c] = 0", 3, seed=1)
    assert found.test == "t[T.b|c] = 0 (satterthwaite)"
    assert "likelihood ratio" in repr(me.power(fit, "(1 | g)", 3, seed=1))


# -- numbers that do not depend on how they are made -----------------------------------------------


def test_threads_and_seeds(sleep):
    ask = partial(me.power, sleep, "Days", 70, effects={"Days": 3})
    one, two = ask(seed=5, threads=1), ask(seed=5, threads=3)
    np.testing.assert_array_equal(one.p_values, two.p_values)
    again = ask(seed=np.random.default_rng(1)), ask(seed=np.random.default_rng(1))
    np.testing.assert_array_equal(again[0].p_values, again[1].p_values)
    assert not np.array_equal(one.p_values, again[0].p_values)


def test_first_replicates_are_those_of_fewer(sleep):
    many, few = (me.power(sleep, "Days", n, effects={"Days": 3}, seed=5) for n in (40, 7))
    np.testing.assert_allclose(many.p_values[0][:7], few.p_values[0], rtol=1e-6)


def test_the_present_size_is_the_fit_itself(sleep):
    own = me.power(sleep, "Days", 10, effects={"Days": 3}, seed=5)
    for extend in ({"Subject": 18}, {"within": 1}):
        same = me.power(sleep, "Days", 10, effects={"Days": 3}, seed=5, extend=extend)
        np.testing.assert_allclose(same.p_values, own.p_values, rtol=1e-4)


def test_units_do_not_matter(balanced):
    large = me.fit("y ~ t + (1 | g)", arms().assign(y=lambda d: 1e4 * d["y"]))
    own = me.power(balanced, "t", 20, effects={"t": 2.0}, seed=1)
    other = me.power(large, "t", 20, effects={"t": 2e4}, seed=1)
    np.testing.assert_allclose(other.p_values, own.p_values, rtol=1e-3)


# -- designs and parameters ------------------------------------------------------------------------


def sizes(design):
    return {random.group: len(random.levels) for random in design.random}


def test_new_groups_bring_what_is_nested_in_them():
    fit = me.fit("strength ~ 1 + (1 | batch) + (1 | sample)", me.datasets.load("pastes"))
    assert sizes(fit.design) == {"batch": 10, "sample": 30}
    larger = resized(fit._fit, "batch", 23).design
    assert sizes(larger) == {"batch": 23, "sample": 69}
    assert len(larger.y) == 23 * 6
    for random in larger.random:
        assert len(set(random.levels)) == len(random.levels)
        np.testing.assert_array_equal(np.bincount(random.codes), len(larger.y) / len(random.levels))


def test_new_groups_share_what_is_crossed_with_them():
    fit = me.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", me.datasets.load("penicillin"))
    larger = resized(fit._fit, "plate", 50).design
    assert sizes(larger) == {"plate": 50, "sample": 6}
    assert len(larger.y) == 300
    fewer = resized(fit._fit, "sample", 2).design
    assert sizes(fewer) == {"plate": 24, "sample": 2}
    assert len(fewer.y) == 48


def test_groups_repeat_in_their_order(balanced):
    design = resized(balanced._fit, "g", 13).design
    (random,), t = design.random, design.x_names.index("t")
    treatments = [design.X[random.codes == k, t].tolist() for k in range(13)]
    assert treatments == [[float(k % 2)] * 4 for k in (*range(10), 0, 1, 2)]
    assert design.columns.n_rows == len(design.y)


def test_repeated_observations(sleep):
    design = resized(sleep._fit, "within", 3).design
    assert sizes(design) == {"Subject": 18}
    assert len(design.y) == 540
    np.testing.assert_array_equal(design.X[180:360], design.X[:180])


def test_true_standard_deviations(sleep):
    own = sleep._fit.estimates.terms[0].covariance
    truth = with_parameters(sleep._fit, None, {"sd(Days | Subject)": 3.0}, 10.0).estimates
    (term,) = truth.terms
    np.testing.assert_allclose(truth.sigma**2 * term.factor @ term.factor.T, term.covariance)
    deviations = np.sqrt(np.diagonal(term.covariance))
    np.testing.assert_allclose(deviations, [np.sqrt(own[0, 0]), 3.0])
    correlation = own[0, 1] / np.sqrt(own[0, 0] * own[1, 1])
    assert term.covariance[0, 1] == pytest.approx(correlation * deviations.prod())
    assert truth.sigma == 10.0


def test_a_deviation_estimated_as_zero():
    fit = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff2"))
    assert fit.is_singular
    found = me.power(fit, "(1 | Batch)", 200, sds={"sd(Intercept | Batch)": 10.0}, seed=1)
    assert found.power[0] > 0.9


def test_one_deviation_of_all_columns():
    data = arms(rows=8).assign(f=lambda d: (d["x"] % 3).astype(str))
    fit = me.fit("y ~ t + homcs(0 + f | g)", data, on_check="ignore")
    (term,) = with_parameters(fit._fit, None, {"sd(all | g)": 0.5}, None).estimates.terms
    np.testing.assert_allclose(np.diagonal(term.covariance), 0.25)


def test_results_pickle_and_come_back_in_the_callers_library():
    import pickle

    fit = me.fit("y ~ t + (1 | g)", pl.from_pandas(arms()))
    found = me.power(fit, "t", 10, seed=1)
    assert isinstance(found.table, pl.DataFrame)
    assert isinstance(found.failed, pl.DataFrame)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found)).p_values, found.p_values)
    assert repr(found).startswith("<Power of t = 0 (satterthwaite) at 0.05: 10 replicates a size\n")


# -- failures and refusals -------------------------------------------------------------------------


def test_failures_are_counted_and_shown(dyestuff):
    calls = iter(range(1000))

    def sometimes(fit):
        if next(calls) % 4 == 2:
            raise RuntimeError("no luck")
        return 0.01

    with pytest.warns(ConvergenceWarning, match=r"5 of 20 replicates failed.*no luck"):
        found = me.power(dyestuff, sometimes, 20, seed=1)
    assert found.n_failed == 5
    assert found.table["failed"].tolist() == [5]
    assert found.power[0] == 1.0
    np.testing.assert_allclose(found.limits[0], binomial_limits([15], [15], 0.95)[0])
    assert found.failed["reason"].tolist() == ["no luck"] * 5
    assert np.isnan(found.p_values[0][found.failed["replicate"]]).all()
    assert "5 failed" in repr(found)


def test_every_replicate_failed(dyestuff):
    answers = iter([0.5])
    with pytest.raises(ModelError, match="Every replicate failed"):
        me.power(dyestuff, lambda fit: next(answers), 5, seed=1)


@pytest.mark.parametrize(
    ("value", "words"), [(1.5, r"1\.5.*between 0 and 1"), ("a", "one p value")]
)
def test_no_p_value_of_the_fit(dyestuff, value, words):
    with pytest.raises(ModelError, match=words):
        me.power(dyestuff, lambda fit: value, 5)


def test_no_p_value_of_a_replicate(dyestuff):
    answers = iter([0.5, 0.5, -3.0, 0.5, 0.5])
    with pytest.raises(ModelError, match=r"-3.*between 0 and 1"):
        me.power(dyestuff, lambda fit: next(answers), 4, seed=1)


@pytest.mark.parametrize(
    ("test", "options", "words"),
    [
        ("Dayss", {}, r"'Dayss' is not a coefficient.*Days"),
        ("Days in (Days | Subjct)", {}, r"not a random term.*'Days in \(Days \| Subject\)'"),
        ("Days", {"effects": {"Dys": 3}}, r"effects: 'Dys'.*Did you mean 'Days'"),
        ("Days", {"effects": {"Days": "x"}}, r"effects\['Days'\]='x' is not a number"),
        ("Days", {"effects": {"Days": np.nan}}, "not finite"),
        ("Days", {"sds": {"Days": 3}}, r"sds: 'Days'.*'sd\(Days \| Subject\)'"),
        ("Days", {"sds": {"sd(Days | Subject)": -1}}, "negative"),
        ("Days", {"sigma": 0.0}, r"sigma=0\.0 is not positive"),
        ("Days", {"extend": {"Subjct": 20}}, r"'Subjct'.*Did you mean 'Subject'.*'within'"),
        ("Days", {"extend": {"Subject": [20, 10]}}, "increase"),
        ("Days", {"extend": {"Subject": [10, 10]}}, "increase"),
        ("Days", {"extend": {"Subject": [0, 10]}}, "from one on"),
        ("Days", {"extend": {"Subject": []}}, "whole numbers"),
        ("Days", {"extend": {"Subject": [1.5]}}, "whole numbers"),
        ("Days", {"extend": {"Subject": 20, "within": 2}}, "extend="),
        ("Days", {"extend": [10, 20]}, "extend="),
        ("Days", {"extend": {"Subject": 1}}, "one level"),
        ("Days", {"alpha": 1.0}, r"alpha=1\.0"),
        ("Days", {"level": 95}, "level=95"),
        ("Days", {"method": "f"}, "method='f'"),
        ("Days", {"df": "exact"}, "df='exact'"),
        ("Days", {"df": "residual", "method": "lrt"}, "belongs to Wald"),
        ("Days = 3", {"method": "lrt"}, "name a term"),
        ("Days in (Days | Subject)", {"df": "residual"}, "belongs to Wald"),
        ("Days in (Days | Subject)", {"method": "wald"}, "tests of coefficients"),
        ("Days = 0, Days = 1", {}, "contradict"),
    ],
)
def test_what_cannot_be_asked_for(sleep, test, options, words):
    with pytest.raises((ModelError, FormulaError), match=words):
        me.power(sleep, test, 2, **options)


@pytest.mark.parametrize("n", [0, 1.5, True])
def test_numbers_of_replicates(sleep, n):
    with pytest.raises(ModelError, match=f"n={n!r}"):
        me.power(sleep, "Days", n)


def test_what_has_no_power(sleep):
    with pytest.raises(ModelError, match="needs a fit"):
        me.power(sleep._fit, "Days")
    counts = me.datasets.load("sleepstudy").assign(n=lambda d: (d["Reaction"] / 100).round())
    general = me.fit("n ~ Days + (1 | Subject)", counts, family="poisson", on_check="ignore")
    with pytest.raises(ModelError, match=r"Gaussian.*'poisson'"):
        me.power(general, "Days")


def test_groups_too_few_for_a_coefficient():
    late = arms().assign(t=lambda d: (d["g"] > 4).astype(float))
    with pytest.raises(ModelError, match=r"3 of 'g'.*'t'"):
        me.power(me.fit("y ~ t + (1 | g)", late), "t", 5, extend={"g": [3, 10]})


def test_related_groups_are_not_repeated():
    data = arms()
    relations = pd.DataFrame(np.eye(10) + 0.2, index=range(10), columns=range(10))
    fit = me.fit("y ~ t + known(1 | g, K)", {**data, "K": relations})
    with pytest.raises(ModelError, match="known matrix"):
        me.power(fit, "t", 5, extend={"g": 20})
    assert len(me.power(fit, "t", 5, extend={"g": 6}, seed=1).p_values[0]) == 5


def test_nothing_warns_where_nothing_failed(sleep):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        me.power(sleep, "Days", 20, seed=1)
