"""Predictions of generalized fits: limits, observations, components, categories, new data."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import gamma, norm, poisson

import general_designs
import mixedeffects as me
from effects.general_models import TRIALS, drawn, fitted, model
from mixedeffects.errors import DataError, ModelError, NewLevelError
from mixedeffects.fitting.general_conditional import GeneralConditional

Z = norm.ppf(0.975)


# -- the covariance of the predictors --------------------------------------------------------


@pytest.mark.parametrize(("name", "layout"), [("poisson", "crossed"), ("nbinom2", "predictors")])
def test_covariance_of_predictors_is_the_dense_one(name, layout):
    """H⁻¹ on the rows, and the parameters' covariance through the modes (Kass and Steffey 1989)."""
    problem = general_designs.general_problem(name, layout, seed=3)
    dense, psi = general_designs.DenseLaplace(problem), general_designs.point(problem)
    m = problem.n_parameters
    root = 0.1 * np.random.default_rng(2).normal(size=(len(psi), len(psi)))
    at = SimpleNamespace(theta=psi)
    solution = SimpleNamespace(
        u=np.zeros(int(problem.plan.offset[-1])), optimum=at, turned=False, covariance=root @ root.T
    )

    def predictors(psi):
        u, Z = dense.parts(psi)[0], dense.design(psi[:m])
        fixed = enumerate(dense.fixed(psi[m:]))
        return np.stack([e + Z[a] @ u if a in Z else e for a, e in fixed], axis=1)

    step = 1e-4
    J = np.stack(
        [
            (predictors(psi + step * e) - predictors(psi - step * e)) / (2 * step)
            for e in np.eye(len(psi))
        ],
        axis=2,
    )
    expected = J @ solution.covariance @ J.transpose(0, 2, 1)
    inverse, rows = np.linalg.inv(dense.parts(psi)[2]), dense.design(psi[:m])
    for a, za in rows.items():
        for b, zb in rows.items():
            expected[:, a, b] += np.einsum("ni,ij,nj->n", za, inverse, zb)
    ours = GeneralConditional(problem, solution).covariances(
        user_columns(problem), *user_terms(problem)
    )
    # both take central differences of modes
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def user_columns(problem):
    X = np.empty((problem.n_rows, problem.n_fixed))
    for p in problem.predictors:
        X[:, p.coefficients] = p.basis.columns @ p.basis.map
    return X


def user_terms(problem):
    values, codes = [], []
    for term in problem.terms:
        grouping = problem.groupings[term.grouping]
        values.append(grouping.values[:, term.columns] @ term.map)
        codes.append(grouping.codes)
    return values, codes


# -- limits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["poisson", "binomial", "gamma", "beta", "tweedie", "lognormal"])
def test_limits_of_a_mean_that_follows_eta_are_those_of_eta(name):
    fit = model(name)
    link = fit.predict(scale="link", interval="confidence")
    mean = fit.predict(interval="confidence")
    g = me.families.build(name).g
    for column in ("estimate", "conf_low", "conf_high"):
        np.testing.assert_allclose(mean[column], g.inverse(link[column].to_numpy()), rtol=1e-10)
    slope = g.slopes(link["estimate"].to_numpy())[0]
    np.testing.assert_allclose(mean["std_error"], slope * link["std_error"], rtol=1e-6)
    half = Z * link["std_error"]
    np.testing.assert_allclose(link["conf_high"] - link["estimate"], half, rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "inflated"), [("poisson", True), ("nbinom2", True), ("truncated_nbinom2", True)]
)
def test_limits_of_inflated_means_are_symmetric_on_the_log_scale(name, inflated):
    table = model(name, inflated).predict(interval="confidence")
    middle = np.sqrt(table["conf_low"] * table["conf_high"])
    np.testing.assert_allclose(middle, table["estimate"], rtol=1e-8)
    ratio = np.exp(Z * table["std_error"] / table["estimate"])
    np.testing.assert_allclose(table["conf_high"] / table["estimate"], ratio, rtol=1e-8)


