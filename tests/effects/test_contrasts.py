"""Contrasts: their coefficients, families, tests and letters."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedeffects as me
from mixedeffects.effects.means.coefficients import coefficients, orthogonal_polynomials
from mixedeffects.effects.means.letters import letter_groups, letters
from mixedeffects.errors import ModelError


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(2)
    n = 150
    a, b = rng.choice(list("uvwz"), n), rng.choice(["no", "yes"], n)
    g = rng.integers(0, 10, n)
    y = (a == "z") * 1.5 + (b == "yes") * (a == "u") + rng.normal(size=10)[g] + rng.normal(size=n)
    return me.fit("y ~ a*b + (1 | g)", pd.DataFrame({"y": y, "a": a, "b": b, "g": g}))


@pytest.fixture(scope="module")
def means(fit):
    return fit.emmeans("a")


LABELS = ("u", "v", "w", "z")


# -- coefficients ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "names", "rows"),
    [
        ("pairwise", {0: "u - v", 3: "v - w"}, {0: [1, -1, 0, 0], 5: [0, 0, 1, -1]}),
        ("revpairwise", {0: "v - u", 2: "w - v"}, {0: [-1, 1, 0, 0], 2: [0, -1, 1, 0]}),
        ("treatment", {0: "v - u", 2: "z - u"}, {2: [-1, 0, 0, 1]}),
        ("consecutive", {1: "w - v"}, {2: [0, 0, -1, 1]}),
        ("sum", {3: "z - mean"}, {0: [0.75, -0.25, -0.25, -0.25]}),
        ("polynomial", {0: "linear", 2: "cubic"}, {0: [-3, -1, 1, 3], 1: [1, -1, -1, 1]}),
    ],
)
def test_methods(method, names, rows):
    made = coefficients(method, LABELS)
    assert made.kind == method
    assert len(made.names) == len(made.C)
    for i, name in names.items():
        assert made.names[i] == name
    for i, row in rows.items():
        np.testing.assert_allclose(made.C[i], row)
    np.testing.assert_allclose(made.C.sum(axis=1), 0.0, atol=1e-15)


@pytest.mark.parametrize("k", [2, 3, 5, 9, 30])
def test_polynomials_are_orthogonal_and_of_their_degree(k):
    C = orthogonal_polynomials(k, min(k - 1, 6))
    products = C @ C.T
    np.testing.assert_array_equal(products, np.diag(np.diagonal(products)))
    x = np.arange(k)
    for degree, row in enumerate(C, start=1):
        fitted = np.polynomial.Polynomial.fit(x, row, degree)(x)
        np.testing.assert_allclose(fitted, row, atol=1e-8 * np.abs(row).max())
        assert row[-1] > 0
        assert np.gcd.reduce(row.astype(int)) == 1


def test_own_coefficients_by_position_label_and_matrix(means):
    row = [0.5, 0.5, -0.5, -0.5]
    by_label = {"u": 0.5, "v": 0.5, "w": -0.5, "z": -0.5}
    tables = [
        means.contrast({"early - late": row}).table,
        means.contrast({"early - late": by_label}).table,
        means.contrast([row]).table.assign(contrast="early - late"),
        means.contrast(np.array(row)).table.assign(contrast="early - late"),
    ]
    for table in tables:
        pd.testing.assert_frame_equal(table, tables[0])
    np.testing.assert_allclose(tables[0]["estimate"], [np.dot(row, means.estimate)])


def test_reference(means):
    table = means.contrast("treatment", ref="w").table
    assert table["contrast"].tolist() == ["u - w", "v - w", "z - w"]
    pd.testing.assert_frame_equal(
        means.contrast("treatment", ref="u").table, means.contrast("treatment").table
    )


def test_coefficients_that_do_not_compare_are_noted(means):
    contrasts = means.contrast({"total": [1, 1, 1, 1], "difference": [1, -1, 0, 0]})
    assert "do not sum to zero, so no comparison: total" in " ".join(contrasts.notes)


# -- families --------------------------------------------------------------------------------------


def test_families_are_adjusted_each_for_itself(fit):
    table = fit.emmeans("a", by="b").contrast("pairwise").table
    assert len(table) == 12
    alone = fit.emmeans("a", at={"b": "yes"}).contrast("pairwise").table
    pd.testing.assert_frame_equal(
        table[table["b"] == "yes"].drop(columns="b").reset_index(drop=True), alone
    )


def test_grouping_may_be_chosen_later(fit):
    cells = fit.emmeans(["b", "a"])
    own = cells.contrast(by="b").table.sort_values(["b", "contrast"], ignore_index=True)
    other = fit.emmeans("a", by="b").contrast().table
    pd.testing.assert_frame_equal(own, other.sort_values(["b", "contrast"], ignore_index=True))
    assert len(fit.emmeans("a", by="b").contrast(by=[]).table) == 28
    assert cells.contrast().table["contrast"][0] == "no u - no v"


def test_contrasts_of_contrasts_are_interactions(fit):
    within = fit.emmeans("a", by="b").contrast("treatment")
    again = within.contrast("pairwise", by="contrast", adjust="none").table
    product = fit.emmeans(["a", "b"]).contrast(("treatment", "pairwise"), interaction=True).table
    assert product["contrast"][0] == "v - u : no - yes"
    for name in ("estimate", "std_error", "df", "p_value"):
        np.testing.assert_allclose(again[name], product[name], rtol=1e-9)


def test_standard_adjustments(means):
    expected = {
        "pairwise": "tukey",
        "revpairwise": "tukey",
        "treatment": "dunnett",
        "consecutive": "mvt",
        "polynomial": "none",
        "sum": "bh",
    }
    assert {method: means.contrast(method).adjust for method in expected} == expected
    assert means.contrast({"one": [1, -1, 0, 0]}).adjust == "none"


def test_reversed_comparisons_mirror(means):
    forward, back = means.contrast("pairwise").table, means.contrast("revpairwise").table
    back = back.set_index("contrast")
    for row in forward.itertuples():
        turned = back.loc[" - ".join(reversed(row.contrast.split(" - ")))]
        np.testing.assert_allclose(turned["estimate"], -row.estimate)
        np.testing.assert_allclose(turned["p_value"], row.p_value, rtol=1e-9)
        np.testing.assert_allclose(turned["conf_low"], -row.conf_high)


def test_limits_and_p_values_agree(means):
    for adjust in ("none", "tukey", "mvt", "sidak", "bonferroni", "scheffe"):
        table = means.contrast(adjust=adjust, level=0.9).table
        beyond = (table["conf_low"] > 0) | (table["conf_high"] < 0)
        np.testing.assert_array_equal(beyond, table["p_value"] < 0.1)


# -- tests -----------------------------------------------------------------------------------------


def test_tests_of_one_value(means):
    table = means.test(null=0.5, side="greater")
    t = (means.estimate - 0.5) / means.std_error
    np.testing.assert_allclose(table["statistic"], t)
    np.testing.assert_allclose(table["p_value"], stats.t.sf(t, means.df))
    other = means.test(null=0.5, side="less")
    np.testing.assert_allclose(other["p_value"], stats.t.cdf(t, means.df))
    two = means.test(null=0.5, adjust="bonferroni")
    np.testing.assert_allclose(two["p_value"], np.minimum(8 * stats.t.sf(np.abs(t), means.df), 1))


def test_equivalence_is_two_one_sided_tests(means):
    contrasts = means.contrast("pairwise", adjust="none")
    above = (contrasts.estimate + 1.0) / contrasts.std_error
    below = (contrasts.estimate - 1.0) / contrasts.std_error
    worst = np.maximum(stats.t.sf(above, contrasts.df), stats.t.cdf(below, contrasts.df))
    np.testing.assert_allclose(contrasts.test(delta=1.0)["p_value"], worst)
    noninferior = contrasts.test(delta=1.0, side="greater")["p_value"]
    np.testing.assert_allclose(noninferior, stats.t.sf(above, contrasts.df))
    superior = contrasts.test(delta=1.0, side="less")["p_value"]
    np.testing.assert_allclose(superior, stats.t.cdf(below, contrasts.df))


def test_contrasts_keep_their_adjustment_when_tested(means):
    contrasts = means.contrast("pairwise")
    np.testing.assert_allclose(contrasts.test()["p_value"], contrasts.table["p_value"])


def test_joint_test_is_of_all_differences(fit, means):
    for method in ("pairwise", "treatment", "polynomial", "sum"):
        joint = means.contrast(method).joint_test()
        assert joint["num_df"].tolist() == [3]
    C = means.contrast("consecutive")
    V = C.L @ fit.vcov() @ C.L.T
    np.testing.assert_allclose(
        joint["statistic"][0], C.estimate @ np.linalg.solve(V, C.estimate) / 3
    )
    by = fit.emmeans("a", by="b").contrast().joint_test()
    assert by["b"].tolist() == ["no", "yes"]
    assert by["num_df"].tolist() == [3, 3]


def test_joint_test_with_a_value(means):
    at_estimate = means.contrast({"one": [1, -1, 0, 0]})
    joint = at_estimate.joint_test(null=float(at_estimate.estimate[0]))
    assert joint["p_value"][0] == pytest.approx(1.0)


# -- letters ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_letters_show_exactly_the_differing_pairs(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 9))
    pairs = list(itertools.combinations(range(count), 2))
    differing = [pair for pair in pairs if rng.random() < 0.5]
    found = letters(list(range(count)), differing)
    for i, j in pairs:
        assert bool(set(found[i]) & set(found[j])) == ((i, j) not in differing)
    groups = letter_groups(count, differing)
    assert not any(one < other for one in groups for other in groups)


def test_letters_by_hand():
    assert letters([0, 1, 2], []) == ["a", "a", "a"]
    assert letters([2, 1, 0], [(0, 1), (0, 2), (1, 2)]) == ["c", "b", "a"]
    assert letters([0, 1, 2, 3], [(0, 2), (0, 3), (1, 3)]) == ["a", "ab", "bc", "c"]
    many = letters(list(range(30)), list(itertools.combinations(range(30), 2)))
    assert many[:2] + many[-1:] == ["a1", "b1", "d2"]


def test_letters_of_means(fit):
    table = fit.emmeans("a", by="b").letters(alpha=0.1)
    p = fit.emmeans("a", by="b").contrast("pairwise").table
    shown = {(r.b, r.a): set(r.letters) for r in table.itertuples()}
    for row in p.itertuples():
        one, other = row.contrast.split(" - ")
        assert bool(shown[row.b, one] & shown[row.b, other]) == (row.p_value >= 0.1)
    for _, own in table.groupby("b"):
        assert "a" in own["letters"][own["estimate"].idxmin()]


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "pairs"}, "'pairs' is not one of.*Did you mean 'pairwise'"),
        (
            {"method": {"c": [1, -1]}},
            "'c' has 2 coefficients, but there are 4 estimates: u, v, w, z",
        ),
        ({"method": {"c": {"U": 1}}}, "'U' is not one of.*Did you mean 'u'"),
        ({"method": {"c": [0, 0, 0, 0]}}, "all zero"),
        ({"method": {"c": [1, np.nan, 0, 0]}}, "not finite"),
        ({"method": {"c": ["x", "y", "z", "u"]}}, "not numbers"),
        ({"method": {}}, "no contrast"),
        ({"method": object()}, "neither the name of a method nor coefficients"),
        ({"method": [[1, -1, 0]]}, "has 3 coefficients"),
        ({"method": "treatment", "ref": "q"}, "ref: 'q' is not one of 'u', 'v'"),
        ({"method": "pairwise", "ref": "u"}, "applies to method='treatment'"),
        ({"adjust": "lsd"}, "adjust='lsd' is not one of"),
        ({"method": "treatment", "adjust": "tukey"}, "'mvt' is exact"),
        ({"by": "c"}, "by='c' is not a column"),
        ({"by": "a"}, "nothing to compare"),
        ({"level": 2.0}, "level=2.0"),
        ({"method": ("pairwise", "sum"), "interaction": True}, "one for each of a"),
    ],
)
def test_bad_input(arguments, words, means):
    with pytest.raises(ModelError, match=words):
        means.contrast(**arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"side": "both"}, "side='both'"),
        ({"null": np.nan}, "null=nan"),
        ({"delta": -1.0}, "delta=-1.0"),
        ({"delta": 1.0, "adjust": "mvt"}, "not for tests with delta"),
        ({"adjust": "tukey"}, "for all pairwise comparisons"),
        ({"adjust": "scheffe", "side": "less"}, "two-sided tests"),
    ],
)
def test_bad_tests(arguments, words, means):
    with pytest.raises(ModelError, match=words):
        means.test(**arguments)


def test_one_mean_has_nothing_to_be_compared_with(fit):
    with pytest.raises(ModelError, match="nothing to compare"):
        fit.emmeans("a", at={"a": "u"}).contrast()
    with pytest.raises(ModelError, match="nothing to compare"):
        fit.emmeans([]).contrast()
    with pytest.raises(ModelError, match="alpha=5"):
        fit.emmeans("a").letters(alpha=5)


def test_interaction_contrasts_need_every_combination(fit):
    cells = fit.emmeans(["a", "b"])
    some = cells.contrast(np.eye(8)[:5])
    assert len(some.table) == 5
    with pytest.raises(ModelError, match="one for each of a, b"):
        cells.contrast(("pairwise",), interaction=True)
