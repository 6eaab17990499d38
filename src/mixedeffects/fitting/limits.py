"""What a generalized fit says of parameters without a finite estimate, and of its variance.

A dispersion, a zero inflation or a shape at the end of its range leaves a simpler family that
fits as well: a fact about the data, told in a check that holds, as of a variance at zero.
Coefficients that separate the response, or predictors that no data bound, fail theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mixedeffects.families import ZeroInflated
from mixedeffects.fitting.checks import Check
from mixedeffects.fitting.general import GeneralProblem, linear_predictors
from mixedeffects.fitting.separation import CURVATURE, moved_columns, parts, separates

Floats = NDArray[np.float64]

NOT_OVER = "no overdispersion: family {!r} fits as well"
# What is left of a family at the end (+1, −1) of a parameter on its unconstrained scale.
ENDS = {
    ("nbinom2", "dispersion", 1): NOT_OVER.format("poisson"),
    ("nbinom1", "dispersion", -1): NOT_OVER.format("poisson"),
    ("betabinomial", "dispersion", 1): NOT_OVER.format("binomial"),
    ("truncated_nbinom2", "dispersion", 1): NOT_OVER.format("truncated_poisson"),
    ("truncated_nbinom1", "dispersion", -1): NOT_OVER.format("truncated_poisson"),
    ("truncated_nbinom2", "dispersion", -1): "the size is estimated as zero, the limit of the "
    "negative binomial in the logarithmic series",
    ("student_t", "df", 1): "no heavy tails: family 'gaussian' fits as well",
    ("tweedie", "power", -1): "the power is estimated as 1: consider a family of counts",
    ("tweedie", "power", 1): "the power is estimated as 2: family 'gamma' fits as well",
}
NO_INFLATION = "no zero inflation: the model without zero_inflation fits as well"
ALL_EXTRA = (
    "no zero comes from the family itself: a hurdle model, with the truncated family, fits as well"
)
# The families that have no dispersion, and what to use in their place.
OTHERS = {"poisson": "nbinom2", "binomial": "betabinomial"}
# Pearson's chi-square over its degrees of freedom from which overdispersion is told, if chance
# (of that many standard errors) does not explain it.
OVERDISPERSED = 1.5
CHANCE = 4.0
# Standard deviations on the predictor's scale from which levels are looked at.
WIDE = 5.0


def limit_checks(
    problem: GeneralProblem, drifting: Floats, beta: Floats, names: Sequence[Sequence[str]]
) -> Iterator[Check]:
    """Of the directions (p, d) in which coefficients ``beta`` (p,) have no finite estimate.

    ``names``: the kept columns of each predictor, extra parameters included.
    """
    family = problem.family
    own = family.predictors()
    for a in parts(problem, drifting):
        predictor = problem.predictors[a]
        place, moved = beta[predictor.coefficients], moved_columns(problem, a, drifting)
        whole = bool((moved == np.arange(len(place))).all()) if len(moved) == len(place) else False
        values = predictor.basis.columns @ place
        end = int(values.min() > 0) - int(values.max() < 0)
        mixture = isinstance(family, ZeroInflated) and family.base.zero_mass
        if predictor.name == "zero_inflation" and mixture and whole and end:
            yield _limit("zero_inflation", NO_INFLATION if end < 0 else ALL_EXTRA)
        elif (family.name, predictor.name, end) in ENDS and whole:
            yield _limit(predictor.name, ENDS[family.name, predictor.name, end])
        elif a < len(own) and predictor.name != "dispersion":
            yield _separation(problem, a, drifting, [names[a][i] for i in moved])
        else:
            yield _unbounded(predictor.name, [names[a][i] for i in moved])


def _limit(name: str, says: str) -> Check:
    message = f"{says} (the likelihood does not fall as the parameter goes to its end)"
    return Check(f"limit: {name}", True, 0.0, CURVATURE, message)


def _separation(
    problem: GeneralProblem, predictor: int, directions: Floats, columns: Sequence[str]
) -> Check:
    name, listed = problem.predictors[predictor].name, ", ".join(columns)
    why = (
        "they separate the response, and the likelihood still grows as they go to infinity"
        if separates(problem, predictor, directions)
        else "the likelihood is flat, or still grows, as they go to infinity"
    )
    message = (
        f"no finite estimates of {listed}: {why}. Their standard errors mean nothing, the others "
        "stand. Leave such columns out, join levels that have one outcome only to others, or use "
        "a prior"
    )
    where = "" if name == "conditional" else f": {name}"
    return Check(f"separation{where}", False, 0.0, CURVATURE, message)


def _unbounded(name: str, columns: Sequence[str]) -> Check:
    message = (
        f"the data do not bound {', '.join(columns)} of the {name.replace('_', ' ')}: no finite "
        "estimate, and a standard error that means nothing; simplify that part of the model"
    )
    return Check(f"unbounded: {name}", False, 0.0, CURVATURE, message)


def constant_checks(
    problem: GeneralProblem, deviations: Sequence[float], groups: Sequence[str]
) -> Iterator[Check]:
    """Whether an outcome is the same in all rows of each level of a group.

    ``deviations``, the largest of each term, with the ``groups``.
    """
    y, trials = problem.response.y, problem.response.trials
    if trials is None and not problem.family.has_thresholds:
        return
    shares = y if trials is None else y / trials
    for term, deviation, group in zip(problem.terms, deviations, groups, strict=True):
        grouping = problem.groupings[term.grouping]
        if problem.predictor[term.grouping] or deviation < WIDE:
            continue
        first = np.zeros(grouping.n_levels)
        first[grouping.codes[::-1]] = shares[::-1]
        extreme = trials is None or bool(np.isin(first, (0.0, 1.0)).all())
        if extreme and np.array_equal(first[grouping.codes], shares):
            message = (
                f"the outcome is the same in all rows of each level of {group!r}: its standard "
                "deviation has no finite estimate, nor have coefficients between its levels. Leave "
                "the term out and model one row a level"
            )
            yield Check(f"separation: {group}", False, deviation, WIDE, message)


def dispersion_checks(
    problem: GeneralProblem, beta: Floats, b: Floats, n_parameters: int
) -> Iterator[Check]:
    """Whether counts or successes vary more than their family says, by Pearson's statistic.

    Conditional on the modes ``b`` (q,), which take up some of the variation.
    """
    family, response = problem.family, problem.response
    trials = response.trials
    plain = family.name in OTHERS and len(family.predictors()) == 1
    left = problem.n_rows - n_parameters
    if not plain or left < 1 or (trials is not None and float(trials.mean()) < 2.0):
        return
    eta = linear_predictors(problem, beta, b)
    with np.errstate(all="ignore"):
        square = (response.observed - family.mean(eta)) ** 2 / family.variance(response, eta)
    ratio = float(np.nansum(square if problem.weights is None else problem.weights * square)) / left
    # about 2 a row is the statistic's own variance
    if ratio > max(OVERDISPERSED, 1.0 + CHANCE * np.sqrt(2.0 / left)):
        message = (
            f"overdispersion: Pearson's chi-square is {ratio:.2f} times its degrees of freedom, so "
            f"that standard errors are too small; use family {OTHERS[family.name]!r}, or a random "
            "effect of each row"
        )
        yield Check("overdispersion", True, ratio, OVERDISPERSED, message)
