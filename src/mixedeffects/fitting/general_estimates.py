"""The estimates of a generalized fit, in the user's units and names."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mixedeffects.families import AbstractFamily
from mixedeffects.fitting.checks import certify
from mixedeffects.fitting.estimates import (
    ComponentEstimate,
    Estimates,
    RandomTermEstimate,
    TermNames,
    term_estimate,
    zero_name,
)
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.general_solve import GeneralSolution
from mixedeffects.fitting.limits import constant_checks, dispersion_checks, limit_checks
from mixedeffects.fitting.problem import original_modes
from mixedeffects.formula.design import Design

Floats = NDArray[np.float64]

# Components that are linear predictors; others hold extra parameters.
PREDICTORS = ("conditional", "dispersion", "zero_inflation")


def general_estimate(
    problem: GeneralProblem, solution: GeneralSolution, design: Design, family: AbstractFamily
) -> Estimates:
    """Map a solution back to the user's columns and names."""
    theta = solution.optimum.theta[: problem.n_parameters]
    names = _names(design, family)
    modes = original_modes(problem.terms, problem.plan, solution.b)
    terms = tuple(
        term_estimate(*parts, theta, 1.0) for parts in zip(problem.terms, names, modes, strict=True)
    )
    components = _components(problem, solution, design, family)
    objective = solution.optimum.value
    n_parameters = problem.n_fixed + problem.n_parameters
    zeros = [(zero_name(problem.terms, names, zero), zero.slope) for zero in solution.zeros]
    principal = solution.principal
    return Estimates(
        reml=problem.reml,
        nobs=problem.n_rows,
        beta=components[0].beta,
        x_names=components[0].x_names,
        vcov=components[0].vcov,
        kept=components[0].kept,
        aliased=components[0].aliased,
        sigma=_sigma(components, family),
        theta=np.concatenate([np.empty(0), *(t.theta for t in terms)]),
        theta_names=tuple(f"{_place(t)}.{name}" for t in terms for name in t.theta_names),
        terms=terms,
        loglik=-0.5 * objective,
        objective=objective,
        n_parameters=n_parameters,
        aic=objective + 2.0 * n_parameters,
        bic=objective + np.log(problem.n_rows) * n_parameters,
        df_resid=problem.n_rows - n_parameters,
        is_singular=solution.singular,
        optimum=solution.optimum,
        checks=(
            *certify(
                principal.gradient,
                principal.hessian,
                zeros,
                problem.n_rows,
                True,
                solution.lacking,
            ),
            *limit_checks(problem, solution.drifting, solution.beta, coefficient_names(components)),
            *constant_checks(problem, *_deviations(terms)),
            *dispersion_checks(problem, solution.beta, solution.b, n_parameters),
        ),
        way=problem.plan.way,
        unit=1.0,
        components=components,
    )


def _place(term: RandomTermEstimate) -> str:
    """Its group, after the predictor where that is not the conditional one."""
    own = term.component == "conditional"
    return term.group if own else f"{term.component}.{term.group}"


def designs_of(design: Design, family: AbstractFamily) -> list[tuple[str, Design | None]]:
    """The design of each linear predictor; None for one that is a constant."""
    return [
        (name, design if name == "conditional" else design.others.get(name))
        for name in family.predictors()
    ]


def coefficient_covariance(problem: GeneralProblem, solution: GeneralSolution) -> Floats:
    """Covariance (P, P) of all predictors' coefficients, for the user's columns."""
    m = problem.n_parameters
    inverse = np.zeros((problem.n_fixed, problem.n_fixed))
    for predictor in problem.predictors:
        own, mapping = predictor.coefficients, predictor.basis.map
        inverse[own, own] = np.linalg.solve(mapping, np.eye(len(mapping)))
    covariance: Floats = inverse @ solution.covariance[m:, m:] @ inverse.T
    return covariance


def _names(design: Design, family: AbstractFamily) -> list[TermNames]:
    """What the random terms of all predictors are called, in their order."""
    return [
        TermNames(r.label, r.group, r.structure, r.names, r.levels, component)
        for component, own in designs_of(design, family)
        for r in (() if own is None else own.random)
    ]


def _components(
    problem: GeneralProblem, solution: GeneralSolution, design: Design, family: AbstractFamily
) -> tuple[ComponentEstimate, ...]:
    covariance, first = coefficient_covariance(problem, solution), problem.n_parameters
    found = []
    for predictor, (name, own) in zip(problem.predictors, designs_of(design, family), strict=False):
        names = ("Intercept",) if own is None else own.x_names
        place, kept = predictor.coefficients, predictor.basis.kept + predictor.dropped
        aliased = predictor.basis.aliased + predictor.dropped
        found.append(
            ComponentEstimate(
                name,
                predictor.basis.original(solution.beta[place]),
                tuple(names[i] for i in kept),
                covariance[place, place],
                kept,
                tuple(names[i] for i in aliased),
                predictor.basis.map,
                root_of(solution.covariance[first:, first:][place, place]),
            )
        )
    extras = family.extras(problem.response)
    if extras.names:
        count = len(extras.names)
        psi = np.array(
            [
                p.basis.original(solution.beta[p.coefficients])[0]
                for p in problem.predictors[-count:]
            ]
        )
        values, jacobian = extras.to_user(psi)
        kept, vcov = np.arange(count), jacobian @ covariance[-count:, -count:] @ jacobian.T
        found.append(
            ComponentEstimate(
                family.extra_component,
                values,
                extra_names(extras.names, design.categories, family),
                vcov,
                kept,
                (),
                np.eye(count),
                root_of(vcov),
            )
        )
    return tuple(found)


def coefficient_names(components: Sequence[ComponentEstimate]) -> list[tuple[str, ...]]:
    """Names of the kept columns of each predictor, then of each extra parameter."""
    predictors = [c.x_names for c in components if c.name in PREDICTORS]
    extras = [c.x_names for c in components if c.name not in PREDICTORS]
    return [*predictors, *((name,) for names in extras for name in names)]


def _deviations(terms: Sequence[RandomTermEstimate]) -> tuple[list[float], list[str]]:
    """The largest standard deviation of each term, and its group."""
    sizes = [float(np.sqrt(np.diagonal(t.covariance).max())) for t in terms]
    return sizes, [t.group for t in terms]


def root_of(covariance: Floats) -> Floats:
    """S (p, p) with SS' a covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    root: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
    return root


def extra_names(
    names: tuple[str, ...], categories: Sequence[str], family: AbstractFamily
) -> tuple[str, ...]:
    """``low|high`` for a threshold between two of the response's own categories."""
    if not family.has_thresholds or len(names) != len(categories) - 1 or "|" not in names[0]:
        return names
    return tuple(f"{a}|{b}" for a, b in pairwise(categories))


def _sigma(components: Sequence[ComponentEstimate], family: AbstractFamily) -> float:
    """The dispersion where it has an intercept only, or is fixed (at 1 if not told); else NaN."""
    for component in components:
        if component.name == "dispersion":
            alone = component.x_names == ("Intercept",)
            return float(family.sigma(component.beta[0])) if alone else float("nan")
    return family.fixed_sigma