def test_standard_error_of_an_inflated_mean_is_the_delta_method():
    fit = model("poisson", True)
    rows = fit.predict(std_error=True)
    covariance = fit._fit.factor.covariances(*rows_of(fit))
    eta, zeta = (fit.predict(scale="link", component=c) for c in ("conditional", "zero_inflation"))
    mean = np.exp(eta) * expit(-zeta)
    slopes = np.column_stack([mean, -mean * expit(zeta)])
    expected = np.sqrt(np.einsum("ni,nij,nj->n", slopes, covariance, slopes))
    np.testing.assert_allclose(rows["estimate"], mean, rtol=1e-12)
    np.testing.assert_allclose(rows["std_error"], expected, rtol=1e-6)


def rows_of(fit):
    from mixedeffects.effects.general_rows import own_general_rows

    rows = own_general_rows(fit._fit)
    return rows.X, rows.values, rows.codes


def test_limits_of_an_inverse_link_are_in_order():
    data = drawn("gamma").assign(y=lambda d: d["y"] + 1.0)
    fit = me.fit("y ~ x + (1 | g)", data, family=me.families.Gamma(link="inverse"))
    table = fit.predict(interval="confidence")
    assert (table["conf_low"] < table["estimate"]).all()
    assert (table["estimate"] < table["conf_high"]).all()


def test_level_widens_limits():
    fit = model("poisson")
    narrow, wide = (fit.predict(interval="confidence", level=level) for level in (0.5, 0.99))
    assert (wide["conf_low"] < narrow["conf_low"]).all()


def test_include_theta_changes_nothing():
    fit = model("poisson")
    tables = [fit.predict(std_error=True, include_theta=theta) for theta in (True, False)]
    pd.testing.assert_frame_equal(*tables)


# -- observations ----------------------------------------------------------------------------


def normal_mixture(cdf, mean, sd):
    """∫ cdf(η) N(η; mean, sd²) dη."""
    at = np.linspace(-7.0, 7.0, 2001)
    weights = norm.pdf(at) / norm.pdf(at).sum()
    return float(weights @ cdf(mean + sd * at))


@pytest.mark.parametrize("random", ["conditional", "population"])
def test_prediction_limits_are_quantiles_of_the_predictive_distribution(random):
    """Poisson counts whose log mean is normal; of a new group for the population."""
    fit = model("poisson")
    data = drawn("poisson").head(5)
    table = fit.predict(data, random=random, interval="prediction", seed=1)
    link = fit.predict(data, random=random, scale="link", std_error=True)
    sd = link["std_error"] ** 2
    if random == "population":
        sd = sd + fit.varcorr()["variance_or_cov"].iloc[0]
    sd = np.sqrt(sd)
    for i in range(len(data)):
        low, high = table["conf_low"].iloc[i], table["conf_high"].iloc[i]
        eta, spread = link["estimate"].iloc[i], sd.iloc[i]

        def share(y, eta=eta, spread=spread):
            return normal_mixture(lambda e: poisson.cdf(y, np.exp(e)), eta, spread)

        # a share of 4,000 draws errs by 0.0025
        assert share(high) > 0.965
        assert share(high - 1) < 0.985
        assert share(low) > 0.015
        assert share(low - 1) < 0.035
        assert low == np.floor(low)


def test_prediction_limits_of_a_continuous_response():
    """The shape's uncertainty is small here, and left out of the expected shares."""
    fit = fitted("gamma", drawn("gamma", n=2000))
    data = drawn("gamma", n=40)
    table = fit.predict(data, interval="prediction", seed=2, level=0.9)
    link = fit.predict(data, scale="link", std_error=True)
    shape = fit.sigma**-2
    shares = np.array(
        [
            [
                normal_mixture(lambda e, y=y: gamma.cdf(y, shape, scale=np.exp(e) / shape), m, s)
                for y in limits
            ]
            for limits, m, s in zip(
                table[["conf_low", "conf_high"]].to_numpy(),
                link["estimate"],
                link["std_error"],
                strict=True,
            )
        ]
    )
    np.testing.assert_allclose(shares.mean(axis=0), [0.05, 0.95], atol=0.004)
    np.testing.assert_allclose(shares - [0.05, 0.95], 0.0, atol=0.02)


