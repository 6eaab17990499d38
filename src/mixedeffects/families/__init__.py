"""Families of responses, one a file, registered here by name."""

from __future__ import annotations

from mixedeffects.errors import ModelError, suggestion
from mixedeffects.families.base import AbstractFamily, Derivatives, Extras
from mixedeffects.families.beta import Beta
from mixedeffects.families.betabinomial import BetaBinomial
from mixedeffects.families.binomial import Binomial
from mixedeffects.families.compois import ConwayMaxwellPoisson
from mixedeffects.families.cumulative import Cumulative
from mixedeffects.families.gamma import Gamma
from mixedeffects.families.gaussian import Gaussian
from mixedeffects.families.genpois import GeneralizedPoisson
from mixedeffects.families.inverse_gaussian import InverseGaussian
from mixedeffects.families.lognormal import Lognormal
from mixedeffects.families.nbinom1 import NegativeBinomial1
from mixedeffects.families.nbinom2 import NegativeBinomial2
from mixedeffects.families.ordbeta import OrderedBeta
from mixedeffects.families.poisson import Poisson
from mixedeffects.families.response import Response
from mixedeffects.families.student_t import StudentT
from mixedeffects.families.truncated import (
    TruncatedNegativeBinomial1,
    TruncatedNegativeBinomial2,
    TruncatedPoisson,
)
from mixedeffects.families.tweedie import Tweedie
from mixedeffects.families.zero_inflated import ZeroInflated

__all__ = [
    "FAMILIES",
    "AbstractFamily",
    "Beta",
    "BetaBinomial",
    "Binomial",
    "ConwayMaxwellPoisson",
    "Cumulative",
    "Derivatives",
    "Extras",
    "Gamma",
    "Gaussian",
    "GeneralizedPoisson",
    "InverseGaussian",
    "Lognormal",
    "NegativeBinomial1",
    "NegativeBinomial2",
    "OrderedBeta",
    "Poisson",
    "Response",
    "StudentT",
    "TruncatedNegativeBinomial1",
    "TruncatedNegativeBinomial2",
    "TruncatedPoisson",
    "Tweedie",
    "ZeroInflated",
    "build",
]

FAMILIES: dict[str, type[AbstractFamily]] = {
    kind.name: kind
    for kind in (
        Gaussian,
        Binomial,
        BetaBinomial,
        Poisson,
        NegativeBinomial1,
        NegativeBinomial2,
        GeneralizedPoisson,
        ConwayMaxwellPoisson,
        TruncatedPoisson,
        TruncatedNegativeBinomial1,
        TruncatedNegativeBinomial2,
        Gamma,
        InverseGaussian,
        Lognormal,
        Beta,
        OrderedBeta,
        Tweedie,
        StudentT,
        Cumulative,
    )
}


# What other packages call them.
ELSEWHERE = {
    "negative_binomial": "nbinom2",
    "negbinomial": "nbinom2",
    "negbin": "nbinom2",
    "nb": "nbinom2",
    "normal": "gaussian",
    "bernoulli": "binomial",
    "logistic": "binomial",
    "logit": "binomial",
    "probit": "binomial",
    "beta_binomial": "betabinomial",
    "t": "student_t",
    "student": "student_t",
    "ordinal": "cumulative",
    "inverse.gaussian": "inverse_gaussian",
}


def build(family: str | AbstractFamily) -> AbstractFamily:
    """The family of a name, with its default link; an object is itself.

    Raises
    ------
    ModelError
        For a name or an object that is no family.

    Examples
    --------
    >>> build("poisson")
    Poisson(link='log')
    """
    if isinstance(family, AbstractFamily):
        return family
    if isinstance(family, type) and issubclass(family, AbstractFamily):
        return family()
    if not isinstance(family, str) or family not in FAMILIES:
        hint = suggestion(family, FAMILIES) if isinstance(family, str) else ""
        if isinstance(family, str) and family.lower() in ELSEWHERE:
            hint = f" Did you mean {ELSEWHERE[family.lower()]!r}?"
        raise ModelError(f"Unknown family {family!r}.{hint} The known ones: {', '.join(FAMILIES)}.")
    return FAMILIES[family]()
