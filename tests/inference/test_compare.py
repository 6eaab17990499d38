"""me.compare: which fits can be compared, and what the tests of nested ones are."""

import re

import numpy as np
import pandas as pd
import pytest

import golden
import mixedeffects as me
from mixedeffects.errors import DataError, ModelError


@pytest.fixture(scope="module")
def sleep():
    data = me.datasets.load("sleepstudy")
    return data.assign(f=np.where(data["Days"] > 4, "late", "early"), x=np.sin(np.arange(180)))


@pytest.fixture(scope="module")
def machines():
    return me.datasets.load("machines")


def fit(formula, data, **options):
    return me.fit(formula, data, on_check="ignore", **options)


# -- golden ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id_", "block"),
    [
        ("sleepstudy_corr_ml", "lrt_drop_Days"),
        ("sleepstudy_diag_ml", "lrt_vs_correlated"),
        ("sleepstudy_ri_ml", "lrt_vs_correlated"),
        ("orthodont_slope_ml", "lrt_vs_interaction"),
    ],
)
def test_likelihood_ratios_of_the_reference_cases(id_, block):
    case = golden.load_case(id_)
    reference = case.results[block]
    fits = [fit(reference[k], case.data, reml=False) for k in ("alternative", "null")]
    table = me.compare(*fits)
    assert table["model"].tolist() == [2, 1]
    assert table["estimation"].tolist() == ["ML", "ML"]
    logliks = [reference["loglik_null"], reference["loglik_alternative"]]
    np.testing.assert_allclose(table["loglik"], logliks, atol=1e-5)
    assert table["statistic"][1] == pytest.approx(reference["chisq"], abs=2e-5)
    assert table["df"][1] == reference["df"]
    assert table["p_naive"][1] == pytest.approx(reference["p"], rel=1e-4)


@pytest.mark.parametrize("id_", ["compare_fixed", "compare_fixed_weights", "compare_random_reml"])
def test_tables_are_those_of_lme4(id_):
    case = golden.r_cases("tests")[id_]
    theirs = pd.DataFrame(case.results["table"]).astype(float)
    options = {"reml": case.reml, "weights": case.weights}
    ours = me.compare(*(fit(f, case.data, **options) for f in case.results["formulas"]))
    assert ours["n_parameters"].tolist() == theirs["npar"].tolist()
    for column in ("aic", "bic", "loglik"):
        np.testing.assert_allclose(ours[column], theirs[column], atol=2e-5)
    np.testing.assert_allclose(ours["statistic"][1:], theirs["statistic"][1:], atol=4e-5)
    assert ours["df"][1:].tolist() == theirs["df"][1:].tolist()
    np.testing.assert_allclose(ours["p_naive"][1:], theirs["p_value"][1:], rtol=1e-4)


def test_criteria_by_their_formulas(sleep):
    fits = [fit(f"Reaction ~ Days + ({x} | Subject)", sleep) for x in ("1", "Days")]
    table = me.compare(*fits)
    k, n = table["n_parameters"], 180
    np.testing.assert_allclose(table["objective"], -2 * table["loglik"])
    np.testing.assert_allclose(table["aic"], -2 * table["loglik"] + 2 * k)
    np.testing.assert_allclose(table["bic"], -2 * table["loglik"] + np.log(n) * k)
    np.testing.assert_allclose(table["aicc"], -2 * table["loglik"] + 2 * k * n / (n - k - 1))


def test_the_corrected_aic_is_infinite_where_it_does_not_exist():
    rng = np.random.default_rng(1)
    data = {
        "y": rng.normal(size=8),
        "x": rng.normal(size=8),
        "z": rng.normal(size=8),
        "g": [1, 2] * 4,
    }
    small = fit("y ~ x + (1 | g)", data, reml=False)
    large = fit("y ~ x * z + I(x ** 2) + (1 | g)", data, reml=False)
    table = me.compare(small, large)
    assert np.isfinite(table["aicc"][0])
    assert table["aicc"][1] == np.inf


