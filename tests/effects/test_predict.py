"""Predictions and what is uncertain in them, against the dense oracle."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import mixedeffects as me
import oracle
from mixedeffects.errors import ColumnNotFoundError, DataError, NewLevelError

LEVELS = {"g": 12, "h": 8}


def crossed_data(n=160, seed=3):
    """Partially crossed: each level of g meets some levels of h only."""
    rng = np.random.default_rng(seed)
    g = rng.integers(0, LEVELS["g"], n)
    h = (g // 2 + rng.integers(0, 3, n)) % LEVELS["h"]
    x = rng.normal(1.0, 2.0, n)
    b = rng.normal(size=(LEVELS["g"], 2)) @ [[1.2, 0.4], [0.0, 0.6]]
    w, o = rng.uniform(0.4, 2.5, n), rng.normal(4.0, 1.0, n)
    y = 1 + 0.7 * x + o + b[g, 0] + b[g, 1] * x + 0.8 * rng.normal(size=LEVELS["h"])[h]
    y = y + rng.normal(size=n) / np.sqrt(w)
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h, "w": w, "o": o})


def new_rows(seed=4, n=40):
    """Seen levels in every combination, also those never seen together."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": rng.normal(1.0, 3.0, n),
            "g": rng.integers(0, LEVELS["g"], n),
            "h": rng.integers(0, LEVELS["h"], n),
            "o": rng.normal(4.0, 1.0, n),
        }
    )


FORMULA = "y ~ x + offset(o) + (x | g) + (1 | h)"


class Reference:
    """The oracle at a fit's θ: two terms, (x | g) and (1 | h)."""

    def __init__(self, fit, data):
        self.data, self.reml = data, fit.reml
        self.weights = None if fit.design.weights is None else data["w"].to_numpy()
        self.solution = self.at(fit.theta)
        self.factors = self.split(fit.theta)

    def split(self, theta):
        return np.array([[theta[0], 0.0], [theta[1], theta[2]]]), np.array([[theta[3]]])

    def columns(self, data):
        ones = np.ones(len(data))
        return np.column_stack([ones, data["x"]]), ones[:, None]

    def terms(self, theta):
        x, one = self.columns(self.data)
        first, second = self.split(theta)
        return (
            oracle.Term(x, self.data["g"].to_numpy(), first, LEVELS["g"]),
            oracle.Term(one, self.data["h"].to_numpy(), second, LEVELS["h"]),
        )

    def options(self):
        return {"weights": self.weights, "offset": self.data["o"].to_numpy(), "reml": self.reml}

    def at(self, theta):
        X = self.columns(self.data)[0]
        return oracle.solve(self.data["y"].to_numpy(), X, self.terms(theta), **self.options())

    def objective(self, theta):
        X = self.columns(self.data)[0]
        return oracle.objective(self.data["y"].to_numpy(), X, self.terms(theta), **self.options())

    def mean(self, solution, new, codes, conditional=True):
        x, one = self.columns(new)
        result = x @ solution.beta + new["o"].to_numpy()
        for b, values, own in zip(solution.b, (x, one), codes, strict=True):
            seen = own >= 0
            result[seen] += conditional * np.einsum("ij,ij->i", values[seen], b[own[seen]])
        return result

    def variance(self, new, codes, theta):
        x, one = self.columns(new)
        solution, terms = self.at(theta), self.terms(theta)
        return oracle.prediction_variance(solution, x, terms, (x, one), codes)


@pytest.fixture(scope="module", params=["weights", "plain", "ML"])
def setting(request):
    data = crossed_data()
    weights = "w" if request.param == "weights" else None
    fit = me.fit(FORMULA, data, weights=weights, reml=request.param != "ML", on_check="error")
    return fit, Reference(fit, data)


def codes_of(new):
    return [new[name].to_numpy() for name in ("g", "h")]


def test_the_data_hold_unseen_pairs(setting):
    fit, reference = setting
    new = new_rows()
    seen = set(zip(reference.data["g"], reference.data["h"], strict=True))
    pairs = set(zip(new["g"], new["h"], strict=True))
    assert pairs - seen
    assert pairs & seen
    assert not fit.is_singular


