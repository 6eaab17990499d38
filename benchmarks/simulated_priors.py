"""Models for simulation-based calibration: parameters from their priors, data from parameters.

Everything is drawn here with NumPy alone, so that densities and draws of the library are judged by
something else than themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

import mixedeffects as me

Floats = NDArray[np.float64]
Random = np.random.Generator
NORMAL, HALF, SCALE = (0.0, 1.0), (4.0, 1.0), (6.0, 3.0)


@dataclass(frozen=True, slots=True)
class Simulated:
    """One data set and the truth, by the names that a posterior gives its parameters."""

    data: Mapping[str, NDArray[Any]]
    truth: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Model:
    """A model under explicit priors; ``simulate`` gives None for data that do not identify it."""

    name: str
    formula: str
    family: str
    priors: Mapping[str, Any]
    simulate: Callable[[Random], Simulated | None]


def half_student(random: Random) -> float:
    df, scale = HALF
    return abs(scale * random.standard_t(df))


def grouped(random: Random, groups: int, rows: int) -> tuple[NDArray[np.int64], Floats]:
    """Group of each row and a covariate, the same in all simulations of a size."""
    codes = np.repeat(np.arange(groups), rows)
    x = np.random.default_rng(groups * 1000 + rows).normal(size=len(codes))
    return codes, x


def named(codes: NDArray[np.int64]) -> NDArray[np.str_]:
    return np.char.add("g", np.char.zfill(codes.astype(str), 2))


def intercepts(random: Random, codes: NDArray[np.int64]) -> tuple[float, Floats]:
    sd = half_student(random)
    return sd, sd * random.normal(size=codes.max() + 1)


def predictor(random: Random, groups: int, rows: int) -> tuple[Floats, dict[str, Any], dict]:
    """η = β₀ + β₁x + b, its data and its truth."""
    codes, x = grouped(random, groups, rows)
    beta = random.normal(*NORMAL, size=2)
    sd, b = intercepts(random, codes)
    truth = {"Intercept": beta[0], "x": beta[1], "sd(Intercept | g)": sd, "b": b[0]}
    return beta[0] + beta[1] * x + b[codes], {"x": x, "g": named(codes)}, truth


def gaussian(random: Random) -> Simulated:
    eta, data, truth = predictor(random, 10, 6)
    sigma = random.gamma(SCALE[0], 1 / SCALE[1])
    return Simulated(
        {**data, "y": eta + sigma * random.normal(size=len(eta))}, {**truth, "sigma": sigma}
    )


def slopes(random: Random) -> Simulated:
    codes, x = grouped(random, 12, 6)
    beta = random.normal(*NORMAL, size=2)
    sds = np.array([half_student(random), half_student(random)])
    rho = 2 * random.beta(2, 2) - 1  # LKJ(2) of two
    root = sds[:, None] * np.array([[1, 0], [rho, np.sqrt(1 - rho**2)]])
    b = random.normal(size=(codes.max() + 1, 2)) @ root.T
    sigma = random.gamma(SCALE[0], 1 / SCALE[1])
    mean = beta[0] + b[codes, 0] + (beta[1] + b[codes, 1]) * x
    return Simulated(
        {"x": x, "g": named(codes), "y": mean + sigma * random.normal(size=len(x))},
        {
            "Intercept": beta[0],
            "x": beta[1],
            "sd(Intercept | g)": sds[0],
            "sd(x | g)": sds[1],
            "cor(Intercept, x | g)": rho,
            "sigma": sigma,
            "b": b[0, 0],
        },
    )


def crossed(random: Random) -> Simulated:
    g, h = (m.ravel() for m in np.meshgrid(np.arange(8), np.arange(7), indexing="ij"))
    beta = random.normal(*NORMAL)
    (sd_g, b_g), (sd_h, b_h) = intercepts(random, g), intercepts(random, h)
    sigma = random.gamma(SCALE[0], 1 / SCALE[1])
    y = beta + b_g[g] + b_h[h] + sigma * random.normal(size=len(g))
    return Simulated(
        {"g": named(g), "h": named(h), "y": y},
        {
            "Intercept": beta,
            "sd(Intercept | g)": sd_g,
            "sd(Intercept | h)": sd_h,
            "sigma": sigma,
            "b": b_g[0],
        },
    )


def binomial(random: Random) -> Simulated:
    eta, data, truth = predictor(random, 12, 5)
    k = random.binomial(4, special.expit(eta))
    return Simulated({**data, "k": k, "rest": 4 - k}, truth)


def poisson(random: Random) -> Simulated | None:
    eta, data, truth = predictor(random, 12, 5)
    y = random.poisson(np.exp(np.minimum(eta, 30.0)))
    return Simulated({**data, "y": y}, truth) if y.max() < 1e6 else None


def nbinom2(random: Random) -> Simulated | None:
    eta, data, truth = predictor(random, 12, 8)
    size = random.gamma(SCALE[0], 1 / SCALE[1])
    y = random.poisson(np.exp(np.minimum(eta, 30.0)) * random.gamma(size, 1 / size, len(eta)))
    return Simulated({**data, "y": y}, {**truth, "sigma": size}) if y.max() < 1e6 else None


def ordinal(random: Random) -> Simulated | None:
    """Thresholds are an ordered sample of a normal distribution: the product of its densities."""
    codes, x = grouped(random, 12, 8)
    slope = random.normal(*NORMAL)
    cuts = np.sort(random.normal(0.0, 2.0, size=3))
    sd, b = intercepts(random, codes)
    latent = slope * x + b[codes] + random.logistic(size=len(x))
    y = np.searchsorted(cuts, latent)
    if len(np.unique(y)) < 4:
        return None
    truth = {"x": slope, "sd(Intercept | g)": sd, "b": b[0]}
    truth |= {f"threshold: {k}|{k + 1}": cut for k, cut in enumerate(cuts)}
    return Simulated({"x": x, "g": named(codes), "y": y}, truth)


def models() -> tuple[Model, ...]:
    priors = me.priors
    normal = priors.Normal(*NORMAL)
    base = {"Intercept": normal, "sd": priors.HalfStudentT(*HALF)}
    full = {**base, "x": normal}
    scale = {"sigma": priors.Gamma(*SCALE)}
    cuts = {"x": normal, "sd": base["sd"], "threshold": priors.Normal(0.0, 2.0)}
    one = "x + (1 | g)"
    return (
        Model("random intercept", f"y ~ {one}", "gaussian", {**full, **scale}, gaussian),
        Model(
            "correlated slopes",
            "y ~ x + (x | g)",
            "gaussian",
            {**full, **scale, "cor": priors.LKJ(2.0)},
            slopes,
        ),
        Model("crossed", "y ~ 1 + (1 | g) + (1 | h)", "gaussian", {**base, **scale}, crossed),
        Model("binomial", f"cbind(k, rest) ~ {one}", "binomial", full, binomial),
        Model("Poisson", f"y ~ {one}", "poisson", full, poisson),
        Model("nbinom2", f"y ~ {one}", "nbinom2", {**full, **scale}, nbinom2),
        Model("ordinal", f"y ~ {one}", "cumulative", cuts, ordinal),
    )


def log_likelihood(model: Model, simulated: Simulated, values: Mapping[str, Floats]) -> Floats:
    """A test quantity (S,) of data and parameters together: the log-likelihood without u.

    ``values`` (S,) of each parameter but the random effects, of which none enter: rows of x and y
    at their population prediction. Ranks of quantities of the data find errors that those of
    parameters miss (Modrák et al. 2023, Bayesian Analysis 20, 461-488).
    """
    data = simulated.data
    x = data.get("x", np.zeros(len(data["g"])))
    eta = values.get("Intercept", 0.0) + np.multiply.outer(x, values.get("x", np.zeros(1)))
    match model.family:
        case "gaussian":
            rows = stats.norm.logpdf(data["y"][:, None], eta, values["sigma"])
        case "binomial":
            k, rest = data["k"][:, None], data["rest"][:, None]
            rows = k * special.log_expit(eta) + rest * special.log_expit(-eta)
        case "poisson":
            rows = data["y"][:, None] * eta - np.exp(eta)
        case "nbinom2":
            size = values["sigma"]
            y = data["y"][:, None]
            rows = stats.nbinom.logpmf(y, size, size / (size + np.exp(eta)))
        case "cumulative":
            cuts = np.array([values[f"threshold: {k}|{k + 1}"] for k in range(3)])
            edges = np.vstack([np.full(eta.shape[1], -np.inf), cuts, np.full(eta.shape[1], np.inf)])
            upper = special.expit(edges[data["y"] + 1] - eta)
            rows = np.log(np.maximum(upper - special.expit(edges[data["y"]] - eta), 1e-300))
    return rows.sum(0)
