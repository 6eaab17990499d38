"""Predictions, residuals and new responses of a posterior, against their draws by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import kstest, norm

import mixedeffects as me
from drawn_posteriors import drawn, draws_of, modes_of, table
from mixedeffects.errors import ColumnNotFoundError, DataError, ModelError, NewLevelError


def codes(data, name):
    return np.unique(data[name], return_inverse=True)[1]


@pytest.fixture(scope="module")
def linear():
    return drawn("y ~ x + (1 + x | g)", draws=400)


def expectation(post, data):
    """η (N, n) by hand."""
    draws, b, g = draws_of(post), modes_of(post), codes(data, "g")
    fixed = draws["Intercept"][:, None] + np.outer(draws["x"], data["x"])
    return fixed + b[:, g, 0] + b[:, g, 1] * data["x"]


def test_expectations_of_the_rows_used(linear):
    eta = expectation(linear, table())
    np.testing.assert_allclose(linear.predict(), eta.mean(axis=0))
    found = linear.predict(interval="confidence", level=0.9)
    np.testing.assert_allclose(found["std_error"], eta.std(axis=0, ddof=1))
    np.testing.assert_allclose(found["conf_low"], np.quantile(eta, 0.05, axis=0))
    np.testing.assert_allclose(linear.fitted(), eta.mean(axis=0))
    np.testing.assert_allclose(linear.residuals(), table()["y"] - eta.mean(axis=0))
    variance = np.mean(draws_of(linear)["sigma"] ** 2)
    np.testing.assert_allclose(
        linear.residuals("pearson"), (table()["y"] - eta.mean(axis=0)) / np.sqrt(variance)
    )


def test_population_and_new_rows(linear):
    new = {"x": [0.5, 3.0], "g": ["g1", "nobody"]}
    draws, b = draws_of(linear), modes_of(linear)
    fixed = draws["Intercept"][:, None] + np.outer(draws["x"], new["x"])
    found = linear.predict(new, random="population", std_error=True)
    np.testing.assert_allclose(found["estimate"], fixed.mean(axis=0))
    np.testing.assert_allclose(found["std_error"], fixed.std(axis=0, ddof=1))
    with pytest.raises(NewLevelError, match="nobody"):
        linear.predict(new)
    at_zero = linear.predict(new, new_levels="population", std_error=True, seed=1)
    own = fixed[:, 0] + b[:, 1, 0] + 0.5 * b[:, 1, 1]
    np.testing.assert_allclose(at_zero["estimate"], [own.mean(), fixed[:, 1].mean()])
    drawn_too = linear.predict(new, new_levels="sample", std_error=True, seed=1)
    np.testing.assert_allclose(at_zero["std_error"], drawn_too["std_error"])
    assert np.isnan(linear.predict({"x": [None, 1.0], "g": ["g1", "g1"]})[0])


def test_unseen_groups_are_drawn_with_each_draws_covariance(linear):
    new = {"x": [3.0], "g": ["nobody"]}
    found = linear.predict(new, new_levels="sample", std_error=True, seed=1)
    draws, covariance = draws_of(linear), linear._sampled.terms[0].covariances
    fixed = draws["Intercept"] + 3.0 * draws["x"]
    z = np.array([1.0, 3.0])
    variance = fixed.var() + np.einsum("i,nij,j->n", z, covariance, z).mean()
    # 800 draws of each: the standard deviation is known to a few percent
    np.testing.assert_allclose(found["std_error"][0], np.sqrt(variance), rtol=0.12)
    again = linear.predict(new, new_levels="sample", std_error=True, seed=1)
    assert found.equals(again)


def test_prediction_intervals_add_the_residuals(linear):
    eta, sigma = expectation(linear, table()), draws_of(linear)["sigma"]
    found = linear.predict(interval="prediction", seed=2)
    total = np.sqrt(eta.var(axis=0) + np.mean(sigma**2))
    np.testing.assert_allclose(found["std_error"], total, rtol=0.2)  # 800 draws, heavy tails
    np.testing.assert_allclose(found["estimate"], eta.mean(axis=0))
    # new groups vary as much as the covariance says
    population = linear.predict(interval="prediction", random="population", seed=2)
    np.testing.assert_allclose(population["estimate"], linear.predict(random="population"))
    draws, covariance = draws_of(linear), linear._sampled.terms[0].covariances
    x = table()["x"]
    fixed = draws["Intercept"][:, None] + np.outer(draws["x"], x)
    z = np.column_stack([np.ones(48), x])
    variance = fixed.var(axis=0) + np.einsum("ri,nij,rj->nr", z, covariance, z).mean(axis=0)
    total = np.sqrt(variance + np.mean(sigma**2))
    np.testing.assert_allclose(population["std_error"], total, rtol=0.2)


def test_weights_are_of_the_residual_variance():
    post = drawn(
        "y ~ x + (1 | g)", weights="w", draws=1000, priors={"sigma": me.priors.Gamma(50, 25)}
    )
    simulated = post.simulate(2000, seed=1)
    w = table()["w"]
    spread = (simulated - post.fitted()).var(axis=0)
    expected = (
        post.predict(std_error=True)["std_error"] ** 2 + np.mean(draws_of(post)["sigma"] ** 2) / w
    )
    np.testing.assert_allclose(spread, expected, rtol=0.25)  # variances of 2,000 heavy-tailed draws
    # a new observation has weight one
    new = {name: table()[name][:1] for name in ("x", "g")}
    assert post.predict(new, interval="prediction", seed=1)["std_error"][0] > 0


def test_offsets_count():
    data = {**table(), "o": np.linspace(0.0, 1.0, 48)}
    with_offset = drawn("y ~ x + offset(o) + (1 | g)", data)
    by_hand = draws_of(with_offset)
    eta = by_hand["Intercept"][:, None] + np.outer(by_hand["x"], data["x"]) + data["o"]
    eta = eta + modes_of(with_offset)[:, codes(data, "g"), 0]
    np.testing.assert_allclose(with_offset.predict(), eta.mean(axis=0))
    given = drawn("y ~ x + (1 | g)", offset=data["o"])
    new = {"x": [1.0], "g": ["g1"]}
    with pytest.raises(DataError, match="offset"):
        given.predict(new)
    lifted = given.predict(new, offset=[2.0]) - given.predict(new, offset=[0.0])
    np.testing.assert_allclose(lifted, [2.0])
    with pytest.raises(ModelError, match="offset="):
        given.predict(offset=data["o"])


def test_proportions():
    formula = "cbind(k, size - k) ~ x + (1 | g)"
    post = drawn(formula, family="binomial", draws=500)
    data, draws = table(), draws_of(post)
    eta = draws["Intercept"][:, None] + np.outer(draws["x"], data["x"])
    eta = eta + modes_of(post)[:, codes(data, "g"), 0]
    np.testing.assert_allclose(post.predict(), expit(eta).mean(axis=0))
    np.testing.assert_allclose(post.predict(scale="link"), eta.mean(axis=0))
    simulated = post.simulate(50, seed=1)
    assert simulated.max() <= 8
    assert np.all(simulated == np.round(simulated))
    inside = post.predict(interval="prediction", seed=1)
    assert inside["conf_high"].max() <= 1.0
    new = {"x": [1.0], "g": ["g1"]}
    with pytest.raises(ModelError, match="trials="):
        post.predict(new, interval="prediction")
    one = post.predict(new, interval="prediction", trials=1, seed=1)
    assert one[["conf_low", "conf_high"]].to_numpy().tolist() == [[0.0, 1.0]]


def test_zero_inflated_means():
    priors = {"b": me.priors.Normal(0, 0.2), "sigma": me.priors.Gamma(20, 10)}
    post = drawn(
        "count ~ x + (1 | g)", family="nbinom2", zero_inflation="~ x", priors=priors, draws=200
    )
    data, draws = table(), draws_of(post)
    eta = draws["Intercept"][:, None] + np.outer(draws["x"], data["x"])
    eta = eta + modes_of(post)[:, codes(data, "g"), 0]
    zeta = draws["zero_inflation: Intercept"][:, None] + np.outer(
        draws["zero_inflation: x"], data["x"]
    )
    np.testing.assert_allclose(post.predict(), (expit(-zeta) * np.exp(eta)).mean(axis=0))
    np.testing.assert_allclose(post.predict(component="conditional"), np.exp(eta).mean(axis=0))
    np.testing.assert_allclose(post.predict(component="zero_inflation"), expit(zeta).mean(axis=0))
    sigma = post._sampled.draws.sigma.ravel()
    np.testing.assert_allclose(post.predict(component="dispersion"), np.full(48, sigma.mean()))


def test_probabilities_of_ordered_categories():
    data = table()
    data["grade"] = codes(data, "grade")
    post = drawn("grade ~ x + (1 | g)", data, family="cumulative")
    draws = draws_of(post)
    eta = np.outer(draws["x"], data["x"]) + modes_of(post)[:, codes(data, "g"), 0]
    tau = np.column_stack([draws["threshold: 0|1"], draws["threshold: 1|2"]])
    below = expit(tau[:, None, :] - eta[..., None])
    expected = np.diff(below, axis=2, prepend=0.0, append=1.0)
    found = post.predict()
    assert list(found) == ["0", "1", "2"]
    np.testing.assert_allclose(found.to_numpy(), expected.mean(axis=0))
    long = post.predict(interval="confidence")
    assert list(long)[:3] == ["row", "category", "estimate"]
    np.testing.assert_allclose(long["conf_low"][:3], np.quantile(expected[:, 0], 0.025, axis=0))
    assert set(np.unique(post.simulate(5, seed=1))) <= {0.0, 1.0, 2.0}
    with pytest.raises(ModelError, match="prediction"):
        post.predict(interval="prediction")
    with pytest.raises(ModelError, match="quantile"):
        post.residuals("pearson")


def test_simulated_responses(linear):
    one = linear.simulate(seed=3)
    assert one.shape == (48,)
    assert linear.simulate(3, seed=3).shape == (3, 48)
    np.testing.assert_array_equal(linear.simulate(3, seed=3), linear.simulate(3, seed=3))
    more = linear.simulate(2000, seed=3)  # more than there are draws
    np.testing.assert_allclose(more.mean(axis=0), linear.fitted(), atol=0.6)  # of sd 10 or so
    with pytest.raises(ModelError, match="n=0"):
        linear.simulate(0)
    with pytest.raises(ModelError, match="random="):
        linear.simulate(random="new")


def test_quantile_residuals_are_uniform_for_responses_of_the_model():
    """Data of the prior predictive distribution lie anywhere within it."""
    priors = {"Intercept": me.priors.Normal(0, 0.2), "sd": me.priors.HalfNormal(0.4)}
    data = table(300)
    post = drawn("count ~ 1 + (1 | g)", data, family="poisson", priors=priors, draws=300)
    y = post.simulate(1, random="marginal", seed=8)[0]
    other = drawn(
        "count ~ 1 + (1 | g)", {**data, "count": y}, family="poisson", priors=priors, draws=300
    )
    places = other.residuals("quantile", seed=1)
    assert kstest(places, "uniform").pvalue > 0.001
    np.testing.assert_array_equal(places, other.residuals("quantile", seed=1))


def test_quantile_residuals_by_hand():
    post = drawn("y ~ 1 + (1 | g)", draws=2000, priors={"sd": me.priors.HalfNormal(0.01)})
    draws = draws_of(post)
    # without random effects to speak of, the mean of normal distribution functions
    expected = norm.cdf(
        (table()["y"] - draws["Intercept"][:, None]) / draws["sigma"][:, None]
    ).mean(axis=0)
    np.testing.assert_allclose(post.residuals("quantile", seed=1), expected, atol=2e-3)


def test_labels_of_pandas_rows_are_kept():
    pandas = pytest.importorskip("pandas")
    data = pandas.DataFrame(table(), index=[f"r{i}" for i in range(48)])
    data.loc["r3", "y"] = np.nan
    post = drawn("y ~ x + (1 | g)", data)
    assert list(post.fitted().index[:4]) == ["r0", "r1", "r2", "r4"]
    assert list(post.predict(std_error=True).index) == list(post.residuals().index)
    assert post.nobs == 47


def test_a_predictive_check_by_hand(linear):
    found = linear.predictive_check(["mean", "sd"], n=300, seed=4)
    simulated = linear.simulate(300, seed=4)
    y = table()["y"]
    np.testing.assert_allclose(found["observed"], [y.mean(), y.std(ddof=1)])
    np.testing.assert_allclose(found["estimate"][0], simulated.mean(axis=1).mean())
    np.testing.assert_allclose(found["p_value"][0], np.mean(simulated.mean(axis=1) > y.mean()))


def test_statistics_of_a_predictive_check():
    post = drawn("count ~ x + (1 | g)", family="poisson", priors={"b": me.priors.Normal(0, 0.1)})
    assert list(post.predictive_check(n=20, seed=1)["statistic"]) == [
        "mean",
        "sd",
        "min",
        "max",
        "zeros",
    ]

    def span(y):
        return np.ptp(y)

    named = post.predictive_check({"own": span}, n=20, seed=1)
    unnamed = post.predictive_check(span, n=20, seed=1)
    assert list(named["statistic"]) == ["own"]
    assert list(unnamed["statistic"]) == ["span"]
    np.testing.assert_allclose(named["observed"], np.ptp(table()["count"]))
    with pytest.raises(ModelError, match="Did you mean 'mean'"):
        post.predictive_check("men")
    with pytest.raises(ModelError, match="one number"):
        post.predictive_check(lambda y: y, n=5)
    with pytest.raises(ModelError, match="give a name"):
        post.predictive_check(3)
    with pytest.raises(ModelError, match="neither"):
        post.predictive_check([3])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"random": "all"}, "random="),
        ({"interval": "credible"}, "interval="),
        ({"new_levels": "new"}, "new_levels="),
        ({"scale": "log"}, "scale="),
        ({"component": "zero"}, "component="),
        ({"component": "zero_inflation"}, "no zero inflation"),
        ({"level": 2.0}, "level="),
        ({"trials": 3}, "trials="),
        ({"interval": "prediction", "scale": "link"}, "only the response is observed"),
    ],
)
def test_predictions_that_make_no_sense(linear, options, message):
    with pytest.raises(ModelError, match=message):
        linear.predict(**options)


def test_new_data_lacking_a_column(linear):
    with pytest.raises(ColumnNotFoundError, match="'x'"):
        linear.predict({"g": ["g1"]})
    assert len(linear.predict({"x": [1.0]}, random="population")) == 1


def test_rows_that_count_several_times_are_not_simulated():
    post = drawn(
        "count ~ x + (1 | g)", family="poisson", weights="w", priors={"b": me.priors.Normal(0, 0.1)}
    )
    with pytest.raises(ModelError, match="repeat the rows"):
        post.simulate()
