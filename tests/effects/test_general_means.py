"""Marginal means, contrasts and slopes of generalized fits."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.special import expit, logit

import golden
import mixedeffects as me
from golden import assert_close
from mixedeffects import families
from mixedeffects.errors import ModelError

# R's optima lie within some 1e-5 of a standard error, its Hessians are numerical
ESTIMATE = {"rtol": 1e-5, "se_frac": 1e-3}
ERROR = {"rtol": 1e-3}
P = {"rtol": 2e-2, "atol": 1e-9}
METHODS = {"pairwise": "pairwise", "trt.vs.ctrl": "treatment", "eff": "sum"}
COMPONENTS = {"cond": "conditional", "zi": "zero_inflation", "disp": "dispersion"}
ESTIMATES = ("emmean", "response", "prob", "rate", "ratio", "odds.ratio", "age.trend", "estimate")
CASES = golden.r_cases("general_means")
SHARED = tuple(i for i in golden.cases("general") if "emmeans" in golden.load_case(i).results)


@lru_cache(maxsize=4)
def fitted(case_id):
    case = CASES[case_id]
    return me.fit(case.formula, case.data, family=case.family, **case.others)


@lru_cache(maxsize=4)
def fitted_case(case_id):
    case = golden.load_case(case_id)
    return me.fit(
        case.formula,
        case.data,
        family=case.family,
        weights=case.weights,
        offset=case.offset,
        **case.others,
    )


def listed(names):
    return [] if names in (None, "1", ["1"]) else [names] if isinstance(names, str) else list(names)


def keyed(table, labels):
    texts = [[f"{v:g}" if isinstance(v, float) else str(v) for v in table[n]] for n in labels]
    return {key: i for i, key in enumerate(zip(*texts, strict=True))}


def named(table):
    """R's table by our names, rows or columns."""
    if isinstance(table, list):
        table = {name: [row.get(name) for row in table] for name in table[0]}
    table = {k: list(v) for k, v in table.items()}
    (estimate,) = [name for name in ESTIMATES if name in table]
    (test,) = [name for name in ("z.ratio", "t.ratio") if name in table] or [None]
    contrasts = [
        re.sub(r"(.*) effect$", r"\1 / mean" if estimate == "odds.ratio" else r"\1 - mean", text)
        for text in (re.sub("[()]", "", given) for given in table.get("contrast", []))
    ]
    return {
        **table,
        "contrast": contrasts,
        "estimate": table[estimate],
        "std_error": table["SE"],
        "statistic": table.get(test),
        "p_value": table.get("p.value"),
        "conf_low": table.get("asymp.LCL"),
        "conf_high": table.get("asymp.UCL"),
    }


def compare(ours, theirs, labels, what, *, limits=True, error=ERROR):
    ours, theirs = ours.to_dict("list"), named(theirs)
    rows, own = keyed(ours, labels), keyed(theirs, labels)
    assert rows.keys() == own.keys(), what
    at = [rows[key] for key in own]
    ours = {name: np.array(values)[at] for name, values in ours.items()}
    se = np.array(theirs["std_error"])
    assert_close(ours["estimate"], theirs["estimate"], ESTIMATE, se=se, what=what)
    assert_close(ours["std_error"], se, error, what=f"{what}: standard error")
    assert np.isinf(ours["df"]).all()
    for name in ("conf_low", "conf_high") if limits else ():
        # on the response's scale limits stretch with the errors of estimate and standard error
        tolerance = {"rtol": 2e-3, "se_frac": 5e-3}
        assert_close(ours[name], theirs[name], tolerance, se=se, what=f"{what}: {name}")
    if "p_value" in ours:
        assert_close(ours["p_value"], theirs["p_value"], P, what=f"{what}: p")


REQUESTS = [
    pytest.param(case_id, name, id=f"{case_id}-{name}")
    for case_id, case in CASES.items()
    for name, block in case.results.items()
    if "weights" in block
]


