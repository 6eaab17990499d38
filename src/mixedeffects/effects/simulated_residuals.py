"""Quantile residuals, with tests that know the model's dependence and that it was fitted.

One by one the residuals of a true model are uniform, but rows of a group share their random
effects, and fitting draws the residuals to uniformity. So the tests take no reference from
tables for independent values: data sets are simulated from the fit, the model is fitted to
each, and the observed statistic is placed among theirs (Besag and Clifford 1989, Biometrika
76, 633-642).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import FrameKind, make_table
from mixedeffects.effects.groups import group_rows
from mixedeffects.effects.predict import mean
from mixedeffects.effects.quantiles import marginal_deviations, quantile_residuals
from mixedeffects.effects.rows import own_rows, row_labels
from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.fitting.replicates import fit_responses
from mixedeffects.inference.draws import parametric_draws
from mixedeffects.inference.streams import Seed, Streams

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]
Grouping = tuple[Integers, NDArray[Any]]

# Fewer simulations place nothing.
FEWEST = 19


@dataclass(frozen=True, slots=True)
class ResidualTest:
    """A statistic, its mean over the simulated data sets, and its p-value."""

    statistic: float
    expected: float
    p_value: float


@dataclass(frozen=True, slots=True)
class GroupTests:
    """Uniformity within each level of a grouping.

    ``rows`` (L,) of the levels; ``statistic`` (L,) Kolmogorov's distances; ``p_value`` (L,) of
    each level by itself, ``p_adjusted`` (L,) for the choice among the levels (smallest of all
    p-values, Westfall and Young 1993).
    """

    levels: NDArray[Any]
    rows: Integers
    statistic: Floats
    p_value: Floats
    p_adjusted: Floats


@dataclass(frozen=True, slots=True)
class SimulatedResiduals:
    """Quantile residuals of a fit with their tests.

    Attributes
    ----------
    residuals : ndarray, shape (nobs,)
        The place of each response in its fitted marginal distribution, between 0 and 1;
        uniform if the model holds.
    expected : ndarray, shape (nobs,)
        Population mean Xβ̂ + offset.
    expected_rank : ndarray, shape (nobs,)
        Its place among the rows, between 0 and 1: what to plot the residuals against.
    uniformity : ResidualTest
        Kolmogorov's distance between the residuals and the uniform distribution.
    dispersion : ResidualTest
        Mean square of the residuals on the normal scale.
    outliers : ResidualTest
        Number of residuals outside 1/(n + 1) … n/(n + 1), where n simulated data sets would
        leave them beyond all.
    zeros : ResidualTest or None
        Number of zeros, where the family gives zeros among other values.
    groups : GroupTests or None
        Uniformity by level, where a grouping was named.
    n : int
        Simulated data sets that could be fitted.
    failed : int
        Those that could not.
    """

    residuals: Floats
    expected: Floats
    expected_rank: Floats
    uniformity: ResidualTest
    dispersion: ResidualTest
    outliers: ResidualTest
    zeros: ResidualTest | None
    groups: GroupTests | None
    n: int
    failed: int
    labels: NDArray[Any] = field(repr=False)
    frame: FrameKind = field(repr=False)

    def __repr__(self) -> str:
        p = ", ".join(f"{name} p = {test.p_value:.3g}" for name, test in self._tests.items())
        return f"<SimulatedResiduals of {len(self.residuals):,} rows: {p}>"

    @property
    def table(self) -> Any:
        """Columns ``row residual expected expected_rank``."""
        columns = {
            "row": self.labels,
            "residual": self.residuals,
            "expected": self.expected,
            "expected_rank": self.expected_rank,
        }
        return make_table(columns, self.frame)

    @property
    def _tests(self) -> dict[str, ResidualTest]:
        names = ("uniformity", "dispersion", "outliers", "zeros")
        return {name: test for name in names if (test := getattr(self, name)) is not None}

    @property
    def tests(self) -> Any:
        """Columns ``test statistic expected p_value``."""
        tests = self._tests.values()
        columns: dict[str, Any] = {
            "test": list(self._tests),
            "statistic": np.array([t.statistic for t in tests]),
            "expected": np.array([t.expected for t in tests]),
            "p_value": np.array([t.p_value for t in tests]),
        }
        return make_table(columns, self.frame)

    @property
    def by_group(self) -> Any:
        """Columns ``level rows statistic p_value p_adjusted``; None without a grouping."""
        if (found := self.groups) is None:
            return None
        columns = {
            "level": found.levels,
            "rows": found.rows,
            "statistic": found.statistic,
            "p_value": found.p_value,
            "p_adjusted": found.p_adjusted,
        }
        return make_table(columns, self.frame)


def simulated_residuals(
    fit: Fit, n: int, seed: Seed = None, group: str | None = None
) -> SimulatedResiduals:
    """Quantile residuals of a fit and of n data sets simulated from it and fitted.

    Raises
    ------
    ModelError
        If n is too small.
    DataError
        If the model has no such grouping.
    """
    grouping = checked_simulation(fit, n, group)
    sets = [quantile_residuals(fit), *_simulated(fit, n, seed)]
    expected = mean(own_rows(fit), fit.estimates.beta, [])
    return judged_residuals(fit, sets, n, expected, None, grouping)


def checked_simulation(fit: Fit | GeneralFit, n: int, group: str | None) -> Grouping | None:
    """The codes and levels of the grouping, if one is named."""
    if not isinstance(n, int) or n < FEWEST:
        raise ModelError(f"n={n!r}: tests need at least {FEWEST} simulated data sets.")
    return None if group is None else group_rows(fit, group)


def judged_residuals(
    fit: Fit | GeneralFit,
    sets: list[Floats],
    n: int,
    expected: Floats,
    zeros: ResidualTest | None,
    grouping: Grouping | None,
) -> SimulatedResiduals:
    """Tests of the first of all data sets' residuals against the others, of n simulated."""
    if len(sets) <= FEWEST:
        raise ModelError(
            f"Only {len(sets) - 1} of {n} data sets simulated from this fit can be fitted: its "
            "residuals have no reference to be tested against."
        )
    whole = np.zeros(len(expected), dtype=np.intp)
    distances = np.array([uniform_distances(u, whole)[0] for u in sets])
    return SimulatedResiduals(
        residuals=sets[0],
        expected=expected,
        expected_rank=(np.argsort(np.argsort(expected, kind="stable")) + 0.5) / len(expected),
        uniformity=_upper(distances),
        dispersion=two_sided(np.array([_dispersion(u) for u in sets])),
        outliers=two_sided(np.array([_outliers(u, n) for u in sets])),
        zeros=zeros,
        groups=None if grouping is None else _within(sets, *grouping),
        n=len(sets) - 1,
        failed=n + 1 - len(sets),
        labels=row_labels(fit),
        frame=fit.design.frame,
    )