# -- what lies within what ---------------------------------------------------------------------


def references(*fits, **options):
    return me.compare(*fits, **options)["reference"].tolist()[1:]


@pytest.mark.parametrize(
    ("small", "large", "reference"),
    [
        ("Days + (1 | Subject)", "Days + x + (1 | Subject)", "chi2(1)"),
        ("Days + (1 | Subject)", "Days + (Days | Subject)", "0.5 chi2(1) + 0.5 chi2(2)"),
        ("Days + (1 | Subject)", "Days + (Days || Subject)", "0.5 chi2(0) + 0.5 chi2(1)"),
        ("Days + (Days || Subject)", "Days + (Days | Subject)", "chi2(1)"),
        ("Days + (1 | Subject) + (0 + Days | Subject)", "Days + (Days | Subject)", "chi2(1)"),
        ("Days + (0 + Days | Subject)", "Days + (Days | Subject)", "0.5 chi2(1) + 0.5 chi2(2)"),
        ("1 + (1 | Subject)", "Days + (Days | Subject)", "0.5 chi2(2) + 0.5 chi2(3)"),
        ("Days + (1 | Subject)", "Days + (1 | Subject) + (1 | f)", "0.5 chi2(0) + 0.5 chi2(1)"),
        ("Days + (1 | Subject:f)", "Days + (1 | Subject/f)", "0.5 chi2(0) + 0.5 chi2(1)"),
        ("Days + id(0 + f | Subject)", "Days + (0 + f || Subject)", "chi2(1)"),
        ("Days + (1 | Subject:f)", "Days + (0 + f || Subject)", "chi2(1)"),
        ("Days + (1 | Subject) + (1 | Subject:f)", "Days + (0 + f | Subject)", "chi2(1)"),
        ("Days + (1 | Subject) + (1 | Subject:f)", "Days + cs(0 + f | Subject)", "chi2(1)"),
        ("Days + homcs(0 + f | Subject)", "Days + cs(0 + f | Subject)", "chi2(1)"),
        ("f * x + (1 | Subject)", "x * f + poly(Days, 2) + (1 | Subject)", "chi2(2)"),
        ("Days + (x | Subject)", "Days + (x + f | Subject)", "0.5 chi2(2) + 0.5 chi2(3)"),
        ("C(f, contr.sum) + (1 | Subject)", "f + x + (1 | Subject)", "chi2(1)"),
    ],
)  # fmt: skip
def test_nested_models_by_their_columns_not_their_text(sleep, small, large, reference):
    fits = [fit(f"Reaction ~ {right}", sleep, reml=False) for right in (large, small)]
    table = me.compare(*fits)
    assert table["model"].tolist() == [2, 1]
    shown = table["reference"][1].split("; a variance")[0]
    assert shown == reference
    assert 0 <= table["p_value"][1] <= table["p_naive"][1] + 1e-12
    assert table["statistic"][1] == pytest.approx(2 * (fits[0].loglik - fits[1].loglik), abs=1e-6)


@pytest.mark.parametrize(
    ("small", "large", "reason"),
    [
        ("x + (1 | Subject)", "Days + (Days | Subject)", "the fixed effects of one"),
        ("Days + (1 | f)", "Days + (Days | Subject)", r"\(1 \| f\) has no place"),
        ("Days + (x | Subject)", "Days + f + (Days | Subject)", r"\(x \| Subject\) has no place"),
        ("Days + (Days | Subject)", "x + poly(Days, 2) + (Days || Subject)", "has no place"),
        ("Days + (1 | Subject)", "Days + (0 + Days + x || Subject)", "has no place"),
        ("Days + (1 | Subject)", "x + (1 | Subject)", "as many parameters"),
        ("Days + (1 | Subject:f)", "Days + (Days | Subject)", r"\(1 \| Subject:f\) has no place"),
        ("Days + (0 + f || Subject)", "Days + x + homcs(0 + f | Subject)", "has no place"),
    ],
)  # fmt: skip
def test_models_that_are_not_nested_get_no_test(sleep, small, large, reason):
    fits = [fit(f"Reaction ~ {right}", sleep, reml=False) for right in (small, large)]
    row = me.compare(*fits).iloc[1]
    assert pd.isna(row["statistic"])
    assert pd.isna(row["p_value"])
    assert pd.isna(row["df"])
    assert row["aic"] == pytest.approx(fits[1].aic)
    assert re.search(f"^not nested: .*{reason}", row["reference"])


