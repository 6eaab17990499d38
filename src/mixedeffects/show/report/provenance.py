"""How to make the fit again: the call, the versions, the date."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from platform import platform, python_version
from typing import Any

import numpy as np

from mixedeffects import __version__
from mixedeffects.bayes.sampled import Sampled
from mixedeffects.families import AbstractFamily, ZeroInflated
from mixedeffects.families import build as build_family
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.formula.design import Design
from mixedeffects.show.general_summary import one_sided
from mixedeffects.show.report.elements import code, definitions

_PACKAGES = ("numpy", "scipy", "formulaic", "narwhals", "pandas", "polars", "matplotlib")


def provenance(call: str) -> tuple[str, ...]:
    """The call, and with what and when the page was made."""
    return code(call, "The call"), definitions(_versions())


def _versions() -> Iterator[tuple[str, str]]:
    yield "mixedeffects", __version__
    yield "Python", f"{python_version()} on {platform()}"
    found = [f"{name} {own}" for name in _PACKAGES if (own := _version(name))]
    yield "Packages", ", ".join(found)
    yield "Page made", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def fit_call(fit: Fit | GeneralFit) -> str:
    """The call of ``me.fit`` that gives the fit."""
    options = list(model_options(fit.design, fit.family))
    if isinstance(fit, Fit) and not fit.estimates.reml:
        options.append("reml=False")
    if isinstance(fit, GeneralFit):
        options += ["reml=True"] if fit.estimates.reml else []
        options += [f"quadrature={fit.quadrature}"] if fit.quadrature != 1 else []
    return call_text("fit", fit.design, options)


def posterior_call(sampled: Sampled) -> str:
    """The call of ``me.sample`` that gives the draws."""
    options = list(model_options(sampled.design, sampled.family))
    settings, (chains, draws) = sampled.settings, sampled.shape
    told = [f"chains={chains}", f"draws={draws}", f"tune={settings.tune}", f"seed={settings.seed}"]
    given = [a for a in sampled.priors.assigned if a.source != "default"]
    priors = ["priors={...}  # those of the table of priors that are given"] if given else []
    prior_only = ["prior_only=True"] if sampled.prior_only else []
    return call_text("sample", sampled.design, [*options, *told, *priors, *prior_only])


def call_text(function: str, design: Design, options: list[str]) -> str:
    """A call of the package with its arguments, each on a line."""
    lines = [repr(design.formula), "data", *options]
    return "".join([f"me.{function}(\n", *(f"    {line},\n" for line in lines), ")"])


def model_options(design: Design, family: AbstractFamily) -> Iterator[str]:
    """Arguments that say what the model is, as text."""
    base = family.base if isinstance(family, ZeroInflated) else family
    # no dispersion of its own: that of a formula ~ 0
    fixed = base.name == "gaussian" and not base.has_dispersion
    if not fixed and base != build_family("gaussian"):
        yield f"family={_family(base)}"
    if fixed:
        yield "dispersion='~ 0'"
    for name, own in design.others.items():
        yield f"{name}={one_sided(own)!r}"
    if isinstance(family, ZeroInflated) and "zero_inflation" not in design.others:
        yield "zero_inflation='~ 1'"
    yield from _extras(design)


def _family(family: AbstractFamily) -> str:
    plain = build_family(family.name)
    if family == plain:
        return repr(family.name)
    values = [(f.name, getattr(family, f.name)) for f in fields(family)]
    changed = [f"{n}={v!r}" for n, v in values if v != getattr(plain, n)]
    return f"me.families.{type(family).__name__}({', '.join(changed)})"


def _extras(design: Design) -> Iterator[str]:
    proportion = design.trials is not None and "cbind" not in design.formula
    weights = design.trials if proportion else design.weights
    if weights is not None and not (weights == 1).all():
        yield f"weights={_column(design, weights)}"
    if design.spec.offset is not None:
        yield f"offset={design.spec.offset!r}"
    elif design.spec.offset_array:
        yield "offset=...  # an array"


def _column(design: Design, values: Any) -> str:
    """The name of the column that holds the values."""
    for name, column in design.columns.columns.items():
        if column.kind == "numeric" and np.array_equal(column.values[design.rows], values):
            return repr(name)
    return "...  # an array"
