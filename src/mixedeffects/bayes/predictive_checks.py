"""Statistics of the response beside those of responses that the model gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.predictive import Groups, simulated
from mixedeffects.bayes.sampled import Sampled
from mixedeffects.bayes.summaries import summary
from mixedeffects.errors import ModelError, suggestion
from mixedeffects.inference.wald import check_level

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], float]

STATISTICS: Mapping[str, Statistic] = MappingProxyType(
    {
        "mean": lambda y: float(y.mean()),
        "sd": lambda y: float(y.std(ddof=1)),
        "min": lambda y: float(y.min()),
        "median": lambda y: float(np.median(y)),
        "max": lambda y: float(y.max()),
        "zeros": lambda y: float(np.mean(y == 0)),
    }
)


def predictive_check(
    sampled: Sampled,
    statistic: Any,
    n: int,
    random: Groups,
    rng: np.random.Generator,
    level: float,
) -> dict[str, Any]:
    """Columns ``statistic observed estimate std_error conf_low conf_high p_value``."""
    check_level(level)
    chosen = _chosen(sampled, statistic)
    responses = simulated(sampled, n, random, rng)
    observed = np.array([_value(name, t, sampled.design.y) for name, t in chosen.items()])
    drawn = np.array([[_value(name, t, y) for name, t in chosen.items()] for y in responses])
    told = summary(drawn, level)
    above = np.mean(drawn > observed, axis=0) + 0.5 * np.mean(drawn == observed, axis=0)
    shown = ("estimate", "std_error", "conf_low", "conf_high")
    return {
        "statistic": list(chosen),
        "observed": observed,
        **{name: told[name] for name in shown},
        "p_value": above,
    }


def _chosen(sampled: Sampled, statistic: Any) -> dict[str, Statistic]:
    """The statistics asked for, by name; of the response's kind where none are."""
    if statistic is None:
        names = ["mean", "sd", "min", "max"]
        counts = sampled.family.discrete and sampled.family.response_kind == "numeric"
        statistic = [*names, "zeros"] if counts or sampled.family.zero_mass else names
    if isinstance(statistic, Mapping):
        return {str(name): _function(given) for name, given in statistic.items()}
    several = [statistic] if isinstance(statistic, str) or callable(statistic) else statistic
    if not isinstance(several, Sequence) or not len(several):
        raise ModelError(
            f"statistic={statistic!r}: give a name ({', '.join(STATISTICS)}), a function of a "
            "response (nobs,), or several of them."
        )
    return {_name(one): _function(one) for one in several}


def _name(statistic: Any) -> str:
    return statistic if isinstance(statistic, str) else getattr(statistic, "__name__", "statistic")


def _function(statistic: Any) -> Statistic:
    if isinstance(statistic, str):
        if statistic not in STATISTICS:
            raise ModelError(
                f"statistic={statistic!r} is not known.{suggestion(statistic, STATISTICS)} The "
                f"known ones: {', '.join(STATISTICS)}; or give a function of a response (nobs,)."
            )
        return STATISTICS[statistic]
    if not callable(statistic):
        raise ModelError(f"statistic={statistic!r} is neither a name nor a function.")
    found: Statistic = statistic
    return found


def _value(name: str, statistic: Statistic, y: Floats) -> float:
    value = np.asarray(statistic(y))
    if value.shape != () or not np.issubdtype(value.dtype, np.number):
        raise ModelError(f"The statistic {name!r} must be one number; it is {value!r}.")
    return float(value)
