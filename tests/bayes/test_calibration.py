"""A small simulation-based calibration; docs/calibration-posteriors.md has the large one."""

import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def study():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import simulation_based
        import simulation_report

        return simulation_based, simulation_report
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sets"),
    [
        ("random intercept", 200),
        ("correlated slopes", 200),
        ("crossed", 200),
        ("binomial", 60),
        ("Poisson", 60),
        ("nbinom2", 60),
        ("ordinal", 60),
    ],
)
def test_ranks_of_true_values_are_uniform(study, name, sets):
    based, report = study
    model = next(m for m in based.models() if m.name == name)
    # data sets that the published study does not have
    found = [based.ranks(model, 10_000 + number) for number in range(sets)]
    for quantity in found[0]["ranks"]:
        ranks = np.array([one["ranks"][quantity] for one in found])
        # of 50 quantities, one in twenty runs has a p-value as small
        assert report.uniform_p(ranks, based.KEPT, bins=10) > 0.001, quantity
