"""What must not matter does not: order, names, units, coding, ways of writing a model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedeffects as me

SLEEP = "Reaction ~ Days + (Days | Subject)"
KEYS = ["group", "level", "term"]


@pytest.fixture(scope="module")
def sleep():
    return me.datasets.load("sleepstudy")


@pytest.fixture(scope="module")
def crossed():
    """Unbalanced crossed data with a covariate and a factor; 300 rows."""
    rng = np.random.default_rng(12)
    n = 300
    g, h = rng.integers(0, 15, n), rng.integers(0, 10, n)
    x, f = rng.normal(3.0, 2.0, n), rng.integers(0, 3, n)
    slopes = rng.normal(size=(15, 2)) @ [[1.0, 0.4], [0.0, 0.5]]
    y = 2 + 0.5 * x + f + slopes[g, 0] + slopes[g, 1] * x + 0.7 * rng.normal(size=10)[h]
    y = y + rng.normal(size=n)
    return pd.DataFrame(
        {"y": y, "x": x, "f": np.array(list("abc"))[f], "g": g, "h": h, "w": rng.uniform(0.5, 2, n)}
    )


def assert_same_fit(one, other, rtol=1e-6):
    assert one.objective == pytest.approx(other.objective, rel=1e-9, abs=1e-7)
    np.testing.assert_allclose(one.beta, other.beta, rtol=rtol, atol=1e-8)
    np.testing.assert_allclose(one.vcov(), other.vcov(), rtol=10 * rtol, atol=1e-10)
    np.testing.assert_allclose(one.theta, other.theta, rtol=0, atol=20 * rtol)
    assert one.sigma == pytest.approx(other.sigma, rel=rtol)
    assert (one.nobs, one.aic - one.objective) == (other.nobs, other.aic - other.objective)


def modes(fit):
    table = fit.ranef()
    index = pd.MultiIndex.from_frame(table[KEYS].astype(str))
    return table[["estimate", "std_error"]].set_index(index).sort_index()


# -- rows and names -------------------------------------------------------------------------


@pytest.mark.parametrize("formula", ["y ~ x + f + (x | g) + (1 | h)", "y ~ x + (1 | g / h)"])
def test_order_of_rows(crossed, formula):
    order = np.random.default_rng(0).permutation(len(crossed))
    one, other = (
        me.fit(formula, crossed, weights="w"),
        me.fit(formula, crossed.iloc[order], weights="w"),
    )
    assert_same_fit(one, other)
    np.testing.assert_allclose(modes(one), modes(other), atol=1e-5)
    np.testing.assert_allclose(
        one.fitted().loc[crossed.index], other.fitted()[crossed.index], atol=1e-6
    )


def test_names_of_levels(crossed):
    names = {i: f"level {(7 * i) % 15:02d}" for i in range(15)}
    renamed = crossed.assign(g=crossed["g"].map(names))
    formula = "y ~ x + (x | g) + (1 | h)"
    one, other = me.fit(formula, crossed), me.fit(formula, renamed)
    assert_same_fit(one, other)
    old, new = one.ranef(), other.ranef()
    old = old.assign(
        level=[
            names[v] if k == "g" else str(v)
            for k, v in zip(old["group"], old["level"], strict=True)
        ]
    )
    merged = old.merge(new.assign(level=new["level"].astype(str)), on=KEYS)
    assert len(merged) == len(old)
    np.testing.assert_allclose(merged["estimate_x"], merged["estimate_y"], atol=1e-6)
    np.testing.assert_allclose(merged["std_error_x"], merged["std_error_y"], atol=1e-6)


@pytest.mark.parametrize("kind", ["integer", "string", "category", "date", "float", "bool"])
def test_type_of_the_grouping_column(sleep, kind):
    codes = sleep["Subject"].cat.codes.to_numpy()
    column = {
        "integer": codes.astype(np.int8),
        "string": np.array([f"s{c:02d}" for c in codes], dtype=object),
        "category": pd.Categorical(codes[::-1])[::-1],
        "date": pd.Timestamp("2024-01-01") + pd.to_timedelta(codes, "D"),
        "float": codes / 4,
        "bool": codes > 8,
    }[kind]
    if kind == "bool":
        expected = me.fit(
            "Reaction ~ Days + (1 | G)", sleep.assign(G=np.where(codes > 8, "t", "f"))
        )
        assert_same_fit(me.fit("Reaction ~ Days + (1 | G)", sleep.assign(G=column)), expected)
        return
    assert_same_fit(
        me.fit("Reaction ~ Days + (Days | G)", sleep.assign(G=column)), me.fit(SLEEP, sleep)
    )


def test_index_of_the_frame(sleep):
    index = np.repeat(np.arange(90), 2)  # duplicated
    other = me.fit(SLEEP, sleep.set_index(pd.Index(index)))
    assert_same_fit(me.fit(SLEEP, sleep), other)
    assert other.fitted().index.tolist() == index.tolist()


def test_unused_levels(sleep):
    wide = sleep["Subject"].cat.add_categories(["900", "901"])
    assert_same_fit(me.fit(SLEEP, sleep.assign(Subject=wide)), me.fit(SLEEP, sleep))


@pytest.mark.parametrize("library", ["polars", "pyarrow", "dict", "csv", "parquet"])
def test_library_of_the_data(sleep, library, tmp_path):
    expected = me.fit(SLEEP, sleep)
    if library == "polars":
        data = pytest.importorskip("polars").from_pandas(sleep)
    elif library == "pyarrow":
        data = pytest.importorskip("pyarrow").Table.from_pandas(sleep)
    elif library == "dict":
        data = {name: sleep[name].to_numpy() for name in sleep}
    elif library == "csv":
        data = tmp_path / "sleep.csv"
        sleep.to_csv(data, index=False)
    else:
        pytest.importorskip("pyarrow")
        data = tmp_path / "sleep.parquet"
        sleep.to_parquet(data)
    fit = me.fit(SLEEP, data)
    assert fit.objective == pytest.approx(expected.objective, rel=1e-14)
    np.testing.assert_array_equal(fit.beta, expected.beta)
    np.testing.assert_array_equal(np.asarray(fit.fitted()), np.asarray(expected.fitted()))
    columns = list(expected.ranef().columns)
    assert list(getattr(fit.ranef(), "column_names", None) or fit.ranef().columns) == columns


# -- ways of writing a model -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("y ~ x + (1 | g / h)", "y ~ x + (1 | g) + (1 | g:h)"),
        ("y ~ x + (1 | h) + (x | g)", "y ~ x + (x | g) + (1 | h)"),
        ("y ~ x + (x | g)", "y ~ 1 + x + (1 + x | g)"),
        ("y ~ x + (1 | g) + (0 + x | g)", "y ~ x + (x || g)"),
        ("y ~ x + (x || g)", "y ~ x + diag(x | g)"),
        ("y ~ x + (x | g)", "y ~ x + us(x | g)"),
        ("y ~ f + (0 + f | g)", "y ~ f + us(0 + f | g)"),
        ("y ~ x * f + (1 | g)", "y ~ x + f + x:f + (1 | g)"),
        ("y ~ x + (1 | g:h)", "y ~ x + (1 | h:g)"),
        ("y ~ x + I(x**2) + (1 | g)", "y ~ x + I(x^2) + (1 | g)"),
        ("y ~ x + id(1 | g)", "y ~ x + (1 | g)"),
        ("y ~ f + homcs(0 + f | g)", "y ~ f + (1 | g) + id(0 + f | g)"),
    ],
)
def test_two_ways_to_write_a_model(crossed, one, other):
    a, b = me.fit(one, crossed, on_check="error"), me.fit(other, crossed, on_check="error")
    assert a.objective == pytest.approx(b.objective, abs=1e-6)
    np.testing.assert_allclose(a.beta, b.beta, rtol=1e-5, atol=1e-6)
    assert a.sigma == pytest.approx(b.sigma, rel=1e-5)
    np.testing.assert_allclose(a.fitted(), b.fitted(), atol=2e-4)


@pytest.mark.parametrize("reml", [True, False])
def test_nested_is_crossed_where_levels_are_unique(reml):
    data = me.datasets.load("pastes")
    unique = data["batch"].astype(str) + data["cask"].astype(str)
    nested = me.fit("strength ~ 1 + (1 | batch / cask)", data, reml=reml)
    crossed = me.fit("strength ~ 1 + (1 | batch) + (1 | u)", data.assign(u=unique), reml=reml)
    assert_same_fit(nested, crossed)


def test_one_column_structures_are_one_model(crossed):
    fits = [me.fit(f"y ~ x + {s}(1 | g)", crossed) for s in ("us", "diag", "id", "cs", "homcs")]
    for fit in fits[1:]:
        assert fit.objective == pytest.approx(fits[0].objective, abs=1e-7)


@pytest.mark.parametrize("reml", [True, False])
def test_coding_of_contrasts(crossed, reml):
    """The likelihood is the same; the REML criterion moves by 2 log|det C| of X C."""
    treatment = me.fit("y ~ x + f + (1 | g)", crossed, reml=reml)
    sums = me.fit("y ~ x + C(f, contr.sum) + (1 | g)", crossed, reml=reml)
    change = np.linalg.lstsq(sums.design.X, treatment.design.X, rcond=None)[0]
    constant = 2 * np.linalg.slogdet(change)[1] if reml else 0.0
    assert abs(np.linalg.slogdet(change)[1]) > 0.5
    assert treatment.objective - sums.objective == pytest.approx(constant, abs=1e-7)
    np.testing.assert_allclose(sums.beta, change @ treatment.beta, atol=1e-6)
    np.testing.assert_allclose(sums.vcov(), change @ treatment.vcov() @ change.T, atol=1e-7)
    assert treatment.sigma == pytest.approx(sums.sigma, rel=1e-6)
    np.testing.assert_allclose(treatment.fitted(), sums.fitted(), atol=1e-6)


def test_order_of_levels_of_a_factor(crossed):
    other = crossed.assign(f=pd.Categorical(crossed["f"], ["c", "a", "b"]))
    one, two = me.fit("y ~ f + (1 | g)", crossed), me.fit("y ~ f + (1 | g)", other)
    assert list(two.fixef()["term"]) == ["Intercept", "f[T.a]", "f[T.b]"]
    assert one.objective == pytest.approx(two.objective, abs=1e-7)
    np.testing.assert_allclose(one.fitted(), two.fitted(), atol=1e-6)


def test_coding_of_random_factors(crossed):
    """(f | g) and (0 + f | g) span the same random effects."""
    one = me.fit("y ~ f + (f | g)", crossed, reml=False)
    two = me.fit("y ~ f + (0 + f | g)", crossed, reml=False)
    assert one.objective == pytest.approx(two.objective, abs=1e-6)
    change = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1]])
    expected = change @ one.estimates.terms[0].covariance @ change.T
    np.testing.assert_allclose(two.estimates.terms[0].covariance, expected, atol=1e-3)


# -- units of the response -------------------------------------------------------------------


@pytest.mark.parametrize("formula", [SLEEP, "Reaction ~ Days + (Days || Subject)"])
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(("scale", "shift"), [(1e8, 0), (1e-8, 0), (1, 1e7), (-1, 0), (1e8, 5e12)])
def test_units_of_the_response(sleep, formula, reml, scale, shift):
    one = me.fit(formula, sleep, reml=reml)
    other = me.fit(formula, sleep.assign(Reaction=scale * sleep["Reaction"] + shift), reml=reml)
    dof = one.nobs - len(one.beta) * reml
    expected = one.objective + 2 * dof * np.log(abs(scale))
    lost = 1e-15 * max(1.0, abs(shift / scale)) * 180  # digits that the shift takes from y
    assert other.objective == pytest.approx(expected, rel=1e-11, abs=lost)
    np.testing.assert_allclose(other.beta, scale * one.beta + [shift, 0], rtol=1e-6)
    np.testing.assert_allclose(other.theta, one.theta, atol=1e-5)
    assert other.sigma == pytest.approx(abs(scale) * one.sigma, rel=1e-7)
    np.testing.assert_allclose(other.vcov(), scale**2 * one.vcov(), rtol=1e-5)
    assert other.converged
    ratio = modes(other) / ([scale, abs(scale)] * modes(one))
    np.testing.assert_allclose(ratio, 1.0, atol=1e-4)


def test_linear_changes_of_the_response(sleep):
    """y + X c shifts β by c and nothing else."""
    moved = sleep.assign(Reaction=sleep["Reaction"] + 100 - 7 * sleep["Days"])
    one, other = me.fit(SLEEP, sleep), me.fit(SLEEP, moved)
    assert other.objective == pytest.approx(one.objective, rel=1e-12)
    np.testing.assert_allclose(other.beta - one.beta, [100, -7], rtol=1e-7)
    np.testing.assert_allclose(other.theta, one.theta, atol=1e-6)


# -- units of covariates ----------------------------------------------------------------------

UNITS = [(1e8, 0), (1e-6, 0), (1, 1e8), (1e-6, 1e2), (-3, 7), (1e8, 1e16)]


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(("scale", "shift"), UNITS)
def test_units_of_a_covariate_with_random_slopes(sleep, scale, shift, reml):
    """Days → scale·Days + shift in fixed and random parts maps (intercept, slope) linearly."""
    one = me.fit(SLEEP, sleep, reml=reml)
    other = me.fit(SLEEP, sleep.assign(Days=scale * sleep["Days"] + shift), reml=reml)
    back = np.array([[1, -shift / scale], [0, 1 / scale]])  # (intercept, slope) of the new Days
    constant = 2 * np.log(abs(scale)) * reml
    lost = 1e-12 * max(1.0, abs(shift / scale) ** 1)
    assert other.objective == pytest.approx(one.objective + constant, abs=1e-7 + lost)
    np.testing.assert_allclose(other.beta, back @ one.beta, rtol=1e-6)
    size = np.sqrt(np.diagonal(back @ one.vcov() @ back.T))
    relative = other.vcov() / np.outer(size, size)
    np.testing.assert_allclose(
        relative, back @ one.vcov() @ back.T / np.outer(size, size), atol=2e-6
    )
    covariance = other.estimates.terms[0].covariance
    expected = back @ one.estimates.terms[0].covariance @ back.T
    size = np.sqrt(np.diagonal(expected))
    np.testing.assert_allclose(
        covariance / np.outer(size, size), expected / np.outer(size, size), atol=2e-5
    )
    assert other.sigma == pytest.approx(one.sigma, rel=1e-6)
    np.testing.assert_allclose(other.fitted(), one.fitted(), rtol=1e-6)
    assert other.converged


@pytest.mark.parametrize(("scale", "shift"), UNITS)
def test_units_of_a_fixed_covariate(crossed, scale, shift):
    formula = "y ~ x + f + (1 | g) + (1 | h)"
    one = me.fit(formula, crossed, weights="w", reml=False)
    data = crossed.assign(x=scale * crossed["x"] + shift)
    other = me.fit(formula, data, weights="w", reml=False)
    assert other.objective == pytest.approx(one.objective, abs=1e-6)
    before, after = (fit.fixef().set_index("term") for fit in (one, other))
    for column in ("estimate", "std_error"):
        unit = scale if column == "estimate" else abs(scale)
        assert after.loc["x", column] * unit == pytest.approx(before.loc["x", column], rel=1e-6)
        rest = ["f[T.b]", "f[T.c]"]
        np.testing.assert_allclose(after.loc[rest, column], before.loc[rest, column], rtol=1e-6)


@pytest.mark.parametrize(
    "formula", ["y ~ x + (x || g)", "y ~ x + (0 + x | g)", "y ~ x + id(0 + x | g)"]
)
@pytest.mark.parametrize("scale", [1e8, 1e-6])
def test_scale_of_slopes_without_correlation(crossed, formula, scale):
    one = me.fit(formula, crossed, reml=False)
    other = me.fit(formula, crossed.assign(x=scale * crossed["x"]), reml=False)
    assert other.objective == pytest.approx(one.objective, abs=1e-7)
    deviations = [fit.varcorr().set_index("term1")["sd_or_corr"]["x"] for fit in (one, other)]
    assert deviations[1] * scale == pytest.approx(deviations[0], rel=1e-5)


@pytest.mark.parametrize("shift", [1e3, 1e6])
def test_shift_of_slopes_without_correlation_is_another_model(crossed, shift):
    """(x || g) is not closed under shifts: the values must still be right where x is far off."""
    import oracle

    data = crossed.assign(x=crossed["x"] + shift)
    fit = me.fit("y ~ x + (x || g)", data, reml=False, on_check="ignore")
    n = len(data)
    X = np.column_stack([np.ones(n), crossed["x"]])  # the same space, well conditioned
    values = np.column_stack([np.ones(n), data["x"]])
    term = oracle.Term(values, data["g"].to_numpy(), np.diag(fit.theta), 15)
    value = oracle.objective(data["y"].to_numpy(), X, [term], reml=False)
    assert fit.objective == pytest.approx(value, abs=1e-5)


# -- weights -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reml", [True, False])
def test_weight_two_is_a_row_twice(crossed, reml):
    """With σ² fixed by ν: the row twice has ν + n_extra; θ, β follow from the same V⁻¹.

    A weight of 2 says that the row is the mean of two; its twin keeps their difference, which is
    zero here: n grows, the residual sum of squares does not.  So the profiled σ² and with it the
    optimum θ differ in general, and agree at a given θ.
    """
    import oracle

    twice = np.arange(len(crossed)) % 3 == 0
    weights = np.where(twice, 2.0, 1.0)
    doubled = pd.concat([crossed, crossed[twice]])
    once = me.fit("y ~ x + (1 | g)", crossed, weights=weights, reml=reml)
    n, m = len(crossed), len(doubled)
    X, y, g = once.design.X, crossed["y"].to_numpy(), crossed["g"].to_numpy()
    term = oracle.Term(np.ones((n, 1)), g, np.array([[once.theta[0]]]), 15)
    at = oracle.solve(y, X, [term], weights=weights, reml=reml)
    rows = np.concatenate([np.arange(n), np.flatnonzero(twice)])
    longer = oracle.Term(np.ones((m, 1)), g[rows], term.factor, 15)
    other = oracle.solve(y[rows], X[rows], [longer], reml=reml)
    np.testing.assert_allclose(once.beta, at.beta, rtol=1e-8)
    np.testing.assert_allclose(other.beta, at.beta, rtol=1e-10)
    p = X.shape[1] * reml
    assert at.sigma**2 * (n - p) == pytest.approx(other.sigma**2 * (m - p), rel=1e-10)
    again = me.fit("y ~ x + (1 | g)", doubled, reml=reml)
    assert again.objective <= other.objective + 1e-9


@pytest.mark.parametrize("reml", [True, False])
def test_scale_of_all_weights(crossed, reml):
    """c·w is the same model with σ² → c σ²."""
    one = me.fit("y ~ x + (x | g)", crossed, weights="w", reml=reml)
    other = me.fit("y ~ x + (x | g)", crossed, weights=100 * crossed["w"].to_numpy(), reml=reml)
    assert other.objective == pytest.approx(one.objective, abs=1e-7)
    assert other.sigma == pytest.approx(10 * one.sigma, rel=1e-6)
    np.testing.assert_allclose(10 * other.theta, one.theta, atol=1e-5)
    np.testing.assert_allclose(other.vcov(), one.vcov(), atol=1e-5 * one.vcov().max())


def test_equal_weights_are_none(crossed):
    plain = me.fit("y ~ x + (1 | g) + (1 | h)", crossed)
    ones = me.fit("y ~ x + (1 | g) + (1 | h)", crossed, weights=np.ones(len(crossed)))
    assert_same_fit(plain, ones)


# -- offsets -----------------------------------------------------------------------------------


def test_three_ways_to_give_an_offset(crossed):
    data = crossed.assign(o=3 * crossed["x"] + 5)
    fits = [
        me.fit("y ~ x + offset(o) + (1 | g)", data),
        me.fit("y ~ x + (1 | g)", data, offset="o"),
        me.fit("y ~ x + (1 | g)", data, offset=data["o"].to_numpy()),
        me.fit("y ~ x + (1 | g)", data.assign(y=data["y"] - data["o"])),
    ]
    for fit in fits[1:]:
        assert_same_fit(fits[0], fit)
    np.testing.assert_allclose(fits[0].fitted(), fits[1].fitted(), atol=1e-8)
    np.testing.assert_allclose(fits[0].fitted() - data["o"], fits[3].fitted(), atol=1e-8)
    plain = me.fit("y ~ x + (1 | g)", data)
    np.testing.assert_allclose(plain.beta - fits[0].beta, [5, 3], rtol=1e-6)
