"""Families of responses, one a file, registered here by name."""

from __future__ import annotations

from mixedeffects.errors import ModelError, suggestion
from mixedeffects.families.base import AbstractFamily, Derivatives, Extras
from mixedeffects.families.binomial import Binomial
from mixedeffects.families.gamma import Gamma
from mixedeffects.families.gaussian import Gaussian
from mixedeffects.families.nbinom2 import NegativeBinomial2
from mixedeffects.families.poisson import Poisson
from mixedeffects.families.response import Response

__all__ = [
    "FAMILIES",
    "AbstractFamily",
    "Binomial",
    "Derivatives",
    "Extras",
    "Gamma",
    "Gaussian",
    "NegativeBinomial2",
    "Poisson",
    "Response",
    "build",
]

FAMILIES: dict[str, type[AbstractFamily]] = {
    kind.name: kind
    for kind in (
        Gaussian,
        Binomial,
        Poisson,
        NegativeBinomial2,
        Gamma,
    )
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
        raise ModelError(f"Unknown family {family!r}.{hint} The known ones: {', '.join(FAMILIES)}.")
    return FAMILIES[family]()
