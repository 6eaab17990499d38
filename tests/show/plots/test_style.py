"""Figures, sizes, labels: for few levels and for many, wherever they are shown."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

import mixedeffects as me
from artists import caption, rows
from mixedeffects.errors import ModelError
from mixedeffects.show.plots import figures, style


@pytest.fixture(scope="module")
def fit():
    return me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))


@pytest.fixture(autouse=True)
def closed():
    plt.close("all")
    yield
    plt.close("all")


def test_colours_are_those_of_okabe_and_ito_without_yellow():
    assert (
        *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
    ) == style.PALETTE


def test_axes_given_are_drawn_on_and_returned(fit):
    figure, (left, right) = plt.subplots(1, 2)
    assert fit.plot.residuals(ax=right) is right
    assert not left.lines
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize("wrong", [3, "ax", [None], Figure()])
def test_what_is_no_axes_is_refused(fit, wrong):
    with pytest.raises(ModelError, match="is not one matplotlib Axes: give one"):
        fit.plot.residuals(ax=wrong)
    assert not plt.get_fignums()


def test_several_plots_on_one_axes_are_refused(fit):
    ax = Figure().add_subplot()
    with pytest.raises(ModelError, match=r"this has 2: choose one with group= and term="):
        fit.plot.random_effects(ax=ax)
    with pytest.raises(ModelError, match=r"this has 6: choose one with parameters="):
        fit.plot.profile(ax=ax)


def test_without_windows_only_the_last_figure_stays_open(fit):
    mine = plt.figure()
    for draw in (fit.plot.residuals, fit.plot.qq, fit.plot, fit.plot.groups, fit.plot.qq):
        last = draw()
    assert plt.get_fignums() == [mine.number, plt.gcf().number]
    assert plt.gcf() is last.figure  # so that plt.savefig writes it


def test_a_figure_let_go_can_still_be_saved(fit, tmp_path):
    first = fit.plot.residuals()
    fit.plot.qq()
    first.figure.savefig(tmp_path / "first.svg")
    assert (tmp_path / "first.svg").stat().st_size > 5_000


def test_a_notebook_shows_a_figure_once(fit, monkeypatch):
    # of pyplot's figures it shows each at the end of a cell, and what the cell returns
    monkeypatch.setattr(plt, "get_backend", lambda: "module://matplotlib_inline.backend_inline")
    figure = fit.plot()
    assert not plt.get_fignums()
    # also in the first cell, before IPython knows of figures
    assert figure._repr_png_().startswith(b"\x89PNG")
    fit.plot.residuals()
    assert len(plt.get_fignums()) == 1


def test_settings_of_the_user_stay_as_they_are(fit):
    before = dict(plt.rcParams)
    fit.plot()
    fit.plot.groups()
    assert dict(plt.rcParams) == before


@pytest.mark.parametrize(
    ("count", "height"), [(1, 2.2), (18, 4.9), (48, 10.9), (49, 6.0), (5000, 6.0)]
)
def test_heights_grow_with_labelled_rows_alone(count, height):
    assert figures.rows_height(count) == pytest.approx(height, abs=0.05)


def test_rows_are_labelled_where_there_is_room():
    for height, shown in ((6.0, 40), (1.5, 2)):
        ax = Figure((5.0, height)).add_subplot()
        style.row_labels(ax, [f"level {i}" for i in range(40)])
        assert len(rows(ax)) == shown
        assert (rows(ax)[0], rows(ax)[-1]) == ("level 0", "level 39")


def test_text_is_no_mathematics_and_loses_its_middle():
    assert style.plain("cost $") == r"cost \$"
    assert style.plain("`yield`") == "yield"
    long = style.plain("Variety[T.Marvellous Beyond All Measure]:nitroF[T.0.4]")
    assert len(long) == style.LONGEST
    assert long.startswith("Variety[T.")
    assert long.endswith(":nitroF[T.0.4]")


def test_captions_fit_their_axes():
    ax = Figure((3.0, 3.0)).add_subplot()
    style.dress(ax, "A title of some length that needs lines", "many words " * 12)
    width = ax.get_window_extent().width
    for text in (*ax.texts, ax._left_title):
        assert "\n" in text.get_text()
        assert text.get_window_extent().width < 1.1 * width
    low = ax._left_title.get_window_extent().y0
    assert ax.texts[0].get_window_extent().y1 <= low + 1.0
    assert caption(ax) == " ".join(["many words"] * 12)


@pytest.mark.parametrize("size", [1e-17, 1.0, 3e7])
def test_no_power_of_ten_stands_over_the_caption(size):
    figure = Figure()
    ax = figure.add_subplot()
    ax.plot([0.0, size], [-size, size])
    style.dress(ax, "title", "caption")
    figure.draw_without_rendering()
    assert not ax.yaxis.get_offset_text().get_text()
    shown = [label.get_text().replace("−", "-") for label in ax.get_yticklabels()]
    assert max(map(len, shown)) <= 9
    assert np.allclose([float(s) for s in shown], ax.get_yticks(), rtol=1e-9, atol=1e-9 * size)


def test_numbers_far_from_zero_are_told_apart():
    figure = Figure()
    ax = figure.add_subplot()
    ax.plot([2e9, 2e9 + 5], [0.0, 1.0])
    style.dress(ax, "title")
    figure.draw_without_rendering()
    shown = [label.get_text() for label in ax.get_xticklabels()]
    assert len(set(shown)) == len(shown)
    assert [float(s) for s in shown] == ax.get_xticks().tolist()


def test_titles_settle_within_the_axes_that_labels_leave():
    figure = figures.new_figure(8.0, 4.0)
    left, right = figure.subplots(1, 2)
    left.set_yticks([0.0], ["a label that takes the room of both axes away"])
    for ax in (left, right):
        style.dress(ax, "A title of several words", "and a caption that is longer than its title")
    style.settle(figure)
    figure.draw_without_rendering()
    for ax in (left, right):
        for text in (*ax.texts, ax._left_title):
            assert text.get_window_extent().width <= ax.get_window_extent().width