def test_conditional_predictions(setting):
    fit, reference = setting
    new, theta = new_rows(), fit.theta
    expected = reference.mean(reference.solution, new, codes_of(new))
    np.testing.assert_allclose(fit.predict(new), expected, rtol=1e-9)
    table = fit.predict(new, std_error=True)
    assert list(table.columns) == ["estimate", "std_error"]
    np.testing.assert_allclose(table["estimate"], expected, rtol=1e-9)
    variance = reference.variance(new, codes_of(new), theta)
    np.testing.assert_allclose(table["std_error"] ** 2, variance, rtol=1e-8)


def test_population_predictions(setting):
    fit, reference = setting
    new = new_rows()
    table = fit.predict(new, random="population", std_error=True)
    X = reference.columns(new)[0]
    np.testing.assert_allclose(table["estimate"], X @ fit.beta + new["o"], rtol=1e-12)
    expected = np.einsum("ij,jk,ik->i", X, fit.vcov(), X)
    np.testing.assert_allclose(table["std_error"] ** 2, expected, rtol=1e-9)
    # The groups are not needed.
    only = fit.predict(new[["x", "o"]], random="population", std_error=True)
    np.testing.assert_allclose(only, table)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("random", ["conditional", "population"])
def test_intervals(setting, random, level):
    fit, reference = setting
    new = new_rows()
    nobody = [np.full(len(new), -1)] * 2
    codes = codes_of(new) if random == "conditional" else nobody
    X = reference.columns(new)[0]
    mean = (
        reference.variance(new, codes, fit.theta)
        if random == "conditional"
        else np.einsum("ij,jk,ik->i", X, fit.vcov(), X)
    )
    whole = reference.variance(new, codes, fit.theta) + fit.sigma**2
    for interval, variance in [("confidence", mean), ("prediction", whole)]:
        table = fit.predict(new, random=random, interval=interval, level=level)
        assert list(table.columns) == ["estimate", "std_error", "conf_low", "conf_high"]
        half = norm.ppf(0.5 + level / 2) * np.sqrt(variance)
        np.testing.assert_allclose(table["std_error"], np.sqrt(variance), rtol=1e-8)
        np.testing.assert_allclose(table["conf_low"], table["estimate"] - half, rtol=1e-7)
        np.testing.assert_allclose(table["conf_high"], table["estimate"] + half, rtol=1e-7)


def test_new_levels(setting):
    fit, reference = setting
    new = new_rows()
    new.loc[new.index % 3 == 0, "g"] = 99
    new.loc[new.index % 4 == 0, "h"] = 77
    with pytest.raises(NewLevelError, match=r"'g'.*99.*new_levels='population'"):
        fit.predict(new)
    codes = [np.where(own > 50, -1, own) for own in codes_of(new)]
    table = fit.predict(new, new_levels="population", std_error=True)
    expected = reference.mean(reference.solution, new, codes)
    np.testing.assert_allclose(table["estimate"], expected, rtol=1e-9)
    variance = reference.variance(new, codes, fit.theta)
    np.testing.assert_allclose(table["std_error"] ** 2, variance, rtol=1e-8)
    # A population prediction has no use for levels.
    fit.predict(new, random="population", interval="prediction")


def test_sampled_new_levels(setting):
    fit, reference = setting
    n = 4000
    new = pd.DataFrame({"x": 2.0, "g": np.arange(n) + 100, "h": 3, "o": 1.0})
    draws = fit.predict(new, new_levels="sample", seed=1)
    codes = [np.full(n, -1), np.full(n, 3)]
    expected = reference.mean(reference.solution, new, codes)
    row = np.array([1.0, 2.0])
    variance = fit.sigma**2 * np.sum((row @ reference.factors[0]) ** 2)
    assert draws.mean() == pytest.approx(expected[0], abs=5 * np.sqrt(variance / n))
    assert draws.var() == pytest.approx(variance, rel=5 * np.sqrt(2 / n))
    np.testing.assert_array_equal(draws, fit.predict(new, new_levels="sample", seed=1))
    assert not np.array_equal(draws, fit.predict(new, new_levels="sample", seed=2))


