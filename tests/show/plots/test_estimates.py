"""Plots of coefficients, profiles, means and predictions show the tables' numbers."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.integrate import trapezoid
from scipy.stats import norm

import mixedeffects as me
from artists import caption, found, only, rows, segments, title, xy
from mixedeffects.errors import DataError, ModelError
from mixedeffects.show.plots.profile import profile_density


@pytest.fixture(scope="module")
def oats():
    return me.fit("yield ~ Variety * nitroF + (1 | Block/Variety)", me.datasets.load("oats"))


@pytest.fixture(scope="module")
def orthodont():
    return me.fit("distance ~ age * Sex + (age | Subject)", me.datasets.load("orthodont"))


@pytest.fixture(scope="module")
def counts():
    formula = "cbind(incidence, size - incidence) ~ factor(period) + (1 | herd)"
    return me.fit(formula, me.datasets.load("cbpp"), family="binomial")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawn(ax):
    """Estimates, lower and upper limits by row, the first above."""
    estimate = xy(ax, "estimates")[0]
    ends = segments(ax, "intervals")[:, :, 0]
    return np.column_stack([estimate, ends])[::-1]


COLUMNS = ["estimate", "conf_low", "conf_high"]


def test_a_forest_is_fixef_without_the_intercept(oats):
    ax = oats.plot.fixed_effects(df="kenward-roger", level=0.9)
    table = oats.fixef(df="kenward-roger", level=0.9)[1:]
    assert rows(ax)[::-1] == [t.replace("`", "") for t in table["term"]]
    assert np.allclose(drawn(ax), table[COLUMNS])
    assert caption(ax) == "11 coefficients; 90% intervals; Intercept left out"
    assert ax.get_xlabel() == "Estimate (change in yield)"
    assert only(ax, "zero").get_xdata()[0] == 0.0


def test_terms_are_chosen_by_name(orthodont):
    ax = orthodont.plot.fixed_effects(["age:Sex[T.Female]", "Intercept"])
    assert rows(ax) == ["Intercept", "age:Sex[T.Female]"]
    table = orthodont.fixef().set_index("term").loc[["age:Sex[T.Female]", "Intercept"]]
    assert np.allclose(drawn(ax), table[COLUMNS])
    assert rows(orthodont.plot.fixed_effects("age")) == ["age"]
    with pytest.raises(ModelError, match=r"Term 'Age' is not .* Did you mean 'age'\?"):
        orthodont.plot.fixed_effects("Age")
    with pytest.raises(ModelError, match=r"terms=\[\] leaves nothing"):
        orthodont.plot.fixed_effects([])


def test_coefficients_of_other_predictors_are_named():
    data = me.datasets.load("salamanders")
    fit = me.fit("count ~ mined + (1 | site)", data, family="poisson", zero_inflation="~ mined")
    ax = fit.plot.fixed_effects()
    assert rows(ax) == ["zero_inflation: mined[T.no]", "mined[T.no]"]
    assert ax.get_xlabel() == "Estimate (each on its predictor's scale)"
    assert caption(ax).endswith("Intercept and zero_inflation: Intercept left out")
    wine = me.fit("rating ~ temp + (1 | judge)", me.datasets.load("wine"), family="cumulative")
    ax = wine.plot.fixed_effects()
    assert rows(ax) == ["temp[T.warm]"]
    assert caption(ax) == "1 coefficient; 95% intervals; 4 others left out"
    assert rows(wine.plot.fixed_effects("threshold: 1|2")) == ["threshold: 1|2"]


def test_hundreds_of_coefficients_keep_their_figure_small():
    rng = np.random.default_rng(1)
    f = np.repeat(np.arange(400), 3)
    data = pd.DataFrame({"f": [f"f{i}" for i in f], "g": rng.integers(0, 20, 1200)})
    data["y"] = rng.normal(size=1200) + rng.normal(size=20)[data["g"]]
    ax = me.fit("y ~ f + (1 | g)", data, on_check="ignore").plot.fixed_effects(df="asymptotic")
    assert len(segments(ax, "intervals")) == 399
    assert len(rows(ax)) == 2
    assert ax.figure.get_figheight() == 6.0


def test_zeta_is_the_profile():
    fit = me.fit("Reaction ~ Days + (1 | Subject)", me.datasets.load("sleepstudy"))
    figure = fit.plot.profile()
    profile = fit.profile()
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert [title(ax) for ax in shown] == [c.parameter.name for c in profile.curves]
    for ax, curve in zip(shown, profile.curves, strict=True):
        assert np.allclose(xy(ax, "points"), [curve.values, curve.zeta])
        assert np.allclose(only(ax, "estimate").get_xdata(), curve.estimate)
        value, zeta = xy(ax, "zeta")
        assert np.all(np.diff(zeta) > 0.0)
        assert np.allclose(np.interp(curve.values, value, zeta), curve.zeta, atol=0.02)


def test_a_density_is_that_of_a_standard_normal_zeta():
    fit = me.fit("Reaction ~ Days + (1 | Subject)", me.datasets.load("sleepstudy"))
    ax = fit.plot.profile("sd(Intercept | Subject)", kind="density")
    curve = fit.profile("sd(Intercept | Subject)").curves[0]
    value, density = xy(ax, "density")
    within = norm.cdf(curve.zeta[-1]) - norm.cdf(curve.zeta[0])
    assert trapezoid(density, value) == pytest.approx(within, abs=1e-3)
    # probabilities between points are those of ζ
    some = (value >= curve.values[2]) & (value <= curve.values[8])
    between = norm.cdf(curve.zeta[8]) - norm.cdf(curve.zeta[2])
    assert trapezoid(density[some], value[some]) == pytest.approx(between, abs=0.02)


def test_the_density_of_a_normal_estimate_is_normal():
    class Curve:
        values = np.linspace(-1.0, 5.0, 13)
        zeta = (values - 2.0) / 1.0

    value, density = profile_density(Curve)
    assert np.allclose(density, norm.pdf(value, 2.0, 1.0), rtol=1e-8)


def test_profiles_of_unknown_parameters_are_refused(orthodont):
    with pytest.raises(ModelError, match="Did you mean 'sigma'"):
        orthodont.plot.profile("sigm")
    with pytest.raises(ModelError, match="kind='densty' is not one of 'zeta', 'density'"):
        orthodont.plot.profile(kind="densty")


def test_means_are_emmeans_in_rows(oats):
    ax = oats.plot.means(["Variety", "nitroF"], level=0.9)
    table = oats.emmeans(["Variety", "nitroF"], level=0.9).table
    assert np.allclose(xy(ax, "estimates")[0], table["estimate"])
    ends = segments(ax, "intervals")[:, :, 0]
    assert np.allclose(ends, table[["conf_low", "conf_high"]])
    places = xy(ax, "estimates")[1]
    labels = [rows(ax)[int(i)] for i in places]
    assert labels[:2] == ["Golden Rain nitroF0", "Golden Rain nitroF0.2"]
    assert (title(ax), caption(ax)) == ("Marginal means of yield", "12 estimates; 90% intervals")


def test_families_of_means_have_colours(oats):
    ax = oats.plot.means("nitroF", by="Variety")
    table = oats.emmeans("nitroF", by="Variety").table
    names = ax.get_legend_handles_labels()[1]
    assert names == ["Golden Rain", "Marvellous", "Victory"]
    for line, name in zip(found(ax, "estimates"), names, strict=True):
        own = table[table["Variety"] == name]
        assert np.allclose(line.get_xdata(), own["estimate"])
        assert [rows(ax)[int(np.round(y))] for y in line.get_ydata()] == ["0", "0.2", "0.4", "0.6"]
    assert len({line.get_color() for line in found(ax, "estimates")}) == 3
    assert len({line.get_marker() for line in found(ax, "estimates")}) == 3


def test_means_along_a_covariate_are_lines(orthodont):
    ax = orthodont.plot.means("age", by="Sex", at={"age": [8, 11, 14]})
    table = orthodont.emmeans("age", by="Sex", at={"age": [8, 11, 14]}).table
    for line, name in zip(ax.lines, ["Male", "Female"], strict=True):
        own = table[table["Sex"] == name]
        assert np.allclose(line.get_data(), [own["age"], own["estimate"]])
        assert line.get_label() == name
    edges = np.concatenate([band.get_paths()[0].vertices for band in found(ax, "band")])
    assert edges[:, 1].min() == pytest.approx(table["conf_low"].min())
    assert edges[:, 1].max() == pytest.approx(table["conf_high"].max())


def test_means_of_probabilities(counts):
    ax = counts.plot.means("period", scale="response")
    table = counts.emmeans("period", scale="response").table
    assert np.allclose(np.sort(drawn(ax), axis=0), np.sort(table[COLUMNS], axis=0))
    assert ax.get_xlabel() == "proportion"
    assert counts.plot.means("period").get_xlabel() == "logit of proportion"
    wine = me.fit("rating ~ temp + (1 | judge)", me.datasets.load("wine"), family="cumulative")
    ax = wine.plot.means("temp", scale="response")
    assert ax.get_legend_handles_labels()[1] == ["1", "2", "3", "4", "5"]
    total = sum(line.get_xdata() for line in found(ax, "estimates"))
    assert np.allclose(total, 1.0)


def test_contrasts_are_adjusted_as_the_table(oats):
    ax = oats.plot.contrasts("nitroF", method="treatment")
    table = oats.emmeans("nitroF").contrast("treatment").table
    assert np.allclose(drawn(ax), table[COLUMNS])
    assert rows(ax)[::-1] == table["contrast"].tolist()
    assert caption(ax) == "3 contrasts; 95% intervals, adjusted (dunnett)"
    by = oats.plot.contrasts("nitroF", by="Variety", adjust="none")
    assert rows(by)[-1] == "Golden Rain nitroF0 - nitroF0.2"
    assert caption(by) == "18 contrasts; 95% intervals, unadjusted"


def test_ratios_have_their_line_at_one(counts):
    ax = counts.plot.contrasts("period", scale="response")
    table = counts.emmeans("period", scale="response").contrast().table
    assert np.allclose(drawn(ax), table[COLUMNS])
    assert only(ax, "zero").get_xdata()[0] == 1.0
    assert (ax.get_xscale(), ax.get_xlabel()) == ("log", "Ratio")


def test_predictions_have_intervals_and_data(orthodont):
    data = me.datasets.load("orthodont")
    for interval in ("confidence", "prediction"):
        ax = orthodont.plot.predictions("age", by="Sex", interval=interval)
        assert ax.get_legend_handles_labels()[1] == ["Male", "Female"]
        parts = zip(*(found(ax, n) for n in ("curve", "band", "data")), strict=True)
        for (curve, band, cloud), sex in zip(parts, ["Male", "Female"], strict=True):
            x, y = curve.get_data()
            new = pd.DataFrame({"age": x, "Sex": sex, "Subject": "M01"})
            table = orthodont.predict(new, random="population", interval=interval)
            assert np.allclose(y, table["estimate"])
            edge = band.get_paths()[0].vertices[:, 1]
            assert edge.min() == pytest.approx(table["conf_low"].min())
            assert edge.max() == pytest.approx(table["conf_high"].max())
            own = data[data["Sex"] == sex]
            assert np.allclose(cloud.get_data(), [own["age"], own["distance"]])
        assert caption(ax) == f"population, random effects at zero; 95% {interval} intervals"


def test_other_variables_are_held_and_named(orthodont):
    ax = orthodont.plot.predictions("age")
    assert caption(ax).endswith("at Sex = Male")
    ax = orthodont.plot.predictions("age", at={"Sex": "Female", "age": [9, 10, 11]})
    assert caption(ax).endswith("at Sex = Female")
    new = pd.DataFrame({"age": [9, 10, 11], "Sex": "Female"})
    assert np.allclose(xy(ax, "curve")[1], orthodont.predict(new, random="population"))
    assert caption(orthodont.plot.predictions("Sex")).endswith("at age = 11")


def test_predictions_over_levels_by_a_covariate(orthodont):
    ax = orthodont.plot.predictions("Sex", by="age")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["Male", "Female"]
    age = me.datasets.load("orthodont")["age"]
    values = age.mean() + age.std() * np.array([-1.0, 0.0, 1.0])
    for line, value in zip(found(ax, "estimates"), values, strict=True):
        new = pd.DataFrame({"age": value, "Sex": ["Male", "Female"]})
        assert np.allclose(line.get_ydata(), orthodont.predict(new, random="population"))
    assert sum(len(line.get_xdata()) for line in found(ax, "data")) == 108


def test_predictions_of_counts_and_categories(counts):
    ax = counts.plot.predictions("period")
    new = pd.DataFrame({"period": [1, 2, 3, 4]})
    table = counts.predict(new, random="population", interval="confidence")
    assert np.allclose(xy(ax, "estimates")[1], table["estimate"])
    ends = segments(ax, "intervals")[:, :, 1]
    assert np.allclose(ends, table[["conf_low", "conf_high"]])
    with pytest.raises(ModelError, match="a new proportion varies depends on its trials"):
        counts.plot.predictions("period", interval="prediction")
    wine = me.fit("rating ~ temp + (1 | judge)", me.datasets.load("wine"), family="cumulative")
    ax = wine.plot.predictions("temp", interval=None)
    assert np.allclose(sum(line.get_ydata() for line in found(ax, "estimates")), [1.0, 1.0], atol=0)
    assert ax.get_legend().get_title().get_text() == "category"
    with pytest.raises(ModelError, match=r"Each category has a curve of its own"):
        wine.plot.predictions("temp", by="judge")


def test_an_offset_and_unmodelled_random_slopes_are_held():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"x": rng.normal(size=200), "z": rng.normal(size=200) + 3.0})
    data["g"], data["t"] = np.arange(200) % 20, rng.uniform(1, 3, 200)
    data["y"] = rng.poisson(data["t"] * np.exp(0.2 * data["x"]))
    fit = me.fit(
        "y ~ x + (0 + z | g)", data, family="poisson", offset=np.log(data["t"]), on_check="ignore"
    )
    ax = fit.plot.predictions("x", interval=None)
    x, y = xy(ax, "curve")
    expected = np.exp(fit.beta[0] + fit.beta[1] * x + np.log(data["t"]).mean())
    assert np.allclose(y, expected)
    assert len(fit.plot.groups(levels=["3"]).axes) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"x": "Age"}, ModelError, r"'Age' is not a variable .* Did you mean 'age'\?"),
        ({"x": "age", "by": "sex"}, ModelError, r"Did you mean 'Sex'\?"),
        ({"x": "age", "by": "age"}, ModelError, "x and by are both 'age'"),
        ({"x": "age", "at": {"Sex": ["Male", "Female"]}}, ModelError, "neither x nor by: give one"),
        ({"x": "age", "at": {"Sex": "male"}}, DataError, r"Did you mean 'Male'\?"),
        ({"x": "age", "at": ["Sex"]}, ModelError, "is not a dict"),
        ({"x": "age", "interval": "both"}, ModelError, "interval='both' is not one of"),
        ({"x": "Sex", "by": "age", "at": {"age": list(range(8, 16))}}, ModelError, "8 curves"),
    ],
)
def test_predictions_that_cannot_be_drawn(orthodont, arguments, error, said):
    with pytest.raises(error, match=said):
        orthodont.plot.predictions(**arguments)


def test_every_plot_of_one_axes_takes_them(orthodont):
    draws = {
        "fixed_effects": {},
        "profile": {"parameters": "sigma"},
        "means": {"specs": "Sex"},
        "contrasts": {"specs": "Sex"},
        "predictions": {"x": "age"},
        "random_effects": {"term": "age"},
        "random_qq": {"term": "age"},
        "correlations": {},
        "shrinkage": {},
        "residuals": {},
        "scale_location": {},
        "qq": {},
        "influence": {},
    }
    for name, arguments in draws.items():
        ax = Figure().add_subplot()
        assert getattr(orthodont.plot, name)(**arguments, ax=ax) is ax
        assert title(ax), name
        assert caption(ax), name
    assert not plt.get_fignums()


def test_other_frames_serve_as_well():
    pl = pytest.importorskip("polars")
    data = pl.from_pandas(me.datasets.load("orthodont").astype({"Subject": str, "Sex": str}))
    fit = me.fit("distance ~ age * Sex + (age | Subject)", data)
    fit.plot()
    assert len(fit.plot.groups().axes) >= 27
    assert fit.plot.predictions("age", "Sex").get_legend_handles_labels()[1] == ["Female", "Male"]


def test_the_accessor_says_what_it_has(orthodont):
    assert "random_effects, random_qq, residuals" in repr(orthodont.plot)


def test_contrasts_of_long_names_stay_apart():
    rng = np.random.default_rng(1)
    names = [f"a level of a name that is long, number {i}" for i in range(4)]
    data = pd.DataFrame({"f": np.repeat(names, 25), "g": np.arange(100) % 10})
    data["y"] = rng.normal(size=100) + rng.normal(size=10)[data["g"]]
    ax = me.fit("y ~ f + (1 | g)", data).plot.contrasts("f")
    assert len(set(rows(ax))) == 6
    assert rows(ax)[-1].endswith("number 1")
    assert "number 0 - a level" in rows(ax)[-1]
