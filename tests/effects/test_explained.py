"""R², intraclass correlation and conditional AIC."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest

import golden
import mixedeffects as me
from golden import assert_close
from mixedeffects.effects.predict import fitted_values
from mixedeffects.effects.variance_parts import variance_parts
from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import fit_design

R2_CASES = tuple(id_ for id_ in golden.cases("lmm") if "r2" in golden.load_case(id_).results)
# performance 0.10.2 counts only the first of several terms of one group, the intercept of a
# diagonal one, and no covariances of indicator columns.
INCOMPLETE = {
    "machines_random_cell_ml",
    "sleepstudy_diag_ml",
    "sleepstudy_diag_reml",
    "sleepstudy_slope_only_reml",
}


def fitted(case):
    return me.fit(case.formula, case.data, reml=case.reml, weights=case.weights)


def shares(fit):
    r2, icc = fit.r2(), fit.icc()
    return [r2.marginal, r2.conditional, icc.adjusted, icc.unadjusted]


@pytest.mark.parametrize("id_", [i for i in R2_CASES if i not in INCOMPLETE])
def test_shares_of_performance(id_):
    case = golden.load_case(id_)
    fit = fitted(case)
    reference = case.results["r2"]
    found = shares(fit)
    if case.weights is not None:
        # performance takes the residual variance at weight one
        parts = replace(variance_parts(fit._fit), residual=fit.sigma**2)
        between = sum(parts.random)
        found = [
            parts.fixed / parts.total,
            (parts.fixed + between) / parts.total,
            between / (parts.total - parts.fixed),
            between / parts.total,
        ]
    names = ("r2_marginal", "r2_conditional", "icc_adjusted", "icc_unadjusted")
    assert_close(found, [reference[n] for n in names], case.tolerances["r2"], what=id_)


@pytest.mark.parametrize("id_", golden.r_cases("r2"))
def test_variances_written_out_in_r(id_):
    case = golden.r_cases("r2")[id_]
    fit = fitted(case)
    parts, reference = variance_parts(fit._fit), case.results["variances"]
    # both optima lie within some 1e-5 of a standard deviation
    assert parts.fixed == pytest.approx(reference["fixed"], rel=1e-4)
    between = dict.fromkeys((t.group for t in fit.estimates.terms), 0.0)
    for term, variance in zip(fit.estimates.terms, parts.random, strict=True):
        between[term.group] += variance
    expected = dict.fromkeys(between, 0.0)
    for random in reference["random"]:
        name = case.group(random["group"])
        name = name if name in expected else name.rsplit(".", 1)[0]  # lme4's subject.1
        expected[name] += random["variance"]
    assert between == pytest.approx(expected, rel=1e-3)
    if case.weights is None:
        written = case.results["written_out"]
        assert shares(fit)[:2] == pytest.approx(
            [written["r2_marginal"], written["r2_conditional"]], abs=1e-4
        )


def test_incomplete_references_are_met_by_the_same_model_written_otherwise():
    """(0 + Machine | Worker) is (Machine | Worker); (1 | s) + (0 + x | s) is (x || s)."""
    machines = me.datasets.load("machines")
    indicators = me.fit("score ~ Machine + (0 + Machine | Worker)", machines)
    reference = golden.load_case("machines_random_machine_reml").results["r2"]
    assert indicators.r2().marginal == pytest.approx(reference["r2_marginal"], abs=1e-4)
    assert indicators.r2().conditional == pytest.approx(reference["r2_conditional"], abs=1e-4)
    sleepstudy = me.datasets.load("sleepstudy")
    one = me.fit("Reaction ~ Days + (Days || Subject)", sleepstudy)
    two = me.fit("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", sleepstudy)
    assert shares(one) == pytest.approx(shares(two), rel=1e-6)
    assert len(two.icc().groups) == 1


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    n = 120
    g, h = rng.integers(0, 9, n), rng.integers(0, 6, n)
    x = rng.normal(size=n)
    y = 1 + x + rng.normal(size=9)[g] * (1 + x) + rng.normal(size=6)[h] + rng.normal(size=n)
    w, o = rng.uniform(0.3, 3.0, n), rng.normal(0, 20, n)
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h, "w": w, "o": o, "z": y + o})


def test_weights_count_by_their_ratios_only(data):
    fits = [
        me.fit("y ~ x + (x | g) + (1 | h)", data.assign(w=scale * data["w"]), weights="w")
        for scale in (1.0, 50.0)
    ]
    np.testing.assert_allclose(shares(fits[0]), shares(fits[1]), rtol=1e-5)


def test_an_offset_explains_nothing(data):
    plain = me.fit("y ~ x + (x | g)", data)
    shifted = me.fit("z ~ x + (x | g)", data, offset="o")
    np.testing.assert_allclose(shares(plain), shares(shifted), rtol=1e-6)


def test_shift_and_scale_change_nothing(data):
    plain = me.fit("y ~ x + (x | g)", data)
    moved = me.fit("y ~ x + (x | g)", data.assign(x=100 * data["x"] + 1e6, y=7 * data["y"]))
    np.testing.assert_allclose(shares(plain), shares(moved), rtol=1e-4)


def test_known_relationships_count_by_their_diagonal(data):
    """Of K = cI the effects have c times the variance, which is then c times smaller."""
    K = 4.0 * np.eye(9)  # noqa: F841 - named by the formula
    known = me.fit("y ~ x + known(1 | g, K)", data)
    plain = me.fit("y ~ x + (1 | g)", data)
    np.testing.assert_allclose(shares(known), shares(plain), rtol=1e-5)


def test_shares_stay_within_bounds():
    near = me.fit("strength ~ 1 + (1 | batch/cask)", me.datasets.load("pastes"))
    assert near.r2().marginal == 0.0
    assert 0.9 < near.r2().conditional < 1.0
    assert near.r2().conditional == pytest.approx(near.icc().unadjusted)
    zero = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff2"))
    assert zero.is_singular
    assert shares(zero) == [0.0, 0.0, 0.0, 0.0]


def test_aliased_columns_and_missing_rows(data):
    holed = data.assign(x=data["x"].where(data.index % 7 != 3))
    with_alias = me.fit("y ~ x + twice + (1 | g)", holed.assign(twice=2 * holed["x"]))
    assert len(with_alias.estimates.aliased) == 1
    expected = me.fit("y ~ x + (1 | g)", holed.dropna())
    np.testing.assert_allclose(shares(with_alias), shares(expected), rtol=1e-8)


def test_tables(data):
    for frame, kind in ((data, pd.DataFrame), (pl.from_pandas(data), pl.DataFrame)):
        fit = me.fit("y ~ x + (x | g) + (1 | h)", frame)
        r2, icc = fit.r2().table, fit.icc().table
        assert isinstance(r2, kind)
        assert isinstance(icc, kind)
        assert list(r2["statistic"]) == ["marginal", "conditional"]
        assert list(icc["statistic"]) == ["adjusted", "unadjusted"]
        np.testing.assert_allclose([*r2["estimate"], *icc["estimate"]], shares(fit))
        assert repr(fit.r2()).startswith("<R²: marginal 0.")
        assert repr(fit.icc()).startswith("<ICC: adjusted 0.")
        by_group = fit.icc().by_group
        assert isinstance(by_group, kind)
        assert list(by_group["group"]) == ["g", "h"]
        for column in ("adjusted", "unadjusted"):
            assert by_group[column].sum() == pytest.approx(getattr(fit.icc(), column))


def test_bootstrap_intervals(data):
    """The replicates are those of fit.bootstrap, which makes complete fits."""
    fit = me.fit("y ~ x + (x | g) + (1 | h)", data, weights="w")
    r2 = fit.r2("bootstrap", n=60, seed=3, level=0.9)
    reference = fit.bootstrap(60, statistic=lambda f: shares(f), seed=3)
    # refits in and outside Python stop within some 1e-6 of each other
    np.testing.assert_allclose(r2.bootstrap.values, reference.values[:, :2], atol=1e-4)
    np.testing.assert_allclose(r2.limits, reference.limits(0.9)[:2], atol=1e-4)
    icc = fit.icc("bootstrap", n=60, seed=3, level=0.9)
    np.testing.assert_allclose(icc.limits, reference.limits(0.9)[2:], atol=1e-4)
    for value in (r2, icc):
        table = value.table
        assert list(table.columns) == ["statistic", "estimate", "conf_low", "conf_high"]
        assert ((table["conf_low"] < table["estimate"]) & (table["estimate"] < 1)).all()
        assert (table["conf_high"] <= 1).all()


def test_bad_options_of_intervals(data):
    fit = me.fit("y ~ x + (1 | g)", data)
    for ask in (fit.r2, fit.icc):
        with pytest.raises(ModelError, match="interval='wald'"):
            ask("wald")
        with pytest.raises(ModelError, match="level=95"):
            ask("bootstrap", level=95)
        with pytest.raises(ModelError, match="n=0"):
            ask("bootstrap", n=0)
        with pytest.raises(ModelError, match="too few for limits"):
            ask("bootstrap", n=10, seed=1)


# -- conditional AIC -----------------------------------------------------------------------


@pytest.mark.parametrize("id_", ["ergostool_reml", "sleepstudy_corr_reml"])
def test_conditional_aic_of_caic4(id_):
    """The log-likelihood is met; the degrees of freedom nearly.

    cAIC4 1.0 halves the term (r'We)(y'Wr)/ρ² of ∂θ̂/∂y; with it whole, as the numerical
    derivatives below have it, they are 0.0485 smaller in both cases.
    """
    case = golden.load_case(id_)
    found, reference = fitted(case).conditional_aic(), case.results["conditional_aic"]
    assert found.loglik == pytest.approx(reference["conditional_loglik"], abs=1e-4)
    assert found.effective_df == pytest.approx(reference["effective_df"] - 0.0485, abs=5e-4)
    assert found.aic == pytest.approx(-2 * found.loglik + 2 * found.effective_df)


def numerical_df(fit):
    """1 + tr(∂ŷ/∂y), every response moved and the model fitted again."""
    y, df = fit.design.y, 1.0
    step = 0.01 * fit.estimates.sigma
    for i in range(len(y)):
        moved = []
        for sign in (1.0, -1.0):
            design = replace(fit.design, y=y + sign * step * (np.arange(len(y)) == i))
            moved.append(
                fitted_values(fit_design(design, fit.problem.reml, fit.estimates.theta))[i]
            )
        df += (moved[0] - moved[1]) / (2 * step)
    return df


@pytest.mark.parametrize(
    ("formula", "reml", "options"),
    [
        ("y ~ x + (1 | g)", True, {}),
        ("y ~ x + (x | g)", False, {"weights": "w"}),
        ("z ~ x + (1 | g) + (1 | h)", True, {"weights": "w", "offset": "o"}),
        ("y ~ x + (x || g)", False, {}),
    ],
)
def test_effective_df_are_the_derivative_of_the_fit(data, formula, reml, options):
    fit = me.fit(formula, data, reml=reml, **options)
    assert not fit.is_singular
    # differences err by the square of their step and by the optimizer's stop
    assert fit.conditional_aic().effective_df == pytest.approx(numerical_df(fit._fit), abs=2e-3)


def test_zero_variances_take_no_degrees_of_freedom():
    fit = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff2"))
    found = fit.conditional_aic()
    assert found.leverage_df == pytest.approx(1.0, abs=1e-6)
    assert found.effective_df == pytest.approx(2.0, abs=1e-6)


def test_correlations_of_one_take_those_of_what_is_left():
    """A singular covariance keeps the derivative of the directions that can still move."""
    rng = np.random.default_rng(9)
    g, x = np.repeat(np.arange(12), 5), np.tile(np.arange(5.0), 12)
    y = rng.normal(size=12)[g] * (1 + 0.3 * x) + rng.normal(size=60)
    fit = me.fit("y ~ x + (x | g)", pd.DataFrame({"g": g, "x": x, "y": y}))
    assert fit.is_singular
    assert fit.conditional_aic().effective_df == pytest.approx(numerical_df(fit._fit), abs=1e-4)


def test_conditional_aic_does_not_depend_on_the_columns_used(data):
    a = me.fit("y ~ x + (x | g)", data).conditional_aic()
    b = me.fit("y ~ x + (x | g)", data.assign(x=3 * data["x"] + 50)).conditional_aic()
    assert a.effective_df == pytest.approx(b.effective_df, abs=1e-4)
    assert a.aic == pytest.approx(b.aic, abs=1e-3)