def test_rows_of_one_new_level_share_its_draw(setting):
    fit, _ = setting
    new = pd.DataFrame({"x": 0.0, "g": [500, 500, 501], "h": 1, "o": 0.0})
    draws = fit.predict(new, new_levels="sample", seed=8)
    assert draws[0] == draws[1] != draws[2]


def test_known_levels_are_not_sampled(setting):
    fit, _ = setting
    new = new_rows()
    np.testing.assert_array_equal(fit.predict(new, new_levels="sample", seed=0), fit.predict(new))


@pytest.mark.parametrize("random", ["conditional", "population"])
def test_uncertainty_of_theta(setting, random):
    """Delta method by brute force: differences of the oracle's predictions over θ."""
    fit, reference = setting
    new, conditional = new_rows(), random == "conditional"

    def mean(theta):
        return reference.mean(reference.at(theta), new, codes_of(new), conditional)

    jacobian = oracle.gradient(mean, fit.theta, 3e-3)
    covariance = 2 * np.linalg.inv(oracle.hessian(reference.objective, fit.theta, 1e-2))
    expected = np.einsum("ki,kl,li->i", jacobian, covariance, jacobian)
    plain = fit.predict(new, random=random, std_error=True)["std_error"] ** 2
    table = fit.predict(new, random=random, std_error=True, include_theta=True)
    np.testing.assert_allclose(table["std_error"] ** 2 - plain, expected, rtol=1e-3, atol=1e-7)
    assert np.all(table["std_error"] ** 2 >= plain)


def test_own_rows(setting):
    fit, reference = setting
    np.testing.assert_allclose(fit.predict(), reference.solution.fitted, rtol=1e-9)
    table = fit.predict(std_error=True)
    again = fit.predict(reference.data, std_error=True)
    np.testing.assert_allclose(table, again, rtol=1e-10)
    np.testing.assert_allclose(fit.predict(scale="link"), fit.predict())


def test_missing_values_give_missing_predictions(setting):
    fit, _ = setting
    new = new_rows().astype({"g": float})
    new.loc[2, "x"] = np.nan
    new.loc[5, "g"] = np.nan
    new.loc[7, "o"] = np.nan
    predicted = fit.predict(new)
    assert np.flatnonzero(np.isnan(predicted)).tolist() == [2, 5, 7]
    complete = fit.predict(new.dropna())
    np.testing.assert_allclose(predicted[~np.isnan(predicted)], complete)
    table = fit.predict(new, interval="prediction")
    assert table.isna().any(axis=1).sum() == 3
    assert table.isna().all(axis=1).sum() == 3
    population = fit.predict(new, random="population")
    assert np.flatnonzero(np.isnan(population)).tolist() == [2, 7]


def test_one_row(setting):
    fit, _ = setting
    new = new_rows()
    assert fit.predict(new.iloc[:1]).shape == (1,)
    assert fit.predict(new.iloc[:1])[0] == pytest.approx(fit.predict(new)[0], rel=1e-12)


def test_table_keeps_the_index(setting):
    fit, _ = setting
    new = new_rows().set_index(pd.Index(np.arange(40) + 1000, name="row"))
    table = fit.predict(new, std_error=True)
    assert table.index.equals(new.index)


def test_missing_columns_are_named(setting):
    fit, _ = setting
    with pytest.raises(ColumnNotFoundError, match="'x' is not in the data"):
        fit.predict(new_rows().drop(columns="x"))
    without = new_rows().drop(columns="h")
    with pytest.raises(ColumnNotFoundError, match=r"'h' is not in the data.*random='population'"):
        fit.predict(without)
    assert fit.predict(without, random="population").shape == (40,)


