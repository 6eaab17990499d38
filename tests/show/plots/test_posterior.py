"""Plots of a posterior show its draws, and what its tables say of them."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import mixedeffects as me
from artists import caption, found, only, rows, segments, title, xy
from mixedeffects.bayes.libraries import arviz
from mixedeffects.bayes.quantities import named_draws
from mixedeffects.errors import ModelError
from mixedeffects.show.plots.draws import chosen_draws, rank_counts
from mixedeffects.show.plots.pairs import worst_pair
from mixedeffects.show.plots.predictive import bar_edges, shares

SETTINGS = {"chains": 3, "draws": 150, "tune": 150, "seed": 1, "on_check": "ignore"}
NAMES = [
    *("Intercept", "Days", "sd(Intercept | Subject)", "sd(Days | Subject)"),
    *("cor(Intercept, Days | Subject)", "sigma"),
]


@pytest.fixture(scope="module")
def post():
    data = me.datasets.load("sleepstudy")
    return me.sample("Reaction ~ Days + (Days | Subject)", data, **SETTINGS)


@pytest.fixture(scope="module")
def draws(post):
    return dict(named_draws(post._sampled))


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_traces_are_the_chains(post, draws):
    figure = post.plot.traces()
    assert [title(ax) for ax in figure.axes] == NAMES
    table = post.fixef().set_index("term")
    for ax, name in zip(figure.axes, NAMES, strict=True):
        chains = np.array([line.get_ydata() for line in found(ax, "chain")])
        assert np.array_equal(chains, draws[name])
        assert "effective of 450 draws" in caption(ax)
    told = f"R-hat {table['r_hat']['Days']:.3f}; {table['ess_bulk']['Days']:,.0f} effective"
    assert caption(figure.axes[1]).startswith(told)


def test_ranks_are_those_of_arviz(post, draws):
    ax = post.plot.ranks("sigma")
    counts = np.array([artist.get_data().values for artist in found(ax, "ranks")])
    assert counts.shape == (3, 20)
    assert np.all(counts.sum(axis=1) == 150)
    theirs = Figure().add_subplot()
    data = arviz().convert_to_dataset({"sigma": draws["sigma"]})
    arviz().plot_rank(data, kind="bars", bins=20, ax=theirs, show=False)
    heights = np.array([bar.get_height() for bar in theirs.patches]).reshape(3, 20)
    # their bars of three chains stand one above the other, in parts of the expected height
    scale = counts.sum() / heights.sum()
    assert np.allclose(heights * scale, counts, atol=1.0)


def test_ranks_of_chains_apart_are_apart():
    apart = np.stack([np.arange(100.0), 100.0 + np.arange(100.0)])
    assert rank_counts(apart, 4).tolist() == [[50, 50, 0, 0], [0, 0, 50, 50]]
    assert rank_counts(np.zeros((2, 100)), 4).sum() == 200


def test_densities_are_arvizs_with_the_tables_limits(post, draws):
    ax = post.plot.densities("Days")
    assert np.allclose(xy(ax, "density"), arviz().kde(draws["Days"].ravel()))
    assert only(ax, "mean").get_xdata()[0] == pytest.approx(post.beta[1])
    row = post.fixef().set_index("term").loc["Days"]
    edge = ax.collections[0].get_paths()[0].vertices[:, 0]
    step = np.diff(xy(ax, "density")[0])[0]
    assert edge.min() == pytest.approx(row["conf_low"], abs=step)
    assert edge.max() == pytest.approx(row["conf_high"], abs=step)


def test_of_many_parameters_those_of_fewest_effective_draws(draws):
    rng = np.random.default_rng(1)
    many = {f"p{i}": rng.normal(size=(2, 200)) for i in range(15)}
    many["stuck"] = np.cumsum(rng.normal(size=(2, 200)), axis=1)
    chosen = chosen_draws(many, None)
    assert len(chosen) == 12
    assert "stuck" in chosen
    assert list(chosen_draws(many, None, 1)) == ["stuck"]
    assert list(chosen_draws(draws, None)) == NAMES
    assert list(chosen_draws(draws, ["sigma", "Days"])) == ["sigma", "Days"]


def test_unknown_parameters_are_refused(post):
    for plot in (post.plot.traces, post.plot.ranks, post.plot.densities):
        with pytest.raises(ModelError, match=r"'sigm' is not in the model\. Did you mean 'sigma'"):
            plot("sigm")
        with pytest.raises(ModelError, match=r"parameters=\[\] leaves nothing"):
            plot([])
        with pytest.raises(ModelError, match="this has 6: choose one with parameters="):
            plot(ax=Figure().add_subplot())
    for wrong in ("Days", ["Days"], ["Days", "Days"], ["Days", "sigma", "Intercept"]):
        with pytest.raises(ModelError, match="a pair is two names"):
            post.plot.pairs(wrong)
    with pytest.raises(ModelError, match="Did you mean 'Days'"):
        post.plot.pairs(["days", "sigma"])


def test_a_pair_and_the_worst_one(post, draws):
    ax = post.plot.pairs(["Days", "sigma"])
    assert np.array_equal(xy(ax, "points"), [draws["Days"].ravel(), draws["sigma"].ravel()])
    r = pd.Series(draws["Days"].ravel()).corr(pd.Series(draws["sigma"].ravel()), "spearman")
    # normal scores of the ranks against the ranks themselves
    assert float(caption(ax).split("rank correlation ")[1].split(";")[0]) == pytest.approx(
        r, abs=0.03
    )
    x, noise = draws["Days"], np.random.default_rng(1).normal(size=(2, 3, 150))
    known = {"a": noise[0], "x": x, "b": noise[1], "y": -np.exp(x), "same": np.zeros((3, 150))}
    assert worst_pair(known) == ("x", "y")
    with pytest.raises(ModelError, match="no two parameters that vary"):
        worst_pair({"x": x, "same": np.zeros((3, 150))})


def test_divergences_stand_out(draws):
    from mixedeffects.show.plots.pairs import pairs

    diverging = np.zeros((3, 150), dtype=bool)
    diverging[1, [3, 70]] = True
    chosen = {name: draws[name] for name in ("Days", "sigma")}
    ax = pairs(chosen, diverging, None)
    expected = [draws["Days"][1, [3, 70]], draws["sigma"][1, [3, 70]]]
    assert np.array_equal(xy(ax, "divergent"), expected)
    assert caption(ax).endswith("2 divergences (×)")


def test_the_forest_and_caterpillars_are_the_tables(post):
    ax = post.plot.fixed_effects(["Intercept", "Days"], level=0.8)
    table = post.fixef(level=0.8)
    assert rows(ax) == ["Days", "Intercept"]
    assert np.allclose(xy(ax, "estimates")[0], table["estimate"][::-1])
    assert np.allclose(segments(ax, "intervals")[:, :, 0], table[["conf_low", "conf_high"]][::-1])
    ax = post.plot.random_effects(term="Days", level=0.8)
    table = post.ranef(level=0.8).query("term == 'Days'").sort_values("estimate")
    assert rows(ax) == table["level"].astype(str).tolist()
    assert np.allclose(segments(ax, "intervals")[:, :, 0], table[["conf_low", "conf_high"]])
    assert caption(ax) == "18 levels; 80% central intervals"
    assert len(post.plot.random_effects().axes) == 2
    with pytest.raises(ModelError, match=r"Did you mean 'Subject'\?"):
        post.plot.random_effects("Subjct")


def test_a_continuous_response_has_densities(post):
    ax = post.plot.predictive_check()
    observed = me.datasets.load("sleepstudy")["Reaction"].to_numpy()
    assert np.allclose(xy(ax, "observed"), arviz().kde(observed))
    assert len(found(ax, "simulated")) == 50
    assert caption(ax) == "180 rows; 200 simulated responses"
    assert ax.get_legend_handles_labels()[1] == ["Simulated", "Observed"]


def test_counts_have_shares_of_their_values():
    data = me.datasets.load("salamanders")
    post = me.sample("count ~ mined + (1 | site)", data, family="poisson", **SETTINGS)
    ax = post.plot.predictive_check(random="marginal")
    heights = [bar.get_height() for bar in ax.patches if bar.get_gid() == "observed"]
    counted = data["count"].value_counts(normalize=True)
    shown = [round(bar.get_x() + bar.get_width() / 2) for bar in ax.patches]
    assert np.allclose(heights, [counted.get(value, 0.0) for value in shown])
    assert sum(heights) == pytest.approx(1.0)
    lines = segments(ax, "intervals")
    # a Poisson model does not give as many zeros as were counted
    assert lines[0, 1, 1] < heights[0]
    assert ax.get_ylabel() == "Share of rows"


def test_bars_hold_all_values():
    observed, simulated = np.array([0.0, 3.0, 7.0]), np.array([[1.0, 2.0, 500.0]] * 200)
    simulated[:, 2] = np.where(np.arange(200) < 1, 500.0, 4.0)
    edges = bar_edges(observed, simulated)
    assert edges.tolist() == [i - 0.5 for i in range(9)]
    assert np.allclose(shares(simulated, edges).sum(axis=1), 1.0)
    assert shares(simulated, edges)[0, -1] == pytest.approx(1 / 3)
    wide = bar_edges(np.array([0.0, 1e5]), simulated)
    assert len(wide) <= 41
    assert wide[-1] > 1e5


def test_categories_are_named():
    data = me.datasets.load("wine")
    few = SETTINGS | {"draws": 50, "tune": 60}
    post = me.sample("rating ~ temp + (1 | judge)", data, family="cumulative", **few)
    ax = post.plot.predictive_check()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "3", "4", "5"]
    shares_of = data["rating"].value_counts(normalize=True, sort=False)
    heights = [bar.get_height() for bar in ax.patches]
    assert np.allclose(sorted(heights), sorted(shares_of))
    assert len(post.plot().axes) == 6


def test_the_panel_shows_the_worst(post):
    figure = post.plot()
    titles = [title(ax) for ax in figure.axes]
    assert titles[:3] == ["Fixed effects", "Intercept by Subject", "Predictive check"]
    assert titles[3] == titles[4]
    assert titles[3] in NAMES
    assert "traces" in repr(post.plot)


def test_draws_of_the_prior_have_plots_too():
    data = me.datasets.load("sleepstudy")
    prior = me.sample("Reaction ~ Days + (1 | Subject)", data, prior_only=True, **SETTINGS)
    assert len(prior.plot().axes) == 6
    assert len(prior.plot.traces().axes) == 4
