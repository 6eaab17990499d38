"""Which prior is meant for which parameter: by its name, or by that of a class it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mixedeffects.bayes.priors import LKJ, AbstractPrior, Flat
from mixedeffects.errors import ModelError, suggestion

Range = Literal["real", "positive", "interval", "correlation"]
Source = Literal["default", "given"]

_OF_RANGE = {
    "real": "any real number: Normal, StudentT, Laplace or Flat",
    "positive": "positive: HalfNormal, HalfStudentT, Exponential, Gamma or Flat",
    "interval": "a number within limits: Flat, or any prior, which is cut off there",
    "correlation": "correlations: LKJ or Flat",
}


@dataclass(frozen=True, slots=True)
class PriorParameter:
    """A parameter that has a prior.

    Attributes
    ----------
    name : str
        Its address, as the table of priors shows it.
    aliases : tuple of str
        Other addresses of this parameter alone.
    classes : tuple of str
        Addresses of classes that it belongs to, the narrowest first.
    values : {"real", "positive", "interval", "correlation"}
        Its range.
    default : AbstractPrior
    """

    name: str
    aliases: tuple[str, ...]
    classes: tuple[str, ...]
    values: Range
    default: AbstractPrior


@dataclass(frozen=True, slots=True)
class Assigned:
    """A parameter with its prior and where that came from."""

    parameter: PriorParameter
    prior: AbstractPrior
    source: Source

    @property
    def is_proper(self) -> bool:
        """Whether it is a distribution; a flat one is within limits."""
        return self.prior.proper or self.parameter.values == "interval"


def assign(
    parameters: Sequence[PriorParameter], priors: Mapping[str, AbstractPrior] | None
) -> tuple[Assigned, ...]:
    """The prior of each parameter: that given for it, for its narrowest class, or the default.

    Raises
    ------
    ModelError
        For an address that is not in the model, is that of two parameters, or has something
        else than a prior of the parameter's range.
    """
    given = _checked(priors)
    names = _names(parameters)
    _check_known(parameters, names, given)
    found = []
    for parameter in parameters:
        own = [*dict.fromkeys((parameter.name, *parameter.aliases)), *parameter.classes]
        keys = [_squeezed(address) for address in own]
        # a class of the name of another parameter is not this class
        keys = [k for k in keys if k in given and names.get(k, [parameter]) == [parameter]]
        if keys:
            prior = _of_range(parameter, *given[keys[0]])
            found.append(Assigned(parameter, prior, "given"))
        else:
            found.append(Assigned(parameter, parameter.default, "default"))
    return tuple(found)


def _checked(priors: Any) -> dict[str, tuple[str, AbstractPrior]]:
    """The priors given, by their addresses without spaces, with the addresses as written."""
    if priors is None:
        return {}
    if not isinstance(priors, Mapping):
        raise ModelError(
            "priors= takes a dict from parameters to priors, such as "
            f"{{'b': me.priors.Normal(0, 10)}}, not {type(priors).__name__}."
        )
    given: dict[str, tuple[str, AbstractPrior]] = {}
    for address, prior in priors.items():
        if not isinstance(address, str):
            raise ModelError(f"priors= has the key {address!r}: parameters are named by strings.")
        if not isinstance(prior, AbstractPrior):
            raise ModelError(
                f"The prior of {address!r} is {_shown(prior)}: give an object of me.priors, such "
                "as me.priors.Normal(0, 10)."
            )
        if (key := _squeezed(address)) in given:
            raise ModelError(f"{given[key][0]!r} and {address!r} are one parameter: keep one.")
        given[key] = address, prior
    return given


def _shown(value: Any) -> str:
    if isinstance(value, type) and issubclass(value, AbstractPrior):
        return f"the class {value.__name__}, without its parameters"
    return repr(value)


def _names(parameters: Sequence[PriorParameter]) -> dict[str, list[PriorParameter]]:
    """Parameters by each of their own addresses."""
    names: dict[str, list[PriorParameter]] = {}
    for parameter in parameters:
        for address in dict.fromkeys((parameter.name, *parameter.aliases)):
            names.setdefault(_squeezed(address), []).append(parameter)
    return names


def _check_known(
    parameters: Sequence[PriorParameter],
    names: Mapping[str, list[PriorParameter]],
    given: Mapping[str, tuple[str, AbstractPrior]],
) -> None:
    classes = dict.fromkeys(c for parameter in parameters for c in parameter.classes)
    known = {*names, *map(_squeezed, classes)}
    for key, (address, _) in given.items():
        if len(names.get(key, ())) > 1:
            both = " and ".join(repr(parameter.name) for parameter in names[key])
            raise ModelError(f"{address!r} could be {both}: name the one that you mean.")
        if key not in known:
            listed = [parameter.name for parameter in parameters]
            raise ModelError(
                f"The model has no parameter {address!r} to give a prior."
                f"{suggestion(address, [*listed, *classes])} It has: "
                f"{', '.join(map(repr, listed))}; and the classes "
                f"{', '.join(map(repr, classes))}."
            )


def _of_range(parameter: PriorParameter, address: str, prior: AbstractPrior) -> AbstractPrior:
    """The prior, if its values are those of the parameter."""
    if isinstance(prior, Flat):
        return LKJ(1) if parameter.values == "correlation" else prior
    limited = parameter.values == "interval" and prior.support != "correlation"
    if not limited and parameter.values != prior.support:
        raise ModelError(
            f"{prior} is no prior of {parameter.name!r}"
            f"{'' if address == parameter.name else f' (given as {address!r})'}, whose values are "
            f"{_OF_RANGE[parameter.values]}."
        )
    return prior


def _squeezed(address: str) -> str:
    return "".join(address.split())