def test_prediction_at_zero_of_an_unseen_pair():
    """Without an intercept a row of zeros still has the uncertainty of b̂ from β̂."""
    data = crossed_data()
    fit = me.fit("y ~ 0 + x + (1 | g) + (1 | h)", data)
    terms = [
        oracle.Term(np.ones((160, 1)), data[name].to_numpy(), np.array([[theta]]), LEVELS[name])
        for name, theta in zip(("g", "h"), fit.theta, strict=True)
    ]
    X = data[["x"]].to_numpy()
    solution = oracle.solve(data["y"].to_numpy(), X, terms)
    seen = set(zip(data["g"], data["h"], strict=True))
    unseen = [(g, h) for g in range(12) for h in range(8) if (g, h) not in seen]
    new = pd.DataFrame(unseen, columns=["g", "h"]).assign(x=0.0)
    ones = np.ones((len(new), 1))
    codes = [new["g"].to_numpy(), new["h"].to_numpy()]
    expected = oracle.prediction_variance(
        solution, new[["x"]].to_numpy(), terms, [ones, ones], codes
    )
    table = fit.predict(new, std_error=True)
    np.testing.assert_allclose(table["std_error"] ** 2, expected, rtol=1e-8)


def test_many_unseen_pairs_are_solved_in_batches():
    data = crossed_data()
    fit = me.fit("y ~ x + (1 | g) + (1 | h)", data)
    grid = pd.MultiIndex.from_product([range(12), range(8), range(3)], names=["g", "h", "x"])
    new = grid.to_frame(index=False)
    whole = fit.predict(new, std_error=True)
    one_by_one = [
        fit.predict(new.iloc[[i]], std_error=True)["std_error"].iloc[0] for i in range(len(new))
    ]
    np.testing.assert_allclose(whole["std_error"], one_by_one, rtol=1e-10)


# -- offsets and weights ---------------------------------------------------------------------


def test_offset_given_as_an_array():
    data = crossed_data()
    by_name = me.fit("y ~ x + (x | g) + (1 | h)", data, offset="o")
    by_value = me.fit("y ~ x + (x | g) + (1 | h)", data, offset=data["o"].to_numpy())
    new = new_rows()
    expected = by_name.predict(new)
    with pytest.raises(DataError, match="offset"):
        by_value.predict(new)
    np.testing.assert_allclose(
        by_value.predict(new, offset=new["o"].to_numpy()), expected, rtol=1e-8
    )
    np.testing.assert_allclose(by_value.predict(new, offset="o"), expected, rtol=1e-8)
    with pytest.raises(DataError, match="shape"):
        by_value.predict(new, offset=np.ones(3))
    np.testing.assert_allclose(by_value.predict(), by_value.fitted())


# -- transformations replay -------------------------------------------------------------------

TRANSFORMS = [
    "poly(x, 3)",
    "bs(x, df=4)",
    "cr(x, df=4)",
    "scale(x)",
    "center(x)",
    "log(z)",
    "I(x**2)",
    "C(f, contr.sum)",
    "C(f, contr.helmert)",
    "x * f",
    "scale(x):f",
]


@pytest.fixture(scope="module")
def transformed():
    data = crossed_data()
    rng = np.random.default_rng(7)
    return data.assign(f=rng.choice(list("abcd"), len(data)), z=rng.uniform(1, 5, len(data)))


@pytest.mark.parametrize("part", TRANSFORMS)
def test_transformations_replay_on_new_data(transformed, part):
    """A row gets the same prediction alone as among those that the fit saw."""
    fit = me.fit(f"y ~ {part} + (1 | g)", transformed, on_check="ignore")
    np.testing.assert_allclose(fit.predict(transformed), fit.fitted(), rtol=1e-9)
    some = transformed.iloc[[5, 17, 40]]
    np.testing.assert_allclose(fit.predict(some), fit.fitted().iloc[[5, 17, 40]], rtol=1e-9)
    order = np.random.default_rng(0).permutation(len(transformed))
    shuffled = fit.predict(transformed.iloc[order], random="population", std_error=True)
    plain = fit.predict(transformed, random="population", std_error=True)
    np.testing.assert_allclose(shuffled, plain.iloc[order], rtol=1e-7)


