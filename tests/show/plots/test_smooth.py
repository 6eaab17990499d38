"""The smooth through points against its definition, point by point."""

import numpy as np
import pytest

from mixedeffects.show.plots.smooth import BINS, binned, smooth


def local_line(place, x, y, span):
    """Least squares by lstsq with tricube weights over the nearest share of the points."""
    distance = np.abs(x - place)
    reach = np.sort(distance)[int(np.ceil(span * len(x))) - 1]
    weight = np.where(distance < reach, (1 - (distance / reach) ** 3) ** 3, 0.0)
    A = np.column_stack([np.ones(len(x)), x - place]) * np.sqrt(weight)[:, None]
    return np.linalg.lstsq(A, y * np.sqrt(weight), rcond=None)[0][0]


@pytest.mark.parametrize("span", [0.3, 0.7, 1.0])
def test_it_is_a_local_line_at_each_place(span):
    rng = np.random.default_rng(1)
    x = rng.normal(size=150)
    y = np.sin(2 * x) + rng.normal(size=150)
    places, values = smooth(x, y, span)
    assert (places[0], places[-1], len(places)) == (x.min(), x.max(), 80)
    assert np.allclose(values, [local_line(p, x, y, span) for p in places], rtol=1e-10)


def test_bins_stand_for_many_points():
    rng = np.random.default_rng(2)
    x = rng.normal(size=20_000)
    y = np.sin(2 * x) + rng.normal(size=20_000)
    at, means, counts = binned(x, y)
    assert len(at) == BINS
    assert counts.sum() == 20_000
    assert counts @ means == pytest.approx(y.sum())
    places, values = smooth(x, y, 0.3)
    exact = np.array([local_line(p, x, y, 0.3) for p in places])
    inner = np.abs(places) < 2.5
    # far below the standard error of the smooth at its ends, 0.05
    assert np.abs(values - exact)[inner].max() < 0.025


def test_few_distinct_places_are_their_own():
    x = np.repeat([0.0, 1.0, 2.0, 5.0], 10)
    places, _ = smooth(x, x**2)
    assert places.tolist() == [0.0, 1.0, 2.0, 5.0]


def test_ties_within_reach_have_their_mean():
    x = np.repeat([0.0, 1.0, 2.0, 3.0], [97, 1, 1, 1])
    y = np.where(x == 0.0, np.arange(100.0), 0.0)
    assert smooth(x, y, 0.5)[1][0] == pytest.approx(48.0)


@pytest.mark.parametrize("x", [np.zeros(50), np.repeat([0.0, 1.0, 2.0], 20), np.empty(0)])
def test_nothing_is_smoothed_over_three_places(x):
    assert [len(part) for part in smooth(x, x)] == [0, 0]


def test_a_gap_is_crossed_in_a_straight_line():
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.uniform(0.0, 0.1, 60), rng.uniform(0.8, 1.0, 140)])
    places, values = smooth(x, rng.normal(size=200))
    assert np.isin(places, x).all()
    assert places[0] == x.min()
    assert places[-1] == x.max()
    assert np.abs(values).max() < 0.6
