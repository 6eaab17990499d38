"""Wald and likelihood ratio tests of generalized fits against R, and what they are made of."""

from __future__ import annotations

import re

import numpy as np
import pytest

import golden
import mixedeffects as me
from golden import assert_close
from mixedeffects.errors import FormulaError, ModelError

# lme4 takes the expected information for the observed one where the link is not canonical, which
# moves its Laplace approximation and all that follows: see `laplace_observed_hessian` there.
OTHER_CURVATURE = ("cauchit", "cloglog", "probit")
CASES = [
    id_
    for id_ in golden.cases("general")
    if "wald_chisq_anova" in golden.load_case(id_).results
    and not (
        golden.load_case(id_).raw["model"]["kind"] == "glmm"
        and golden.load_case(id_).raw["model"]["link"] in OTHER_CURVATURE
    )
    and "prop" not in golden.load_case(id_).formula
]
SALAMANDERS = "count ~ spp * mined + (1 | site)"


def fitted(case):
    return me.fit(
        case.formula,
        case.data,
        family=case.family,
        offset=case.offset,
        on_check="ignore",
        **case.others,
    )


def plain(term):
    term = re.sub(r"C\((\w+), contr\.\w+\)", r"\1", term).replace("^", "**")
    return ":".join(sorted(term.replace(" ", "").split(":")))


@pytest.mark.parametrize("id_", CASES)
def test_car(id_):
    """Type II as car has it; its type III, of coefficients as coded, is test(term)."""
    case = golden.load_case(id_)
    fit, blocks = fitted(case), case.results["wald_chisq_anova"]
    table, rows = fit.anova(type=2), blocks["II"]
    assert [plain(t) for t in table["term"]] == [plain(r["term"]) for r in rows]
    assert list(table["num_df"]) == [r["df"] for r in rows]
    assert_close(table["statistic"], [r["chisq"] for r in rows], case.tolerances["chisq"])
    assert_close(table["p_value"], [r["p"] for r in rows], case.tolerances["p"])
    names = {plain(t): t for t in fit.design.spec.fixed.terms}
    for row in blocks["III"]:
        term = "Intercept" if row["term"] == "(Intercept)" else names[plain(row["term"])]
        joint = fit.test(term).joint
        assert (joint.num_df, joint.den_df) == (row["df"], np.inf)
        assert_close(joint.statistic * joint.num_df, row["chisq"], case.tolerances["chisq"])
        assert_close(joint.p_value, row["p"], case.tolerances["p"])


@pytest.fixture(scope="module")
def cbpp():
    return fitted(golden.load_case("cbpp_logit_laplace"))


@pytest.fixture(scope="module")
def salamanders():
    data = golden.load_case("salamanders_zip").data
    return me.fit(
        "count ~ spp + mined + (1 | site)", data, family="poisson", zero_inflation="~ spp + mined"
    )


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_ratio_of_reference(cbpp, kind):
    case = golden.load_case("cbpp_logit_laplace")
    expected = case.results["lrt_drop_period"]
    row = cbpp.anova(type=kind, test="lrt").iloc[0]
    assert (row["term"], row["num_df"]) == ("period", expected["df"])
    # twice the tolerance of a log-likelihood
    assert_close(row["statistic"], expected["chisq"], {"atol": 4e-5})
    assert_close(row["p_value"], expected["p"], case.tolerances["p"])


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_ratios_are_those_of_refits(kind):
    """Against fits of the models that are compared."""
    data = golden.load_case("salamanders_poisson").data

    def loglik(formula):
        return me.fit(f"count ~ {formula} + (1 | site)", data, family="poisson").loglik

    full = me.fit(SALAMANDERS, data, family="poisson")
    table = full.anova(type=kind, test="lrt").set_index("term")["statistic"]
    both = loglik("spp + mined")
    assert table["spp:mined"] == pytest.approx(2 * (full.loglik - both), abs=1e-5)
    if kind == 1:
        assert table["spp"] == pytest.approx(2 * (loglik("spp") - loglik("1")), abs=1e-5)
        assert table["mined"] == pytest.approx(2 * (both - loglik("spp")), abs=1e-5)
    if kind == 2:
        assert table["spp"] == pytest.approx(2 * (both - loglik("mined")), abs=1e-5)
        assert table["mined"] == pytest.approx(2 * (both - loglik("spp")), abs=1e-5)


