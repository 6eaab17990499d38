"""Plots of random effects show ranef(), and lines that the model's numbers give."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import mixedeffects as me
from artists import caption, found, only, rows, segments, title, xy
from mixedeffects.effects.general_normality import general_mode_scores
from mixedeffects.effects.unpooled import unpooled_effects
from mixedeffects.errors import ModelError
from mixedeffects.show.plots.correlations import ellipse


def simulated(levels, n, seed=1):
    rng = np.random.default_rng(seed)
    g, x = rng.integers(0, levels, n), rng.normal(size=n)
    b = rng.normal(size=(levels, 2)) * [1.0, 0.5]
    y = 1.0 + 0.3 * x + b[g, 0] + b[g, 1] * x + rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{i}" for i in g]})


@pytest.fixture(scope="module")
def fit():
    return me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))


@pytest.fixture(scope="module")
def many():
    return me.fit("y ~ x + (x | g)", simulated(500, 4000))


@pytest.fixture(scope="module")
def counts():
    formula = "cbind(incidence, size - incidence) ~ factor(period) + (1 | herd)"
    return me.fit(formula, me.datasets.load("cbpp"), family="binomial")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_a_caterpillar_is_ranef_in_order(fit):
    ax = fit.plot.random_effects(term="Days", level=0.9)
    table = fit.ranef().query("term == 'Days'").sort_values("estimate")
    assert rows(ax) == table["level"].astype(str).tolist()
    assert np.allclose(xy(ax, "estimates"), [table["estimate"], np.arange(18)])
    half = 1.6448536269514722 * table["std_error"]
    ends = segments(ax, "intervals")[:, :, 0].T
    assert np.allclose(ends, [table["estimate"] - half, table["estimate"] + half])
    assert (title(ax), caption(ax)) == ("Days by Subject", "18 levels; 90% conditional intervals")
    assert only(ax, "zero").get_xdata()[0] == 0.0


def test_effects_of_a_group_share_its_rows(fit):
    intercept, days = fit.plot.random_effects().axes
    table = fit.ranef().pivot(index="level", columns="term", values="estimate")
    table = table.sort_values("Intercept")
    assert rows(intercept) == table.index.astype(str).tolist()
    assert np.allclose(xy(days, "estimates")[0], table["Days"])


def test_groups_stand_one_above_the_other():
    fit = me.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", me.datasets.load("penicillin"))
    plate, sample = fit.plot.random_effects().axes
    assert (len(rows(plate)), len(rows(sample))) == (24, 6)
    assert title(fit.plot.random_effects("sample")) == "Intercept by sample"


@pytest.mark.parametrize("levels", [2, 500])
def test_few_levels_and_many(levels, many):
    fit = many if levels == 500 else me.fit("y ~ x + (1 | g)", simulated(2, 80), on_check="ignore")
    ax = fit.plot.random_effects(term="Intercept")
    table = fit.ranef().query("term == 'Intercept'").sort_values("estimate", kind="stable")
    assert len(segments(ax, "intervals")) == levels
    ends = [table["level"].iloc[0], table["level"].iloc[-1]]
    assert rows(ax) == ends  # of 500 the outermost alone
    assert caption(ax).startswith(f"{levels} levels;")
    assert ax.figure.get_figheight() <= 6.0


def test_five_thousand_levels_are_one_collection(tmp_path):
    fit = me.fit("y ~ x + (1 | g)", simulated(5000, 20_000))
    ax = fit.plot.random_effects()
    levels = fit.n_groups["g"]
    assert len(segments(ax, "intervals")) == levels
    assert caption(ax).startswith(f"{levels:,} levels")
    ax.figure.savefig(tmp_path / "many.svg")
    assert (tmp_path / "many.svg").stat().st_size < 1_000_000


def test_names_that_are_not_there_have_the_nearest(fit):
    with pytest.raises(ModelError, match=r"group='Subjct' .* Did you mean 'Subject'\?"):
        fit.plot.random_effects("Subjct")
    with pytest.raises(ModelError, match=r"term='days' .* Did you mean 'Days'\?"):
        fit.plot.random_qq(term="days")
    with pytest.raises(ModelError, match="level=95 is not between 0 and 1"):
        fit.plot.random_effects(level=95)
    for plot in (fit.plot.groups, fit.plot.correlations, fit.plot.shrinkage):
        with pytest.raises(ModelError, match=r"group='Subjct' .* Did you mean 'Subject'\?"):
            plot("Subjct")


def test_effects_of_other_predictors_are_named():
    data = me.datasets.load("sleepstudy")
    formula = "~ 1 + (1 | Subject)"
    fit = me.fit("Reaction ~ Days + (1 | Subject)", data, dispersion=formula, on_check="ignore")
    titles = [title(ax) for ax in fit.plot.random_effects().axes]
    assert titles == ["Intercept by Subject", "Intercept by Subject (dispersion)"]


def test_random_qq_is_the_table(fit, many):
    for each in (fit, many):
        table = each.qq("random")
        for ax, term in zip(each.plot.random_qq().axes, each.ranef()["term"].unique(), strict=True):
            own = table[table["term"] == term]
            assert np.allclose(xy(ax, "points"), [own["theoretical"], own["sample"]])


def test_a_variance_of_zero_says_so():
    fit = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff2"), on_check="ignore")
    ax = fit.plot.random_qq()
    assert only(ax, "message").get_text().replace("\n", " ").startswith("Nothing varies here")
    assert caption(ax).startswith("0 levels (6 without one)")
    assert np.allclose(xy(fit.plot.random_effects(), "estimates")[0], 0.0)


def test_scores_of_counts_have_their_marginal_variance(counts):
    """Where each level's likelihood is normal in b the scores are those of linear fits."""
    scores = general_mode_scores(counts._fit, 0)[:, 0]
    table = counts.ranef()
    sd = counts.varcorr()["sd_or_corr"][0]
    assert np.allclose(scores, table["estimate"] / np.sqrt(sd**2 - table["std_error"] ** 2))
    assert np.allclose(xy(counts.plot.random_qq(), "points")[1], np.sort(scores))


