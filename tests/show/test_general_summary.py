"""Summaries of generalized fits: family, dispersion, each predictor, and what the response is."""

import re

import numpy as np
import pandas as pd
import pytest

import mixedeffects as me
from mixedeffects.show.text import WIDTH

COUNTS = "count ~ mined + (1 | site)"


@pytest.fixture(scope="module")
def salamanders():
    return me.datasets.load("salamanders")


def summary_of(formula, data, **options):
    return me.fit(formula, data, on_check="ignore", **options).summary()


def captions(summary):
    return [table.caption.partition(" (")[0] for table in summary.tables]


def test_the_whole_text(salamanders):
    text = str(summary_of(COUNTS, salamanders, family="nbinom2", zero_inflation="~ mined"))
    body, _, certificate = text.partition("\n\nOptimum certified: ")
    body = body.replace("-3.7906", "-3.7905")  # the number lies between
    assert (
        body
        == """\
Mixed model of family nbinom2 by maximum likelihood (Laplace approximation)
count ~ mined + (1 | site)

Family          nbinom2, log link, with zero inflation
Dispersion      size 0.96517; variance = mu (1 + mu / size)
Zero inflation  ~ mined
Rows            644
Groups          site 23
Fit             -2 log-likelihood 1729.422, log-likelihood -864.711, AIC 1741.422,
                BIC 1768.228

Pearson residuals
   Min     25%  Median    75%    Max
-0.789  -0.413  -0.337  0.040  7.707

Random effects
Group  Term       Variance  Std. dev.
site   Intercept    0.1338     0.3658

Fixed effects (z tests: normal approximation, 95% intervals)
             Estimate  Std. error      z  p value     2.5%   97.5%
Intercept     -0.5573      0.3711  -1.50   0.1332  -1.2847  0.1702
mined[T.no]    1.4674      0.3616   4.06  4.9e-05   0.7588  2.1760

Zero inflation, on the logit scale (z tests: normal approximation, 95% intervals)
             Estimate  Std. error      z  p value     2.5%    97.5%
Intercept      0.2404      0.4863   0.49   0.6210  -0.7127   1.1936
mined[T.no]   -2.2561      0.7829  -2.88   0.0040  -3.7905  -0.7216"""
    )
    assert certificate


def test_the_number_of_nodes_is_in_the_title():
    data = me.datasets.load("cbpp")
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    summary = summary_of(formula, data, family="binomial", quadrature=9)
    assert summary.title == (
        "Mixed model of family binomial by maximum likelihood (adaptive quadrature, 9 nodes)"
    )
    assert ("Trials", "2 to 34 a row, 842 in all") in summary.facts


@pytest.mark.parametrize(
    ("family", "fact"),
    [
        ("truncated_nbinom2", "truncated_nbinom2, log link, with zero inflation (hurdle)"),
        ("poisson", "poisson, log link, with zero inflation"),
        (
            me.families.NegativeBinomial1(link="sqrt"),
            "nbinom1, sqrt link, with zero inflation",
        ),
    ],
)
def test_a_zero_inflated_family_is_called_by_its_base(salamanders, family, fact):
    fit = me.fit(COUNTS, salamanders, family=family, zero_inflation="~ 1", on_check="ignore")
    assert dict(fit.summary().facts)["Family"] == fact
    assert fit.family == me.families.build(family).name
    assert fact in repr(fit)


def test_each_predictor_has_its_tables(salamanders):
    summary = summary_of(
        "count ~ mined + (1 | site)",
        salamanders,
        family="nbinom2",
        dispersion="~ DOP",
        zero_inflation="~ mined + (1 | site)",
    )
    assert captions(summary) == [
        "Pearson residuals",
        "Random effects",
        "Random effects of the zero inflation",
        "Fixed effects",
        "Dispersion: logarithm of the size",
        "Zero inflation, on the logit scale",
    ]
    facts = dict(summary.facts)
    assert (facts["Dispersion"], facts["Zero inflation"]) == ("~ DOP", "~ mined + (1 | site)")


def test_no_table_is_empty(salamanders):
    only_zeros = summary_of(
        "count ~ 1", salamanders, family="poisson", zero_inflation="~ 1 + (1 | site)"
    )
    assert captions(only_zeros)[1] == "Random effects of the zero inflation"
    bare = summary_of("rating ~ 1 + (1 | judge)", me.datasets.load("wine"), family="cumulative")
    assert captions(bare) == ["Random effects", "Thresholds"]
    assert all(table.rows for table in (*only_zeros.tables, *bare.tables))


def test_parameters_of_which_zero_is_no_hypothesis_are_not_tested():
    wine = summary_of("rating ~ temp + (1 | judge)", me.datasets.load("wine"), family="cumulative")
    thresholds = wine.tables[-1]
    assert thresholds.header == ("", "Estimate", "Std. error", "2.5%", "97.5%")
    assert [row[0] for row in thresholds.rows] == ["1|2", "2|3", "3|4", "4|5"]
    assert "p value" in wine.tables[-2].header


@pytest.mark.parametrize(
    ("family", "term"), [("student_t", "df"), ("tweedie", "power"), ("ordbeta", "cutpoint.1")]
)
def test_extra_parameters_stand_under_their_names(family, term):
    rng = np.random.default_rng(4)
    data = pd.DataFrame(
        {"y": rng.beta(2, 2, 300), "x": rng.normal(size=300), "g": 30 * [*range(10)]}
    )
    data.loc[:9, "y"] = 0.0
    data.loc[10:19, "y"] = 1.0
    summary = summary_of("y ~ x + (1 | g)", data, family=family)
    assert captions(summary)[-1] == "Shape"
    assert summary.tables[-1].rows[0][0] == term


