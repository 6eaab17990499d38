"""Tables of the parameters: coefficients, covariances, random effects."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.quantities import coefficients, deviations, residual_sd
from mixedeffects.bayes.sampled import Sampled
from mixedeffects.bayes.summaries import diagnosed, summary
from mixedeffects.effects.random import stacked
from mixedeffects.inference.wald import check_level

Floats = NDArray[np.float64]
Columns = dict[str, Any]


def coefficient_columns(sampled: Sampled, level: float) -> Columns:
    """``term estimate std_error median conf_low conf_high r_hat ess_bulk ess_tail``.

    ``component`` comes first where there are several predictors.
    """
    check_level(level)
    parts = coefficients(sampled)
    names = [name for part in parts for name in part.x_names]
    columns = {"term": names, **diagnosed(np.concatenate([p.draws for p in parts], axis=2), level)}
    if len(parts) == 1:
        return columns
    return {"component": [p.component for p in parts for _ in p.x_names], **columns}


def covariance_columns(sampled: Sampled, level: float, most: int | None = None) -> Columns:
    """``group term1 term2 sd_or_corr variance_or_cov``, then what is known of ``sd_or_corr``.

    These are ``std_error median conf_low conf_high r_hat ess_bulk ess_tail``. ``most``: rows of
    each term, where not all are wanted.
    """
    check_level(level)
    chains, size = sampled.shape
    terms, sigma = deviations(sampled, most), residual_sd(sampled)
    draws = [term.draws.reshape(chains, size, -1) for term in terms]
    squares = [term.covariances.mean(axis=0) for term in terms]
    labels: list[tuple[str, str, str | None, str | None]] = [
        (term.component, term.design.group, a, b)
        for term in terms
        for a, b in zip(term.term1, term.term2, strict=True)
    ]
    if sigma is not None:
        draws.append(sigma[..., None])
        squares.append(np.array([np.mean(sigma**2)]))
        labels.append(("conditional", "Residual", None, None))
    found = diagnosed(np.concatenate(draws, axis=2), level)
    names = ("component", "group", "term1", "term2")
    columns = dict(zip(names, map(list, zip(*labels, strict=True)), strict=True)) | {
        "sd_or_corr": found.pop("estimate"),
        "variance_or_cov": np.concatenate(squares),
        **found,
    }
    if all(term.component == "conditional" for term in terms):
        del columns["component"]
    return columns


def modes_columns(sampled: Sampled, level: float) -> Columns:
    """``group level term estimate std_error median conf_low conf_high`` of the random effects.

    ``component`` comes first where others than the conditional have terms.
    """
    check_level(level)
    parts: list[Columns] = []
    for term in sampled.terms:
        n_levels, k = len(term.design.levels), len(term.design.names)
        labels: Columns = {
            "component": np.full(n_levels * k, term.component, dtype=object),
            "group": np.full(n_levels * k, term.design.group, dtype=object),
            "level": np.repeat(term.design.levels, k),
            "term": np.tile(np.array(term.design.names, dtype=object), n_levels),
        }
        parts.append(labels | summary(term.modes.reshape(sampled.size, -1), level))
    columns = {
        name: stacked([part[name] for part in parts], as_text=name == "level") for name in parts[0]
    }
    if all(term.component == "conditional" for term in sampled.terms):
        del columns["component"]
    return columns
