"""Tests of random effects: each term in turn against the model without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.inference.exact_test import exact_p_value, spectrum
from mixedeffects.inference.likelihood_ratio import (
    Ratio,
    asymptotic_ratio,
    linear_objective,
    plain_ratio,
    simulated,
)
from mixedeffects.inference.nesting import carry, nothing_carried
from mixedeffects.inference.ratio_bootstrap import Draw, bootstrap_test
from mixedeffects.inference.reductions import Reduction, reduced_fit, reductions

Method = Literal["auto", "asymptotic", "exact", "bootstrap"]

# Beyond so many random effects the exact distribution is dear and its limit near.
LARGEST_EXACT = 2000


@dataclass(frozen=True, slots=True)
class VarianceTest:
    """One term's test: what left, what of the term stays, the smaller model and the ratio."""

    term: str
    left: str | None
    objective: float
    n_parameters: int
    ratio: Ratio


@dataclass(frozen=True, slots=True)
class Simulation:
    """Of the bootstrap: responses of a smaller model (None: without random effects), how many."""

    draw: Callable[[Fit | None], Draw]
    n: int


def variance_tests(fit: Fit, method: Method, simulation: Simulation) -> list[VarianceTest]:
    """Likelihood ratio tests of the random terms, lmerTest's ``ranova`` with boundaries counted.

    Raises
    ------
    ModelError
        For ``method="exact"`` where no tested variance stands alone.
    """
    candidates = reductions(fit.design)
    if method == "exact":
        _check_exact(fit, candidates)
    return [_test(fit, candidate, method, simulation) for candidate in candidates]


def _test(fit: Fit, reduction: Reduction, method: Method, simulation: Simulation) -> VarianceTest:
    small = reduced_fit(fit, reduction)
    if small is None:
        objective = linear_objective(fit.problem)
        n_parameters = fit.estimates.n_parameters - fit.problem.n_parameters
    else:
        objective, n_parameters = small.estimates.objective, small.estimates.n_parameters
    ratio = plain_ratio(small, fit)
    if ratio.statistic is not None:
        ratio = _refined(fit, small, reduction, ratio, ratio.statistic, method, simulation)
    return VarianceTest(reduction.term, reduction.left, objective, n_parameters, ratio)


def _refined(
    fit: Fit,
    small: Fit | None,
    reduction: Reduction,
    ratio: Ratio,
    statistic: float,
    method: Method,
    simulation: Simulation,
) -> Ratio:
    """The ratio with the p-value of the method asked for, or that is exact here."""
    if method == "bootstrap":
        test = bootstrap_test(small, fit, statistic, simulation.draw(small), simulation.n)
        return simulated(ratio, test.p_value, test.std_error, test.text)
    alone = small is None and _n_effects(fit, reduction) <= LARGEST_EXACT
    if reduction.variance is not None and (method == "exact" or (method == "auto" and alone)):
        known = spectrum(fit.problem, reduction.number, reduction.variance)
        p_value, error = exact_p_value(known, statistic)
        text = "exact" if small is None else "exact, other random effects as if known"
        return simulated(ratio, p_value, error, text)
    carried = nothing_carried(fit) if small is None else carry(small, fit)
    assert not isinstance(carried, str), carried
    return asymptotic_ratio(ratio, fit, carried)


def _n_effects(fit: Fit, reduction: Reduction) -> int:
    variance = reduction.variance or slice(0, 0)
    columns = int(variance.stop) - int(variance.start)
    return len(fit.design.random[reduction.number].levels) * columns


def _check_exact(fit: Fit, candidates: Sequence[Reduction]) -> None:
    for candidate in candidates:
        if candidate.variance is None:
            raise ModelError(
                f"The exact test is for one variance; {candidate.term} takes covariances with it. "
                "Use method='auto', or method='bootstrap' for a finite-sample test."
            )
        if _n_effects(fit, candidate) > LARGEST_EXACT:
            raise ModelError(
                f"{candidate.term} has {_n_effects(fit, candidate):,} random effects: the exact "
                f"test is for up to {LARGEST_EXACT:,}; with more, method='asymptotic' is as good."
            )