@pytest.mark.parametrize(("case_id", "name"), REQUESTS)
def test_means_of_emmeans(case_id, name):
    block, fit = CASES[case_id].results[name], fitted(case_id)
    specs, by = listed(block["specs"]), listed(block.get("by"))
    options = {
        "at": block.get("at"),
        "weights": block["weights"],
        "component": COMPONENTS[block["component"]],
    }
    if "var" in block:
        scale = block.get("regrid", "link")
        asked = fit.slopes(block["var"], specs, scale=scale, **options)
    else:
        asked = fit.emmeans(specs, by, scale=block["type"], **options)
    if block["means"].get("asymp.LCL") is None:
        pytest.fail("without asymptotic limits")
    compare(asked.table, block["means"], [*by, *specs], name)
    for adjust, table in block.get("contrasts", {}).items():
        contrasts = asked.contrast(METHODS[block["method"]], adjust=adjust)
        compare(contrasts.table, table, [*by, "contrast"], f"{name} {adjust}")


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_probabilities_of_emmeans(link):
    block = CASES[f"wine_{link}_flexible"].results["probabilities"]
    means = fitted(f"wine_{link}_flexible").emmeans("temp", scale="response")
    theirs = {**block["means"], "category": block["means"]["rating"]}
    # emmeans' limits are symmetric, and below zero
    compare(means.table, theirs, ["temp", "category"], "probabilities", limits=False)
    theirs = {**block["contrasts"], "category": block["contrasts"]["rating"]}
    compare(means.contrast(adjust="none").table, theirs, ["category", "contrast"], "differences")


def test_means_with_the_extra_zeros():
    """Averages of exp(η)(1 − π) over species, differentiated by hand in R."""
    block, fit = CASES["salamanders"].results, fitted("salamanders")
    means = fit.emmeans("mined", component="response", scale="response")
    table, theirs = means.table, block["response"]
    assert list(table["mined"]) == theirs["mined"]
    se = np.array(theirs["se"])
    assert_close(table["estimate"], theirs["estimate"], ESTIMATE, se=se)
    assert_close(table["std_error"], se, ERROR)
    (difference,) = means.contrast().table.to_dict("records")
    own = block["response_difference"]
    assert_close(difference["estimate"], own["estimate"], ESTIMATE, se=own["se"])
    assert_close(difference["std_error"], own["se"], ERROR)


@pytest.mark.parametrize("case_id", SHARED)
def test_shared_cases(case_id):
    case, fit = golden.load_case(case_id), fitted_case(case_id)
    block, error = case.results["emmeans"], case.tolerances["se"]
    specs, _, by = (part.strip() for part in block["specs"].lstrip("~").partition("|"))
    means = fit.emmeans(specs, by or None)
    groups, theirs = listed(by or None), block["asymptotic"]
    compare(means.table, theirs["estimates"], [*groups, specs], "means", error=error)
    contrasts = means.contrast("pairwise", adjust="none").table
    compare(contrasts, theirs["contrasts"], [*groups, "contrast"], "contrasts", error=error)


# -- what they are --------------------------------------------------------------------------------


def test_response_means_are_predictions_at_zero_random_effects():
    fit = fitted("cbpp_logit")
    data = pd.DataFrame({"period": list("1234"), "herd": "none"})
    own = fit.predict(data, random="population", interval="confidence")
    table = fit.emmeans("period", scale="response").table
    for name in ("estimate", "std_error", "conf_low", "conf_high"):
        np.testing.assert_allclose(table[name], own[name], rtol=1e-6)


