"""Deletion of rows and groups against R, against fits of the remaining rows, and by hand."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import polars as pl
import pytest

import golden
import mixedeffects as me
import oracle
from mixedeffects.algebra.crossproducts import crossproducts
from mixedeffects.errors import DataError, ModelError
from mixedeffects.fitting.deletion import Deletions

BY_GROUP = tuple(
    i for i in golden.cases("lmm") if "influence_by_group" in golden.load_case(i).results
)
NUMBERS = (
    *("dfbeta", "dfbetas", "cooks_distance", "covratio"),
    *("covtrace", "sigma", "theta", "deviations"),
)


@pytest.mark.parametrize("id_", BY_GROUP)
def test_groups_of_lme4(id_):
    case = golden.load_case(id_)
    reference = case.results["influence_by_group"]
    fit = me.fit(case.formula, case.data, reml=case.reml, weights=case.weights)
    found = fit.influence(reference["group"])
    assert found.refitted
    names = [str(level) for level in found.levels]
    place = [names.index(level) for level in reference["levels"]]
    se = np.sqrt(np.diagonal(fit.vcov()))
    # R's refits stop some 1e-6 of θ from their optima
    np.testing.assert_allclose(found.dfbeta[place] / se, reference["dfbeta"] / se, atol=1e-8)
    np.testing.assert_allclose(found.dfbetas[place], reference["dfbetas"], atol=1e-5)
    for ours, theirs in (
        ("cooks_distance", "cooks_distance"),
        ("covratio", "covratio"),
        ("covtrace", "covtrace"),
        ("sigma", "deleted_sigma"),
        ("theta", "deleted_theta"),
    ):
        np.testing.assert_allclose(
            getattr(found, ours)[place], reference[theirs], rtol=1e-5, atol=1e-5, err_msg=ours
        )


@pytest.mark.parametrize("id_", golden.r_cases("influence"))
def test_deletions_written_out_in_r(id_):
    case = golden.r_cases("influence")[id_]
    fit = me.fit(case.formula, case.data, reml=case.reml, weights=case.weights)
    results = case.results
    for group, reference in results["groups"].items():
        found = fit.influence(group)
        names = [str(level) for level in found.levels]
        check_reference(fit, found, reference, [names.index(n) for n in reference["level"]])
    if "observations" in results:
        reference = results["observations"]
        check_reference(fit, fit.influence(refit=True), reference, reference["row"])


def check_reference(fit, found, reference, place):
    """Both optimizers stop within some 1e-5 of a standard error."""
    se = np.sqrt(np.diagonal(fit.vcov()))
    dfbeta = np.reshape(reference["dfbeta"], (len(place), -1))
    np.testing.assert_allclose(found.dfbeta[place] / se, dfbeta / se, atol=1e-4)
    dfbetas = np.reshape(reference["dfbetas"], dfbeta.shape)
    np.testing.assert_allclose(found.dfbetas[place], dfbetas, atol=1e-4)
    cooks = found.cooks_distance[place]
    np.testing.assert_allclose(cooks, reference["cooks_distance"], atol=1e-4, rtol=1e-3)
    np.testing.assert_allclose(found.sigma[place], reference["sigma"], rtol=1e-4)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(4)
    n = 80
    g, h = rng.integers(0, 7, n), rng.integers(0, 5, n)
    x, w, o = rng.normal(1.0, 1.0, n), rng.uniform(0.3, 3.0, n), rng.normal(0, 9, n)
    y = 1 + x + rng.normal(size=7)[g] * (1 + x) + rng.normal(size=5)[h] + rng.normal(size=n)
    data = pd.DataFrame({"y": y, "x": x, "g": g, "h": h, "w": w, "o": o, "z": y + o})
    data["f"] = np.array(list("abc"))[rng.integers(0, 3, n)]
    data["c"] = 10 * g + h % 2
    return data.set_index(pd.Index(rng.permutation(n) + 300, name="row"))


MODELS = [
    ("y ~ x + (x | g)", {}),
    ("z ~ x + f + (1 | g) + (1 | h)", {"weights": "w", "offset": "o"}),
    ("y ~ x + I(2 * x) + (x || g)", {"reml": False, "weights": "w"}),
    ("y ~ x + (1 | g/h)", {"reml": False}),
]


def at_fixed_theta(fit, keep):
    """β̂, Cov(β̂) and σ̂ of some of the rows from the dense n × n covariance, θ held."""
    design = fit.design
    terms = [
        oracle.Term(r.values[keep], r.codes[keep], t.factor, len(r.levels), r.matrix)
        for r, t in zip(design.random, fit.estimates.terms, strict=True)
    ]
    weights, offset = (a if a is None else a[keep] for a in (design.weights, design.offset))
    X = design.X[np.ix_(keep, fit.estimates.kept)]
    return oracle.solve(design.y[keep], X, terms, weights=weights, offset=offset, reml=fit.reml)


def check_dense(fit, found, number, keep):
    expected = at_fixed_theta(fit, keep)
    dfbeta = fit.beta - expected.beta
    np.testing.assert_allclose(found.dfbeta[number], dfbeta, atol=1e-8)
    se = np.sqrt(np.diagonal(expected.vcov))
    np.testing.assert_allclose(found.dfbetas[number], dfbeta / se, atol=1e-7)
    assert found.sigma[number] == pytest.approx(expected.sigma, rel=1e-8)
    inverse = np.linalg.inv(fit.vcov())
    cooks = dfbeta @ inverse @ dfbeta / len(dfbeta)
    assert found.cooks_distance[number] == pytest.approx(cooks, rel=1e-6)
    ratio = np.linalg.det(expected.vcov) / np.linalg.det(fit.vcov())
    assert found.covratio[number] == pytest.approx(ratio, rel=1e-7)
    trace = abs(np.trace(inverse @ expected.vcov) - len(dfbeta))
    assert found.covtrace[number] == pytest.approx(trace, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("formula", "options"), MODELS)
def test_rows_at_fixed_theta(data, formula, options):
    fit = me.fit(formula, data, on_check="ignore", **options)
    found = fit.influence()
    assert not found.refitted
    np.testing.assert_array_equal(found.levels, data.index)
    np.testing.assert_array_equal(found.theta, np.tile(fit.theta, (80, 1)))
    for row in range(0, 80, 9):
        check_dense(fit, found, row, np.arange(80) != row)


@pytest.mark.parametrize(("formula", "options"), MODELS)
def test_groups_at_fixed_theta(data, formula, options):
    fit = me.fit(formula, data, on_check="ignore", **options)
    found = fit.influence("g", refit=False)
    for number, level in enumerate(found.levels):
        check_dense(fit, found, number, data["g"].to_numpy() != level)


@pytest.mark.parametrize(("formula", "options"), MODELS)
def test_groups_refitted_are_fits_of_the_others(data, formula, options):
    fit = me.fit(formula, data, on_check="ignore", **options)
    group = "h" if "| h" in formula else "g"
    found = fit.influence(group)
    for number in (0, 3):
        rest = data[data[group] != found.levels[number]]
        other = me.fit(formula, rest, on_check="ignore", **options)
        np.testing.assert_allclose(found.dfbeta[number], fit.beta - other.beta, atol=1e-5)
        assert found.sigma[number] == pytest.approx(other.sigma, rel=1e-5)
        np.testing.assert_allclose(found.theta[number], other.theta, atol=1e-4)
        table = other.varcorr()
        deviations = table[table["term2"].isna() & (table["group"] != "Residual")]["sd_or_corr"]
        np.testing.assert_allclose(found.deviations[number], deviations, atol=1e-4)


def test_rows_refitted_are_fits_of_the_others(data):
    fit = me.fit("y ~ x + (x | g)", data)
    found = fit.influence(refit=True)
    for row in (2, 41):
        other = me.fit("y ~ x + (x | g)", data.drop(index=data.index[row]))
        np.testing.assert_allclose(found.dfbeta[row], fit.beta - other.beta, atol=1e-5)
        assert found.sigma[row] == pytest.approx(other.sigma, rel=1e-5)


def test_known_relationships(data):
    rng = np.random.default_rng(1)
    root = rng.normal(size=(7, 9))
    K = root @ root.T / 9  # noqa: F841 - named by the formula
    fit = me.fit("y ~ x + known(1 | g, K)", data)
    found = fit.influence("g", refit=False)
    for number, level in enumerate(found.levels):
        check_dense(fit, found, number, data["g"].to_numpy() != level)


def test_cross_products_without_rows_are_those_of_the_others(data):
    """The problem of the remaining rows, piece by piece, crossed and weighted."""
    fit = me.fit("y ~ x + (x | g) + (1 | h)", data, weights="w")._fit
    rows = np.flatnonzero(data["h"].to_numpy() == 2)
    keep = np.setdiff1d(np.arange(80), rows)
    reduced = Deletions(fit, True)._problem_without(rows)
    problem = fit.problem
    y = (fit.design.y - problem.basis.columns @ problem.least_squares) / problem.scale
    groupings = [type(g)(g.codes[keep], g.values[keep], g.n_levels) for g in problem.groupings]
    expected = crossproducts(groupings, problem.basis.columns[keep], y[keep], problem.weights[keep])
    found = reduced.products
    assert found.n_rows == expected.n_rows == reduced.n_rows
    assert found.log_weights == pytest.approx(expected.log_weights)
    np.testing.assert_allclose(found.corner, expected.corner, atol=1e-10)
    for a, b in zip(
        found.diagonal + found.border, expected.diagonal + expected.border, strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-10)
    left = dict(
        zip(
            zip(expected.pairs[0].rows, expected.pairs[0].columns, strict=True),
            expected.pairs[0].blocks,
            strict=True,
        )
    )
    pair = found.pairs[0]
    for row, column, block in zip(pair.rows, pair.columns, pair.blocks, strict=True):
        np.testing.assert_allclose(block, left.get((row, column), 0.0), atol=1e-10)


# -- what cannot be estimated --------------------------------------------------------------


def test_a_level_that_alone_informs_a_coefficient(data):
    table = data.assign(only=np.where(data["g"] == 3, data["x"], 0.0))
    found = me.fit("y ~ x + only + (1 | g)", table).influence("g")
    assert len(found.levels) == 7
    (lost,) = np.flatnonzero([r is not None for r in found.reasons])
    assert found.levels[lost] == 3
    assert "'only' cannot be estimated" in found.reasons[lost]
    for name in NUMBERS:
        assert np.isnan(getattr(found, name)[lost]).all(), name
        assert np.isfinite(np.delete(getattr(found, name), lost, axis=0)).all(), name
    assert found.largest(2).levels[0] == 3
    shown = found.table
    assert shown["reason"].notna().sum() == 1


def test_a_level_of_a_fixed_factor(data):
    found = me.fit("y ~ x + f + (1 | g)", data).influence("f")
    assert list(found.levels) == ["a", "b", "c"]
    # without the reference level, the others' columns and the intercept are collinear
    assert all(reason is not None for reason in found.reasons)
    assert "f[T.b]" in found.reasons[1]


def test_a_row_that_alone_informs_a_coefficient(data):
    alone = data.assign(only=(np.arange(80) == 7).astype(float))
    fit = me.fit("y ~ x + only + (1 | g)", alone)
    for found in (fit.influence(), fit.influence(refit=True)):
        assert [i for i, r in enumerate(found.reasons) if r is not None] == [7]
        for name in NUMBERS:
            assert np.isnan(getattr(found, name)[7]).all(), name
            assert np.isfinite(np.delete(getattr(found, name), 7, axis=0)).all(), name


def test_too_few_levels_are_left():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"y": rng.normal(size=12), "g": np.repeat([0, 1], 6)})
    found = me.fit("y ~ 1 + (1 | g)", table, on_check="ignore").influence("g")
    assert all("one level" in reason for reason in found.reasons)


def test_too_few_rows_are_left():
    table = pd.DataFrame(
        {"y": [1.0, 2.5, 0.3, 1.1], "x": [0.0, 1.0, 2.0, 5.0], "z": [1.0, 0.0, 0.0, 2.0]}
    ).assign(g=[0, 0, 1, 1])
    fit = me.fit("y ~ x + z + (1 | g)", table, on_check="ignore")
    for refit in (False, True):
        found = fit.influence(refit=refit)
        assert all("ew" in reason for reason in found.reasons)
        assert np.isnan(found.sigma).all()


def test_a_singular_fit_and_one_whose_deletion_frees_it():
    singular = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff2"))
    found = singular.influence("Batch")
    assert found.reasons == (None,) * 6
    data = me.datasets.load("dyestuff2")
    for number, level in enumerate(found.levels):
        rest = data[data["Batch"] != level]
        other = me.fit("Yield ~ 1 + (1 | Batch)", rest)
        np.testing.assert_allclose(found.theta[number], other.theta, atol=1e-5)
        assert found.sigma[number] == pytest.approx(other.sigma, rel=1e-5)


# -- what a user sees ----------------------------------------------------------------------


def test_table(data):
    for frame, kind in ((data, pd.DataFrame), (pl.from_pandas(data), pl.DataFrame)):
        fit = me.fit("y ~ x + (x | g)", frame)
        by_group = fit.influence("g")
        table = by_group.table
        assert isinstance(table, kind)
        assert list(table.columns) == [
            *("level", "cooks_distance", "covratio", "dfbetas_Intercept", "dfbetas_x"),
            *("sigma", "sd(Intercept | g)", "sd(x | g)", "reason"),
        ]
        assert list(table["level"]) == list(range(7))
        np.testing.assert_array_equal(table["dfbetas_x"], by_group.dfbetas[:, 1])
        assert next(iter(fit.influence().table.columns)) == "row"
    assert repr(by_group) == "<Influence of 7 levels of g, refitted>"
    assert repr(fit.influence()) == "<Influence of 80 rows, variance parameters held>"


def test_largest(data):
    found = me.fit("y ~ x + (x | g)", data).influence()
    top = found.largest(5)
    order = np.argsort(-found.cooks_distance)[:5]
    np.testing.assert_array_equal(top.levels, data.index[order])
    np.testing.assert_array_equal(top.cooks_distance, found.cooks_distance[order])
    assert top.dfbeta.shape == (5, 2)
    assert len(top.reasons) == 5


def test_rows_with_missing_values_keep_their_labels(data):
    holed = data.assign(x=data["x"].where(np.arange(80) % 9 != 4))
    fit = me.fit("y ~ x + (1 | g)", holed)
    np.testing.assert_array_equal(fit.influence().levels, holed.dropna().index)
    from_polars = me.fit("y ~ x + (1 | g)", pl.from_pandas(holed)).influence()
    np.testing.assert_array_equal(from_polars.levels, np.flatnonzero(np.arange(80) % 9 != 4))
    np.testing.assert_allclose(from_polars.dfbeta, fit.influence().dfbeta, atol=1e-10)
    assert fit.influence("g").levels.tolist() == list(range(7))


def test_interactions_as_groups(data):
    fit = me.fit("y ~ x + (1 | g/h)", data)
    found = fit.influence("g:h")
    assert len(found.levels) == fit.n_groups["g:h"]
    assert found.reasons == (None,) * len(found.levels)


def test_row_order_does_not_matter(data):
    shuffled = data.sample(frac=1.0, random_state=3)
    a = me.fit("y ~ x + (x | g)", data).influence("g")
    b = me.fit("y ~ x + (x | g)", shuffled).influence("g")
    for name in NUMBERS:
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-5, err_msg=name)


def test_units_do_not_matter(data):
    a = me.fit("y ~ x + (x | g)", data).influence()
    scaled = data.assign(x=data["x"] * 1000 + 5, y=data["y"] * 1e6)
    b = me.fit("y ~ x + (x | g)", scaled).influence()
    np.testing.assert_allclose(a.cooks_distance, b.cooks_distance, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(a.dfbetas[:, 1], b.dfbetas[:, 1], atol=1e-5)


@pytest.mark.parametrize("group", ["x", "Subjct", "w"])
def test_unknown_groups(data, group):
    fit = me.fit("y ~ x + (1 | g)", data)
    with pytest.raises(DataError, match=rf"'{group}' does not group .* 'g'"):
        fit.influence(group)


def test_bad_options(data):
    with pytest.raises(ModelError, match="refit='yes'"):
        me.fit("y ~ x + (1 | g)", data).influence("g", refit="yes")


def test_a_thousand_groups_take_seconds():
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(1000), 5), np.tile(np.arange(5.0), 1000)
    y = x + rng.normal(size=1000)[g] + rng.normal(size=5000)
    fit = me.fit("y ~ x + (1 | g)", pd.DataFrame({"y": y, "x": x, "g": g}))
    start = time.perf_counter()
    found = fit.influence("g")
    # about one second; a refit that reads the rows again takes ten times as long
    assert time.perf_counter() - start < 10.0
    assert found.reasons == (None,) * 1000
