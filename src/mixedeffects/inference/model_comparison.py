"""Fits side by side: checks that they can be compared, and tests of each against the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import DataError, ModelError
from mixedeffects.families import AbstractFamily
from mixedeffects.fitting.fit import Fit, fit_design
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.fitting.joint_mode import check_likelihood
from mixedeffects.formula.design import Design
from mixedeffects.inference.likelihood_ratio import (
    Ratio,
    asymptotic_ratio,
    general_ratio,
    nested,
    no_ratio,
    plain_ratio,
    simulated,
)
from mixedeffects.inference.nesting import AnyFit, carry, fixed_effects_within
from mixedeffects.inference.ratio_bootstrap import bootstrap_test
from mixedeffects.inference.streams import Seed

Floats = NDArray[np.float64]
Method = Literal["asymptotic", "bootstrap"]

# Values that differ by less than this share of their size are the same.
SAME = 1e-12


class Modelled(Protocol):
    """A model of data, however it was estimated."""

    @property
    def design(self) -> Design: ...

    @property
    def family(self) -> AbstractFamily: ...


@dataclass(frozen=True, slots=True)
class Compared:
    """A fit in the comparison: its place in the call, and its test against the one before."""

    place: int
    fit: AnyFit
    refitted: bool
    ratio: Ratio


def compare_fits(
    fits: Sequence[AnyFit], refit: bool, method: Method, n: int, seed: Seed
) -> list[Compared]:
    """Order the fits by their parameters and test each against the one before.

    Raises
    ------
    DataError
        If the fits are not of the same response, rows, weights and offset.
    ModelError
        If two are the same model, REML fits have different fixed effects, or some give
        probabilities and some densities.
    """
    check_measures(fits)
    for place, fit in enumerate(fits[1:], start=2):
        check_same_data(fits[0], fit, place)
    used = _by_ml(fits) if refit and _needs_ml(fits) else list(fits)
    _check_criteria(used)
    _check_distinct(used)
    order = sorted(range(len(used)), key=lambda i: used[i].estimates.n_parameters)
    rows: list[Compared] = []
    for i in order:
        ratio = no_ratio("")
        if rows:
            before = rows[-1]
            ratio = _ratio(before.fit, used[i], method, n, seed)
        rows.append(Compared(i + 1, used[i], used[i] is not fits[i], ratio))
    return rows


def corrected_aic(fit: AnyFit) -> float:
    """AIC with the correction for small samples, Hurvich and Tsai (1989), Biometrika 76, 297."""
    k, n = fit.estimates.n_parameters, fit.estimates.nobs
    if n - k - 1 <= 0:
        return float("inf")
    return fit.estimates.aic + 2.0 * k * (k + 1) / (n - k - 1)


def _ratio(small: AnyFit, large: AnyFit, method: Method, n: int, seed: Seed) -> Ratio:
    carried = nested(small, large)
    if method == "asymptotic":
        if isinstance(small, GeneralFit) and isinstance(large, GeneralFit):
            return general_ratio(small, large, carried)
        if isinstance(large, GeneralFit):
            return no_ratio(str(carried))
        return asymptotic_ratio(plain_ratio(small, large), large, carried)
    within = not isinstance(carried, str)
    if within:
        ratio = plain_ratio(small, large)
    else:  # of any two models: it may be negative, and its distribution is that of the draws
        ratio = Ratio(small.estimates.objective - large.estimates.objective, None, None, None, "")
    if ratio.statistic is None:
        return ratio
    test = bootstrap_test(small, large, ratio.statistic, n, seed)
    text = test.text if within else f"{test.text}; {carried}"
    return simulated(ratio, test.p_value, test.std_error, text)


# -- what makes fits comparable ------------------------------------------------------------


def check_measures(fits: Sequence[Modelled]) -> None:
    """Refuse probabilities of counts beside densities: their ratio depends on the unit of y."""
    kinds = {fit.family.discrete: fit.family.name for fit in fits}
    if len(kinds) > 1:
        raise ModelError(
            f"Family {kinds[True]!r} gives probabilities and {kinds[False]!r} densities, which "
            "depend on the response's unit: their likelihoods cannot be compared."
        )


def check_same_data(first: Modelled, other: Modelled, place: int, what: str = "fit") -> None:
    """Refuse models of other rows, responses, trials, weights or offsets; ``what``, their kind."""
    a, b = first.design, other.design
    own, one = f"{what.capitalize()} {place}", f"{what} 1"
    if len(a.y) != len(b.y):
        raise DataError(
            f"{own} uses {len(b.y):,} rows and {one} {len(a.y):,}{_dropped(first, other)}: "
            "likelihoods compare models of the same rows. Fit all to the rows that are complete "
            "in every column used."
        )
    if not _same(a.y, b.y):
        if a.response != b.response:
            raise DataError(
                f"{own} is of {b.response!r} and {one} of {a.response!r}: likelihoods of "
                "different responses, or of different scales of one, cannot be compared."
            )
        if _same(np.sort(a.y), np.sort(b.y)):
            raise DataError(
                f"{own} has the rows of {one} in another order: fit both to the same table."
            )
        raise DataError(
            f"The response {b.response!r} of {own.lower()} has other values than that of {one} "
            f"({int(np.sum(a.y != b.y)):,} of {len(a.y):,} rows): fit both to the same data."
        )
    for name, x, z in (
        ("trials", a.trials, b.trials),
        ("weights", a.weights, b.weights),
        ("offset", a.offset, b.offset),
    ):
        if (x is None) != (z is None) or (x is not None and z is not None and not _same(x, z)):
            raise DataError(
                f"{own} and {one} differ in their {name}: compare {what}s with the same."
            )


def _dropped(first: Modelled, other: Modelled) -> str:
    """Which columns' missing values make the rows differ."""
    names = {**first.design.dropped, **other.design.dropped}
    differ = [
        name for name in names if first.design.dropped.get(name) != other.design.dropped.get(name)
    ]
    return f" (missing values in {', '.join(map(repr, differ))})" if differ else ""