def test_type_three_does_not_depend_on_coding():
    data = golden.load_case("salamanders_poisson").data
    coded = "count ~ C(spp, contr.sum) * C(mined, contr.sum) + (1 | site)"
    for test in ("wald", "lrt"):
        tables = [
            me.fit(f, data, family="poisson").anova(type=3, test=test) for f in (SALAMANDERS, coded)
        ]
        np.testing.assert_allclose(tables[0]["statistic"], tables[1]["statistic"], rtol=1e-4)


def test_components(salamanders):
    table = salamanders.fixef()
    zeros = table[table["component"] == "zero_inflation"].reset_index(drop=True)
    tested = salamanders.test("mined", component="zero_inflation")
    names = list(zeros["term"])
    row = zeros.iloc[next(i for i, n in enumerate(names) if n.startswith("mined"))]
    assert tested.table["statistic"][0] == pytest.approx(row["statistic"], rel=1e-9)
    anova = salamanders.anova(component="zero_inflation")
    assert list(anova["term"]) == ["spp", "mined"]
    assert anova["statistic"][1] == pytest.approx(row["statistic"] ** 2, rel=1e-9)
    ratios = salamanders.anova(component="zero_inflation", test="lrt")
    assert list(ratios["num_df"]) == [6, 1]
    assert np.all(ratios["statistic"] > 0)


def test_ratio_in_zero_inflation(salamanders):
    data = golden.load_case("salamanders_zip").data
    without = me.fit(
        "count ~ spp + mined + (1 | site)", data, family="poisson", zero_inflation="~ spp"
    )
    table = salamanders.anova(type=2, component="zero_inflation", test="lrt").set_index("term")
    expected = 2 * (salamanders.loglik - without.loglik)
    assert table["statistic"]["mined"] == pytest.approx(expected, abs=1e-5)


def test_ordinal():
    """Thresholds stand in for the intercept; their coefficients can be tested, too."""
    case = golden.load_case("wine_clmm_logit")
    fit = fitted(case)
    wald, table = fit.anova(), fit.fixef().set_index("term")
    assert list(wald["term"]) == ["temp", "contact"]
    z = [table["statistic"][n] for n in table.index if n.startswith(("temp", "contact"))]
    np.testing.assert_allclose(wald["statistic"], np.square(z), rtol=1e-9)
    ratio = fit.anova(test="lrt")
    smaller = me.fit("rating ~ temp + (1 | judge)", case.data, family=case.family)
    assert ratio["statistic"][1] == pytest.approx(2 * (fit.loglik - smaller.loglik), abs=1e-5)
    tested = fit.test(np.eye(4)[:2], component="threshold")
    assert tested.joint.num_df == 2


def test_equations_between_coefficients(salamanders):
    names = [n for n in salamanders.estimates.x_names if n.startswith("spp")]
    tested = salamanders.test(f"{names[0]} = {names[1]}")
    L = np.zeros(len(salamanders.beta))
    L[salamanders.estimates.x_names.index(names[0])] = 1.0
    L[salamanders.estimates.x_names.index(names[1])] = -1.0
    se = np.sqrt(L @ salamanders.vcov() @ L)
    assert tested.table["statistic"][0] == pytest.approx(L @ salamanders.beta / se, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda f: f.test("mined", component="dispersion"), ModelError, "not in the model. It has"),
        (lambda f: f.test("nothing"), FormulaError, "not a coefficient"),
        (lambda f: f.test("mined", df="satterthwaite"), ModelError, "asymptotic"),
        (lambda f: f.anova(df="kenward-roger"), ModelError, "asymptotic"),
        (lambda f: f.anova(test="score"), ModelError, "'wald', 'lrt'"),
        (lambda f: f.anova(type=4), ModelError, "1, 2, 3"),
        (lambda f: f.anova(test="lrt", df="residual"), ModelError, "leave it out"),
    ],
)
def test_refusals(salamanders, call, error, words):
    with pytest.raises(error, match=words):
        call(salamanders)


def test_constant_component_has_no_terms():
    fit = fitted(golden.load_case("salamanders_nbinom2"))
    with pytest.raises(ModelError, match="only constants"):
        fit.anova(component="dispersion")
    assert fit.test("Intercept", component="dispersion").joint.num_df == 1


def test_ratios_are_of_generalized_fits():
    fit = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff"))
    with pytest.raises(ModelError, match="generalized"):
        fit.anova(test="lrt")
