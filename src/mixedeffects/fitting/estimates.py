"""The frozen record of a fit, in the user's units and names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance.base import AbstractCovariance, lower_root
from mixedeffects.fitting.boundary import ZeroVariance
from mixedeffects.fitting.checks import Check, certify
from mixedeffects.fitting.optimize import Optimum
from mixedeffects.fitting.problem import Problem, Term, original_coefficients
from mixedeffects.fitting.solve import Solution

Floats = NDArray[np.float64]


def prefix_of(component: str) -> str:
    """What names begin with that are not of the conditional predictor."""
    return "" if component == "conditional" else f"{component}: "


@dataclass(frozen=True, slots=True)
class TermNames:
    """What a random term is called: its text, group, structure, columns (k,), levels (L,).

    ``component``, the linear predictor that it belongs to.
    """

    label: str
    group: str
    structure: str
    columns: tuple[str, ...]
    levels: NDArray[np.generic]
    component: str = "conditional"


@dataclass(frozen=True, slots=True)
class RandomTermEstimate:
    """A random term's covariance and conditional modes.

    ``theta`` (m,) and ``theta_names``; ``factor`` (k, k), the relative covariance factor T;
    ``covariance`` (k, k) = σ²TT' (TT' where there is no residual); ``modes`` (L, k), the
    conditional modes b; ``component``, the linear predictor that it belongs to; ``kind``, its
    structure as a function of θ.
    """

    label: str
    group: str
    structure: str
    names: tuple[str, ...]
    levels: NDArray[np.generic]
    theta: Floats
    theta_names: tuple[str, ...]
    factor: Floats
    covariance: Floats
    modes: Floats
    correlated: bool
    component: str
    kind: AbstractCovariance


@dataclass(frozen=True, slots=True)
class ComponentEstimate:
    """The coefficients of one linear predictor, or the parameters that all rows share.

    ``beta`` (p,) with ``x_names``; ``vcov`` (p, p); ``kept`` (p,) the columns of its X, which
    are those of a better conditioned basis times ``map`` (p, p); ``root`` (p, p), a root of the
    coefficients' covariance there.
    """

    name: str
    beta: Floats
    x_names: tuple[str, ...]
    vcov: Floats
    kept: NDArray[np.intp]
    aliased: tuple[str, ...]
    map: Floats
    root: Floats


@dataclass(frozen=True, slots=True)
class Estimates:
    """Everything that a fit estimates.

    ``beta`` (p,) with ``x_names``, ``vcov`` (p, p); ``aliased`` names of the columns of X
    that were dropped; ``sigma`` residual standard deviation; ``theta`` (m,) of all terms in
    order, with ``theta_names``; ``loglik`` and ``objective`` (−2 log-likelihood, or the REML
    criterion); ``n_parameters`` counts β, θ and σ; ``df_resid`` = nobs − n_parameters;
    ``unit`` of θ: σ, or 1 where there is no residual; ``components``, the linear predictors,
    of which ``beta``, ``x_names``, ``vcov``, ``kept`` and ``aliased`` are the conditional's;
    ``optimum`` in the optimizer's coordinates; ``checks``, the certificate; ``way``, how the
    factorization goes.
    """

    reml: bool
    nobs: int
    beta: Floats
    x_names: tuple[str, ...]
    vcov: Floats
    kept: NDArray[np.intp]
    aliased: tuple[str, ...]
    sigma: float
    theta: Floats
    theta_names: tuple[str, ...]
    terms: tuple[RandomTermEstimate, ...]
    loglik: float
    objective: float
    n_parameters: int
    aic: float
    bic: float
    df_resid: int
    is_singular: bool
    optimum: Optimum
    checks: tuple[Check, ...]
    way: str
    unit: float
    components: tuple[ComponentEstimate, ...]

    @property
    def converged(self) -> bool:
        """Whether every condition of the certificate holds."""
        return all(check.passed for check in self.checks)


def estimate(
    problem: Problem, solution: Solution, x_names: Sequence[str], names: Sequence[TermNames]
) -> Estimates:
    """Map a solution back to the user's columns and names."""
    basis, sigma = problem.basis, solution.sigma * problem.scale
    theta = solution.optimum.theta
    beta, modes = original_coefficients(problem, solution.beta, solution.b)
    root = sigma * cast(Floats, np.linalg.solve(solution.fixed_root, np.eye(len(beta))))
    back = np.linalg.solve(basis.map, root)
    terms = tuple(
        term_estimate(*parts, theta, sigma)
        for parts in zip(problem.terms, names, modes, strict=True)
    )
    conditional = ComponentEstimate(
        "conditional",
        beta,
        tuple(x_names[i] for i in basis.kept),
        back @ back.T,
        basis.kept,
        tuple(x_names[i] for i in basis.aliased),
        basis.map,
        root,
    )
    objective = solution.optimum.value
    n_parameters = len(beta) + problem.n_parameters + 1
    zeros = [(zero_name(problem.terms, names, zero), zero.slope) for zero in solution.zeros]
    return Estimates(
        reml=problem.reml,
        nobs=problem.n_rows,
        beta=beta,
        x_names=conditional.x_names,
        vcov=conditional.vcov,
        kept=basis.kept,
        aliased=conditional.aliased,
        sigma=sigma,
        theta=np.concatenate([t.theta for t in terms]) if terms else np.empty(0),
        theta_names=tuple(f"{t.group}.{name}" for t in terms for name in t.theta_names),
        terms=terms,
        loglik=-0.5 * objective,
        objective=objective,
        n_parameters=n_parameters,
        aic=objective + 2.0 * n_parameters,
        bic=objective + np.log(problem.n_rows) * n_parameters,
        df_resid=problem.n_rows - n_parameters,
        is_singular=solution.singular,
        optimum=solution.optimum,
        checks=certify(
            solution.principal.gradient,
            solution.principal.hessian,
            zeros,
            problem.n_rows,
            solution.exact,
        ),
        way=problem.plan.way,
        unit=sigma,
        components=(conditional,),
    )


