"""Plots of residuals and influence show the numbers that the fit's tables have."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.special import ndtr, ndtri
from scipy.stats import beta

import mixedeffects as me
from artists import caption, found, only, rows, segments, title, xy
from mixedeffects.errors import DataError, ModelError
from mixedeffects.show.plots.qq import band
from mixedeffects.show.plots.simulated_residuals import running_quartiles
from mixedeffects.show.plots.smooth import smooth


@pytest.fixture(scope="module")
def fit():
    return me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))


@pytest.fixture(scope="module")
def counts():
    formula = "cbind(incidence, size - incidence) ~ factor(period) + (1 | herd)"
    return me.fit(formula, me.datasets.load("cbpp"), family="binomial")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_residuals_are_those_of_the_fit(fit):
    ax = fit.plot.residuals()
    assert np.allclose(xy(ax, "points"), [fit.fitted(), fit.residuals("standardized")])
    assert np.allclose(xy(ax, "smooth"), smooth(*xy(ax, "points")))
    assert (title(ax), caption(ax)) == ("Residuals against fitted", "180 rows; line: local smooth")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Fitted", "Standardized residual")
    assert only(ax, "zero").get_ydata()[0] == 0.0


def test_the_farthest_rows_are_named(fit):
    named = [a.get_text() for a in found(fit.plot.residuals(), "named")]
    residuals = fit.residuals("standardized")
    assert named == [str(i) for i in residuals.abs().sort_values().index[:-4:-1]]


@pytest.mark.parametrize("kind", ["response", "pearson", "scaled"])
def test_other_kinds_of_residuals(fit, kind):
    ax = fit.plot.residuals(kind)
    assert np.allclose(xy(ax, "points")[1], fit.residuals(kind))
    assert ax.get_ylabel() == f"{kind.capitalize()} residual"


def test_quantile_residuals_are_drawn_against_the_population(fit):
    x, y = xy(fit.plot.residuals("quantile"), "points")
    assert np.allclose(x, fit.predict(random="population"))
    assert np.allclose(y, ndtri(fit.residuals("quantile")))


def test_residuals_of_counts_are_quantiles_or_pearson(counts):
    x, y = xy(counts.plot.residuals(), "points")
    assert np.allclose(x, counts.predict(random="population", scale="link"))
    assert np.allclose(y, ndtri(counts.residuals("quantile", seed=0)))
    ax = counts.plot.residuals("pearson")
    x, y = xy(ax, "points")
    assert np.allclose(x, counts.predict(scale="link"))
    assert np.allclose(y, counts.residuals("pearson"))
    assert ax.get_xlabel() == "Fitted linear predictor"


def test_constant_predictions_leave_the_rows():
    data = me.datasets.load("cbpp")
    fit = me.fit("cbind(incidence, size - incidence) ~ 1 + (1 | herd)", data, family="binomial")
    ax = fit.plot.residuals()
    assert xy(ax, "points")[0].tolist() == list(range(len(data)))
    assert (ax.get_xlabel(), title(ax)) == ("Row", "Residuals against row")


def test_unknown_kinds_are_refused(fit, counts):
    with pytest.raises(ModelError, match="kind='devience' is not one of 'standardized'"):
        fit.plot.residuals("devience")
    with pytest.raises(ModelError, match="kind='standardized' is not one of 'quantile'"):
        counts.plot.residuals("standardized")


def test_residuals_of_no_unit_variance_have_no_normal_quantiles(fit, counts):
    assert np.allclose(xy(fit.plot.qq("scaled"), "points")[1], np.sort(fit.residuals("scaled")))
    for each in (fit, counts):
        with pytest.raises(ModelError, match="kind='response' has no unit variance"):
            each.plot.qq("response")


def test_rows_fitted_exactly_are_left_out_and_counted():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=40), "g": np.arange(40) % 8, "x": np.arange(40) == 7})
    fit = me.fit("y ~ x + (1 | g)", data)
    assert np.isnan(fit.residuals("standardized")).sum() == 1
    ax = fit.plot.residuals()
    assert len(xy(ax, "points")[0]) == 39
    assert caption(ax).startswith("39 rows (1 row fitted exactly, without a residual)")
    assert caption(fit.plot.qq()).startswith("39 rows (1 without one)")


def test_scale_location_has_roots_of_sizes(fit):
    ax = fit.plot.scale_location()
    assert np.allclose(xy(ax, "points")[1], np.sqrt(np.abs(fit.residuals("standardized"))))
    assert ax.get_ylabel() == "√|Standardized residual|"
    assert ax.get_ylim()[0] == 0.0


def test_qq_is_the_table(fit):
    ax = fit.plot.qq()
    table = fit.qq()
    assert np.allclose(xy(ax, "points"), [table["theoretical"], table["sample"]])
    x, y = xy(ax, "identity")
    assert np.array_equal(x, y)
    assert title(ax) == "Normal Q–Q of residuals"


@pytest.mark.parametrize("n", [1, 2, 18, 5000])
def test_the_band_is_that_of_order_statistics(n):
    at, low, high = band(n)
    i = (
        np.round(n * (0.5 * (1 + np.array([np.math.erf(z / 2**0.5) for z in at]))) + 0.5)
        if False
        else None
    )

    i = np.round(n * ndtr(at) + 0.5)
    assert i[0] == 1
    assert i[-1] == n
    assert np.allclose(low, ndtri(beta.ppf(0.025, i, n + 1 - i)), rtol=1e-6)
    assert np.allclose(high, ndtri(beta.ppf(0.975, i, n + 1 - i)), rtol=1e-6)


def test_simulated_residuals_show_their_tests(fit):
    figure = fit.plot.simulated_residuals(39, seed=3, group="Subject")
    table = fit.simulated_residuals(39, seed=3, group="Subject")
    uniform, expected, groups = figure.axes
    n = len(table.residuals)
    points = [(np.arange(n) + 0.5) / n, np.sort(table.residuals)]
    assert np.allclose(xy(uniform, "points"), points)
    assert np.allclose(xy(expected, "points"), [table.expected_rank, table.residuals])
    for name in ("uniformity", "dispersion", "outliers"):
        assert f"{name} p = {getattr(table, name).p_value:.2g}" in caption(uniform)
    assert "180 rows, 39 simulated data sets" in caption(uniform)
    order = np.argsort(table.groups.statistic, kind="stable")
    assert rows(groups) == [str(level) for level in table.groups.levels[order]]
    drawn = np.concatenate([line.get_xdata() for line in groups.lines])
    assert np.allclose(np.sort(drawn), np.sort(table.groups.statistic))


def test_running_quartiles_are_those_of_neighbours():
    rng = np.random.default_rng(5)
    x, y = rng.permutation(100) / 100, rng.uniform(size=100)
    at, quartiles = running_quartiles(x, y)
    assert at.shape == (4,)
    first = y[np.argsort(x)[:25]]
    assert np.allclose(quartiles[:, 0], np.quantile(first, [0.25, 0.5, 0.75]))


def test_influence_of_rows_names_the_largest(fit):
    ax = fit.plot.influence()
    table = fit.influence()
    stems = segments(ax, "stems")
    assert np.allclose(stems[:, 1, 1], table.cooks_distance)
    assert np.allclose(stems[:, 0, 0], np.arange(180))
    named = [a.get_text() for a in found(ax, "named")]
    assert named == [str(level) for level in table.largest(5).levels]
    assert caption(ax) == "180 rows, each left out, variance parameters held"


def test_influence_of_few_groups_names_all(fit, counts):
    ax = fit.plot.influence("Subject")
    table = fit.influence("Subject")
    order = np.argsort(table.cooks_distance)
    assert rows(ax) == [str(level) for level in table.levels[order]]
    assert np.allclose(xy(ax, "points"), [table.cooks_distance[order], np.arange(18)])
    assert caption(ax) == "18 levels of Subject, each left out"
    assert rows(counts.plot.influence("herd"))[-1] == "11"
    with pytest.raises(DataError, match="'Subjct' does not group the rows"):
        fit.plot.influence("Subjct")


def test_the_panel_shows_what_its_plots_show(fit):
    figure = fit.plot()
    assert isinstance(figure, Figure)
    assert [title(ax) for ax in figure.axes] == [
        "Fixed effects",
        "Intercept by Subject",
        "Normal Q–Q of Intercept by Subject",
        "Residuals against fitted",
        "Normal Q–Q of residuals",
        "Size of residuals",
    ]
    assert figure.get_suptitle() == "Reaction ~ Days + (Days | Subject)"
    assert np.allclose(xy(figure.axes[3], "points"), xy(fit.plot.residuals(), "points"))
    assert rows(figure.axes[1]) == rows(fit.plot.random_effects(term="Intercept"))


def test_panels_of_other_models(counts):
    assert len(counts.plot().axes) == 6
    wine = me.fit("rating ~ temp + (1 | judge)", me.datasets.load("wine"), family="cumulative")
    assert len(wine.plot().axes) == 6
    only_intercept = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff"))
    assert rows(only_intercept.plot().axes[0]) == ["Intercept"]
    none = me.fit("Yield ~ 0 + (1 | Batch)", me.datasets.load("dyestuff"), on_check="ignore")
    assert only(none.plot().axes[0], "message").get_text().startswith("The model has no fixed")


def test_a_panel_without_random_effects_of_the_mean():
    data = me.datasets.load("sleepstudy")
    fit = me.fit("Reaction ~ Days", data, dispersion="~ 1 + (1 | Subject)", on_check="ignore")
    titles = [title(ax) for ax in fit.plot().axes]
    assert "Intercept by Subject (dispersion)" in titles
