"""The draws as ArviZ's InferenceData, each dimension by its name."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.libraries import arviz
from mixedeffects.bayes.log_likelihood import log_likelihoods
from mixedeffects.bayes.quantities import Deviations, coefficients, deviations, residual_sd
from mixedeffects.bayes.sampled import Sampled, TermDraws
from mixedeffects.data.columns import level_text
from mixedeffects.errors import ModelError

Floats = NDArray[np.float64]
Coordinates = dict[str, Any]
Dimensions = dict[str, list[str]]

# Log-likelihoods of all rows at all draws: no more numbers than take 2 GB.
MOST_VALUES = 250_000_000


def inference_data(sampled: Sampled, rows: NDArray[Any], log_likelihood: bool = False) -> Any:
    """``posterior``, or ``prior``; ``sample_stats``; ``observed_data``; on request log-likelihoods.

    Raises
    ------
    ModelError
        If all log-likelihoods would not fit into memory.
    """
    values, coords, dims = variables(sampled)
    coords["obs_id"] = rows
    groups: dict[str, Any] = {"prior" if sampled.prior_only else "posterior": values}
    if sampled.draws.stats:
        groups["sample_stats"] = dict(sampled.draws.stats)
    name = sampled.design.response
    groups["observed_data"] = {name: sampled.response.observed}
    dims[name] = ["obs_id"]
    if log_likelihood:
        groups["log_likelihood"] = {name: _log_likelihood(sampled)}
    attributes = {"formula": sampled.design.formula, "family": sampled.family.describe()}
    return arviz().from_dict(**groups, coords=coords, dims=dims, attrs=attributes)


def _log_likelihood(sampled: Sampled) -> Floats:
    n = len(sampled.response.y)
    if n * sampled.size > MOST_VALUES:
        raise ModelError(
            f"The log-likelihoods of {n:,} rows at {sampled.size:,} draws are "
            f"{8e-9 * n * sampled.size:.1f} GB at once: loo() and waic() take them in pieces."
        )
    whole = np.concatenate(list(log_likelihoods(sampled)), axis=1)
    return whole.reshape(*sampled.shape, n)


def variables(sampled: Sampled) -> tuple[dict[str, Floats], Coordinates, Dimensions]:
    """Draws (C, S, ...) by name, coordinates by dimension, dimensions by name.

    ``beta`` over ``term``; ``sd_<group>`` and ``cor_<group>``; ``b_<group>`` over its levels
    and terms; ``sigma``. Predictors but the conditional one add their name.
    """
    values: dict[str, Floats] = {}
    coords: Coordinates = {}
    dims: Dimensions = {}
    for part in coefficients(sampled):
        own = part.component == "conditional"
        name, dim = (
            ("beta", "term") if own else (f"beta_{part.component}", f"term_{part.component}")
        )
        if not part.x_names:
            continue
        values[name], coords[dim], dims[name] = part.draws, list(part.x_names), [dim]
    groups: dict[str, list[tuple[TermDraws, Deviations]]] = {}
    for term, found in zip(sampled.terms, deviations(sampled), strict=True):
        own = term.component == "conditional"
        label = term.design.group if own else f"{term.component}_{term.design.group}"
        groups.setdefault(label, []).append((term, found))
    for label, terms in groups.items():
        _add_group(sampled, label, terms, values, coords, dims)
    sigma = residual_sd(sampled)
    if sigma is not None:
        values["sigma"] = sigma
    return values, coords, dims


def _add_group(
    sampled: Sampled,
    label: str,
    terms: list[tuple[TermDraws, Deviations]],
    values: dict[str, Floats],
    coords: Coordinates,
    dims: Dimensions,
) -> None:
    """The terms of one grouping factor, one after the other."""
    shape = sampled.shape
    sizes = [len(term.design.names) for term, _ in terms]
    names = _distinct([(n, term.design.structure) for term, _ in terms for n in term.design.names])
    coords[f"term_{label}"] = names
    sds = [d.draws[:, :k] for (_, d), k in zip(terms, sizes, strict=True)]
    values[f"sd_{label}"] = _chains(np.concatenate(sds, axis=1), shape)
    dims[f"sd_{label}"] = [f"term_{label}"]
    pairs = [
        (f"{a}, {b}", term.design.structure)
        for (term, d), k in zip(terms, sizes, strict=True)
        for a, b in zip(d.term1[k:], d.term2[k:], strict=True)
    ]
    if pairs:
        correlations = [d.draws[:, k:] for (_, d), k in zip(terms, sizes, strict=True)]
        coords[f"pair_{label}"] = _distinct(pairs)
        values[f"cor_{label}"] = _chains(np.concatenate(correlations, axis=1), shape)
        dims[f"cor_{label}"] = [f"pair_{label}"]
    coords[f"level_{label}"] = level_text(terms[0][0].design.levels)
    modes = [term.modes for term, _ in terms]
    together = modes[0] if len(modes) == 1 else np.concatenate(modes, axis=2)
    values[f"b_{label}"] = _chains(together, shape)
    dims[f"b_{label}"] = [f"level_{label}", f"term_{label}"]


def _chains(values: Floats, shape: tuple[int, int]) -> Floats:
    return values.reshape(*shape, *values.shape[1:])


def _distinct(named: list[tuple[str, str]]) -> list[str]:
    """Names, with the structure where two terms have the same."""
    counts = Counter(name for name, _ in named)
    return [name if counts[name] == 1 else f"{name} ({kind})" for name, kind in named]