def term_estimate(
    term: Term, name: TermNames, modes: Floats, theta: Floats, sigma: float
) -> RandomTermEstimate:
    factor = _user_factor(term, theta)
    return RandomTermEstimate(
        label=name.label,
        group=name.group,
        structure=name.structure,
        names=name.columns,
        levels=name.levels,
        theta=term.covariance.parameters(factor),
        theta_names=term.covariance.names(name.columns),
        factor=factor,
        covariance=sigma**2 * (factor @ factor.T),
        modes=modes,
        correlated=term.covariance.correlated,
        component=name.component,
        kind=term.covariance,
    )


def _user_factor(term: Term, theta: Floats) -> Floats:
    T = term.covariance.factor(theta[term.parameters])
    return _cleaned(lower_root(cast(Floats, np.linalg.solve(term.map, T))))


def _cleaned(factor: Floats) -> Floats:
    """Zero where only the rounding of a change of basis is left of a zero variance."""
    rows = np.sqrt((factor**2).sum(axis=1, keepdims=True))
    return np.where(np.abs(factor) <= 1e-12 * rows, 0.0, factor)


def zero_name(terms: Sequence[Term], names: Sequence[TermNames], zero: ZeroVariance) -> str:
    """``sd(Days | Subject)``, or the columns whose combination has no variance."""
    name, term = names[zero.term], terms[zero.term]
    # In the user's columns; each share is compared at the size of a unit-sized column.
    along = np.abs(term.map.T @ zero.direction) / np.linalg.norm(term.map, axis=0)
    most = int(along.argmax())
    own = name.component == "conditional"
    group = name.group if own else f"{name.group}, {name.component.replace('_', ' ')}"
    if along[most] > 0.999 * np.linalg.norm(along):
        return f"sd({name.columns[most]} | {group})"
    involved = [c for c, a in zip(name.columns, along, strict=True) if a > 1e-3 * along[most]]
    return f"correlation of {', '.join(involved)} | {group}"


def standardized_theta(terms: Sequence[Term], theta: Floats) -> Floats:
    """θ of the user's columns carried to the standardized basis of a problem."""
    parts = [
        term.covariance.parameters(
            lower_root(term.map @ term.covariance.factor(theta[term.parameters]))
        )
        for term in terms
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def user_theta(terms: Sequence[Term], theta: Floats) -> Floats:
    """θ of the standardized basis of a problem carried to the user's columns."""
    parts = [term.covariance.parameters(_user_factor(term, theta)) for term in terms]
    return np.concatenate(parts) if parts else np.empty(0)
