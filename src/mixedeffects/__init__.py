"""Mixed effects models, from a formula and a data frame to a conclusion.

>>> import mixedeffects as me
>>> fit = me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))
>>> fit.fixef()["estimate"].round(3).tolist()
[251.405, 10.467]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixedeffects import covariance, errors, families
    from mixedeffects import marginaleffects as marginaleffects
    from mixedeffects import sklearn as sklearn
    from mixedeffects.bayes import priors
    from mixedeffects.data import datasets
    from mixedeffects.model import MixedFit, compare, fit, load, power
    from mixedeffects.model.posterior import Posterior
    from mixedeffects.model.reporting import report
    from mixedeffects.model.sampling import sample

__version__ = "0.1.0"

__all__ = [
    "MixedFit",
    "Posterior",
    "__version__",
    "compare",
    "covariance",
    "datasets",
    "errors",
    "families",
    "fit",
    "load",
    "power",
    "priors",
    "report",
    "sample",
]

_HOMES = {
    "MixedFit": ("mixedeffects.model", "MixedFit"),
    "Posterior": ("mixedeffects.model.posterior", "Posterior"),
    "sample": ("mixedeffects.model.sampling", "sample"),
    "fit": ("mixedeffects.model", "fit"),
    "load": ("mixedeffects.model", "load"),
    "compare": ("mixedeffects.model", "compare"),
    "power": ("mixedeffects.model", "power"),
    "report": ("mixedeffects.model.reporting", "report"),
    "covariance": ("mixedeffects.covariance", None),
    "datasets": ("mixedeffects.data.datasets", None),
    "errors": ("mixedeffects.errors", None),
    "sklearn": ("mixedeffects.sklearn", None),
    "marginaleffects": ("mixedeffects.marginaleffects", None),
    "families": ("mixedeffects.families", None),
    "priors": ("mixedeffects.bayes.priors", None),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that the package itself loads at once."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = import_module(module)
    value = getattr(value, attribute) if attribute else value
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