def _simulated(fit: Fit, n: int, seed: Seed) -> Iterator[Floats]:
    """Quantile residuals of the simulated data sets that could be fitted."""
    from scipy.special import ndtr

    draws = parametric_draws(fit, "marginal", Streams(seed))
    found = fit_responses(fit.problem, draws.deviations, n)
    covariances = found.covariances(fit.problem)
    X = fit.design.X[:, fit.estimates.kept]
    for r in range(n):
        if r in found.reasons:
            continue
        error = draws.deviations(r, r + 1)[:, 0] - X @ found.beta[r]
        own = [covariance[r] for covariance in covariances]
        yield ndtr(error / marginal_deviations(fit.design, own, float(found.sigma[r])))


def uniform_distances(u: Floats, codes: Integers) -> Floats:
    """Kolmogorov's distance of the values (n,) of each level to the uniform, (L,)."""
    order = np.lexsort((u, codes))
    counts = np.bincount(codes)
    first = np.cumsum(counts) - counts
    below = np.arange(len(u)) - np.repeat(first, counts)
    size = np.repeat(counts, counts)
    gaps = np.maximum((below + 1) / size - u[order], u[order] - below / size)
    distances: Floats = np.maximum.reduceat(gaps, first)
    return distances


def _dispersion(u: Floats) -> float:
    from scipy.special import ndtri

    return float(np.mean(ndtri(np.clip(u, 1e-300, 1.0 - 1e-16)) ** 2))


def _outliers(u: Floats, n: int) -> float:
    return float(np.count_nonzero(np.minimum(u, 1.0 - u) < 1.0 / (n + 1)))


def _upper(statistics: Floats) -> ResidualTest:
    """The first of all (N,) against the others; large values speak against the model."""
    others = statistics[1:]
    p = (1 + np.count_nonzero(others >= statistics[0])) / len(statistics)
    return ResidualTest(float(statistics[0]), float(others.mean()), float(p))


def two_sided(statistics: Floats) -> ResidualTest:
    upper, lower = _upper(statistics), _upper(-statistics)
    p = min(1.0, 2.0 * min(upper.p_value, lower.p_value))
    return ResidualTest(upper.statistic, upper.expected, p)


def _within(sets: list[Floats], codes: Integers, levels: NDArray[Any]) -> GroupTests:
    distances = np.stack([uniform_distances(u, codes) for u in sets])
    # The p-value of every data set, observed or simulated, among all.
    p = np.empty_like(distances)
    for level, column in enumerate(distances.T):
        p[:, level] = np.searchsorted(np.sort(-column), -column, side="right") / len(column)
    smallest = np.sort(p.min(axis=1))
    adjusted = np.searchsorted(smallest, p[0], side="right") / len(smallest)
    return GroupTests(
        levels, np.bincount(codes, minlength=len(levels)), distances[0], p[0], adjusted
    )
