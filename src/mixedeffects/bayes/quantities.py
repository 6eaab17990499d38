"""The parameters that all tables, checks and files speak of, each with a name and its draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.sampled import Sampled, TermDraws
from mixedeffects.covariance import build
from mixedeffects.fitting.estimates import prefix_of
from mixedeffects.formula.effects import RandomDesign

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Deviations:
    """Standard deviations and correlations of a random term.

    ``component`` of the predictor; ``term1``, ``term2`` (r,) the columns, None beside a
    standard deviation; ``draws`` (N, r); ``covariances`` (N, r), variances and covariances.
    """

    component: str
    design: RandomDesign
    term1: tuple[str, ...]
    term2: tuple[str | None, ...]
    draws: Floats
    covariances: Floats

    @property
    def names(self) -> tuple[str, ...]:
        """``sd(Days | Subject)``, ``cor(Intercept, Days | Subject)``, as priors are addressed."""
        group, prefix = self.design.group, prefix_of(self.component)
        return tuple(
            f"{prefix}sd({a} | {group})" if b is None else f"{prefix}cor({a}, {b} | {group})"
            for a, b in zip(self.term1, self.term2, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Coefficients of one linear predictor, or the extra parameters: ``draws`` (C, S, p)."""

    component: str
    x_names: tuple[str, ...]
    draws: Floats


def coefficients(sampled: Sampled) -> list[Coefficients]:
    """Those of all predictors, then the extra parameters.

    A linear model's one residual variance is told as ``sigma``, elsewhere.
    """
    found = [
        Coefficients(part.name, part.x_names, sampled.coefficients[..., part.place])
        for part in sampled.parts
        if not (sampled.is_linear and part.design is None)
    ]
    if sampled.extra_names:
        extras = sampled.draws.extras
        found.append(Coefficients(sampled.family.extra_component, sampled.extra_names, extras))
    return found


def deviations(sampled: Sampled, most: int | None = None) -> list[Deviations]:
    """Of all random terms; of each the first so many, where not all are wanted."""
    return [_deviations(term, most) for term in sampled.terms]


def count_deviations(sampled: Sampled) -> int:
    """How many standard deviations and correlations there are in all."""
    sizes = [(len(t.design.names), is_correlated(t.design)) for t in sampled.terms]
    return sum(k + correlated * (k * (k - 1) // 2) for k, correlated in sizes)


def _deviations(term: TermDraws, most: int | None) -> Deviations:
    names, covariances = term.design.names[:most], term.covariances
    k = len(names)
    variances = np.diagonal(covariances, axis1=1, axis2=2)[:, :k]
    sds = np.sqrt(variances)
    all_pairs = combinations(range(k), 2) if is_correlated(term.design) else iter(())
    pairs = list(islice(all_pairs, None if most is None else most - k))
    first, second = (np.array([pair[i] for pair in pairs], dtype=np.intp) for i in (0, 1))
    off = covariances[:, second, first]
    with np.errstate(divide="ignore", invalid="ignore"):
        correlations = np.clip(off / (sds[:, first] * sds[:, second]), -1.0, 1.0)
    return Deviations(
        term.component,
        term.design,
        (*names, *(names[i] for i, _ in pairs)),
        (*(None for _ in names), *(names[j] for _, j in pairs)),
        np.concatenate([sds, correlations], axis=1),
        np.concatenate([variances, off], axis=1),
    )


def is_correlated(design: RandomDesign) -> bool:
    """Whether the structure of a term has correlations."""
    return build(design.structure, len(design.names), design.positions).correlated


def residual_sd(sampled: Sampled) -> Floats | None:
    """Draws (C, S) of the residual standard deviation, where one number is that of all rows."""
    return sampled.draws.sigma if sampled.family.has_residual else None


def named_draws(sampled: Sampled, most: int | None = None) -> Iterator[tuple[str, Floats]]:
    """Name and draws (C, S) of every parameter but the random effects.

    ``most``: standard deviations and correlations of each term, where not all are wanted.
    """
    chains, size = sampled.shape
    for part in coefficients(sampled):
        for i, name in enumerate(part.x_names):
            yield f"{prefix_of(part.component)}{name}", part.draws[..., i]
    for term in deviations(sampled, most):
        for i, name in enumerate(term.names):
            yield name, term.draws[:, i].reshape(chains, size)
    sigma = residual_sd(sampled)
    if sigma is not None:
        yield sigma_name(sampled), sigma


def sigma_name(sampled: Sampled) -> str:
    """Of σ, as priors are addressed: with its component where a coefficient has the short name."""
    return "dispersion: sigma" if "sigma" in sampled.parts[0].x_names else "sigma"
