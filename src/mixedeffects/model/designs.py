"""From the arguments that fit() and sample() share to a design and a family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mixedeffects.errors import DataError, ModelError
from mixedeffects.families import AbstractFamily, ZeroInflated
from mixedeffects.families import build as build_family
from mixedeffects.formula.design import Design, build_design
from mixedeffects.formula.grammar import parse_formula


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments as they were given; ``others``, the formulas of further predictors."""

    formula: str
    weights: Any
    offset: Any
    missing: Literal["drop", "error"]
    others: Mapping[str, str]


def design_of(asked: Asked, data: Any, kind: AbstractFamily, caller: Any) -> Design:
    """The design; ``caller``, the frame in which matrices of ``known(...)`` are looked for."""
    known = known_matrices((asked.formula, *asked.others.values()), data, caller)
    if known and isinstance(data, Mapping):
        data = {name: values for name, values in data.items() if name not in known}
    return build_design(
        asked.formula,
        data,
        weights=asked.weights,
        offset=asked.offset,
        missing=asked.missing,
        known=known,
        kind=kind.response_kind,
        others=asked.others,
    )


def leaves_no_residual(kind: AbstractFamily, others: Mapping[str, str]) -> bool:
    """Whether ``dispersion="~ 0"`` asks for a Gaussian model without a residual."""
    text = others.get("dispersion")
    empty = isinstance(text, str) and text.replace(" ", "") in ("~0", "~-1")
    return empty and len(others) == 1 and kind == build_family("gaussian")


def whole_family(kind: AbstractFamily, others: Mapping[str, str]) -> AbstractFamily:
    """The family with the extra zeros that a formula asks for."""
    return ZeroInflated(kind) if "zero_inflation" in others else kind


def refuse_dispersion(family: AbstractFamily, others: Mapping[str, str]) -> None:
    """Refuse a formula of what the family does not have."""
    if "dispersion" in others and not family.has_dispersion:
        raise ModelError(
            f"Family {family.name!r} has no dispersion that a formula could describe: leave out "
            "dispersion=, or choose a family that has one, such as 'nbinom2' or 'betabinomial'."
        )


def refuse_weights(family: AbstractFamily, weights: Any) -> None:
    """Refuse weights of Gaussian models that are not linear ones."""
    if family.name == "gaussian" and weights is not None:
        raise ModelError(
            "weights= means a residual variance of sigma^2/weight in linear models and a repeated "
            "row in others, and this Gaussian model could be taken for either: write the first as "
            "dispersion='~ 1 + offset(-log(w))', for the second repeat the rows."
        )


def known_matrices(formulas: Sequence[str], data: Any, caller: Any) -> dict[str, Any] | None:
    """Relationship matrices that the formula names: entries of a dict, else the caller's."""
    main, *others = formulas
    parsed = [parse_formula(main)]
    parsed += [parse_formula(f"y ~ {str(text).strip().removeprefix('~')}") for text in others]
    names = {t.argument for p in parsed for t in p.random if t.argument is not None}
    found = {}
    for name in names:
        if isinstance(data, Mapping) and name in data:
            found[name] = data[name]
        elif name in caller.f_locals:
            found[name] = caller.f_locals[name]
        elif name in caller.f_globals:
            found[name] = caller.f_globals[name]
        else:
            raise DataError(
                f"The matrix {name!r} of known(..., {name}) was not found: define a variable "
                f"{name} where it is called, or put it into the dict of data."
            )
    return found or None