def test_several_absent_variances_follow_their_weights(machines):
    small = fit("score ~ Machine + (1 | Worker:Machine)", machines)
    large = fit("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", machines)
    assert references(small, large) == ["0.5 chi2(0) + 0.5 chi2(1)"]
    more = fit("score ~ Machine + (0 + Machine | Worker)", machines)
    assert references(small, large, more) == ["0.5 chi2(0) + 0.5 chi2(1)", "chi2(4)"]


def test_two_variances_at_once(sleep):
    small = fit("Reaction ~ Days + (1 | Subject)", sleep)
    large = fit("Reaction ~ Days + (Days + x || Subject)", sleep)
    (reference,) = references(small, large)
    pieces = [part.split(" ") for part in reference.split(" + ")]
    assert [p[1] for p in pieces] == ["chi2(0)", "chi2(1)", "chi2(2)"]
    assert sum(float(p[0]) for p in pieces) == pytest.approx(1.0, abs=0.002)
    assert float(pieces[1][0]) == 0.5


def test_a_covariance_matrix_at_once(sleep):
    small = fit("Reaction ~ Days + (1 | Subject)", sleep)
    large = fit("Reaction ~ Days + (Days + x | Subject)", sleep)
    row = me.compare(small, large).iloc[1]
    assert row["df"] == 5
    assert row["reference"].startswith("chi-bar-squared (2 x 2 covariance)")
    assert row["p_value"] < row["p_naive"]


def test_related_levels_must_be_the_same():
    rng = np.random.default_rng(2)
    K = np.eye(10) + 0.3
    data = {
        "y": rng.normal(size=60),
        "x": rng.normal(size=60),
        "g": np.tile(np.arange(10), 6),
        "K": K,
    }
    one = fit("y ~ x + known(1 | g, K)", data)
    two = fit("y ~ x + known(x | g, K)", data)
    assert references(one, two)[0].startswith("0.5 chi2(1) + 0.5 chi2(2)")
    plain = {k: v for k, v in data.items() if k != "K"}
    assert "no place" in references(fit("y ~ x + (1 | g)", plain), two)[0]


def test_the_comparison_does_not_depend_on_the_order_of_rows(sleep):
    rows = np.random.default_rng(3).permutation(len(sleep))
    formulas = ["Reaction ~ Days + (1 | Subject)", "Reaction ~ Days + (Days + x | Subject)"]
    one = me.compare(*(fit(f, sleep) for f in formulas)).iloc[1]
    two = me.compare(*(fit(f, sleep.iloc[rows]) for f in formulas)).iloc[1]
    assert one["statistic"] == pytest.approx(two["statistic"], abs=1e-6)
    # the information behind the cone is a mean of draws
    assert one["p_value"] == pytest.approx(two["p_value"], rel=0.05)


# -- REML ------------------------------------------------------------------------------------


def test_restricted_fits_with_different_fixed_effects_are_refused(sleep):
    one, two = (fit(f"Reaction ~ {x} + (1 | Subject)", sleep) for x in ("1", "Days"))
    with pytest.raises(ModelError, match=r"different fixed effects.*reml=False.*refit=True"):
        me.compare(one, two)
    table = me.compare(one, two, refit=True)
    assert table["estimation"].tolist() == ["ML (refitted)"] * 2
    by_ml = [fit(f"Reaction ~ {x} + (1 | Subject)", sleep, reml=False) for x in ("1", "Days")]
    direct = me.compare(*by_ml)
    np.testing.assert_allclose(table["loglik"], direct["loglik"], atol=1e-6)
    assert table["p_value"][1] == pytest.approx(direct["p_value"][1], rel=1e-4)


