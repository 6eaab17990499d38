"""Compiled passes over rows against the same families in NumPy."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from families.points import grid, inflated_grid
from mixedeffects.families import FAMILIES, ZeroInflated
from mixedeffects.families._rows import rising_table
from mixedeffects.families.jets import Wanted, wanted_keys
from mixedeffects.families.special import _log_rising

NAMES = ("binomial", "poisson", "nbinom2")


def both(family, response, predictors, wanted):
    """The compiled table, and the same from the formulas."""
    point = tuple(np.asarray(p, dtype=float) for p in predictors)
    formulas = family._derivatives(response, point, wanted)
    keys = wanted_keys(wanted, len(point))
    known = {(i,): term for i, term in formulas.first.items()}
    known |= {**formulas.second, **formulas.third}
    zero = np.zeros(len(response.y))
    expected = [formulas.value, *(known.get(key, zero) for key in keys)]
    return family.compiled(response, point, wanted), np.array(expected)


def compare(family, response, predictors, wanted):
    found, expected = both(family, response, predictors, wanted)
    assert found.shape == expected.shape
    # Sums of terms of either sign lose digits in both; none is smaller than those of its rows.
    scale = 1.0 + np.abs(expected).max(axis=0)
    np.testing.assert_allclose(found / scale, expected / scale, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_a_pass_gives_what_the_formulas_do(name, order):
    family = FAMILIES[name]()
    for extreme in (False, True):
        response, predictors = grid(family, extreme)
        curves = [(), (0,), tuple(range(len(predictors)))]
        for curved in curves:
            compare(family, response, predictors, Wanted(order, curved))


@pytest.mark.parametrize("name", NAMES)
def test_a_pass_of_zero_inflation_gives_what_the_formulas_do(name):
    family = ZeroInflated(FAMILIES[name]())
    response, predictors = inflated_grid(family)
    n = len(predictors)
    for order, curved in product((0, 1, 2, 3), [(0,), (n - 1,), (0, n - 1), tuple(range(n))]):
        compare(family, response, predictors, Wanted(order, curved))


@pytest.mark.parametrize("name", NAMES)
def test_one_number_stands_for_all_rows(name):
    family = FAMILIES[name]()
    response, predictors = grid(family)
    wanted = Wanted(3, tuple(range(len(predictors))))
    numbers = tuple(np.asarray(p[0]) for p in predictors)
    rows = tuple(np.full(len(response.y), p[0]) for p in predictors)
    np.testing.assert_allclose(
        family.compiled(response, numbers, wanted),
        family.compiled(response, rows, wanted),
        rtol=1e-13,
        atol=1e-13,
    )


def test_other_links_have_no_pass():
    for name in NAMES:
        for link in FAMILIES[name].links[1:]:
            family = FAMILIES[name](link=link)
            response, predictors = grid(family)
            assert family.compiled(response, predictors, Wanted(1)) is None


def test_the_table_of_rising_factorials_is_their_formula():
    for x in (1e-8, 0.3, 7.0, 1e9):
        found = np.empty((4, 50))
        rising_table(x, found)
        expected = _log_rising(np.arange(50.0), np.asarray(np.log(x)), 3)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
