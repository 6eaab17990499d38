"""Exact derivatives of every family with every link against differences of lower ones."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest

from families.points import NAMES, grid
from mixedeffects.families import FAMILIES

CASES = [(name, link) for name in NAMES for link in FAMILIES[name].links]
# Central differences of the eighth order.
WEIGHTS = np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280])
STEP = 0.002


@pytest.fixture(params=CASES, ids=lambda c: "-".join(c))
def family(request):
    name, link = request.param
    return FAMILIES[name](link=link)


def lower_derivative(family, response, predictors, key):
    """The derivative by a key, with all predictors curved so that none is left out."""
    everything = tuple(range(len(predictors)))
    found = family.derivatives(response, predictors, len(key), everything)
    if not key:
        return found.value
    table = (found.first, found.second, found.third)[len(key) - 1]
    return table.get(key[0] if len(key) == 1 else key, np.zeros(len(response.y)))


def difference(family, response, predictors, key, by):
    """The derivative of the one by ``key``, by predictor ``by``, and the scale of its errors."""
    scale = np.abs(lower_derivative(family, response, predictors, key))

    total = np.zeros(len(response.y))
    for j, weight in enumerate(WEIGHTS, start=1):
        ends = [
            lower_derivative(
                family,
                response,
                tuple(p + sign * j * STEP if i == by else p for i, p in enumerate(predictors)),
                key,
            )
            for sign in (1, -1)
        ]
        total += weight * (ends[0] - ends[1]) / STEP
    return total, scale / STEP


def check(family, response, predictors, rtol):
    n = len(predictors)
    for length in (1, 2, 3):
        for key in combinations_with_replacement(range(n), length):
            exact = lower_derivative(family, response, predictors, key)
            expected, scale = difference(family, response, predictors, key[1:], key[0])
            assert np.isfinite(exact).all(), key
            error = np.abs(exact - expected)
            allowed = rtol * np.abs(expected) + 2e-14 * scale + 1e-11
            worst = np.argmax(error / allowed)
            assert error[worst] <= allowed[worst], (
                key,
                response.y[worst],
                [float(p[worst]) for p in predictors],
                exact[worst],
                expected[worst],
            )


def test_derivatives_at_ordinary_points(family):
    check(family, *grid(family), 1e-7)


def test_derivatives_at_extreme_points(family):
    check(family, *grid(family, far=True), 1e-6)


def test_only_what_is_wanted_comes_back(family):
    response, predictors = grid(family)
    found = family.derivatives(response, predictors, 3, (0,))
    assert set(found.first) == set(range(len(predictors)))
    assert all(0 in key for key in found.second)
    assert all(key[:2] == (0, 0) for key in found.third)
    every = family.derivatives(response, predictors, 3, tuple(range(len(predictors))))
    for part, whole in zip(
        (found.first, found.second, found.third),
        (every.first, every.second, every.third),
        strict=True,
    ):
        for key, term in part.items():
            assert term.shape == response.y.shape
            np.testing.assert_allclose(term, whole[key], rtol=1e-12, atol=1e-300)
    lower = family.derivatives(response, predictors, 1)
    assert not lower.second
    assert not lower.third
    np.testing.assert_array_equal(lower.value, family.log_density(response, predictors))


def test_a_single_number_stands_for_all_rows(family):
    response, predictors = grid(family)
    rows = np.full(len(response.y), True)
    for p in predictors[1:]:
        rows &= p == p[0]
    kept = np.flatnonzero(rows)
    some = response.take(kept)
    full = tuple(p[kept] for p in predictors)
    short = (full[0], *(np.asarray(p[0]) for p in predictors[1:]))
    one = family.derivatives(some, full, 3)
    two = family.derivatives(some, short, 3)
    for a, b in [
        (one.value, two.value),
        *((one.first[k], two.first[k]) for k in one.first),
        *((one.second[k], two.second[k]) for k in one.second),
        *((one.third[k], two.third[k]) for k in one.third),
    ]:
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