def test_prediction_error_is_the_predictive_deviation():
    """Of a Gaussian response with its own variance by row: both parts add."""
    data = drawn("gaussian", n=400)
    fit = me.fit("y ~ x + (1 | g)", data, family="gaussian", dispersion="~ x")
    table = fit.predict(interval="prediction", seed=3)
    sigma = fit.predict(component="dispersion")
    expected = np.sqrt(fit.predict(std_error=True)["std_error"] ** 2 + sigma**2)
    # 4,000 draws' deviation errs by 1.1 %
    np.testing.assert_allclose(table["std_error"], expected, rtol=0.06)
    assert np.mean(table["std_error"] / expected) == pytest.approx(1.0, abs=0.01)


def test_observations_of_groups_not_seen_vary_by_the_groups():
    fit = model("poisson")
    data = pd.DataFrame({"x": [0.0], "g": ["new"]})
    own = fit.predict(data, interval="prediction", new_levels="population", seed=1)
    population = fit.predict(data, interval="prediction", random="population", seed=1)
    pd.testing.assert_frame_equal(own, population)


def test_draws_follow_the_seed():
    fit = model("nbinom2", True)
    rows = drawn("nbinom2", inflated=True).head(50)
    tables = [fit.predict(rows, interval="prediction", seed=seed) for seed in (5, 5, 6)]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    assert not tables[0].equals(tables[2])


@pytest.mark.parametrize("name", me.families.FAMILIES)
def test_every_family_has_prediction_intervals(name):
    if name == "cumulative":
        pytest.skip("probabilities")
    data = drawn(name)
    table = model(name).predict(data.head(20), interval="prediction", trials=trials(name), seed=1)
    assert np.isfinite(table).all(axis=None)
    assert (table["conf_low"] <= table["conf_high"]).all()
    y = data["y"].head(20) / (TRIALS if trials(name) else 1.0)
    assert y.between(table["conf_low"], table["conf_high"]).sum() >= 16


def trials(name):
    return TRIALS if name in ("binomial", "betabinomial") else None


def test_trials_of_new_proportions():
    fit, data = model("binomial"), drawn("binomial").head(6)
    with pytest.raises(ModelError, match="give trials="):
        fit.predict(data, interval="prediction")
    few, many = (fit.predict(data, interval="prediction", trials=k, seed=1) for k in (8, 8000))
    width = [(t["conf_high"] - t["conf_low"]).to_numpy() for t in (few, many)]
    assert (width[0] > width[1]).all()
    own = fit.predict(interval="prediction", seed=1).head(6)
    np.testing.assert_allclose(own["conf_high"] * TRIALS % 1.0, 0.0, atol=1e-9)
    by_row = fit.predict(data, interval="prediction", trials=[8] * 6, seed=1)
    pd.testing.assert_frame_equal(by_row, few)
    with pytest.raises(DataError, match="Numbers of trials"):
        fit.predict(data, interval="prediction", trials=0)
    with pytest.raises(ModelError, match="of no trials"):
        model("poisson").predict(trials=3)


def test_only_responses_are_observed():
    fit = model("poisson", True)
    with pytest.raises(ModelError, match="only the response is observed"):
        fit.predict(interval="prediction", scale="link")
    with pytest.raises(ModelError, match="only the response is observed"):
        fit.predict(interval="prediction", component="zero_inflation")


# -- components ------------------------------------------------------------------------------


