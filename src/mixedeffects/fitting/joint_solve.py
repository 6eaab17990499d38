"""From a problem with ``quadrature=0`` to its estimates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.fitting.boundary import SINGULAR, least_deviation, varying, zero_variances
from mixedeffects.fitting.differences import differenced_hessian
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.general_solve import (
    UNBOUNDED,
    GeneralSolution,
    OnStep,
    bounded_basis,
    inverse,
)
from mixedeffects.fitting.general_start import start_of_fixed
from mixedeffects.fitting.joint_mode import JointObjective
from mixedeffects.fitting.optimize import Evaluation
from mixedeffects.fitting.separation import drifting
from mixedeffects.fitting.solve import SMALL, search

Floats = NDArray[np.float64]


def solve_joint(
    problem: GeneralProblem, start: Floats | None = None, *, on_step: OnStep | None = None
) -> GeneralSolution:
    """Fit: θ by F, β and u by the penalized likelihood.

    The covariance of θ̂ is twice the inverse of F's Hessian, and that of β̂ is at known θ.
    ``start`` is standardized: θ alone, or ψ = (θ, β).
    """
    m = problem.n_parameters
    if start is None:
        start = np.concatenate([t.covariance.start() for t in problem.terms])
    beta = start[m:] if len(start) > m else start_of_fixed(problem)
    objective = JointObjective(problem, beta)
    optimum = search(objective, start[:m], on_step)
    theta = optimum.theta
    near = least_deviation(problem, theta) < SMALL
    plain = objective.refine(theta)
    psi = objective.full(theta)
    u, b = objective.modes(psi)
    zeros = zero_variances(objective, theta) if near else ()
    along, here = objective.turned(theta) if near else (theta, plain)
    hessian = np.zeros((len(psi), len(psi)))
    hessian[:m, :m], lacking = differenced_hessian(objective, along, here)
    hessian[m:, m:] = information = objective.information
    used = np.concatenate([varying(problem.terms, along, here.gradient), np.ones(len(beta), bool)])
    away = drifting(problem, information, information, here.value)
    basis = bounded_basis(used, away)
    inner = basis.T @ hessian @ basis
    covariance = basis @ (2.0 * inverse(inner)) @ basis.T
    covariance[m:, m:] += UNBOUNDED**2 * (away @ away.T)
    gradient = np.concatenate([here.gradient, np.zeros(len(beta))])
    return GeneralSolution(
        optimum=replace(optimum, theta=psi, value=plain.value, gradient=gradient, hessian=hessian),
        beta=psi[m:],
        u=u,
        b=b,
        covariance=covariance,
        turned=near,
        drifting=away,
        zeros=zeros,
        singular=near and least_deviation(problem, theta) < SINGULAR,
        principal=Evaluation(here.value, basis.T @ gradient, inner, inner),
        lacking=lacking,
    )
