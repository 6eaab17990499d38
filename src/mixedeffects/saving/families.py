"""A family as its name and options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mixedeffects.errors import ModelError
from mixedeffects.families import FAMILIES, AbstractFamily, ZeroInflated
from mixedeffects.families.no_residual import NoResidual

__all__ = ["pack_family", "unpack_family"]


def pack_family(family: AbstractFamily) -> dict[str, Any]:
    """For the manifest.

    Raises
    ------
    ModelError
        For a family that is not of this package, which no file could make again.
    """
    base = family.base if isinstance(family, ZeroInflated) else family
    if type(base) not in (FAMILIES.get(base.name), NoResidual):
        raise ModelError(
            f"Family {type(base).__name__} is not one of me.families, so that a file cannot hold "
            "its fit: pickle the fit."
        )
    return {
        "name": base.name,
        "options": asdict(base),
        "zero_inflated": isinstance(family, ZeroInflated),
    }


def unpack_family(about: Mapping[str, Any]) -> AbstractFamily:
    """The family that ``pack_family`` described."""
    kind = NoResidual if "sd" in about["options"] else FAMILIES[about["name"]]
    base = kind(**about["options"])
    return ZeroInflated(base) if about["zero_inflated"] else base
