"""Exact derivatives of every family with every link against differences of lower ones.

Complex steps, which leave no rounding, are in ``test_complex_steps``; these see what a fit calls,
compiled rows included.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from families.points import NAMES, grid, inflated_grid
from mixedeffects.families import FAMILIES, ZeroInflated, build

CASES = [(name, link) for name in NAMES for link in FAMILIES[name].links]
# Central differences of the eighth order.
WEIGHTS = np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280])
STEP = 0.002


@pytest.fixture(params=CASES, ids=lambda c: "-".join(c))
def family(request):
    name, link = request.param
    return FAMILIES[name](link=link)


def table(family, response, predictors, order):
    """All derivatives by key, with every predictor curved so that none is left out."""
    found = family.derivatives(response, predictors, order, tuple(range(len(predictors))))
    first = {(i,): term for i, term in found.first.items()}
    return {(): found.value, **first, **found.second, **found.third}


def differences(family, response, predictors, by):
    """Derivatives, by one predictor, of the value and of the derivatives up to the second."""
    total = {}
    for j, weight in enumerate(WEIGHTS, start=1):
        for step in (j * STEP, -j * STEP):
            moved = tuple(p + step * (i == by) for i, p in enumerate(predictors))
            for key, term in table(family, response, moved, 2).items():
                total[key] = total.get(key, 0.0) + np.sign(step) * weight * term / STEP
    return total


def check(family, response, predictors, rtol, noise):
    """Differences carry the rounding of what they are differences of, over the step."""
    exact = table(family, response, predictors, 3)
    nothing = np.zeros(len(response.y))
    for by in range(len(predictors)):
        lower = differences(family, response, predictors, by)
        for rest in product(range(len(predictors)), repeat=2):
            for key in (rest[:length] for length in range(3)):
                found = exact.get(tuple(sorted((by, *key))), nothing)
                expected = lower.get(tuple(sorted(key)), nothing)
                size = np.abs(exact.get(tuple(sorted(key)), nothing))
                allowed = rtol * np.abs(expected)
                allowed += noise * (size + np.abs(response.y) + 1.0) / STEP
                error = np.abs(found - expected)
                worst = np.argmax(error / allowed)
                assert error[worst] <= allowed[worst], (
                    (by, *key),
                    response.y[worst],
                    [float(p[worst]) for p in predictors],
                    found[worst],
                    expected[worst],
                )


def test_derivatives_at_ordinary_points(family):
    check(family, *grid(family), 1e-7, 1e-13)


def test_derivatives_at_extreme_points(family):
    check(family, *grid(family, far=True), 1e-6, 1e-11)


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("name", [n for n in NAMES if n != "cumulative"])
def test_derivatives_of_zero_inflation(name, far):
    family = ZeroInflated(build(name))
    rtol, noise = (1e-6, 1e-11) if far else (1e-7, 1e-13)
    check(family, *inflated_grid(family, far), rtol, noise)


@pytest.mark.parametrize("curved", [(0,), (0, 2), (2,)])
def test_zero_inflation_gives_only_what_is_wanted(curved):
    family = ZeroInflated(build("tweedie"))
    response, predictors = inflated_grid(family)
    every = table(family, response, predictors, 3)
    found = family.derivatives(response, predictors, 3, curved)
    assert set(found.first) == {0, 1, 2, 3}
    for key, term in {**found.second, **found.third}.items():
        assert sum(i in curved for i in key) >= len(key) - 1
        np.testing.assert_allclose(term, every[key], rtol=1e-11, atol=1e-13)
    wanted = {k for k in every if len(k) > 1 and sum(i in curved for i in k) >= len(k) - 1}
    assert wanted == {*found.second, *found.third}


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