def test_components_make_the_mean():
    fit = model("nbinom2", True)
    extra, rest = (fit.predict(component=c) for c in ("zero_inflation", "conditional"))
    np.testing.assert_allclose(fit.predict(), (1 - extra) * rest, rtol=1e-12)
    np.testing.assert_allclose(fit.predict(component="dispersion"), fit.sigma, rtol=1e-12)
    table = fit.predict(component="zero_inflation", interval="confidence")
    assert table[["conf_low", "conf_high"]].to_numpy().min() > 0.0
    assert table[["conf_low", "conf_high"]].to_numpy().max() < 1.0
    link = fit.predict(component="zero_inflation", scale="link", interval="confidence")
    np.testing.assert_allclose(expit(link["conf_high"]), table["conf_high"], rtol=1e-10)


def test_a_component_that_is_not_there_is_refused():
    with pytest.raises(ModelError, match="'poisson' has no zero inflation"):
        model("poisson").predict(component="zero_inflation")
    with pytest.raises(ModelError, match="'poisson' has no dispersion"):
        model("poisson", True).predict(component="dispersion")
    with pytest.raises(ModelError, match="component='zprob' is not one of"):
        model("poisson").predict(component="zprob")


# -- ordered categories ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def wine():
    return me.datasets.load("wine")


@pytest.fixture(scope="module", params=["flexible", "equidistant"])
def ratings(request, wine):
    family = me.families.Cumulative(threshold=request.param)
    return me.fit("rating ~ temp + contact + (1 | judge)", wine, family=family)


def test_probabilities_by_category(ratings, wine):
    table = ratings.fitted()
    assert list(table.columns) == [str(k) for k in sorted(wine["rating"].astype(str).unique())]
    np.testing.assert_allclose(table.sum(axis=1), 1.0, rtol=1e-12)
    assert table.index.equals(wine.index)
    pd.testing.assert_frame_equal(ratings.predict(wine), table)
    eta = ratings.predict(scale="link")
    thresholds = ratings.fixef().query("component == 'threshold'")["estimate"].to_numpy()
    first = expit(thresholds[0] - eta)
    np.testing.assert_allclose(table.iloc[:, 0], first, rtol=1e-10)


def test_uncertainty_of_probabilities(ratings, wine):
    table = ratings.predict(wine.head(3), interval="confidence")
    assert list(table.columns) == [
        *("row", "category", "estimate", "std_error", "conf_low", "conf_high")
    ]
    assert list(table["row"]) == [row for row in wine.index[:3] for _ in range(5)]
    own = table.query("category == '1'").reset_index(drop=True)
    wide = ratings.predict(wine.head(3))
    np.testing.assert_allclose(own["estimate"], wide["1"], rtol=1e-12)
    # P(first) = F(τ₁ − η): limits on the logit scale are those of τ₁ − η
    logit = np.log(own["estimate"] / (1 - own["estimate"]))
    spread = own["std_error"] / (own["estimate"] * (1 - own["estimate"]))
    np.testing.assert_allclose(own["conf_high"], expit(logit + Z * spread), rtol=1e-8)
    assert table[["conf_low", "conf_high"]].to_numpy().min() > 0.0
    assert table[["conf_low", "conf_high"]].to_numpy().max() < 1.0


def test_standard_errors_of_probabilities_by_draws(ratings):
    """The first category's standard error against draws of τ₁ − η from their distribution."""
    covariance = ratings._fit.factor.covariances(*rows_of(ratings))[0]
    table = ratings.predict(std_error=True).head(5)
    eta = ratings.predict(scale="link")[0]
    psi = ratings._fit.solution.beta[-(covariance.shape[0] - 1) :]
    rng = np.random.default_rng(1)
    drawn = rng.multivariate_normal([eta, *psi], covariance * 1e-4, size=20_000)
    family, response = ratings._fit.family, ratings._fit.problem.response
    p = np.array([family.probabilities(response, (row[:1], *row[1:]))[0] for row in drawn[:2000]])
    np.testing.assert_allclose(p.std(axis=0) * 100, table["std_error"], rtol=0.08)


def test_no_prediction_interval_of_categories(ratings):
    with pytest.raises(ModelError, match="probabilities already say"):
        ratings.predict(interval="prediction")
    with pytest.raises(ModelError, match="no dispersion"):
        ratings.predict(component="dispersion")


