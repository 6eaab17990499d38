"""What lme4, glmmTMB and ordinal say of rows: predictions, residuals, their standard errors."""

from __future__ import annotations

import numpy as np
import pytest

import golden
import mixedeffects as me
from golden import assert_close

# Rows that the reference gives.
FIRST = 20


def fitted(case):
    return me.fit(case.formula, case.data, family=case.family, weights=case.weights, **case.others)


@pytest.fixture(scope="module", params=golden.cases("general"))
def case(request):
    case = golden.load_case(request.param)
    other = "laplace_observed_hessian" in case.results and case.raw["model"]["link"] != "logit"
    if other or request.param == "cbpp_cauchit_laplace":
        pytest.skip("lme4's approximation for this link is another, see test_golden_general")
    return case


@pytest.fixture(scope="module")
def fit(case):
    return fitted(case)


def check(case, values, block, kind="predict", **tolerance):
    if block not in case.results:
        pytest.skip("none in the reference")
    reference = np.array(case.results[block], dtype=float)
    ours = np.asarray(values(), dtype=float)[: len(reference)]
    assert_close(ours, reference, tolerance or case.tolerances[kind], what=block)


PREDICTIONS = {
    "predict_link_first20": {"scale": "link"},
    "linear_predictor_first20": {"scale": "link"},
    "predict_response_first20": {},
    "predict_conditional_first20": {"component": "conditional"},
    "predict_zprob_first20": {"component": "zero_inflation"},
    "predict_zlink_first20": {"component": "zero_inflation", "scale": "link"},
    "predict_fixed_link_first20": {"random": "population", "scale": "link"},
    "predict_fixed_response_first20": {"random": "population"},
}


@pytest.mark.parametrize("block", PREDICTIONS)
def test_predictions(case, fit, block):
    check(case, lambda: fit.predict(**PREDICTIONS[block]), block)


def test_dispersion(case, fit):
    if not case.family.has_dispersion:
        with pytest.raises(me.errors.ModelError, match="has no dispersion"):
            fit.predict(component="dispersion")
        return
    check(case, lambda: fit.predict(component="dispersion"), "predict_disp_first20")


# What glmmTMB 1.1.5 divides by is not the standard deviation of these families, except where
# zeros are inflated: it over ours.
DIVISORS = {
    "gamma": lambda fit: 1.0 / fit.sigma,
    "beta": lambda fit: np.sqrt(1.0 + fit.sigma),
    "betabinomial": lambda fit: 1.0 / np.sqrt(1.0 + (fit.design.trials - 1.0) / (1.0 + fit.sigma)),
    "student_t": lambda fit: np.sqrt(fit.sigma) / np.sqrt(variance_of_t(fit)),
}
# Its hurdle models take the variance of the counts before truncation.
UNTRUNCATED = {"salamanders_hurdle_nbinom2", "salamanders_hurdle_poisson"}


def variance_of_t(fit):
    table = fit.fixef()
    df = float(table.loc[table["component"] == "shape", "estimate"].iloc[0])
    return fit.sigma**2 * df / (df - 2.0)


@pytest.mark.parametrize("kind", ["response", "pearson", "deviance"])
def test_residuals(case, fit, kind):
    if kind == "pearson" and case.id in UNTRUNCATED:
        pytest.skip("ours are held to draws in test_general_residuals")
    special = kind == "pearson" and "zero_inflation" not in case.others
    divisor = DIVISORS.get(case.family.name) if special else None
    # a residual errs by what its mean does
    tolerance = case.tolerances["fitted"] | {"atol": 2e-4}
    check(
        case,
        lambda: fit.residuals(kind) / (1.0 if divisor is None else divisor(fit)),
        f"residuals_{kind}_first20",
        **tolerance,
    )


def test_categories(case, fit):
    if not case.family.has_thresholds:
        pytest.skip("not ordinal")
    observed = np.arange(fit.nobs), fit.design.y.astype(int)
    check(case, lambda: fit.fitted().to_numpy()[observed], "fitted_prob_first20", "fitted")


@pytest.mark.parametrize(
    ("random", "block"),
    [("conditional", "conditional_link_se_first20"), ("population", "fixed_only_link_se_first20")],
)
def test_standard_errors(case, fit, random, block):
    reference = case.results.get("predict_se")
    if reference is None or fit.is_singular:
        pytest.skip("none in the reference, or a variance at zero")
    table = fit.predict(random=random, scale="link", std_error=True)
    ours = table["std_error"][:FIRST]
    assert_close(ours, reference[block], case.tolerances["se"], what=block)


@pytest.mark.parametrize("scale", ["link", "response"])
@pytest.mark.parametrize("random", ["conditional", "population"])
def test_new_rows(case, fit, random, scale):
    block = case.results.get("predict_new")
    name = f"{'conditional' if random == 'conditional' else 'fixed_only'}_{scale}"
    if block is None or block.get(name) is None:
        pytest.skip("none in the reference")
    ours = fit.predict(case.new_data, random=random, scale=scale, new_levels="population")
    reference = np.array(block[name])
    if case.id == "salamanders_zip_zire" and name == "fixed_only_response":
        # without the groups glmmTMB seeks the extra zeros' modes again; the new group has none
        ours, reference = ours[2:], reference[2:]
    assert_close(ours, reference, case.tolerances["predict"], what=name)


def blocks(case):
    """Component, group and values of the reference's modes with their deviations."""
    found = case.results.get("ranef") or {}
    by_component = {"conditional": found.get("cond", {}), "zero_inflation": found.get("zi", {})}
    if not set(found) <= {"cond", "zi"}:
        by_component = {"conditional": found}
    for component, groups in by_component.items():
        for group, block in groups.items():
            if "condsd" in block:
                yield component, case.group(group), block


def test_deviations_of_modes(case, fit):
    """lme4's and ordinal's are given the parameters, as ours; glmmTMB's are of all there is."""
    if fit.is_singular:
        pytest.skip("a variance at zero")
    for component, group, block in blocks(case):
        (number, term), *more = [
            (n, t)
            for n, t in enumerate(fit.estimates.terms)
            if (t.component, t.group) == (component, group)
        ]
        if more:
            continue  # lme4 joins the independent terms of one group
        order = [list(map(str, term.levels)).index(level) for level in block["levels"]]
        if case.raw["model"]["kind"] == "glmmTMB":
            ours = total_deviations(fit._fit, number)
        else:
            table = fit.ranef()
            own = table[table["group"] == group]
            ours = own["std_error"].to_numpy().reshape(term.modes.shape)
        reference = np.array(block["condsd"], dtype=float)
        tolerance = case.tolerances.get("condsd", {"rtol": 1e-4})
        assert_close(ours[order], reference, tolerance, what=f"condsd of {group}")


def total_deviations(fit, number):
    """Standard deviations (L, k) of a term's effects with the parameters' uncertainty."""
    problem, terms = fit.problem, fit.estimates.terms
    n_levels, k = terms[number].modes.shape
    a = problem.predictor[problem.terms[number].grouping]
    columns = []
    for j in range(k):
        values = [np.zeros((n_levels, len(t.names))) for t in terms]
        codes = [np.full(n_levels, -1, np.int32) for _ in terms]
        values[number][:, j] = 1.0
        codes[number] = np.arange(n_levels, dtype=np.int32)
        found = fit.factor.covariances(np.zeros((n_levels, problem.n_fixed)), values, codes)
        columns.append(np.sqrt(found[:, a, a]))
    return np.column_stack(columns)
