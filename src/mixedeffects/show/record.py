"""The estimates of a fit as plain values for JSON; keys in docs/command-line.md."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from mixedeffects.effects.random import correlations
from mixedeffects.fitting.estimates import RandomTermEstimate
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.inference.freedom import AbstractFreedom
from mixedeffects.inference.wald import coefficient_table
from mixedeffects.show.general_summary import one_sided

__all__ = ["as_record"]


def as_record(
    fit: Fit | GeneralFit, freedom: AbstractFreedom, level: float = 0.95
) -> dict[str, Any]:
    """Everything estimated, as dicts, lists, numbers and text; None where there is no number."""
    design, estimates = fit.design, fit.estimates
    coefficients = coefficient_table(estimates, freedom, level)
    table = {key: _plain(column) for key, column in coefficients.items()}
    rows = zip(*table.values(), strict=True)
    scalars = ("reml", "nobs", "loglik", "objective", "aic", "bic", "df_resid", "sigma")
    record = {
        "formula": design.formula,
        "family": fit.family.name,
        "link": fit.family.link,
        "others": {name: one_sided(own) for name, own in design.others.items()},
        "quadrature": None if isinstance(fit, Fit) else fit.quadrature,
        **{name: getattr(estimates, name) for name in scalars},
        "n_rows": design.n_rows,
        "dropped": dict(design.dropped),
        "categories": design.categories,
        "groups": {term.group: len(term.levels) for term in estimates.terms},
        "df": freedom.name,
        "level": level,
        "fixed": [dict(zip(table, row, strict=True)) for row in rows],
        "vcov": estimates.vcov,
        "aliased": estimates.aliased,
        "components": [
            {"name": c.name, "terms": c.x_names, "vcov": c.vcov, "aliased": c.aliased}
            for c in estimates.components
        ],
        "random": [_random(term) for term in estimates.terms],
        "theta": [
            {"name": name, "value": value}
            for name, value in zip(estimates.theta_names, estimates.theta, strict=True)
        ],
        "is_singular": estimates.is_singular,
        "converged": estimates.converged,
        "checks": [asdict(check) for check in estimates.checks],
        "evaluations": estimates.optimum.evaluations,
        "way": estimates.way,
        "notes": design.notes,
    }
    plain: dict[str, Any] = _plain(record)
    return plain


def _random(term: RandomTermEstimate) -> dict[str, Any]:
    return {
        "component": term.component,
        "term": term.label,
        "group": term.group,
        "structure": term.structure,
        "n_levels": len(term.levels),
        "columns": term.names,
        "sd": np.sqrt(np.diagonal(term.covariance)),
        "covariance": term.covariance,
        "correlation": correlations(term.covariance) if term.correlated else None,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