@pytest.mark.parametrize(
    ("case_id", "specs"),
    [
        ("salamanders_zip_zire", "mined"),
        ("salamanders_hurdle_nbinom1", "mined"),
        ("sim_zigamma", "x"),
    ],
)
@pytest.mark.parametrize("component", ["response", "conditional"])
def test_means_of_several_predictors_are_predictions(case_id, specs, component):
    fit, data = fitted_case(case_id), golden.load_case(case_id).data
    levels = list(data[specs].cat.categories) if specs == "mined" else [-0.5, 1.0]
    rows = data.iloc[[0] * len(levels)].assign(**{specs: levels})
    held = {"spp": rows["spp"].iloc[0]} if "spp" in fit.formula else {}
    options = {"component": component, "scale": "response"}
    own = fit.predict(rows, random="population", interval="confidence", **options)
    table = fit.emmeans(specs, at={specs: levels, **held}, **options).table
    for name in ("estimate", "std_error", "conf_low", "conf_high"):
        np.testing.assert_allclose(table[name], own[name], rtol=1e-6, err_msg=name)


def test_averages_over_cells_are_averages_of_the_rows():
    fit = fitted_case("salamanders_zip")
    options = {"component": "response", "scale": "response"}
    own = fit.predict(random="population", **options)
    (mean,) = fit.emmeans([], weights="cells", **options).table["estimate"]
    assert mean == pytest.approx(own.mean(), rel=1e-8)
    mined = golden.load_case("salamanders_zip").data["mined"].to_numpy()
    by = fit.emmeans("mined", weights="cells", **options).table.set_index("mined")["estimate"]
    assert by["yes"] == pytest.approx(own[mined == "yes"].mean(), rel=1e-8)


def test_category_probabilities_add_up_and_are_averages():
    fit = fitted_case("wine_clmm_logit")
    table = fit.emmeans("temp", scale="response").table
    np.testing.assert_allclose(table.groupby("temp")["estimate"].sum(), 1.0)
    grid = pd.DataFrame({"temp": ["cold", "cold"], "contact": ["no", "yes"], "judge": "1"})
    own = fit.predict(grid, random="population").mean()
    np.testing.assert_allclose(table["estimate"][:5], own, rtol=1e-8)
    assert (table["conf_low"] > 0).all()
    assert (table["conf_high"] < 1).all()


def test_latent_means_are_measured_from_the_mean_of_the_thresholds():
    fit = fitted_case("wine_clmm_logit")
    coefficients = fit.fixef().set_index("term")["estimate"]
    thresholds = coefficients[[name for name in coefficients.index if "|" in name]]
    means = fit.emmeans("temp", at={"contact": "no"}).table.set_index("temp")["estimate"]
    assert means["cold"] == pytest.approx(-thresholds.mean())
    assert means["warm"] == pytest.approx(coefficients["temp[T.warm]"] - thresholds.mean())


def test_slopes_of_a_category_are_differences_of_its_probability():
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"x": rng.standard_normal(200), "g": np.repeat(np.arange(20), 10)})
    latent = data.x + rng.logistic(size=200) + rng.standard_normal(20)[data.g]
    fit = me.fit(
        "y ~ x + (1 | g)", data.assign(y=np.digitize(latent, [-1, 1])), family="cumulative"
    )
    slopes = fit.slopes("x", at={"x": 0.3}, scale="response").table
    ends = pd.DataFrame({"x": [0.3 - 1e-4, 0.3 + 1e-4], "g": 0})
    low, high = fit.predict(ends, random="population").to_numpy()
    np.testing.assert_allclose(slopes["estimate"], (high - low) / 2e-4, rtol=1e-5)
    assert slopes["estimate"].sum() == pytest.approx(0.0, abs=1e-9)


def counts(seed=3, n=300):
    rng = np.random.default_rng(seed)
    g, a = rng.integers(0, 25, n), rng.choice(["u", "v", "w"], n)
    x = rng.standard_normal(n)
    eta = 0.8 + 0.4 * x + 0.8 * (a == "v") + 0.4 * rng.standard_normal(25)[g]
    return pd.DataFrame({"y": rng.poisson(np.exp(eta)), "x": x, "a": a, "g": g})


