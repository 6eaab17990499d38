"""The smaller models that a test of random effects compares with: one term less at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance.base import lower_root
from mixedeffects.families.no_residual import NoResidual
from mixedeffects.fitting.fit import Fit, fit_design
from mixedeffects.fitting.general_estimates import designs_of
from mixedeffects.fitting.general_fit import GeneralFit, fit_general
from mixedeffects.fitting.no_residual import check_own_effects
from mixedeffects.formula.design import Design
from mixedeffects.formula.effects import RandomDesign
from mixedeffects.formula.matrix import MatrixSpec
from mixedeffects.inference.nesting import shown

Floats = NDArray[np.float64]

# Structures whose columns can leave one term at a time.
BY_COLUMN = ("us", "known", "diag")
# A column of ones within the span of others, up to rounding.
CONSTANT = 1e-8


@dataclass(frozen=True, slots=True)
class Reduction:
    """A random term with fewer columns, or without any.

    ``number`` of the term; ``term``, what leaves; ``left``, what stays of it, or None;
    ``random``, the random part; ``kept`` columns of the term; ``variance``, the columns that
    leave where they share one variance and nothing else leaves with them.
    """

    number: int
    term: str
    left: str | None
    random: tuple[RandomDesign, ...]
    kept: tuple[int, ...]
    variance: slice | None


def reductions(design: Design) -> list[Reduction]:
    """Every term in turn loses its highest slopes one by one; an intercept alone leaves whole."""
    found = []
    for number, (random, spec) in enumerate(zip(design.random, design.spec.random, strict=True)):
        if random.structure in BY_COLUMN and isinstance(spec.effects, MatrixSpec):
            found += _by_term(design, number, spec.effects)
        else:
            found.append(_without(design, number))
    return found


def reduced_fit(fit: Fit, reduction: Reduction) -> Fit | None:
    """The smaller model's fit; None where no random effect is left."""
    if not reduction.random:
        return None
    design = replace(fit.design, random=reduction.random)
    start = None if fit.estimates.is_singular else _start(fit, reduction)
    return fit_design(design, fit.estimates.reml, start)


def general_reductions(fit: GeneralFit) -> list[tuple[str, Reduction]]:
    """The same of every linear predictor that has random terms, with its name."""
    return [
        (name, reduction)
        for name, own in designs_of(fit.design, fit.family)
        if own is not None
        for reduction in reductions(own)
    ]


def reduced_general_fit(fit: GeneralFit, component: str, reduction: Reduction) -> GeneralFit:
    """The smaller model's fit, by the same integral, maybe without any random effects."""
    design = fit.design
    if component == "conditional":
        design = replace(design, random=reduction.random)
    else:
        own = replace(design.others[component], random=reduction.random)
        design = replace(design, others={**design.others, component: own})
    if isinstance(fit.family, NoResidual):
        check_own_effects(design)
    return fit_general(design, fit.family, quadrature=fit.problem.quadrature, reml=fit.problem.reml)


def _without(design: Design, number: int) -> Reduction:
    random = design.random[number]
    k = len(random.names)
    single = k == 1 or random.structure == "id"
    others = design.random[:number] + design.random[number + 1 :]
    return Reduction(number, shown(random), None, others, (), slice(0, k) if single else None)


def _by_term(design: Design, number: int, spec: MatrixSpec) -> list[Reduction]:
    random = design.random[number]
    intercept = "1" in spec.terms
    if random.structure == "diag":
        leaving = list(range(len(spec.terms)))
    else:
        leaving = [t for t in _highest(spec.terms) if spec.terms[t] != "1"]
    if len(spec.terms) == 1 and (intercept or not _constant_within(random.values)):
        return [_without(design, number)]
    if not leaving:
        return [_without(design, number)]
    return [_dropped(design, number, spec, term) for term in leaving]


def _highest(terms: tuple[str, ...]) -> list[int]:
    """Terms that are not part of an interaction among the others."""
    parts = [frozenset(term.split(":")) for term in terms]
    return [t for t, own in enumerate(parts) if not any(own < other for other in parts)]


def _dropped(design: Design, number: int, spec: MatrixSpec, leaving: int) -> Reduction:
    random = design.random[number]
    kept = tuple(i for i, t in enumerate(spec.term_of) if t != leaving)
    gone = [i for i, t in enumerate(spec.term_of) if t == leaving]
    values, names = random.values[:, kept], tuple(random.names[i] for i in kept)
    texts = [text for t, text in enumerate(spec.terms) if t != leaving]
    if _loses_constant(design, number, values):
        # (0 + f | g) holds (1 | g): that is what is left without f
        values = np.column_stack([np.ones(len(values)), values])
        names, texts = ("Intercept", *names), ["1", *texts]
    if not names:
        return _without(design, number)
    left = replace(
        random,
        values=np.ascontiguousarray(values),
        names=names,
        label=_label(random, texts),
    )
    others = design.random[:number], design.random[number + 1 :]
    name = "Intercept" if spec.terms[leaving] == "1" else spec.terms[leaving]
    single = random.structure == "diag" and len(gone) == 1
    return Reduction(
        number,
        f"{name} in {shown(random)}",
        shown(left),
        (*others[0], left, *others[1]),
        kept if len(kept) == len(names) else (),
        slice(gone[0], gone[0] + 1) if single else None,
    )


def _loses_constant(design: Design, number: int, values: Floats) -> bool:
    """Whether a free term without an intercept spans a constant that would leave with the term."""
    random = design.random[number]
    if random.structure == "diag" or not _constant_within(random.values):
        return False
    if values.shape[1] and _constant_within(values):
        return False
    return not any(
        "Intercept" in other.names and other.group == random.group
        for i, other in enumerate(design.random)
        if i != number
    )


def _constant_within(values: Floats) -> bool:
    scaled = values / np.maximum(np.abs(values).max(axis=0), 1e-300)
    ones = np.ones(len(scaled))
    fitted = scaled @ np.linalg.lstsq(scaled.T @ scaled, scaled.T @ ones, rcond=None)[0]
    return bool(np.abs(fitted - 1.0).max() < CONSTANT)


def _label(random: RandomDesign, texts: list[str]) -> str:
    """The text of a term with other columns."""
    bar = " || " if " || " in random.label else " | "
    before, after = random.label.split(bar, 1)
    opening = before[: before.index("(") + 1] if after.count(")") > after.count("(") else ""
    inside = " + ".join(texts if "1" in texts else ["0", *texts])
    return f"{opening}{inside}{bar}{after}"


def _start(fit: Fit, reduction: Reduction) -> Floats | None:
    """θ of the terms that stay, at the larger model's estimates."""
    parts = []
    for number, (term, own) in enumerate(zip(fit.estimates.terms, fit.problem.terms, strict=True)):
        if number != reduction.number:
            parts.append(term.theta)
        elif reduction.left is not None:
            if not reduction.kept:
                return None
            kept = type(own.covariance).from_positions(len(reduction.kept), None)
            parts.append(kept.parameters(_square_root(term.factor[list(reduction.kept)])))
    return np.concatenate(parts)


def _square_root(rows: Floats) -> Floats:
    """A square root (k, k) of the covariance that rows (k, K) of a factor give."""
    upper: Floats = np.linalg.qr(rows.T).R
    return lower_root(upper.T)
