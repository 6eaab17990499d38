"""Marginal means, contrasts, slopes and letters of R's emmeans."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

import golden
import mixedeffects as me
from golden import assert_close

# Both stand at an optimum found to about 1e-6 standard errors; R's degrees of freedom come from
# numerical derivatives, and at singular fits neither is better defined than the case's file says.
ESTIMATE = {"rtol": 2e-6, "se_frac": 2e-5}
ERROR = {"rtol": 2e-5}
DF = {"rtol": 2e-3}
# t and limits vary with the df, p values with t
LIMIT = {"rtol": 2e-6, "se_frac": 1e-3}
P = {"rtol": 1e-2, "atol": 1e-9}
# emmeans draws these, with error 1e-3, at degrees of freedom rounded down
DRAWN_P = {"rtol": 5e-2, "atol": 2e-3}
DRAWN_LIMIT = {"rtol": 1e-4, "se_frac": 4e-2}
EXACT_P = {"rtol": 5e-3, "atol": 2e-5}

METHODS = {
    "trt.vs.ctrl": "treatment",
    "trt.vs.ctrl1": "treatment",
    "consec": "consecutive",
    "poly": "polynomial",
    "eff": "sum",
    "pairwise": "pairwise",
    "revpairwise": "revpairwise",
}
ADJUSTMENTS = {
    name: name.lower()
    for name in ("none", "tukey", "mvt", "scheffe", "sidak", "holm", "BH", "bonferroni")
}
NAMES = {
    **dict.fromkeys(("emmean", "response", "ratio", "Days.trend", "x.trend"), "estimate"),
    **dict.fromkeys(("age.trend", "temp.trend"), "estimate"),
    **dict.fromkeys(("lower.CL", "asymp.LCL"), "conf_low"),
    **dict.fromkeys(("upper.CL", "asymp.UCL"), "conf_high"),
    **dict.fromkeys(("t.ratio", "z.ratio"), "statistic"),
    "SE": "std_error",
    "p.value": "p_value",
}
CASES = golden.r_cases("emmeans")


@lru_cache(maxsize=4)
def fitted(case_id):
    case = CASES[case_id]
    return me.fit(case.formula, case.data, reml=case.reml, weights=case.weights)


@lru_cache(maxsize=4)
def fitted_case(case_id):
    case = golden.load_case(case_id)
    return me.fit(case.formula, case.data, reml=case.reml, weights=case.weights)


def columns(table):
    """Our table, or R's, with our names."""
    if isinstance(table, list):
        table = {name: [row.get(name) for row in table] for name in table[0]}
    found = {NAMES.get(name, name): list(values) for name, values in table.items()}
    if "contrast" in found:
        found["contrast"] = [text.replace(" effect", " - mean") for text in found["contrast"]]
    return found


def keyed(table, labels):
    """Rows by what they are called; R's numbers lose their tails."""
    texts = [[f"{v:g}" if isinstance(v, float) else str(v) for v in table[n]] for n in labels]
    return {key: i for i, key in enumerate(zip(*texts, strict=True))}


def compare(ours, theirs, labels, *, p=P, limit=LIMIT, what=""):
    """Each row of R's has its own among ours, contrasts perhaps of the other sign."""
    ours, theirs = columns(ours.to_dict("list")), columns(theirs)
    rows = keyed(ours, labels)
    matched, signs, kept = [], [], []
    for key, row in keyed(theirs, labels).items():
        if theirs["estimate"][row] is None:
            assert key not in rows, f"{what}: {key} is not estimable"
            continue
        turned = (*key[:-1], " - ".join(reversed(key[-1].split(" - "))))
        matched.append(rows[key] if key in rows else rows[turned])
        signs.append(1.0 if key in rows else -1.0)
        kept.append(row)
    assert len(matched) == len(rows), what
    signs = np.array(signs)
    ours = {name: np.array(ours[name])[matched] for name in ours}
    theirs = {name: np.array(theirs[name])[kept] for name in theirs}
    se = theirs["std_error"]
    assert_close(signs * ours["estimate"], theirs["estimate"], ESTIMATE, se=se, what=what)
    assert_close(ours["std_error"], se, ERROR, what=f"{what}: standard error")
    finite = np.array([d != "Inf" for d in theirs["df"]])
    assert_close(ours["df"][finite], theirs["df"][finite], DF, what=f"{what}: df")
    assert np.isinf(ours["df"][~finite]).all()
    low, high = ours["conf_low"], ours["conf_high"]
    low, high = np.where(signs > 0, low, -high), np.where(signs > 0, high, -low)
    assert_close(low, theirs["conf_low"], limit, se=se, what=f"{what}: lower limit")
    assert_close(high, theirs["conf_high"], limit, se=se, what=f"{what}: upper limit")
    if "p_value" in ours:
        assert_close(ours["p_value"], theirs["p_value"], p, what=f"{what}: p")


def listed(names):
    return [] if names is None else [names] if isinstance(names, str) else list(names)


def requests(kind):
    return [
        pytest.param(case_id, name, id=f"{case_id}-{name}")
        for case_id, case in CASES.items()
        for name, block in case.results.items()
        if kind in block and block.get("weights") != "outer"
    ]


def means_of(case_id, block):
    by = listed(block.get("by"))
    return fitted(case_id).emmeans(
        listed(block["specs"]),
        by,
        at=block.get("at"),
        weights=block["weights"],
        df=block["df"],
        scale="response" if block.get("type") == "response" else "link",
        not_estimable="drop",
    ), by


