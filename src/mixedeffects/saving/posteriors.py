"""A posterior as what a file must hold to have it again: its model, priors and draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects import __version__
from mixedeffects.bayes import priors as known_priors
from mixedeffects.bayes.draws import Draws, Settings
from mixedeffects.bayes.prior_model import PriorModel, build_priors
from mixedeffects.bayes.priors import AbstractPrior
from mixedeffects.bayes.sampled import Sampled
from mixedeffects.saving.archive import write_archive
from mixedeffects.saving.columns import Arrays
from mixedeffects.saving.designs import pack_design, unpack_design
from mixedeffects.saving.families import pack_family, unpack_family
from mixedeffects.saving.fits import POSTERIOR

__all__ = ["unpack_posterior", "write_posterior"]

# The version of the format with which posteriors came.
VERSION = 3

_NUMBERS = ("way", "pareto_k", "efficiency", "max_depth", "interrupted")


def write_posterior(sampled: Sampled, path: str | Path) -> None:
    """Write draws, with the columns that the model's formulas use.

    Raises
    ------
    OSError
        If the file cannot be written; one that was there stays as it was.
    ModelError
        If a file cannot hold the family.
    """
    arrays = Arrays()
    settings = sampled.settings
    manifest: dict[str, Any] = {
        "package": __version__,
        "kind": POSTERIOR,
        "family": pack_family(sampled.family),
        "prior_only": sampled.prior_only,
        "settings": {field.name: getattr(settings, field.name) for field in fields(settings)},
        "priors": _pack_priors(sampled.priors),
    }
    manifest |= pack_design(sampled.design, arrays)
    manifest["draws"] = _pack_draws(sampled.draws, arrays)
    write_archive(path, VERSION, manifest, arrays)


def unpack_posterior(manifest: Mapping[str, Any], arrays: Arrays) -> Sampled:
    """The posterior that ``write_posterior`` described."""
    family = unpack_family(manifest["family"])
    design = unpack_design(manifest, arrays, family.response_kind)
    sampled = Sampled(
        design=design,
        family=family,
        response=family.response(design.y, design.trials, design.response, design.rows),
        priors=build_priors(design, family, _unpack_priors(manifest["priors"])),
        settings=Settings(**manifest["settings"]),
        draws=_unpack_draws(manifest["draws"], arrays),
        prior_only=bool(manifest["prior_only"]),
    )
    _check_shapes(sampled)
    return sampled


# -- priors --------------------------------------------------------------------------------


def _pack_priors(priors: PriorModel) -> list[dict[str, Any]]:
    """Those that were given; defaults come again from the data."""
    return [
        {
            "parameter": own.parameter.name,
            "kind": type(own.prior).__name__,
            "options": {f.name: getattr(own.prior, f.name) for f in fields(own.prior)},
        }
        for own in priors.assigned
        if own.source == "given"
    ]


def _unpack_priors(packed: list[Mapping[str, Any]]) -> dict[str, AbstractPrior]:
    found = {}
    for about in packed:
        if about["kind"] not in known_priors.__all__:
            raise ValueError(f"{about['kind']!r} is no prior")
        found[about["parameter"]] = getattr(known_priors, about["kind"])(**about["options"])
    return found


# -- draws ---------------------------------------------------------------------------------


def _pack_draws(draws: Draws, arrays: Arrays) -> dict[str, Any]:
    named = {"beta": draws.beta, "extras": draws.extras, "log_prior": draws.log_prior}
    if draws.sigma is not None:
        named["sigma"] = draws.sigma
    named |= {f"covariance.{i}": values for i, values in enumerate(draws.covariances)}
    named |= {f"modes.{i}": values for i, values in enumerate(draws.modes)}
    named |= {f"stats.{name}": np.asarray(values) for name, values in draws.stats.items()}
    for name, values in named.items():
        arrays[f"draws/{name}.npy"] = values
    numbers = {name: getattr(draws, name) for name in _NUMBERS}
    # JSON has no NaN
    numbers["pareto_k"] = numbers["pareto_k"] if np.isfinite(draws.pareto_k) else None
    return {"terms": len(draws.modes), "stats": list(draws.stats), **numbers}


def _unpack_draws(about: Mapping[str, Any], arrays: Arrays) -> Draws:
    def array(name: str) -> NDArray[Any]:
        found: NDArray[Any] = arrays[f"draws/{name}.npy"]
        return found

    numbers = {name: about[name] for name in _NUMBERS}
    numbers["pareto_k"] = float("nan") if about["pareto_k"] is None else about["pareto_k"]
    return Draws(
        beta=array("beta"),
        covariances=tuple(array(f"covariance.{i}") for i in range(about["terms"])),
        modes=tuple(array(f"modes.{i}") for i in range(about["terms"])),
        sigma=array("sigma") if "draws/sigma.npy" in arrays else None,
        extras=array("extras"),
        log_prior=array("log_prior"),
        stats={name: array(f"stats.{name}") for name in about["stats"]},
        **numbers,
    )


def _check_shapes(sampled: Sampled) -> None:
    """Refuse draws that are not those of the formula's parameters."""
    draws, shape = sampled.draws, sampled.shape
    wanted: list[tuple[NDArray[Any], tuple[int, ...]]] = [
        (draws.beta, (*shape, len(sampled.priors.coefficients.names)))
    ]
    wanted.append((draws.extras, (*shape, len(sampled.extra_names))))
    for term in sampled.terms:
        k = len(term.design.names)
        wanted.append((term.covariances, (sampled.size, k, k)))
        wanted.append((term.modes, (sampled.size, len(term.design.levels), k)))
    if draws.sigma is not None:
        wanted.append((draws.sigma, shape))
    for array, expected in wanted:
        if array.shape != expected or array.dtype != np.float64:
            raise ValueError(f"draws of shape {array.shape} stand where {expected} is needed")