def test_the_lattice_has_data_and_three_lines(fit):
    data = me.datasets.load("sleepstudy")
    figure = fit.plot.groups(levels=["308", "335"])
    for ax, level in zip(figure.axes, ["308", "335"], strict=True):
        own = data[data["Subject"].astype(str) == level]
        assert ax.get_title(loc="left") == level
        assert np.allclose(xy(ax, "data"), [own["Days"], own["Reaction"]])
        x, population = xy(ax, "population")
        assert (x[0], x[-1]) == (0.0, 9.0)
        assert np.allclose(population, fit.beta[0] + fit.beta[1] * x)
        slope, intercept = np.polyfit(own["Days"], own["Reaction"], 1)
        assert np.allclose(xy(ax, "unpooled")[1], intercept + slope * x)
        new = pd.DataFrame({"Days": x, "Subject": level})
        assert np.allclose(xy(ax, "shrunken")[1], fit.predict(new))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [
        *("Data", "Population (pooled)", "Within level alone (no pooling)"),
        "Mixed model (shrunken)",
    ]
    assert figure.get_suptitle() == "Reaction by Days in each Subject (2 of 18 levels)"


def test_panels_are_in_the_order_of_the_first_effect(fit):
    table = fit.ranef().query("term == 'Intercept'").sort_values("estimate")
    axes = [ax for ax in fit.plot.groups().axes if ax.get_visible()]
    assert [ax.get_title(loc="left") for ax in axes] == table["level"].astype(str).tolist()


def test_of_many_levels_some_are_shown(many):
    figure = many.plot.groups()
    axes = [ax for ax in figure.axes if ax.get_visible()]
    table = many.ranef().query("term == 'Intercept'").sort_values("estimate", kind="stable")
    spread = table["level"].to_numpy()[np.linspace(0, 499, 30).round().astype(int)]
    assert [ax.get_title(loc="left") for ax in axes] == spread.tolist()
    assert figure.get_suptitle() == "y by x in each g (30 of 500 levels)"


