"""Responses, weights, offsets, formulas and families that cannot be fitted: what is said."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import mixedeffects as me
from mixedeffects import families
from mixedeffects.errors import ColumnNotFoundError, DataError, FormulaError, ModelError

N = 60


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "g": np.repeat(list("abcdefghij"), 6),
            "x": rng.normal(size=N),
            "count": rng.poisson(2, N),
            "k": rng.binomial(5, 0.4, N),
            "t": 5,
            "binary": rng.integers(0, 2, N),
            "share": rng.uniform(0.1, 0.9, N),
            "size": rng.gamma(2, 1, N),
        }
    )
    third = np.arange(N) == 3
    ordered = pd.Categorical.from_codes(rng.integers(0, 3, N), ["lo", "mid", "hi"], ordered=True)
    return table.assign(
        word=np.where(table["binary"] == 1, "yes", "no"),
        logical=table["binary"] == 1,
        ordered=ordered,
        unused=pd.Categorical(ordered.astype(str), ["lo", "mid", "none", "hi"], ordered=True),
        half=table["count"] + 0.5,
        less=table["count"] - 1,
        whole=table["share"].where(table["share"] < 0.8, 1.0),
        nothing=table["share"].where(table["share"] < 0.8, 0.0),
        infinite=np.where(third, np.inf, 1.0),
        low=np.where(third, -np.inf, 1.0),
        some=np.where(third, 0, 5),
        few=2,
        one="a",
        same=3,
        zero=0,
        middle=0.5,
        codes=table["binary"] + 1,
        w=rng.uniform(0.5, 2, N),
        minus=-1.0,
        row=np.arange(N),
        huge=table["count"] * 1e300,
    )


POISSON = {"family": "poisson"}
BINOMIAL = {"family": "binomial"}

TABLE = [
    ("half", POISSON, DataError, "'half' is 1.5 in row 0 .*counts 0, 1, 2"),
    ("less", POISSON, DataError, "'less' is -1 in row .*counts"),
    ("less", {"family": "nbinom2"}, DataError, "Family 'nbinom2' is for counts"),
    ("count", {"family": "truncated_poisson"}, DataError, "counts 1, 2, 3"),
    ("whole", {"family": "beta"}, DataError, "strictly between 0 and 1.*'ordbeta'"),
    ("nothing", {"family": "gamma"}, DataError, "positive values.*'tweedie'"),
    ("nothing", {"family": "lognormal"}, DataError, "positive values"),
    ("share", BINOMIAL, DataError, "0 or 1. For proportions give the numbers of trials"),
    ("codes", BINOMIAL, DataError, "a value 2 .*a response is 0 or 1"),
    ("half", {**BINOMIAL, "weights": "t"}, DataError, "a value 1.5 .*proportion from 0 to 1"),
    ("share", {**BINOMIAL, "weights": "t"}, DataError, "whole numbers"),
    ("binary", {**BINOMIAL, "weights": "w"}, DataError, "trials are 1, 2.*have no place"),
    ("cbind(k, few - k)", BINOMIAL, DataError, "-3 failures.*more successes than trials"),
    ("cbind(zero, zero)", BINOMIAL, DataError, "is 0 in row 0.*drop the rows"),
    ("cbind(k, t - k)", {**BINOMIAL, "weights": "t"}, FormulaError, "leave weights out"),
    ("cbind(k, t - k)", POISSON, FormulaError, "'binomial' or 'betabinomial'"),
    ("one", BINOMIAL, DataError, "one category .'a'.*has two"),
    ("one", {"family": "cumulative"}, DataError, "one category only"),
    ("ordered", BINOMIAL, DataError, "3 categories .'lo', 'mid', 'hi'"),
    ("size", {"family": "cumulative"}, DataError, "60 different numbers"),
    ("same", POISSON, ModelError, "is 3 in every row"),
    ("zero", {"family": "nbinom1"}, ModelError, "is 0 in every row"),
    ("zero", {"family": "tweedie"}, ModelError, "is 0 in every row"),
    ("middle", {"family": "beta"}, ModelError, "is 0.5 in every row"),
    ("zero", BINOMIAL, ModelError, "a failure in every row and trial"),
    ("cbind(t, zero)", BINOMIAL, ModelError, "a success in every row and trial"),
    ("infinite", {"family": "gamma"}, DataError, "infinite in row 3"),
    ("word", POISSON, DataError, "holds text.*'cumulative', for two 'binomial'"),
    ("logical", POISSON, DataError, "holds booleans.*'binomial'"),
    ("huge", POISSON, DataError, "whose squares a number cannot hold"),
    ("count", {**POISSON, "weights": "minus"}, DataError, "'minus' is negative"),
    ("count", {**POISSON, "weights": "zero"}, DataError, "'zero' is zero"),
    ("count", {**POISSON, "offset": "low"}, DataError, "'low' is infinite in row 3"),
    ("count", {**POISSON, "offset": "word"}, DataError, "'word' holds text"),
    ("count", {**POISSON, "offset": np.ones(3)}, DataError, r"shape \(3,\).*60 rows"),
    ("count", {**POISSON, "offset": "logexp"}, ColumnNotFoundError, "'logexp' is not in the data"),
    ("count", {"family": "nbinom2", "dispersion": "x"}, FormulaError, "such as '~ x'"),
    ("count", {"family": "nbinom2", "dispersion": "~ xx"}, ColumnNotFoundError, "mean 'x'"),
    ("count", {"family": "nbinom2", "dispersion": "~ count"}, FormulaError, "right side"),
    ("size", {"dispersion": "~ x", "weights": "t"}, ModelError, r"offset\(-log\(w\)\)"),
    ("count", {"family": "nbinom2", "dispersion": "~ 0"}, ModelError, "nothing to estimate"),
    ("count", {**POISSON, "zero_inflation": "~ 0"}, ModelError, "nothing to estimate"),
    ("count", {**POISSON, "zero_inflation": "~ count"}, FormulaError, "right side"),
    ("count", {**POISSON, "zero_inflation": "~ (1 | h)"}, ColumnNotFoundError, "'h'"),
    ("count", {**POISSON, "zero_inflation": 1}, FormulaError, "such as '~ x'"),
    ("count", {**POISSON, "dispersion": "~ x"}, ModelError, "has no dispersion.*'nbinom2'"),
    ("ordered", {"family": "cumulative", "dispersion": "~ x"}, ModelError, "no dispersion"),
    ("ordered", {"family": "cumulative", "zero_inflation": "~ x"}, ModelError, "takes no zero"),
    ("codes", {**POISSON, "zero_inflation": "~ 1"}, ModelError, "has no zeros"),
    ("count", {"family": "poison"}, ModelError, "Did you mean 'poisson'"),
    ("count", {"family": "negative_binomial"}, ModelError, "Did you mean 'nbinom2'"),
    ("count", {"family": None}, ModelError, "Unknown family None"),
    ("count", {**POISSON, "reml": True}, ModelError, "for Gaussian models"),
    ("count", {**POISSON, "quadrature": -1}, ModelError, "from 1 .Laplace. to 101"),
    ("count", {"family": "nbinom2", "quadrature": 0}, ModelError, "has 'dispersion' besides"),
    ("ordered", {"family": "cumulative", "quadrature": 0}, ModelError, "models of a mean alone"),
    ("size", {"quadrature": 0}, ModelError, "computed exactly"),
    ("count", {**POISSON, "quadrature": 2.5}, ModelError, "not a number of nodes"),
    ("size", {"quadrature": 9}, ModelError, "computed exactly"),
    ("count", {**POISSON, "residual": "ar1"}, ModelError, "not available"),
    ("count", {**POISSON, "start": [1, 2]}, ModelError, "start needs 1"),
]


@pytest.mark.parametrize(("response", "options", "error", "says"), TABLE)
def test_what_is_said(data, response, options, error, says):
    with pytest.raises(error, match=says):
        me.fit(f"{response} ~ x + (1 | g)", data, **options)


def test_links_that_a_family_does_not_have():
    with pytest.raises(ModelError, match="Did you mean 'log'"):
        families.Poisson(link="logg")
    with pytest.raises(ModelError, match="Its links: logit, probit"):
        families.Binomial(link="sqrt")


def test_trials_that_are_zero_name_their_row(data):
    table = data.assign(k=np.minimum(data["k"], data["some"]))
    with pytest.raises(DataError, match=r"is 0 in row 3.*drop the rows"):
        me.fit("cbind(k, some - k) ~ x + (1 | g)", table, family="binomial")


def test_an_effect_of_each_row_is_the_overdispersion_of_counts_only(data):
    fit = me.fit("count ~ x + (1 | row)", data, family="poisson")
    assert fit.n_groups["row"] == N
    with pytest.raises(ModelError, match=r"60 random effects .*for 60 observations"):
        me.fit("size ~ x + (1 | row)", data, family="gamma")


def test_a_group_of_one_level(data):
    with pytest.raises(DataError, match="'one' has a single level"):
        me.fit("count ~ x + (1 | one)", data, family="poisson")


def test_measurements_that_are_explained_exactly(data):
    codes = pd.factorize(data["g"])[0]
    exact = np.exp(0.3 + 0.5 * data["x"] + 0.1 * np.sin(codes))
    with pytest.raises(ModelError, match="explains the response 'y' exactly"):
        me.fit("y ~ x + (1 | g)", data.assign(y=exact), family="gamma")


def test_relationship_matrices_are_refused_rather_than_ignored(data):
    columns = {name: data[name].to_numpy() for name in ("count", "x", "g")}
    with pytest.raises(ModelError, match="known matrix is for Gaussian models"):
        me.fit("count ~ x + known(1 | g, K)", {**columns, "K": np.eye(10)}, family="poisson")


def test_a_covariate_far_from_zero_has_no_intercept_in_an_ordinal_model(data):
    near = me.fit("ordered ~ x + (1 | g)", data.assign(x=data["x"] + 1e3), family="cumulative")
    plain = me.fit("ordered ~ x + (1 | g)", data, family="cumulative")
    assert near.loglik == pytest.approx(plain.loglik, abs=1e-6)
    assert near.beta[0] == pytest.approx(plain.beta[0], rel=1e-4)
    with pytest.raises(DataError, match=r"'x' lies about 1e.07 .*Subtract its mean"):
        me.fit("ordered ~ x + (1 | g)", data.assign(x=data["x"] + 1e7), family="cumulative")


def test_columns_that_others_determine_are_named(data):
    table = data.assign(twice=2 * data["x"])
    fit = me.fit("count ~ x + twice + (1 | g)", table, family="poisson")
    assert fit.estimates.aliased == ("twice",)
    assert "twice" in str(fit.summary())
    fit = me.fit("count ~ x + (1 | g)", table, family="nbinom2", dispersion="~ x + twice")
    own = {c.name: c.aliased for c in fit.estimates.components}
    assert own["dispersion"] == ("twice",)


def test_missing_values_of_all_formulas_are_counted(data):
    table = data.assign(
        z=data["x"].where(data.index > 3), count=data["count"].where(data.index != 10)
    )
    fit = me.fit("count ~ x + (1 | g)", table, family="poisson", zero_inflation="~ z")
    assert dict(fit.design.dropped) == {"count": 1, "z": 4}
    assert fit.nobs == N - 5


@pytest.mark.parametrize("response", ["word", "logical", "binary"])
def test_which_value_counts_as_success(data, response):
    """The second: yes after no, True after False, 1."""
    fit = me.fit(f"{response} ~ x + (1 | g)", data, family="binomial")
    assert fit.loglik == pytest.approx(
        me.fit("binary ~ x + (1 | g)", data, family="binomial").loglik, abs=1e-9
    )
    assert fit.beta[0] == pytest.approx(
        me.fit("binary ~ x + (1 | g)", data, family="binomial").beta[0]
    )


def test_unused_categories_have_no_threshold(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = me.fit("unused ~ x + (1 | g)", data, family="cumulative")
    table = fit.fixef()
    assert list(table[table["component"] == "threshold"]["term"]) == ["lo|mid", "mid|hi"]


def test_no_rows(data):
    with pytest.raises(DataError, match="no rows"):
        me.fit("count ~ x + (1 | g)", data[:0], family="poisson")