# -- new data --------------------------------------------------------------------------------


def test_own_rows_are_the_data_again():
    for name, inflated in [("poisson", False), ("nbinom2", True), ("binomial", False)]:
        fit, data = model(name, inflated), drawn(name, inflated=inflated)
        tables = [fit.predict(given, interval="confidence") for given in (None, data)]
        pd.testing.assert_frame_equal(*tables)


def test_rows_with_missing_values():
    fit = model("nbinom2", True)
    data = drawn("nbinom2", inflated=True).head(4)
    whole = fit.predict(data, interval="confidence")
    data.loc[1, "x"] = np.nan
    data.loc[2, "g"] = None
    table = fit.predict(data, interval="confidence")
    assert table.iloc[1:3].isna().all(axis=None)
    pd.testing.assert_frame_equal(table.iloc[[0, 3]], whole.iloc[[0, 3]])
    for interval in ("confidence", "prediction"):
        assert fit.predict(data.iloc[1:3], interval=interval).isna().all(axis=None)


def test_missing_rows_of_categories(ratings, wine):
    data = wine.head(3).assign(temp=lambda d: d["temp"].astype(object).where(d.index != 1))
    table = ratings.predict(data)
    assert table.iloc[1].isna().all()
    assert table.iloc[[0, 2]].notna().all(axis=None)
    nothing = ratings.predict(data.iloc[[1]], interval="confidence")
    assert nothing[["estimate", "std_error", "conf_low", "conf_high"]].isna().all(axis=None)


def test_groups_not_seen():
    fit = model("poisson")
    data = pd.DataFrame({"x": [0.0, 0.0], "g": ["g1", "new"]})
    with pytest.raises(NewLevelError, match="'new'"):
        fit.predict(data)
    population = fit.predict(data, random="population", scale="link", std_error=True)
    own = fit.predict(data, new_levels="population", scale="link", std_error=True)
    assert own["estimate"].iloc[1] == population["estimate"].iloc[1]
    variance = fit.varcorr()["variance_or_cov"].iloc[0]
    total = np.sqrt(population["std_error"].iloc[1] ** 2 + variance)
    assert own["std_error"].iloc[1] == pytest.approx(total, rel=1e-10)
    sampled = [fit.predict(data, new_levels="sample", scale="link", seed=s)[1] for s in range(400)]
    effects = np.array(sampled) - population["estimate"].iloc[1]
    # standard error of a deviation from 400 draws: 3.5 %
    assert effects.std() == pytest.approx(np.sqrt(variance), rel=0.12)


def test_the_population_needs_no_groups():
    fit = model("poisson")
    data = pd.DataFrame({"x": [0.3]})
    b = fit.beta
    assert fit.predict(data, random="population")[0] == pytest.approx(np.exp(b[0] + 0.3 * b[1]))


def test_offsets():
    data = drawn("poisson").assign(o=lambda d: 0.1 * d["x"] ** 2)
    column = me.fit("y ~ x + (1 | g)", data, family="poisson", offset="o")
    array = me.fit("y ~ x + (1 | g)", data, family="poisson", offset=data["o"].to_numpy())
    np.testing.assert_allclose(column.predict(data), column.predict(), rtol=1e-12)
    np.testing.assert_allclose(array.predict(data, offset=data["o"]), array.predict(), rtol=1e-12)
    np.testing.assert_allclose(
        array.predict(data, offset=np.zeros(len(data)), scale="link"),
        array.predict(scale="link") - data["o"],
        atol=1e-12,
    )
    with pytest.raises(DataError, match="array as offset"):
        array.predict(data)
    with pytest.raises(ModelError, match="offset= is for new data"):
        array.predict(offset=data["o"])