def test_transformed_random_slopes_replay(transformed):
    fit = me.fit("y ~ x + (scale(x) + f || g)", transformed, on_check="ignore")
    some = transformed.iloc[[5, 17, 40]]
    np.testing.assert_allclose(fit.predict(some), fit.fitted().iloc[[5, 17, 40]], rtol=1e-9)


def test_new_level_of_a_fixed_factor_is_refused(transformed):
    fit = me.fit("y ~ f + (1 | g)", transformed)
    new = transformed.iloc[:3].assign(f="zebra")
    with pytest.raises(NewLevelError, match="zebra"):
        fit.predict(new)


def test_aliased_columns_do_not_count():
    data = crossed_data().assign(x2=lambda d: 2 * d["x"] + 1)
    full = me.fit("y ~ x + (1 | g)", data)
    fit = me.fit("y ~ x + x2 + (1 | g)", data)
    assert fit.estimates.aliased == ("x2",)
    new = new_rows().assign(x2=lambda d: 2 * d["x"] + 1)
    np.testing.assert_allclose(
        fit.predict(new, std_error=True), full.predict(new, std_error=True), rtol=1e-8
    )


@pytest.mark.parametrize("library", ["polars", "pyarrow", "dict"])
def test_new_data_of_another_library(setting, library):
    fit, _ = setting
    new = new_rows()
    expected = fit.predict(new, interval="prediction")
    if library == "dict":
        other = {name: new[name].to_numpy() for name in new}
    elif library == "polars":
        other = pytest.importorskip("polars").from_pandas(new)
    else:
        other = pytest.importorskip("pyarrow").Table.from_pandas(new)
    table = fit.predict(other, interval="prediction")
    if library != "dict":
        assert type(table).__module__.startswith(library)
    values = np.column_stack([np.asarray(table[name]) for name in expected.columns])
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_singular_fit_predicts():
    data = me.datasets.load("dyestuff2")
    fit = me.fit("Yield ~ 1 + (1 | Batch)", data)
    table = fit.predict(data, std_error=True, include_theta=True)
    np.testing.assert_allclose(table["estimate"], data["Yield"].mean(), rtol=1e-10)
    np.testing.assert_allclose(table["std_error"], fit.sigma / np.sqrt(30), rtol=1e-8)


def test_relationship_matrix():
    rng = np.random.default_rng(0)
    n, L = 90, 10
    root = rng.normal(size=(L, L))
    K = root @ root.T / L + np.eye(L)
    g, x = rng.integers(0, L, n), rng.normal(size=n)
    y = 1 + x + 2 * (np.linalg.cholesky(K) @ rng.normal(size=L))[g] + rng.normal(size=n)
    data = pd.DataFrame({"y": y, "x": x, "g": g})
    names = sorted(set(g))
    A = pd.DataFrame(K, index=range(L), columns=range(L))
    fit = me.fit("y ~ x + known(1 | g, A)", data)
    term = oracle.Term(np.ones((n, 1)), g, np.array([[fit.theta[0]]]), L, K)
    X = np.column_stack([np.ones(n), x])
    solution = oracle.solve(y, X, [term])
    assert fit.objective == pytest.approx(solution.objective, rel=1e-11)
    assert len(A) == len(names)
    new = pd.DataFrame({"x": rng.normal(size=L), "g": np.arange(L)})
    expected = oracle.prediction_variance(
        solution,
        np.column_stack([np.ones(L), new["x"]]),
        [term],
        [np.ones((L, 1))],
        [np.arange(L)],
    )
    table = fit.predict(new, std_error=True)
    np.testing.assert_allclose(table["std_error"] ** 2, expected, rtol=1e-8)
    ranef = fit.ranef()
    np.testing.assert_allclose(ranef["estimate"], solution.b[0].ravel(), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(ranef["std_error"] ** 2, solution.b_covariance[0].ravel(), rtol=1e-8)