@pytest.mark.parametrize(("case_id", "name"), requests("means"))
def test_means(case_id, name):
    block = CASES[case_id].results[name]
    means, by = means_of(case_id, block)
    compare(means.table, block["means"], [*by, *listed(block["specs"])], what=name)


def asks_for_ours(case_id, name):
    """Contrasts of means by one of our methods, or by own coefficients."""
    method = CASES[case_id].results[name].get("method")
    return "means" in CASES[case_id].results[name] and not (
        isinstance(method, str) and method not in METHODS
    )


@pytest.mark.parametrize(
    ("case_id", "name"), [p for p in requests("contrasts") if asks_for_ours(*p.values)]
)
def test_contrasts(case_id, name):
    block = CASES[case_id].results[name]
    means, by = means_of(case_id, block)
    own = isinstance(block["method"], dict)
    method = block["method"] if own else METHODS[block["method"]]
    ref = means.table[block["specs"][0]][block["ref"] - 1] if "ref" in block else None
    for adjust in ADJUSTMENTS.keys() & block["contrasts"].keys():
        contrasts = means.contrast(method, ref=ref, adjust=ADJUSTMENTS[adjust])
        drawn = {"p": DRAWN_P, "limit": DRAWN_LIMIT} if adjust == "mvt" else {}
        compare(
            contrasts.table,
            block["contrasts"][adjust],
            [*by, "contrast"],
            what=f"{name} {adjust}",
            **drawn,
        )
    if "mvt_exact" in block:
        contrasts = means.contrast(method, ref=ref, adjust="mvt")
        table, exact = contrasts.table, block["mvt_exact"]
        assert_close(table["p_value"], exact["p.value"], EXACT_P, what="p")
        half = 0.5 * (table["conf_high"] - table["conf_low"]) / table["std_error"]
        assert_close(half, exact["critical"], {"rtol": 2e-4}, what="critical value")


def between(case_id, name, x):
    """Where a quadratic has the slope that emtrends finds by a step of 0.001 of the range."""
    return x + 0.0005 * np.ptp(CASES[case_id].data[name])


@pytest.mark.parametrize(("case_id", "name"), requests("slopes"))
def test_slopes(case_id, name):
    block = CASES[case_id].results[name]
    by, at = listed(block["specs"]), dict(block["at"] or {})
    if case_id == "orthodont_quadratic":
        at = {"age": between(case_id, "age", at.get("age", 11.0))}
    slopes = fitted(case_id).slopes(block["var"], by, at=at, df=block["df"])
    compare(slopes.table, block["slopes"], by, what=name)
    for adjust, table in block.get("contrasts", {}).items():
        contrasts = slopes.contrast("pairwise", adjust=ADJUSTMENTS[adjust])
        compare(contrasts.table, table, ["contrast"], what=f"{name} {adjust}")


def test_slopes_of_a_polynomial_at_points():
    for at, block in CASES["sleepstudy_poly"].results["slope_at"].items():
        x = between("sleepstudy_poly", "Days", float(at))
        ours = fitted("sleepstudy_poly").slopes("Days", at={"Days": x}).table
        compare(ours.assign(**{"1": "overall"}), block["slopes"], ["1"], what=at)


def test_interaction_contrasts():
    theirs = dict(CASES["factorial"].results["interaction"])
    pairs = zip(theirs.pop("a_pairwise"), theirs.pop("b_pairwise"), strict=True)
    theirs["contrast"] = [f"{a} : {b}" for a, b in pairs]
    ours = fitted("factorial").emmeans(["a", "b"]).contrast("pairwise", interaction=True)
    compare(ours.table, theirs, ["contrast"], what="interaction")


@pytest.mark.parametrize(("case_id", "name"), requests("table"))
def test_letters(case_id, name):
    block = CASES[case_id].results[name]
    specs = listed(block["specs"])
    ours = fitted(case_id).emmeans(specs).letters(alpha=block["level"])
    rows = keyed(ours.to_dict("list"), specs)
    for key, i in keyed(block["table"], specs).items():
        assert ours["letters"][rows[key]] == block["table"]["group"][i]


# -- the cases shared with the other tests ---------------------------------------------------

SHARED = [
    pytest.param(case_id, block, id=f"{case_id}-{block}")
    for case_id in golden.cases("lmm")
    for block in golden.load_case(case_id).results
    if block.startswith("emmeans")
]
METHOD = {"kenward_roger": "kenward-roger", "satterthwaite": "satterthwaite"}


@pytest.mark.parametrize(("case_id", "name"), SHARED)
def test_shared_cases(case_id, name):
    block = golden.load_case(case_id).results[name]
    specs, _, by = (part.strip() for part in block["specs"].lstrip("~").partition("|"))
    by = listed(by or None)
    at = {"Days": [0, 4.5, 9]} if specs == "Days" else None
    for df in METHOD.keys() & block.keys():
        means = fitted_case(case_id).emmeans(specs, by, at=at, df=METHOD[df])
        compare(means.table, block[df]["estimates"], [*by, specs], what=df)
        if "contrasts" not in block[df]:
            continue
        contrasts = means.contrast(METHODS[block["contrast"]], adjust=ADJUSTMENTS[block["adjust"]])
        compare(contrasts.table, block[df]["contrasts"], [*by, "contrast"], what=df)
