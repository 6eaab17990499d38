"""Responses as a fitted model would have made them, many at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra._products import add_modes
from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.inference.streams import Streams

Floats = NDArray[np.float64]
Random = Literal["marginal", "conditional"]


@dataclass(frozen=True, slots=True)
class Draws:
    """Responses less their offset: ``mean`` (n,) = Xβ̂, and what is added to it.

    ``deviations(first, last)`` gives (n, last − first) for these replicates.
    """

    mean: Floats
    deviations: Callable[[int, int], Floats]


def parametric_draws(fit: Fit, random: Random, streams: Streams) -> Draws:
    """Zb* + ε* with b* from N(0, Σ̂), or b̂ itself (``"conditional"``), and ε* from N(0, σ̂²/w)."""
    estimates, n = fit.estimates, fit.estimates.nobs
    noise = _noise_scale(fit)
    if random == "conditional":
        kept = _modes_on_rows(fit)

        def conditional(first: int, last: int) -> Floats:
            return kept[:, None] + streams.normals(first, last, n).T * noise[:, None]

        return Draws(_mean(fit), conditional)
    counts = [term.modes.shape for term in estimates.terms]
    roots = [estimates.sigma * term.factor for term in estimates.terms]
    kinship = [_relationship_root(r.matrix) for r in fit.design.random]
    ends = np.cumsum([0] + [levels * k for levels, k in counts])

    def marginal(first: int, last: int) -> Floats:
        normals = streams.normals(first, last, int(ends[-1]) + n).T
        y = np.ascontiguousarray(normals[ends[-1] :] * noise[:, None])
        for number, (levels, k) in enumerate(counts):
            u = np.ascontiguousarray(normals[ends[number] : ends[number + 1]]).reshape(k, -1)
            b = (roots[number] @ u).reshape(k, levels, -1)
            _add(fit, number, _related(kinship[number], b), y)
        return y

    return Draws(_mean(fit), marginal)


def residual_draws(fit: Fit, streams: Streams) -> Draws:
    """Zb* + e* with levels of b̂ and residuals drawn with replacement.

    Both are centred and given the covariance that the fit estimates, which shrinkage has taken
    from them (Carpenter, Goldstein and Rasbash 2003, Appl. Statist. 52, 431-443).
    """
    noise, sigma = _noise_scale(fit) / fit.estimates.sigma, fit.estimates.sigma
    mean = _mean(fit)
    left = _response(fit) - mean - _modes_on_rows(fit)
    residuals = rescaled((left / noise)[:, None], np.array([[sigma**2]]), "residuals")[:, 0]
    kinship = [_relationship_root(r.matrix) for r in fit.design.random]
    pools = []
    for term, root in zip(fit.estimates.terms, kinship, strict=True):
        u = term.modes if root is None else cast(Floats, np.linalg.solve(root, term.modes))
        pools.append(rescaled(u, term.covariance, f"levels of {term.group!r}"))
    sizes = (*(len(pool) for pool in pools), len(residuals))

    def resampled(first: int, last: int) -> Floats:
        *levels, rows = streams.choices(first, last, sizes)
        y = np.ascontiguousarray(residuals[rows.T] * noise[:, None])
        for number, (pool, chosen) in enumerate(zip(pools, levels, strict=True)):
            u = pool[chosen].transpose(2, 1, 0)
            _add(fit, number, _related(kinship[number], u), y)
        return y

    return Draws(mean, resampled)


def _mean(fit: Fit) -> Floats:
    mean: Floats = fit.design.X[:, fit.estimates.kept] @ fit.estimates.beta
    return mean


def _response(fit: Fit) -> Floats:
    design = fit.design
    return design.y if design.offset is None else design.y - design.offset


def _noise_scale(fit: Fit) -> Floats:
    """Standard deviation (n,) of ε: σ̂/√w."""
    weights = fit.design.weights
    if weights is None:
        return np.full(fit.estimates.nobs, fit.estimates.sigma)
    scale: Floats = fit.estimates.sigma / np.sqrt(weights)
    return scale


def _modes_on_rows(fit: Fit) -> Floats:
    """Zb̂ (n,)."""
    rows = np.zeros((fit.estimates.nobs, 1))
    for number, term in enumerate(fit.estimates.terms):
        _add(fit, number, term.modes.T[:, :, None], rows)
    return rows[:, 0]


def _add(fit: Fit, number: int, b: Floats, y: Floats) -> None:
    random = fit.design.random[number]
    add_modes(random.codes, np.ascontiguousarray(random.values), np.ascontiguousarray(b), y)


def _relationship_root(matrix: Floats | None) -> Floats | None:
    return None if matrix is None else cast(Floats, np.linalg.cholesky(matrix))


def _related(root: Floats | None, u: Floats) -> Floats:
    """u (k, L, R) with the covariance between levels that a term has."""
    return u if root is None else root @ u


def rescaled(values: Floats, covariance: Floats, what: str) -> Floats:
    """Rows (L, k) centred and turned so that their own covariance is ``covariance`` (k, k).

    Raises
    ------
    ModelError
        If they vary in fewer directions; ``what`` are the rows, in words.
    """
    deviations = np.sqrt(np.diagonal(covariance))
    units = np.where(deviations > 0.0, deviations, 1.0)
    values, covariance = values / units, covariance / np.outer(units, units)
    centred = values - values.mean(axis=0)
    own = centred.T @ centred / len(values)
    sizes, axes = np.linalg.eigh(own)
    wanted, along = np.linalg.eigh(covariance)
    used, needed = sizes > 1e-12 * sizes.max(), wanted > 1e-12 * wanted.max()
    if needed.sum() > used.sum():
        raise ModelError(
            f"There are too few {what} to resample: they do not vary in all the directions in "
            "which the model says they do. Use method='parametric'."
        )
    inverse_root = (axes[:, used] / np.sqrt(sizes[used])) @ axes[:, used].T
    root = (along * np.sqrt(np.maximum(wanted, 0.0))) @ along.T
    turned: Floats = (centred @ inverse_root @ root) * units
    return turned