def test_labels_and_frames():
    data = drawn("poisson").set_index(pd.Index([f"r{k}" for k in range(400)]))
    data.loc["r3", "x"] = np.nan
    fit = fitted("poisson", data)
    assert list(fit.fitted().index[:4]) == ["r0", "r1", "r2", "r4"]
    assert fit.residuals("pearson").index.equals(fit.fitted().index)
    assert list(fit.predict(data, std_error=True).index) == list(data.index)
    polars = pytest.importorskip("polars")
    frame = polars.from_pandas(drawn("poisson"))
    other = fitted("poisson", frame)
    assert isinstance(other.fitted(), np.ndarray)
    assert isinstance(other.predict(frame, std_error=True), polars.DataFrame)


def test_options_are_checked():
    fit = model("poisson")
    for options in ({"random": "none"}, {"scale": "log"}, {"interval": "wald"}, {"level": 1.5}):
        with pytest.raises(ModelError):
            fit.predict(**options)


def test_standard_errors_do_not_depend_on_what_was_asked_before():
    fit = fitted("nbinom2", drawn("nbinom2", seed=8))
    before = fit.ranef()["std_error"].copy()
    first = fit.predict(std_error=True)["std_error"]
    # the mode is found again, to rounding
    np.testing.assert_allclose(fit.ranef()["std_error"], before, rtol=1e-12)
    np.testing.assert_allclose(fit.predict(std_error=True)["std_error"], first, rtol=1e-12)


# -- parameters at the end of their range ----------------------------------------------------


def test_observations_with_a_size_that_is_infinite():
    """Counts without overdispersion: nbinom2 is Poisson, and its size no normal distribution."""
    data = drawn("poisson")
    fit = fitted("nbinom2", data)
    assert fit.sigma > 1e4
    table = fit.predict(data.head(5), interval="prediction", seed=1)
    plain = model("poisson").predict(data.head(5), interval="prediction", seed=1)
    np.testing.assert_allclose(table["conf_high"], plain["conf_high"], atol=1.0)
    sizes = fit.predict(data.head(5), component="dispersion", interval="confidence")
    assert (sizes["conf_low"] < sizes["estimate"]).all()


def test_observations_of_a_group_of_zeros_are_refused():
    data = drawn("poisson").assign(f=lambda d: np.where(np.arange(len(d)) % 3, "a", "none"))
    data.loc[data["f"] == "none", "y"] = 0.0
    fit = me.fit("y ~ f + (1 | g)", data, family="poisson", on_check="ignore")
    rows = data.query("f == 'none'").head(2)
    with pytest.raises(ModelError, match="so much uncertainty"):
        fit.predict(rows, interval="prediction", seed=1)
    table = fit.predict(rows, interval="confidence")
    assert (table["conf_low"] == 0.0).all()
    assert (
        fit.predict(data.head(9).query("f == 'a'"), interval="prediction", seed=1)
        .notna()
        .all(axis=None)
    )


def test_probabilities_of_which_nothing_is_known():
    """All of one level in the first category: its probability is 1, anything fits."""
    data = drawn("cumulative").assign(f=lambda d: np.where(np.arange(len(d)) % 3, "a", "none"))
    data.loc[data["f"] == "none", "y"] = 0.0
    fit = me.fit("y ~ f + (1 | g)", data, family="cumulative", on_check="ignore")
    table = fit.predict(data.query("f == 'none'").head(3), interval="confidence")
    assert (table["conf_low"] == 0.0).all()
    assert (table["conf_high"] == 1.0).all()
    known = fit.predict(data.query("f == 'a'").head(3), interval="confidence")
    assert (known["conf_low"] > 0.0).all()


@pytest.mark.parametrize("factor", [1e4, 1e-4])
def test_the_size_of_the_response_does_not_matter(factor):
    data = drawn("gaussian")
    tables = [
        me.fit("y ~ x + (1 | g)", data.assign(y=data["y"] * k), dispersion="~ x").predict(
            interval="confidence"
        )
        for k in (1.0, factor)
    ]
    # the fits agree as far as the search goes
    np.testing.assert_allclose(tables[1] / factor, tables[0], rtol=1e-5, atol=1e-6)
