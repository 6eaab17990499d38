"""The linear predictors of rows at each draw, and what is a function of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.sampled import Sampled
from mixedeffects.effects.general_rows import GeneralRows

Floats = NDArray[np.float64]
Chosen = NDArray[np.intp] | slice
Predictors = tuple[Floats, ...]

EVERY = slice(None)
"""All draws."""


@dataclass(frozen=True, slots=True)
class Effects:
    """The random effects that draws of predictors have, one entry a term.

    ``known`` (N, L, k) of the levels that the model has seen, None for none; ``new``
    (N, M, k) of unseen ones, None for effects of zero.
    """

    known: tuple[Floats, ...] | None
    new: tuple[Floats, ...] | None = None


def own_effects(sampled: Sampled, chosen: Chosen) -> Effects:
    """Those that were drawn."""
    return Effects(tuple(term.modes[chosen] for term in sampled.terms))


def fresh_effects(sampled: Sampled, chosen: Chosen, rng: np.random.Generator) -> Effects:
    """New groups in place of all that the model has seen, drawn by each draw's covariances."""
    return Effects(
        tuple(
            drawn_effects(
                term.covariances[chosen], len(term.design.levels), rng, term.design.matrix
            )
            for term in sampled.terms
        )
    )


def unseen_effects(
    sampled: Sampled, rows: GeneralRows, chosen: Chosen, rng: np.random.Generator
) -> tuple[Floats, ...]:
    """Effects (N, M, k) of each term's levels that the model has not seen."""
    return tuple(
        drawn_effects(term.covariances[chosen], int(codes.max(initial=-1)) + 1, rng)
        for term, codes in zip(sampled.terms, rows.new_codes, strict=True)
    )


def drawn_effects(
    covariances: Floats, n_levels: int, rng: np.random.Generator, relationship: Floats | None = None
) -> Floats:
    """b (N, L, k) from N(0, Σ) at covariances (N, k, k), or N(0, Σ ⊗ K) of related levels."""
    values, vectors = np.linalg.eigh(covariances)
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    size = (len(covariances), n_levels, covariances.shape[1])
    b: Floats = np.matmul(rng.standard_normal(size), np.swapaxes(roots, 1, 2))
    if relationship is not None:
        b = np.einsum("lm,nmk->nlk", np.linalg.cholesky(relationship), b)
    return b


def predictors(sampled: Sampled, rows: GeneralRows, chosen: Chosen, effects: Effects) -> Predictors:
    """η (N, n) of each linear predictor at the chosen draws, then the extras (N,) each."""
    beta = sampled.flat_coefficients[chosen]
    eta = []
    for part, offset in zip(sampled.parts, rows.offsets, strict=True):
        linear = beta[:, part.place] @ rows.X[:, part.place].T
        eta.append(linear if offset is None else linear + offset)
    for codes, all_effects in ((rows.codes, effects.known), (rows.new_codes, effects.new)):
        for number, b in enumerate(all_effects or ()):
            _add(eta[sampled.terms[number].predictor], rows.values[number], codes[number], b)
    return (*eta, *sampled.unconstrained_extras[chosen].T)


def _add(eta: Floats, values: Floats, codes: NDArray[np.int32], b: Floats) -> None:
    """Add zb to η (N, n) of the rows whose code is of a level."""
    known = np.flatnonzero(codes >= 0)
    for k in range(values.shape[1] if len(known) else 0):
        column = np.take(b[:, :, k], codes[known], axis=1)
        column *= values[known, k]
        if len(known) == len(codes):
            eta += column
        else:
            eta[:, known] += column


def per_draw(function: Callable[[Predictors], Floats], eta: Predictors) -> Floats:
    """A function of predictors (n,) and single extras, at each draw: (N, n, ...)."""
    return np.stack([function(tuple(e[i] for e in eta)) for i in range(len(eta[0]))])