def _same(a: Floats, b: Floats) -> bool:
    return bool(np.all(np.abs(a - b) <= SAME * (np.abs(a) + np.abs(b))))


def _needs_ml(fits: Sequence[AnyFit]) -> bool:
    if len({fit.estimates.reml for fit in fits}) > 1:
        return True
    return fits[0].estimates.reml and any(not _same_criterion(fits[0], f) for f in fits[1:])


def _by_ml(fits: Sequence[AnyFit]) -> list[AnyFit]:
    return [
        fit_design(fit.design, False, fit.estimates.theta)
        if isinstance(fit, Fit) and fit.estimates.reml
        else fit
        for fit in fits
    ]


def _check_criteria(fits: Sequence[AnyFit]) -> None:
    for fit in fits:
        if isinstance(fit, GeneralFit):
            check_likelihood(fit.problem)
    kinds = {fit.estimates.reml for fit in fits}
    way_out = "Fit them with reml=False, or let compare(..., refit=True) do so."
    if len(kinds) > 1:
        raise ModelError(f"Some fits are by REML and some by maximum likelihood. {way_out}")
    if not kinds.pop():
        return
    for place, fit in enumerate(fits[1:], start=2):
        if not _same_criterion(fits[0], fit):
            raise ModelError(
                f"Fit {place} and fit 1 have different fixed effects, or code the same ones "
                "differently, and are fitted by REML: their criteria are likelihoods of different "
                f"contrasts of the response, which cannot be compared. {way_out}"
            )


def _same_criterion(one: AnyFit, two: AnyFit) -> bool:
    """Whether two REML criteria are of the same contrasts: same span of X, same log|X'X|."""
    if isinstance(one, GeneralFit) or isinstance(two, GeneralFit):
        return False
    if one.problem.plan.n_fixed != two.problem.plan.n_fixed:
        return False
    if not (fixed_effects_within(one, two) and fixed_effects_within(two, one)):
        return False
    return abs(_log_volume(one) - _log_volume(two)) < 1e-6


def _log_volume(fit: Fit) -> float:
    p = fit.problem.plan.n_fixed
    determinant = float(np.linalg.slogdet(fit.problem.products.corner[:p, :p])[1]) if p else 0.0
    return determinant + 2.0 * fit.problem.basis.log_scale


def _check_distinct(fits: Sequence[AnyFit]) -> None:
    """Refuse the same model twice, however it is written."""
    for (a, one), (b, two) in combinations(enumerate(fits, start=1), 2):
        if (
            one.family == two.family
            and type(one) is type(two)
            and one.estimates.n_parameters == two.estimates.n_parameters
            and fixed_effects_within(one, two)
            and not isinstance(carry(one, two), str)
        ):
            raise ModelError(f"Fits {a} and {b} are the same model: there is nothing to compare.")