@pytest.fixture(scope="module")
def data():
    return counts()


@pytest.fixture(scope="module")
def fit(data):
    return me.fit("y ~ a*x + (1 | g)", data, family="poisson")


def test_slopes_on_the_response_scale_by_differences(fit, data):
    """The estimate and, by differences in β, its standard error."""
    table = fit.slopes("x", by="a", at={"x": 0.5}, scale="response").table

    def slopes_at(beta):
        terms = dict(zip(fit.fixef()["term"], beta, strict=True))
        found = []
        for level in "uvw":
            own = terms["x"] + (terms[f"a[T.{level}]:x"] if level != "u" else 0.0)
            shift = terms[f"a[T.{level}]"] if level != "u" else 0.0
            found.append(own * np.exp(terms["Intercept"] + shift + 0.5 * own))
        return np.array(found)

    steps = 1e-6 * np.eye(len(fit.beta))
    J = np.array([slopes_at(fit.beta + h) - slopes_at(fit.beta - h) for h in steps]).T / 2e-6
    np.testing.assert_allclose(table["estimate"], slopes_at(fit.beta), rtol=1e-6)
    expected = np.sqrt(np.diagonal(J @ fit.vcov() @ J.T))
    np.testing.assert_allclose(table["std_error"], expected, rtol=1e-5)


def test_ratios_undo_the_log_and_their_order_does_not_matter(fit, data):
    ratios = fit.emmeans("a", scale="response").contrast(adjust="none").table
    differences = fit.emmeans("a").contrast(adjust="none").table
    assert ratios["contrast"].tolist() == ["u / v", "u / w", "v / w"]
    np.testing.assert_allclose(ratios["estimate"], np.exp(differences["estimate"]))
    np.testing.assert_allclose(ratios["p_value"], differences["p_value"])
    shuffled = me.fit("y ~ a*x + (1 | g)", data.sample(frac=1, random_state=1), family="poisson")
    other = shuffled.emmeans("a", scale="response").table
    np.testing.assert_allclose(
        other["estimate"], fit.emmeans("a", scale="response").table["estimate"], rtol=1e-5
    )


def test_coding_does_not_matter(fit, data):
    other = me.fit("y ~ C(a, contr.sum)*x + (1 | g)", data, family="poisson")
    for options in ({}, {"scale": "response"}):
        own, again = fit.emmeans("a", **options).table, other.emmeans("a", **options).table
        np.testing.assert_allclose(own["estimate"], again["estimate"], rtol=1e-5)
        np.testing.assert_allclose(own["std_error"], again["std_error"], rtol=1e-4)


def test_offsets_count_with_their_mean(data):
    moved = data.assign(h=np.linspace(0.0, 1.0, len(data)))
    fit = me.fit("y ~ a + offset(h) + (1 | g)", moved, family="poisson")
    (mean,) = fit.emmeans("a", at={"a": "u"}).table["estimate"]
    assert mean == pytest.approx(fit.beta[0] + 0.5)
    assert "With the mean offset, 0.5" in fit.emmeans("a").notes


def test_a_decreasing_link_keeps_limits_in_order(data):
    positive = data.assign(y=data.y + 1.0)
    fit = me.fit("y ~ a + (1 | g)", positive, family=families.Gamma(link="inverse"))
    link, table = fit.emmeans("a").table, fit.emmeans("a", scale="response").table
    np.testing.assert_allclose(table["estimate"], 1 / link["estimate"])
    np.testing.assert_allclose(table["conf_low"], 1 / link["conf_high"])
    np.testing.assert_allclose(table["std_error"], link["std_error"] / link["estimate"] ** 2)
    contrasts = fit.emmeans("a", scale="response").contrast()
    np.testing.assert_allclose(contrasts.table["estimate"], fit.emmeans("a").contrast().estimate)
    assert "model's scale" in " ".join(contrasts.notes)


