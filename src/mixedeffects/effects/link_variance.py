"""The variance of a response about its mean, on the scale of the linear predictor.

Nakagawa, Johnson and Schielzeth (2017), J. R. Soc. Interface 14: 20170213, table 1 and
equations 5.1-5.8 for the log link; McKelvey and Zavoina (1975) for thresholds of a latent
variable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.general_rows import linear_predictors, own_general_rows
from mixedeffects.effects.general_targets import mean_follows_link
from mixedeffects.errors import ModelError
from mixedeffects.families import AbstractFamily, Response
from mixedeffects.fitting.general_fit import GeneralFit

Floats = NDArray[np.float64]
Approximation = Literal["latent", "lognormal", "delta", "trigamma"]

# Of the latent variable whose distribution function is the inverse link.
LATENT: Mapping[str, float] = MappingProxyType(
    {"logit": np.pi**2 / 3.0, "probit": 1.0, "cloglog": np.pi**2 / 6.0, "loglog": np.pi**2 / 6.0}
)


def standard_approximation(family: AbstractFamily) -> Approximation:
    """That of a family where nothing else is asked for.

    Raises
    ------
    ModelError
        If the response's variance has no counterpart on the scale of its predictor.
    """
    if family.response_kind != "numeric" and family.link in LATENT:
        return "latent"
    if family.response_kind == "ordinal":
        raise ModelError(
            f"The latent variable of link {family.link!r} has no variance, of which R² and ICC"
            " are shares: use link 'logit', 'probit', 'cloglog' or 'loglog'."
        )
    return "lognormal" if family.link == "log" else "delta"


def link_variance(fit: GeneralFit, approximation: Approximation | None = None) -> float:
    """`variance_on_link` at the estimates."""
    eta = linear_predictors(fit, own_general_rows(fit), [])
    problem = fit.problem
    return variance_on_link(fit.family, problem.response, problem.weights, eta, approximation)


def variance_on_link(
    family: AbstractFamily,
    response: Response,
    weights: Floats | None,
    eta: Sequence[Floats],
    approximation: Approximation | None = None,
) -> float:
    """Mean over the rows of the variance of y about its mean, on the scale of η.

    At λ, the mean of the responses observed; of binomial responses that of one trial. ``eta``
    (n,) of the predictors, of which the conditional one does not matter.

    Raises
    ------
    ModelError
        If there is no such variance, or the approximation is for other families.
    """
    check_mean(family)
    chosen = standard_approximation(family) if approximation is None else approximation
    _check(chosen, family)
    if chosen == "latent":
        return LATENT[family.link]
    counts = np.ones(len(response.y)) if weights is None else weights
    variance, mean = _at_the_mean(family, response, counts, eta)
    on_link = _SCALES[chosen](variance, mean, family)
    result = float(np.average(on_link, weights=counts))
    if not np.isfinite(result):
        raise ModelError(
            f"Family {family.name!r} has no finite variance at the estimates, so that R² and ICC"
            " are not defined."
        )
    return result


def check_mean(family: AbstractFamily) -> None:
    """Refuse families whose predictor is not that of their mean: zeros, limits, truncation."""
    if family.response_kind != "ordinal" and not mean_follows_link(family):
        raise ModelError(
            "R² and ICC are shares of a variance on the scale of one linear predictor; in a"
            " zero-inflated, hurdle, truncated or ordered beta model the mean and the variance"
            " depend on more than that. Compare models with me.compare(...), or report means"
            " with emmeans(..., component='response', scale='response')."
        )


def _check(approximation: Approximation, family: AbstractFamily) -> None:
    latent = family.response_kind != "numeric" and family.link in LATENT
    fits = {
        "latent": latent,
        "delta": family.response_kind != "ordinal",
        "lognormal": family.link == "log",
        "trigamma": family.link == "log",
    }
    if not fits[approximation]:
        listed = ", ".join(repr(name) for name, can in fits.items() if can)
        raise ModelError(
            f"approximation={approximation!r} is not for family {family.name!r} with link"
            f" {family.link!r}: use {listed}."
        )


def _at_the_mean(
    family: AbstractFamily, response: Response, counts: Floats, eta: Sequence[Floats]
) -> tuple[Floats, float]:
    """The family's variance (n,) at the mean of the responses, and that mean."""
    trials = np.ones_like(response.y) if response.trials is None else response.trials
    mean = float(np.average(response.observed, weights=counts * trials))
    at = np.full_like(response.y, family.g.forward(np.asarray(mean)))
    one = Response(response.y, None if response.trials is None else np.ones_like(response.y))
    return family.variance(one, (at, *eta[1:])), mean


def _delta(variance: Floats, mean: float, family: AbstractFamily) -> Floats:
    slope = family.g.slopes(family.g.forward(np.asarray([mean])))[0]
    result: Floats = variance / slope**2
    return result


def _trigamma(variance: Floats, mean: float, _: AbstractFamily) -> Floats:
    """Of the logarithm of a gamma variable with this mean and variance."""
    from scipy.special import polygamma

    result: Floats = polygamma(1, mean**2 / variance)
    return result


_SCALES: Mapping[str, Callable[[Floats, float, AbstractFamily], Floats]] = MappingProxyType(
    {
        "lognormal": lambda variance, mean, _: np.log1p(variance / mean**2),
        "delta": _delta,
        "trigamma": _trigamma,
    }
)
