"""Tests of random effects: each term in turn against the model without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mixedeffects.errors import ModelError
from mixedeffects.fitting.estimates import prefix_of
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.fitting.joint_mode import check_likelihood
from mixedeffects.inference.exact_test import exact_p_value, spectrum
from mixedeffects.inference.likelihood_ratio import (
    Ratio,
    asymptotic_ratio,
    general_ratio,
    linear_objective,
    plain_ratio,
    simulated,
)
from mixedeffects.inference.nesting import AnyFit, carry, nothing_carried
from mixedeffects.inference.ratio_bootstrap import bootstrap_test
from mixedeffects.inference.reductions import (
    Reduction,
    general_reductions,
    reduced_fit,
    reduced_general_fit,
    reductions,
)
from mixedeffects.inference.streams import Seed

Method = Literal["auto", "asymptotic", "exact", "bootstrap"]

# Beyond so many random effects the exact distribution is dear and its limit near.
LARGEST_EXACT = 1500


@dataclass(frozen=True, slots=True)
class VarianceTest:
    """One term's test: what left, what of the term stays, the smaller model and the ratio."""

    term: str
    left: str | None
    objective: float
    n_parameters: int
    ratio: Ratio


def variance_tests(fit: AnyFit, method: Method, n: int, seed: Seed) -> list[VarianceTest]:
    """Likelihood ratio tests of the random terms; ``n`` replicates of the bootstrap.

    Raises
    ------
    ModelError
        For ``method="exact"`` where no tested variance stands alone.
    """
    if isinstance(fit, GeneralFit):
        if method == "exact":
            raise ModelError(
                "The exact test is for Gaussian models: use method='bootstrap' for a test in "
                "finite samples."
            )
        return [_general_test(fit, *each, method, n, seed) for each in general_reductions(fit)]
    candidates = reductions(fit.design)
    if method == "exact":
        _check_exact(fit, candidates)
    return [_test(fit, candidate, method, n, seed) for candidate in candidates]


def _test(fit: Fit, reduction: Reduction, method: Method, n: int, seed: Seed) -> VarianceTest:
    small = reduced_fit(fit, reduction)
    if small is None:
        objective = linear_objective(fit.problem)
        n_parameters = fit.estimates.n_parameters - fit.problem.n_parameters
    else:
        objective, n_parameters = small.estimates.objective, small.estimates.n_parameters
    ratio = plain_ratio(small, fit)
    if ratio.statistic is not None and method == "bootstrap":
        test = bootstrap_test(small, fit, ratio.statistic, n, seed)
        ratio = simulated(ratio, test.p_value, test.std_error, test.text)
    elif ratio.statistic is not None and is_exact(fit, small is None, reduction, method):
        assert reduction.variance is not None
        known = spectrum(fit.problem, reduction.number, reduction.variance)
        text = "exact" if small is None else "exact, other random effects as if known"
        ratio = simulated(ratio, *exact_p_value(known, ratio.statistic), text)
    else:
        carried = nothing_carried(fit) if small is None else carry(small, fit)
        ratio = asymptotic_ratio(ratio, fit, carried)
    return VarianceTest(reduction.term, reduction.left, objective, n_parameters, ratio)


def _general_test(
    fit: GeneralFit, component: str, reduction: Reduction, method: Method, n: int, seed: Seed
) -> VarianceTest:
    check_likelihood(fit.problem)
    small = reduced_general_fit(fit, component, reduction)
    if method == "bootstrap":
        ratio = plain_ratio(small, fit)
        if ratio.statistic is not None:
            test = bootstrap_test(small, fit, ratio.statistic, n, seed)
            ratio = simulated(ratio, test.p_value, test.std_error, test.text)
    else:
        ratio = general_ratio(small, fit, carry(small, fit))
    own = small.estimates
    return VarianceTest(
        prefix_of(component) + reduction.term,
        reduction.left,
        own.objective,
        own.n_parameters,
        ratio,
    )


def is_exact(fit: Fit, alone: bool, reduction: Reduction, method: Method) -> bool:
    """Whether the exact distribution is asked for, or holds and is affordable.

    ``alone``, whether no other random effect is left.
    """
    holds = alone and _n_effects(fit, reduction) <= LARGEST_EXACT
    return reduction.variance is not None and (method == "exact" or (method == "auto" and holds))


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