def test_factors_are_drawn_at_their_levels():
    data = me.datasets.load("machines")
    fit = me.fit("score ~ Machine + (Machine | Worker)", data, on_check="ignore")
    ax = fit.plot.groups(levels=["1"]).axes[0]
    x, shrunken = xy(ax, "shrunken")
    assert x.tolist() == [0.0, 1.0, 2.0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["A", "B", "C"]
    new = pd.DataFrame({"Machine": ["A", "B", "C"], "Worker": "1"})
    assert np.allclose(shrunken, fit.predict(new))
    own = data[data["Worker"].astype(str) == "1"]
    assert np.allclose(xy(ax, "unpooled")[1], own.groupby("Machine", observed=True)["score"].mean())


def test_other_groups_stay_out_of_a_groups_lines():
    fit = me.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", me.datasets.load("penicillin"))
    with pytest.raises(ModelError, match="no covariate against which the rows of 'plate'"):
        fit.plot.groups("plate")
    ax = fit.plot.groups("plate", "sample", levels=["a"]).axes[0]
    mode = fit.ranef().query("group == 'plate' and level == 'a'")["estimate"].iloc[0]
    assert np.allclose(xy(ax, "shrunken")[1], fit.beta[0] + mode)
    assert len(xy(ax, "data")[0]) == 6


def test_counts_have_curves_of_proportions_and_none_within(counts):
    ax = counts.plot.groups(levels=["7"]).axes[0]
    data = me.datasets.load("cbpp")
    own = data[data["herd"].astype(str) == "7"]
    assert np.allclose(np.sort(xy(ax, "data")[1]), np.sort(own["incidence"] / own["size"]))
    new = pd.DataFrame({"period": np.unique(data["period"]), "herd": "7"})
    assert np.allclose(xy(ax, "shrunken")[1], counts.predict(new))
    fixed = counts.beta + np.where(np.arange(4) > 0, counts.beta[0], 0.0)
    assert np.allclose(xy(ax, "population")[1], expit(fixed))
    assert not found(ax, "unpooled")


def test_lattices_that_make_no_sense_are_refused(fit):
    with pytest.raises(ModelError, match=r"no level '380'\. Did you mean"):
        fit.plot.groups(levels=["308", "380"])
    with pytest.raises(ModelError, match=r"levels=\[\] leaves nothing"):
        fit.plot.groups(levels=[])
    with pytest.raises(ModelError, match=r"x='days' is not a column .* Did you mean 'Days'\?"):
        fit.plot.groups(x="days")
    wine = me.fit("rating ~ temp + (1 | judge)", me.datasets.load("wine"), family="cumulative")
    with pytest.raises(ModelError, match="Ordered categories have a probability each"):
        wine.plot.groups()


def test_correlations_show_modes_and_their_distribution(fit):
    ax = fit.plot.correlations()
    term = fit.estimates.terms[0]
    assert np.allclose(xy(ax, "points"), term.modes.T)
    assert "correlation 0.07" in caption(ax)
    for artist, share in zip(found(ax, "ellipse"), (0.5, 0.95), strict=True):
        x = np.array(artist.get_data())
        distance = np.einsum("in,ij,jn->n", x, np.linalg.inv(term.covariance), x)
        assert np.allclose(distance, -2.0 * np.log(1.0 - share))


def test_an_ellipse_holds_its_share():
    covariance = np.array([[2.0, -0.9], [-0.9, 0.5]])
    draws = np.random.default_rng(1).multivariate_normal([0, 0], covariance, 40_000)
    edge = np.array(ellipse(covariance, 0.8))
    reach = np.einsum("in,ij,jn->n", edge, np.linalg.inv(covariance), edge)[0]
    inside = np.einsum("ni,ij,nj->n", draws, np.linalg.inv(covariance), draws) < reach
    assert inside.mean() == pytest.approx(0.8, abs=0.01)  # 5 standard errors


def test_of_three_effects_there_are_three_pairs_and_of_more_a_table():
    data = me.datasets.load("machines")
    fit = me.fit("score ~ Machine + (Machine | Worker)", data, on_check="ignore")
    shown = [ax for ax in fit.plot.correlations().axes if ax.get_visible()]
    assert len(shown) == 3
    rng = np.random.default_rng(1)
    wide = pd.DataFrame({"y": rng.normal(size=600), "g": np.arange(600) % 60})
    wide["f"] = np.array(list("abcdef"))[rng.integers(0, 6, 600)]
    wide["y"] += rng.normal(size=(60, 6))[wide["g"], [ord(c) - 97 for c in wide["f"]]]
    six = me.fit("y ~ f + (0 + f | g)", wide, on_check="ignore")
    ax = six.plot.correlations()
    assert np.allclose(np.diag(only(ax, "correlations").get_array()), 1.0)
    assert only(ax, "correlations").get_array().shape == (6, 6)
    with pytest.raises(ModelError, match="'g' has 6 random effects: shrinkage is drawn of up to 4"):
        six.plot.shrinkage()


def test_one_effect_correlates_with_nothing(counts):
    with pytest.raises(ModelError, match="of 'herd' are 'Intercept' alone"):
        counts.plot.correlations()


def test_shrinkage_goes_from_own_rows_to_the_model(fit):
    ax = fit.plot.shrinkage()
    table = unpooled_effects(fit._fit, "Subject")
    assert np.allclose(segments(ax, "moves"), np.stack([table.estimate, table.modes], axis=1))
    assert (ax.get_xlabel(), ax.get_ylabel(), caption(ax)) == ("Intercept", "Days", "18 levels")


def test_shrinkage_of_one_effect_and_of_many_levels(many):
    fit = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff"))
    ax = fit.plot.shrinkage()
    own, modes = xy(ax, "points")
    assert np.allclose(modes / own, modes[0] / own[0])  # balanced: one share for all
    assert 0.0 < modes[0] / own[0] < 1.0
    ax = many.plot.shrinkage()
    assert "from beyond the frame" in caption(ax)


def test_shrinkage_that_cannot_be_measured_is_refused(counts):
    with pytest.raises(ModelError, match="under family 'binomial' need not exist"):
        counts.plot.shrinkage()
    data = simulated(60, 60).drop_duplicates("g")
    data = pd.concat([data, data.assign(y=data["y"] + 1.0)])
    fit = me.fit("y ~ x + (x || g)", data, on_check="ignore")
    with pytest.raises(ModelError, match="No level of 'g' has rows enough for 2 effects"):
        fit.plot.shrinkage()


@pytest.fixture(scope="module")
def over_time():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"t": np.tile(np.arange(40), 5), "g": np.repeat(list("abcde"), 40)})
    walk = np.cumsum(rng.normal(size=(5, 40)), axis=1)
    data["y"] = walk.ravel() + rng.normal(size=200)
    return me.fit("y ~ 1 + ar1(t | g)", data, on_check="ignore")