def test_thresholds_carry_the_categories_of_the_response():
    data = me.datasets.load("wine")
    words = pd.Categorical.from_codes(
        data["rating"].astype(int) - 1, ["bad", "poor", "fair", "good", "best"], ordered=True
    )
    summary = summary_of("w ~ temp + (1 | judge)", data.assign(w=words), family="cumulative")
    assert summary.tables[-1].rows[0][0] == "bad|poor"
    assert "Categories of w in their order: bad, poor, fair, good, best." in summary.notes


def test_which_level_counts_as_success():
    summary = summary_of(
        "use ~ age + (1 | district)", me.datasets.load("contraception"), family="binomial"
    )
    assert summary.notes[0] == "use: 'Y' counts as success, 'N' as failure (759 rows of 1,934)."


def test_residuals_of_gaussian_families_stand_with_the_random_effects():
    data = me.datasets.load("sleepstudy")
    family = me.families.Gaussian(link="log")
    constant = me.fit("Reaction ~ Days + (1 | Subject)", data, family=family)
    table = constant.summary().tables[1]
    assert [row[0] for row in table.rows] == ["Subject", "Residual"]
    varcorr = constant.varcorr()
    assert varcorr["group"].tolist() == ["Subject", "Residual"]
    assert varcorr["sd_or_corr"].tolist()[1] == constant.sigma
    varying = me.fit("Reaction ~ Days + (1 | Subject)", data, dispersion="~ Days")
    assert [row[0] for row in varying.summary().tables[1].rows] == ["Subject"]
    assert varying.summary().title.endswith("(exact likelihood)")
    assert constant.summary().title.endswith("(Laplace approximation)")
    assert varying.varcorr()["group"].tolist() == ["Subject"]


def test_families_without_residuals_have_no_such_row(salamanders):
    for family in ("poisson", "nbinom2", "tweedie"):
        fit = me.fit(COUNTS, salamanders, family=family)
        assert fit.varcorr()["group"].tolist() == ["site"]


def test_tables_of_random_effects_name_the_component(salamanders):
    one = me.fit(COUNTS, salamanders, family="poisson", zero_inflation="~ mined")
    two = me.fit(COUNTS, salamanders, family="poisson", zero_inflation="~ mined + (1 | site)")
    for name in ("varcorr", "ranef"):
        assert "component" not in getattr(one, name)()
        table = getattr(two, name)()
        assert table.columns[0] == "component"
        assert table["component"].unique().tolist() == ["conditional", "zero_inflation"]


def test_a_zero_variance_names_its_predictor(salamanders):
    shuffled = np.random.default_rng(0).permutation(644) % 23
    fit = me.fit(
        "count ~ mined + (1 | site)",
        salamanders.assign(site=shuffled),
        family="poisson",
        zero_inflation="~ mined + (1 | site)",
    )
    assert fit.estimates.theta_names == ("site.Intercept", "zero_inflation.site.Intercept")
    assert fit.theta[1] == 0.0 < fit.theta[0]
    note = "Singular fit: sd(Intercept | site, zero inflation) is estimated as zero."
    assert fit.summary().notes[0].startswith(note)


def test_weights_offsets_and_aliased_columns_are_told(salamanders):
    data = salamanders.assign(twice=2.0 * salamanders["DOP"], o=0.5, w=2.0)
    summary = summary_of(
        "count ~ DOP + twice + (1 | site)",
        data,
        family="poisson",
        weights="w",
        offset="o",
        zero_inflation="~ DOP + twice + offset(o)",
    )
    facts = dict(summary.facts)
    assert facts["Weights"] == "2; they multiply the rows' log-likelihoods"
    assert facts["Offset"] == facts["Offset of the zero inflation"] == "0.5"
    told = "\n".join(summary.notes)
    assert "Left out, as other columns determine them: twice." in told
    assert "Left out of the zero inflation, as other columns determine them: twice." in told


def test_text_keeps_its_width_and_html_has_all_tables(salamanders):
    fit = me.fit(COUNTS, salamanders, family="truncated_nbinom2", zero_inflation="~ mined")
    assert max(map(len, str(fit.summary()).splitlines())) <= WIDTH
    data = me.datasets.load("sleepstudy")
    varying = summary_of("Reaction ~ Days + (1 | Subject)", data, dispersion="~ Days")
    assert max(map(len, str(varying).splitlines())) <= WIDTH
    html = fit._repr_html_()
    assert html.count("<table>") == len(fit.summary().tables) == 4
    assert re.search(r"<dt>Zero inflation</dt><dd>~ mined</dd>", html)


# -- sigma ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "power"),
    [
        *(("gaussian", 0.5), ("gamma", -0.5), ("inverse_gaussian", 0.5), ("lognormal", 1.0)),
        *(("nbinom1", 1.0), ("nbinom2", 1.0), ("beta", 1.0), ("tweedie", 1.0)),
        *(("student_t", 1.0), ("compois", 1.0), ("truncated_nbinom2", 1.0)),
    ],
)
def test_sigma_is_what_its_name_says(family, power):
    kind = me.families.build(family)
    assert kind.sigma(0.7) == pytest.approx(np.exp(power * 0.7))
    assert kind.sigma_name


def test_every_family_with_a_dispersion_says_what_it_is():
    for kind in me.families.FAMILIES.values():
        assert bool(kind.dispersion) == bool(kind.sigma_name) == kind.has_dispersion, kind