def test_restricted_fits_are_left_alone_where_they_can_be_compared(sleep):
    one, two = (fit(f"Reaction ~ Days + ({x} | Subject)", sleep) for x in ("1", "Days"))
    table = me.compare(one, two, refit=True)
    assert table["estimation"].tolist() == ["REML", "REML"]
    assert table["loglik"].tolist() == [one.loglik, two.loglik]


def test_restricted_fits_of_other_codings_are_refused(sleep):
    """log|X'V⁻¹X| depends on the coding: the criteria differ by a constant."""
    one = fit("Reaction ~ f + (1 | Subject)", sleep)
    two = fit("Reaction ~ C(f, contr.sum) + (Days | Subject)", sleep)
    with pytest.raises(ModelError, match="code the same ones differently"):
        me.compare(one, two)
    same = fit("Reaction ~ x + f + (Days | Subject)", sleep)
    assert references(fit("Reaction ~ f + x + (1 | Subject)", sleep), same) == [
        "0.5 chi2(1) + 0.5 chi2(2)"
    ]


def test_restricted_and_other_fits_do_not_mix(sleep):
    one = fit("Reaction ~ Days + (1 | Subject)", sleep)
    two = fit("Reaction ~ Days + (Days | Subject)", sleep, reml=False)
    with pytest.raises(ModelError, match="Some fits are by REML"):
        me.compare(one, two)
    table = me.compare(one, two, refit=True)
    assert table["estimation"].tolist() == ["ML (refitted)", "ML"]


# -- bootstrap -------------------------------------------------------------------------------


def test_the_bootstrap_of_fixed_effects_agrees_with_chi_square(sleep):
    one = fit("Reaction ~ Days + (1 | Subject)", sleep, reml=False)
    two = fit("Reaction ~ Days + x + (1 | Subject)", sleep, reml=False)
    row = me.compare(one, two, method="bootstrap", n=400, seed=1).iloc[1]
    assert row["reference"] == "bootstrap (400 refits)"
    assert row["simulation_error"] == pytest.approx(
        np.sqrt(row["p_value"] * (1 - row["p_value"]) / 400)
    )
    # 18 groups and 180 rows are near the limit
    assert abs(row["p_value"] - row["p_naive"]) <= 4 * row["simulation_error"] + 0.02


def test_the_bootstrap_compares_any_two_models(sleep):
    one = fit("Reaction ~ x + (1 | Subject)", sleep, reml=False)
    two = fit("Reaction ~ Days + (Days | Subject)", sleep, reml=False)
    row = me.compare(one, two, method="bootstrap", n=60, seed=1).iloc[1]
    assert row["reference"].startswith("bootstrap (60 refits); not nested")
    assert row["p_value"] == pytest.approx(1 / 61)
    assert pd.isna(row["df"])
    again = me.compare(one, two, method="bootstrap", n=60, seed=1).iloc[1]
    assert row["p_value"] == again["p_value"]


def test_the_bootstrap_with_weights_and_offset(sleep):
    data = sleep.assign(w=np.linspace(0.5, 2, 180), o=np.linspace(0, 500, 180))
    options = {"weights": "w", "offset": "o", "reml": False}
    one = fit("Reaction ~ Days + (1 | Subject)", data, **options)
    two = fit("Reaction ~ Days + x + (1 | Subject)", data, **options)
    row = me.compare(one, two, method="bootstrap", n=300, seed=2).iloc[1]
    assert abs(row["p_value"] - row["p_naive"]) <= 4 * row["simulation_error"] + 0.02


# -- bad input -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain(sleep):
    return fit("Reaction ~ Days + (1 | Subject)", sleep, reml=False)


