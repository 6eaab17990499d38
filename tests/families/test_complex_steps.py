"""Exact derivatives of every family with every link against complex steps.

The first derivatives against the value, the second against the first, the third against the
second, each with the precision of a number.  No family is left to differences of real steps
alone; those of ``test_derivatives`` see the compiled rows as well, which take no complex numbers.
"""

from __future__ import annotations

import numpy as np
import pytest

from families.continuation import continue_families
from families.points import NAMES, grid, inflated_grid
from families.test_derivatives import CASES, table
from mixedeffects.families import FAMILIES, ZeroInflated, build
from mixedeffects.families.no_residual import NoResidual

STEP = 1e-30


@pytest.fixture(autouse=True)
def _on_complex_numbers(monkeypatch):
    continue_families(monkeypatch)


def check(family, response, predictors, rtol, noise):
    """What cancels in a derivative is of the size of what it is a derivative of."""
    exact = {key: np.real(term) for key, term in table(family, response, predictors, 3).items()}
    nothing = np.zeros(len(response.y))
    for by in range(len(predictors)):
        moved = tuple(p + 1j * STEP * (i == by) for i, p in enumerate(predictors))
        for key, term in table(family, response, moved, 2).items():
            expected = np.broadcast_to(np.imag(term) / STEP, nothing.shape)
            found = exact.get(tuple(sorted((by, *key))), nothing)
            size = np.abs(np.real(term)) + np.abs(response.y) + 1.0
            error, allowed = np.abs(found - expected), rtol * np.abs(expected) + noise * size
            worst = np.argmax(error / allowed)
            assert error[worst] <= allowed[worst], (
                (by, *key),
                response.y[worst],
                [float(p[worst]) for p in predictors],
                found[worst],
                expected[worst],
            )


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize(("name", "link"), CASES)
@pytest.mark.filterwarnings("ignore:overflow")
def test_derivatives(name, link, far):
    family = FAMILIES[name](link=link)
    check(family, *grid(family, far), *((1e-8, 2e-11) if far else (1e-11, 1e-13)))


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("name", [n for n in NAMES if n != "cumulative"])
@pytest.mark.filterwarnings("ignore:overflow")
def test_derivatives_of_zero_inflation(name, far):
    family = ZeroInflated(build(name))
    check(family, *inflated_grid(family, far), *((1e-8, 2e-11) if far else (1e-11, 1e-13)))


def test_derivatives_without_a_residual():
    family = NoResidual(sd=0.03)
    response = family.response(np.array([-1.0, 0.0, 2.5]))
    check(family, response, (np.array([0.3, -2.0, 2.5]),), 1e-12, 1e-14)
