"""Where the fit of a generalized model begins: at the fit without random effects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixedeffects.families.base import Derivatives
from mixedeffects.fitting.general import GeneralProblem, weighted_gram
from mixedeffects.fitting.optimize import Evaluation, minimize

Floats = NDArray[np.float64]

# A start need not be an optimum.
ROUGH = 1e-2
EVALUATIONS = 30
# How often a start is brought nearer to a constant one.
SHARES = 12


def start_of_fixed(problem: GeneralProblem) -> Floats:
    """β (p,) of all predictors, about the maximum likelihood without random effects."""
    return minimize(
        lambda beta: likelihood(problem, beta),
        _inside(problem, _first_guess(problem)),
        tolerance=ROUGH,
        max_evaluations=EVALUATIONS,
    ).theta


def _inside(problem: GeneralProblem, guess: Floats) -> Floats:
    """The guess, or so much nearer to a constant one that all means are the family's."""
    if not problem.bounded or np.isfinite(likelihood(problem, guess).value):
        return guess
    constant = _first_guess(problem, constant=True)
    for _ in range(SHARES):
        guess = 0.5 * (guess + constant)
        if np.isfinite(likelihood(problem, guess).value):
            return guess
    return constant


def _first_guess(problem: GeneralProblem, constant: bool = False) -> Floats:
    family, response = problem.family, problem.response
    eta = family.initial_eta(response)
    if constant:
        eta = np.full(problem.n_rows, family.g.forward(family.start_mean(response).mean()))
    guesses = {"conditional": eta}
    if family.has_dispersion:
        guesses["dispersion"] = np.full(problem.n_rows, family.initial_dispersion(response))
    extras = family.extras(response)
    guesses |= {
        n: np.full(problem.n_rows, s) for n, s in zip(extras.names, extras.start, strict=True)
    }
    beta = np.zeros(problem.n_fixed)
    for p in problem.predictors:
        target = guesses.get(p.name, np.zeros(problem.n_rows))
        if p.offset is not None:
            target = target - p.offset
        columns = p.basis.columns
        beta[p.coefficients] = np.linalg.lstsq(columns.T @ columns, columns.T @ target)[0]
    return beta


def likelihood(problem: GeneralProblem, beta: Floats) -> Evaluation:
    """−2 log-likelihood without random effects, with the information of each predictor."""
    eta = [predictor.fixed(beta) for predictor in problem.predictors]
    everyone = tuple(range(len(eta)))
    ell: Derivatives = problem.family.derivatives(problem.response, tuple(eta), 2, everyone)
    w = np.ones(problem.n_rows) if problem.weights is None else problem.weights
    gradient = np.empty(len(beta))
    for a, one in enumerate(problem.predictors):
        gradient[one.coefficients] = -2.0 * (w * ell.first[a]) @ one.basis.columns
    information = weighted_gram(problem, {k: -2.0 * w * rows for k, rows in ell.second.items()})
    return Evaluation(-2.0 * float(w @ ell.value), gradient, information, information)
