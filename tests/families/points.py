"""Responses and predictors on which every family is tried, ordinary and extreme."""

from __future__ import annotations

from itertools import product

import numpy as np

from mixedeffects.families import FAMILIES

NAMES = tuple(FAMILIES)
COUNTS = {"poisson", "nbinom1", "nbinom2", "genpois", "compois"}
TRUNCATED = {"truncated_poisson", "truncated_nbinom1", "truncated_nbinom2"}
POSITIVE = {"gamma", "inverse_gaussian", "lognormal"}
# η at which each link gives ordinary means, and those at its ends.
ORDINARY = {
    "identity": {
        "gaussian": (-2.0, 0.3),
        "student_t": (-2.0, 0.3),
        "binomial": (0.1, 0.7),
        "betabinomial": (0.1, 0.7),
    },
    "inverse": (0.45, 1.5),
    "sqrt": (0.5, 2.5),
    "1/mu^2": (0.2, 1.5),
    "log": {"binomial": (-2.0, -0.2), "betabinomial": (-2.0, -0.2)},
}
EXTREME = {
    "log": (-12.0, 8.0),
    "logit": (-30.0, 30.0),
    "probit": (-8.0, 8.0),
    "cloglog": (-30.0, 3.0),
    "loglog": (-3.0, 30.0),
    "cauchit": (-1e4, 1e4),
}
DISPERSIONS = (-1.0, 0.4, 2.0)
FAR_DISPERSIONS = (-6.0, 9.0)
# Below 0 "genpois" cannot give these counts; far out the others cost too much or are steps.
NARROWER = {
    "genpois": ((0.2, 0.4, 2.0), (6.0,)),
    "compois": (DISPERSIONS, (-2.5, 3.0)),
    "tweedie": (DISPERSIONS, (-4.0, 5.0)),
    "lognormal": (DISPERSIONS, (-4.0, 9.0)),
}


def values(name):
    """(y, trials) that a family takes."""
    if name in COUNTS:
        return np.array([0.0, 1.0, 2.0, 7.0, 30.0]), None
    if name in TRUNCATED:
        return np.array([1.0, 2.0, 7.0, 30.0]), None
    if name in POSITIVE:
        return np.array([0.03, 0.8, 1.0, 12.0]), None
    if name in {"binomial", "betabinomial"}:
        return np.array([0.0, 1.0, 0.0, 4.0, 9.0]), np.array([1.0, 1.0, 9.0, 9.0, 9.0])
    if name == "beta":
        return np.array([0.001, 0.3, 0.5, 0.97]), None
    if name == "ordbeta":
        return np.array([0.0, 0.02, 0.4, 0.9, 1.0]), None
    if name == "tweedie":
        return np.array([0.0, 0.01, 0.7, 3.0, 25.0]), None
    if name == "cumulative":
        return np.array([0.0, 1.0, 2.0, 3.0]), None
    return np.array([-3.0, 0.0, 0.4, 5.0]), None


def etas(family, far):
    found = ORDINARY.get(family.link, (-1.3, 0.2, 1.1))
    if isinstance(found, dict):
        found = found.get(family.name, (0.6, 3.0) if family.link == "identity" else (-1.0, 1.2))
    if far and family.name == "compois" and family.link == "log":
        return (-4.0, *found, 5.0)
    if far and family.name not in {"binomial", "betabinomial"} | COUNTS | POSITIVE:
        return (*found, *EXTREME.get(family.link, ())[:1])
    if far and not (family.link == "log" and family.name in {"binomial", "betabinomial"}):
        return (*found, *EXTREME.get(family.link, ()))
    return found


def grid(family, far=False):
    """Every value with every η and dispersion: a Response and its predictors, extras included."""
    y, trials = values(family.name)
    near, further = NARROWER.get(family.name, (DISPERSIONS, FAR_DISPERSIONS))
    dispersions = (*near, *(further if far else ()))
    axes = [range(len(y)), etas(family, far)]
    if family.has_dispersion:
        axes.append(dispersions)
    rows = np.array(list(product(*axes)))
    which = rows[:, 0].astype(int)
    response = family.response(y[which], None if trials is None else trials[which])
    psi = family.extras(response).start + 0.1
    extra = tuple(np.full(len(rows), p) for p in psi)
    return response, (*rows[:, 1:].T, *extra)


def inflated_grid(family, far=False):
    """The grid of the family under a zero inflation, with zeros at all its predictors."""
    response, own = grid(family.base, far)
    n = len(response.y)
    y = np.append(response.y, np.zeros(n))
    trials = None if response.trials is None else np.append(response.trials, response.trials)
    own = tuple(np.append(p, p) for p in own)
    ends = (-25.0, 25.0) if far else (-3.0, 2.0)
    zeta = np.random.default_rng(2).uniform(*ends, 2 * n)
    return family.response(y, trials), (*own[: family.place], zeta, *own[family.place :])