def test_what_is_not_two_fits(plain, sleep):
    with pytest.raises(ModelError, match="two fits or more; it was given 0"):
        me.compare()
    with pytest.raises(ModelError, match="two fits or more; it was given 1"):
        me.compare(plain)
    with pytest.raises(ModelError, match="Argument 2 of compare is DataFrame, not a fit"):
        me.compare(plain, sleep)
    with pytest.raises(ModelError, match="Argument 1 of compare is list, not a fit"):
        me.compare([plain, plain])


def test_other_rows_are_named(plain, sleep):
    with pytest.raises(DataError, match="Fit 2 uses 170 rows and fit 1 180"):
        me.compare(plain, fit("Reaction ~ Days + (1 | Subject)", sleep.iloc[:170], reml=False))
    gaps = sleep.assign(z=sleep["x"].where(sleep.index > 9))
    with pytest.raises(DataError, match=r"170 rows and fit 1 180 \(missing values in 'z'\)"):
        me.compare(plain, fit("Reaction ~ Days + z + (1 | Subject)", gaps, reml=False))


def test_other_responses_are_named(plain, sleep):
    logged = fit("log(Reaction) ~ Days + (1 | Subject)", sleep, reml=False)
    with pytest.raises(DataError, match=r"'log\(Reaction\)' and fit 1 of 'Reaction'"):
        me.compare(plain, logged)
    changed = sleep.assign(Reaction=sleep["Reaction"].where(sleep.index != 3, 300.0))
    with pytest.raises(DataError, match=r"other values than that of fit 1 \(1 of 180 rows\)"):
        me.compare(plain, fit("Reaction ~ (1 | Subject)", changed, reml=False))
    turned = fit("Reaction ~ Days + x + (1 | Subject)", sleep.iloc[::-1], reml=False)
    with pytest.raises(DataError, match="rows of fit 1 in another order"):
        me.compare(plain, turned)


def test_the_same_response_under_another_name_will_do(plain, sleep):
    other = sleep.rename(columns={"Reaction": "ms"})
    table = me.compare(plain, fit("ms ~ Days + x + (1 | Subject)", other, reml=False))
    assert table["reference"][1] == "chi2(1)"


@pytest.mark.parametrize("what", ["weights", "offset"])
def test_other_weights_or_offsets_are_named(plain, sleep, what):
    options = {what: np.linspace(0.5, 2, 180), "reml": False}
    other = fit("Reaction ~ Days + x + (1 | Subject)", sleep, **options)
    for pair in ((plain, other), (other, plain)):
        with pytest.raises(DataError, match=f"differ in their {what}"):
            me.compare(*pair)


def test_the_same_model_twice(plain, sleep):
    with pytest.raises(ModelError, match="Fits 1 and 2 are the same model"):
        me.compare(plain, plain)
    again = fit("Reaction ~ 1 + Days + (1 | Subject)", sleep, reml=False)
    with pytest.raises(ModelError, match="Fits 1 and 2 are the same model"):
        me.compare(again, plain)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "exact"}, "method='exact' is not one of"),
        ({"refit": "ml"}, "refit='ml' is not one of True, False"),
        ({"method": "bootstrap", "n": 0}, "n=0 is not a number"),
        ({"method": "bootstrap", "seed": "a"}, "seed='a' is not a whole number"),
        ({"n": 99}, "n and seed belong to method='bootstrap'"),
    ],
)
def test_unknown_options(plain, sleep, options, message):
    other = fit("Reaction ~ Days + x + (1 | Subject)", sleep, reml=False)
    with pytest.raises(ModelError, match=message):
        me.compare(plain, other, **options)


def test_an_optimum_that_is_not_the_best_gives_no_test(plain, sleep):
    """A larger model whose search stopped early lies below the smaller one."""
    from dataclasses import replace

    other = fit("Reaction ~ Days + x + (1 | Subject)", sleep, reml=False)
    worse = replace(other.estimates, objective=plain.objective + 1.0)
    broken = type(other)(replace(other._fit, estimates=worse))
    row = me.compare(plain, broken).iloc[1]
    assert pd.isna(row["p_value"])
    assert row["reference"].startswith("none: the larger model's optimum is not the best")