def test_an_identity_link_has_one_scale():
    rng = np.random.default_rng(8)
    table = pd.DataFrame({"a": np.tile(["u", "v"], 60), "g": np.repeat(np.arange(12), 10)})
    p = np.where(table.a == "u", 0.3, 0.6) + 0.05 * rng.standard_normal(12)[table.g]
    table = table.assign(k=rng.binomial(20, p), n=20)
    family = families.Binomial(link="identity")
    fit = me.fit("cbind(k, n - k) ~ a + (1 | g)", table, family=family, on_check="ignore")
    own, same = fit.emmeans("a").table, fit.emmeans("a", scale="response").table
    pd.testing.assert_frame_equal(own, same)
    np.testing.assert_allclose(own["estimate"], [0.3, 0.6], atol=0.1)


def test_slopes_of_extra_zeros_on_both_scales():
    fit = fitted_case("sim_zigamma")
    options = {"component": "zero_inflation", "at": {"x": 0.2}}
    (link,) = fit.slopes("x", **options).table.to_dict("records")
    slopes = fit.slopes("x", scale="response", **options)
    p = fit.emmeans([], scale="response", **options).table["estimate"][0]
    assert slopes.table["estimate"][0] == pytest.approx(p * (1 - p) * link["estimate"], rel=1e-6)
    assert "probability of an extra zero" in " ".join(slopes.notes)


def test_a_root_link_has_no_limits_beyond_zero():
    rng = np.random.default_rng(5)
    rare = pd.DataFrame({"a": np.repeat(["u", "v"], 60), "g": np.tile(np.arange(12), 10)})
    rare["y"] = rng.poisson(np.where(rare.a == "u", 0.02, 3.0))
    fit = me.fit("y ~ a + (1 | g)", rare, family=families.Poisson(link="sqrt"), on_check="ignore")
    link, table = fit.emmeans("a").table, fit.emmeans("a", scale="response").table
    np.testing.assert_allclose(table["conf_low"], np.maximum(link["conf_low"], 0.0) ** 2)
    assert (table["conf_low"] <= table["estimate"]).all()


def test_a_gaussian_dispersion_model_has_the_means_of_its_response():
    data = me.datasets.load("orthodont")
    fit = me.fit("distance ~ age * Sex + (1 | Subject)", data, dispersion="~ Sex")
    table = fit.emmeans("Sex", component="dispersion", scale="response").table
    delta = fit.fixef().query("component == 'dispersion'")["estimate"].to_numpy()
    sds = np.exp(0.5 * np.array([delta[0], delta.sum()]))
    np.testing.assert_allclose(table["estimate"], sds, rtol=1e-8)
    own, same = fit.emmeans("Sex").table, fit.emmeans("Sex", scale="response").table
    pd.testing.assert_frame_equal(own, same)
    logs = me.fit("log(distance) ~ age * Sex + (1 | Subject)", data, dispersion="~ Sex")
    medians = logs.emmeans("Sex", scale="response")
    np.testing.assert_allclose(medians.table["estimate"], np.exp(logs.emmeans("Sex").estimate))
    assert "medians there, not means" in " ".join(medians.notes)


def test_letters_and_tests_work_as_for_linear_fits(fit):
    means = fit.emmeans("a", scale="response")
    assert means.letters()["letters"].tolist() == ["a", "b", "a"]
    joint = means.contrast().joint_test()
    assert joint["num_df"].tolist() == [2]
    assert np.isinf(joint["den_df"]).all()


def test_numbers_of_rows_or_weights_make_proportional_means(fit, data):
    two = me.fit("y ~ a + factor(b) + (1 | g)", data.assign(b=data.x > 1), family="poisson")
    share = (data.x > 1).mean()
    table = two.emmeans("a", weights="proportional").table
    terms = two.fixef().set_index("term")["estimate"]
    expected = terms["Intercept"] + share * terms.filter(like="factor(b)").iloc[0]
    assert table["estimate"][0] == pytest.approx(expected)


