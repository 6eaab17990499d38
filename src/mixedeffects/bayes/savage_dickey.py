"""How much the data have moved the density of an equation between coefficients.

Dickey (1971), Annals of Mathematical Statistics 42, 204-223: the Bayes factor for it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.diagnostics import ess_mean
from mixedeffects.bayes.priors import Normal
from mixedeffects.bayes.sampled import Sampled
from mixedeffects.errors import ModelError
from mixedeffects.fitting.estimates import prefix_of

Floats = NDArray[np.float64]

# A density is not estimated where fewer than this share of the draws lie beyond.
LEAST_TAIL = 0.001


def density_ratio(
    sampled: Sampled, text: str, row: Mapping[str, float], value: float, values: Floats
) -> tuple[float, float]:
    """Density of an equation under the posterior over that under the prior, and its error.

    Parameters
    ----------
    sampled
    text
        The equation, for messages.
    row, value
        row'parameters = value, by the parameters' full names.
    values
        Draws (C, S) of row'parameters − value.

    Raises
    ------
    ModelError
        If the prior gives that no density, or the draws are too far away to tell one.
    """
    prior = _prior_density(sampled, text, row, value)
    if sampled.prior_only:
        raise ModelError(
            f"{text!r}: these draws are of the prior, which no data have moved: the Bayes factor "
            "is 1. Sample without prior_only."
        )
    beyond = min(float(np.mean(values > 0.0)), float(np.mean(values < 0.0)))
    if beyond < LEAST_TAIL:
        raise ModelError(
            f"{text!r}: so few draws lie on one side of it that their density there cannot be "
            "told, only that it is small. Use an inequality, or compare() models with and without "
            "the parameter."
        )
    density, error = density_at_zero(values)
    return density / prior, error / prior


def density_at_zero(draws: Floats) -> tuple[float, float]:
    """Density at zero of draws (C, S), and its Monte Carlo error.

    A sum of normal kernels about the draws, which are drawn together by what the kernels add to
    the variance (West 1993, JRSS B 55, 409-422): without bias where the draws are normal, in
    whose tails plain kernels are too high.
    """
    from scipy.stats import norm

    width = float(ess_mean(draws)) ** -0.2
    shrunk = 1.0 / np.sqrt(1.0 + width**2)
    mean, sd = float(draws.mean()), shrunk * width * float(draws.std())
    heights = norm.pdf(mean + shrunk * (draws - mean), scale=sd)
    error = float(heights.std() / np.sqrt(ess_mean(heights)))
    return float(heights.mean()), error


def _prior_density(sampled: Sampled, text: str, row: Mapping[str, float], value: float) -> float:
    """Density of the equation under the prior."""
    coefficients = sampled.priors.coefficients
    weights_of = np.zeros(len(coefficients.names))
    for name, weight in row.items():
        if weight != 0.0:
            weights_of[_place(sampled, name, text)] = weight
    functions = np.linalg.solve(coefficients.functions.T, weights_of)
    involved = [i for i in range(len(functions)) if abs(functions[i]) > 1e-12]
    priors = [coefficients.independent.priors[i] for i in involved]
    for i, prior in zip(involved, priors, strict=True):
        if not prior.proper:
            raise ModelError(
                f"{text!r}: an equation has a posterior probability only where the prior gives it "
                f"a density, and that of {coefficients.names[i]!r} is {prior}. Give it a prior "
                "such as me.priors.Normal(0, scale), or use an inequality."
            )
    weights = functions[involved]
    normal = [prior for prior in priors if isinstance(prior, Normal)]
    if len(normal) == len(priors):
        mean = sum(w * p.mean for w, p in zip(weights, normal, strict=True))
        sd = float(np.sqrt(sum((w * p.sd) ** 2 for w, p in zip(weights, normal, strict=True))))
        return float(np.exp(Normal(float(mean), sd).log_density(value)))
    if len(priors) == 1:
        at = value / weights[0]
        return float(np.exp(priors[0].log_density(at)) / abs(weights[0]))
    raise ModelError(
        f"{text!r}: the prior density of a combination of coefficients is known for normal "
        "priors only. Give those, or test one coefficient."
    )


def _place(sampled: Sampled, name: str, text: str) -> int:
    """Of a coefficient among those of all predictors."""
    own = [
        f"{prefix_of(part.name)}{x_name}"
        for part in sampled.parts
        if part.design is not None
        for x_name in part.x_names
    ]
    if name in own:
        return own.index(name)
    raise ModelError(
        f"{text!r}: {name!r} is no coefficient. A standard deviation or correlation equals "
        "a number with probability zero, and at the end of its range a density tells nothing: "
        "use an inequality, or compare() models with and without it."
    )
