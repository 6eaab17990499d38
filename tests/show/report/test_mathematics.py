"""The model in words and in mathematics, and what a methods paragraph cites."""

import re

import numpy as np
import pytest

import mixedeffects as me
from mixedeffects.model.reporting.fits import ReportedFit
from mixedeffects.show.report.citations import CITATIONS, cited
from mixedeffects.show.report.mathematics import equations
from mixedeffects.show.report.words import description, listed


def read(markup):
    """Each display as it is read: cells of a line one after the other."""
    lines = re.findall(r"<math.*?</math>", markup, re.DOTALL)
    return [re.sub("[\u2061\u2062]", "", re.sub("<[^>]*>", "", line)) for line in lines]


def told(formula, data, **options):
    part = ReportedFit(me.fit(formula, data, on_check="ignore", **options))
    design, family = part.design, part.family
    return read(equations(design, family, part.names())), description(design, family)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    n = 120
    data = {"g": np.repeat(np.arange(12), 10), "h": np.tile(np.arange(10), 12)}
    data |= {"x": rng.normal(size=n), "w": rng.uniform(0.5, 2.0, n), "k": rng.poisson(2.0, n)}
    data["y"] = data["x"] + rng.normal(size=12)[data["g"]] + rng.normal(size=n)
    data["many"] = np.array(list("abcdefghijklmno"))[rng.integers(0, 15, n)]
    return data


def test_a_linear_model_with_slopes(rows):
    formulas, words = told("y ~ x + (x | g) + (1 | h)", rows)
    assert formulas == [
        "yi∼Normal(μi,σ2)",
        "μi=β0+β1xi+b0,g[i]+b1,g[i]xi+ch[i]",
        "(b0,jb1,j)∼Normal(0,Σb)for the 12 levels j of g",
        "cj∼Normal(0,σc2)for the 10 levels j of h",
    ]
    assert words[2] == (
        "The intercept and the effect of x vary normally among the 12 levels of g, correlated "
        "freely."
    )


def test_weights_offsets_and_many_coefficients(rows):
    formulas, words = told("y ~ many + (1 | g)", rows, weights="w", offset="x")
    assert formulas[0] == "yi∼Normal(μi,σ2wi)"
    assert formulas[1] == "μi=β0+∑k=114βkxk,i+bg[i]+offseti"
    assert words[-1].startswith("An offset")


def test_no_intercept_counts_from_one(rows):
    formulas, _ = told("y ~ 0 + x + (0 + x | g)", rows)
    assert formulas[1] == "μi=β1xi+bg[i]xi"


def test_links_and_further_predictors(rows):
    formulas, _ = told("k ~ x + (1 | g)", rows, family="nbinom2", dispersion="~ x")
    assert formulas[:3] == [
        "ki∼Negative binomial(μi,θi)",
        "log(μi)=β0+β1xi+bg[i]",
        "log(sizei)=γ0+γ1xi",
    ]
    formulas, words = told("k ~ x + (1 | g)", rows, family="poisson", zero_inflation="~ 1")
    assert formulas[0] == "ki=0with probabilityπiki∼Poisson(μi)with probability1−πi"
    assert formulas[2] == "logit(πi)=α0"
    assert "To the zeros of that distribution come extra ones." in words


def test_binomial_rows_of_one_trial_are_bernoulli():
    data = me.datasets.load("contraception")
    formulas, _ = told("use ~ age + (1 | district)", data, family="binomial")
    assert formulas[0] == "usei∼Bernoulli(μi)"


def test_thresholds():
    formulas, _ = told("rating ~ temp + (1 | judge)", me.datasets.load("wine"), family="cumulative")
    assert formulas[0] == "logit(P(ratingi≤k))=τk−ηi"
    assert formulas[1] == "ηi=β1temp[T.warm]i+bjudge[i]"


def test_lists():
    assert [listed(["a"]), listed(["a", "b"]), listed(list("abc"))] == [
        "a",
        "a and b",
        "a, b and c",
    ]


def test_references_have_the_year_and_the_authors_of_their_key():
    for key, reference in CITATIONS.items():
        *authors, year = key.replace("et al.", "").replace("&", "").split()
        assert f"({year})." in reference
        assert reference.startswith(authors[0])
        assert all(author in reference for author in authors)
    assert list(CITATIONS) == sorted(CITATIONS)
    assert cited("nothing") == ()