def test_cells_that_the_data_lack_are_dropped_or_refused(data):
    lacking = data.assign(b=np.where(data.x > 0, "yes", "no"))
    lacking = lacking[~((lacking.a == "w") & (lacking.b == "yes"))]
    fit = me.fit(
        "y ~ a*b + (1 | g)", lacking, family="poisson", zero_inflation="~ 1", on_check="ignore"
    )
    options = {"component": "response", "scale": "response"}
    with pytest.raises(ModelError, match=r"Not estimable.*a=w"):
        fit.emmeans("a", **options)
    left = fit.emmeans("a", not_estimable="drop", **options)
    assert left.table["a"].tolist() == ["u", "v"]
    assert any("Left out as not estimable: a=w" in note for note in left.notes)


# -- words ----------------------------------------------------------------------------------------


def test_notes_say_the_scale_and_of_whom():
    fit = fitted_case("cbpp_logit_laplace")
    assert "On the logit scale of the probability of success" in fit.emmeans("period").notes
    notes = " ".join(fit.emmeans("period", scale="response").notes)
    assert "at random effects of zero" in notes
    assert "not averaged over groups" in notes
    odds = fit.emmeans("period", scale="response").contrast()
    assert "odds ratios" in " ".join(odds.notes)
    disp = fitted("salamanders").emmeans([], component="dispersion")
    assert "On the log scale of size" in disp.notes
    cut = fitted_case("salamanders_hurdle_poisson").emmeans("mined")
    assert "On the log scale of the location of count" in cut.notes
    yes = fitted("contraception").emmeans("urban", scale="response")
    assert "the probability of 'Y'" in " ".join(yes.notes)


def test_tables_are_of_the_callers_library(data):
    fit = me.fit("y ~ a + (1 | g)", pl.from_pandas(data), family="poisson")
    assert isinstance(fit.emmeans("a", scale="response").table, pl.DataFrame)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"component": "zero_inflation"}, "has no zero inflation"),
        ({"component": "dispersion"}, "has no dispersion"),
        ({"component": "zi"}, "component='zi'"),
        ({"scale": "log"}, "scale='log'"),
        ({"df": "satterthwaite"}, "is for Gaussian models"),
    ],
)
def test_refusals(fit, options, words):
    with pytest.raises(ModelError, match=words):
        fit.emmeans("a", **options)
    with pytest.raises(ModelError, match=words):
        fit.slopes("x", **options)


def test_several_predictors_have_no_common_link():
    with pytest.raises(ModelError, match=r"several predictors.*scale='response'"):
        fitted_case("salamanders_zip").emmeans("mined", component="response")


def test_a_constant_component_has_no_means():
    with pytest.raises(ModelError, match="component='dispersion' is the same for all rows"):
        fitted_case("salamanders_nbinom2").emmeans("mined", component="dispersion")


def test_variables_of_another_predictor_are_named():
    fit = fitted_case("salamanders_zip")
    with pytest.raises(ModelError, match="'DOY' is not a variable of the fixed part"):
        fit.slopes("DOY")


def test_linear_fits_have_one_component():
    linear = me.fit("effort ~ Type + (1 | Subject)", me.datasets.load("ergostool"))
    with pytest.raises(ModelError, match="one linear predictor"):
        linear.emmeans("Type", component="dispersion")


def test_odds_are_odds(fit):
    """A check of the reading: expit of the means, and odds ratios of their probabilities."""
    own = fitted("cbpp_logit")
    p = own.emmeans("period", scale="response").table["estimate"]
    np.testing.assert_allclose(logit(p), own.emmeans("period").estimate)
    np.testing.assert_allclose(p, expit(own.emmeans("period").estimate))
    ratio = own.emmeans("period", scale="response").contrast().table["estimate"][0]
    assert ratio == pytest.approx(p[0] / (1 - p[0]) / (p[1] / (1 - p[1])))