def test_effects_over_many_times_are_lines(over_time):
    ax = over_time.plot.random_effects(level=0.8)
    lines = {line.get_label(): line.get_ydata() for line in found(ax, "level")}
    table = over_time.ranef()
    for level in "abcde":
        assert np.allclose(lines[level], table.query("level == @level")["estimate"])
    assert caption(ax) == "5 levels, 40 effects of each; bands: 80% conditional intervals"
    assert [tick.get_text() for tick in ax.get_xticklabels()][::7] == ["t[0]", "t[39]"]
    assert len(found(over_time.plot().axes[1], "level")) == 5
    assert len(rows(over_time.plot.random_effects(term="t[3]"))) == 5


def test_plots_that_do_not_fit_one_figure_are_refused(over_time):
    with pytest.raises(ModelError, match="40 plots do not fit one figure, which has up to 36"):
        over_time.plot.random_qq()
    assert len(xy(over_time.plot.random_qq(term="t[3]"), "points")[0]) == 5


def test_lines_and_caterpillars_of_different_groups():
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"t": np.tile(np.arange(8), 40), "g": np.repeat(np.arange(40), 8)})
    data["h"] = rng.integers(0, 12, 320)
    data["y"] = rng.normal(size=320) + rng.normal(size=12)[data["h"]]
    fit = me.fit("y ~ 1 + ar1(t | g) + (1 | h)", data, on_check="ignore")
    titles = [title(ax) for ax in fit.plot.random_effects().axes]
    assert titles == ["Effects by g", "Intercept by h"]
