"""[Z X y]'W[Z X y] as blocks over grouping factors; sums over rows, so chunks add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra._products import level_products, pair_products

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]

NO_WEIGHTS: Floats = np.empty(0)


@dataclass(frozen=True, slots=True)
class Grouping:
    """The columns of Z that share one grouping factor.

    ``codes`` (n,) levels of the rows; ``values`` (n, k) their covariates; ``n_levels``;
    ``relationship`` (n_levels, n_levels) known covariance between levels, or None.
    """

    codes: Integers
    values: Floats
    n_levels: int
    relationship: Floats | None = None


@dataclass(frozen=True, slots=True)
class PairProducts:
    """Blocks of Z_f'WZ_g for the pairs of levels of factors f < g that share rows.

    ``rows`` (m,) levels of f, ``columns`` (m,) levels of g, ``blocks`` (m, k_f, k_g).
    """

    first: int
    second: int
    rows: Integers
    columns: Integers
    blocks: Floats


@dataclass(frozen=True, slots=True)
class Crossproducts:
    """Everything that a linear mixed model needs of its rows.

    ``diagonal`` per factor (L, k, k); ``pairs`` of factors; ``border`` per factor
    (L, k, p + 1), Z'W[X y]; ``corner`` (p + 1, p + 1), [X y]'W[X y]; ``n_rows``;
    ``log_weights``, Σ log w.  Adding two of the same model gives those of all rows.
    """

    diagonal: tuple[Floats, ...]
    pairs: tuple[PairProducts, ...]
    border: tuple[Floats, ...]
    corner: Floats
    n_rows: int
    log_weights: float

    def __add__(self, other: Crossproducts) -> Crossproducts:
        return Crossproducts(
            diagonal=tuple(a + b for a, b in zip(self.diagonal, other.diagonal, strict=True)),
            pairs=tuple(_add_pairs(a, b) for a, b in zip(self.pairs, other.pairs, strict=True)),
            border=tuple(a + b for a, b in zip(self.border, other.border, strict=True)),
            corner=self.corner + other.corner,
            n_rows=self.n_rows + other.n_rows,
            log_weights=self.log_weights + other.log_weights,
        )

    def without(self, part: Crossproducts) -> Crossproducts:
        """Less those of some of the rows; a level that loses all of them keeps zeros."""
        return Crossproducts(
            diagonal=tuple(a - b for a, b in zip(self.diagonal, part.diagonal, strict=True)),
            pairs=tuple(_less_pairs(a, b) for a, b in zip(self.pairs, part.pairs, strict=True)),
            border=tuple(a - b for a, b in zip(self.border, part.border, strict=True)),
            corner=self.corner - part.corner,
            n_rows=self.n_rows - part.n_rows,
            log_weights=self.log_weights - part.log_weights,
        )


def crossproducts(
    groupings: Sequence[Grouping], X: Floats, y: Floats, weights: Floats | None = None
) -> Crossproducts:
    """Cross-products of rows.

    Parameters
    ----------
    groupings
        Grouping factors with their covariates.
    X, y
        (n, p) fixed-effects columns and (n,) response, already centred and scaled.
    weights
        (n,) positive prior weights, or None for ones.
    """
    w = NO_WEIGHTS if weights is None else weights
    Xy = np.ascontiguousarray(np.column_stack([X, y]))
    weighted = Xy if weights is None else Xy * weights[:, None]
    pairs = tuple(
        _pair(groupings, f, g, w)
        for f in range(len(groupings))
        for g in range(f + 1, len(groupings))
    )
    return Crossproducts(
        diagonal=tuple(
            level_products(g.codes, g.values, g.values, w, g.n_levels) for g in groupings
        ),
        pairs=pairs,
        border=tuple(level_products(g.codes, g.values, Xy, w, g.n_levels) for g in groupings),
        corner=weighted.T @ Xy,
        n_rows=len(y),
        log_weights=0.0 if weights is None else float(np.log(weights).sum()),
    )


def replace_response(
    products: Crossproducts,
    groupings: Sequence[Grouping],
    X: Floats,
    y: Floats,
    weights: Floats | None = None,
) -> Crossproducts:
    """The same cross-products with another y (n,) in the last column of the border."""
    w = NO_WEIGHTS if weights is None else weights
    weighted = y if weights is None else y * weights
    corner = products.corner.copy()
    corner[-1, :-1] = corner[:-1, -1] = weighted @ X
    corner[-1, -1] = weighted @ y
    border = []
    for g, old in zip(groupings, products.border, strict=True):
        new = old.copy()
        new[:, :, -1:] = level_products(g.codes, g.values, y[:, None], w, g.n_levels)
        border.append(new)
    return replace(products, border=tuple(border), corner=corner)


def _pair(groupings: Sequence[Grouping], f: int, g: int, weights: Floats) -> PairProducts:
    a, b = groupings[f], groupings[g]
    rows, columns, blocks = pair_products(
        a.codes, a.values, a.n_levels, b.codes, b.values, b.n_levels, weights
    )
    return PairProducts(f, g, rows, columns, blocks)


def _add_pairs(a: PairProducts, b: PairProducts) -> PairProducts:
    rows = np.concatenate([a.rows, b.rows])
    columns = np.concatenate([a.columns, b.columns])
    width = int(columns.max(initial=0)) + 1
    keys, where = np.unique(rows.astype(np.int64) * width + columns, return_inverse=True)
    blocks = np.zeros((len(keys), *a.blocks.shape[1:]))
    np.add.at(blocks, where, np.concatenate([a.blocks, b.blocks]))
    return PairProducts(
        a.first,
        a.second,
        (keys // width).astype(np.int32),
        (keys % width).astype(np.int32),
        blocks,
    )


def _less_pairs(all_: PairProducts, part: PairProducts) -> PairProducts:
    width = int(all_.columns.max(initial=0)) + 1
    keys = all_.rows.astype(np.int64) * width + all_.columns
    order = np.argsort(keys)
    where = order[np.searchsorted(keys[order], part.rows.astype(np.int64) * width + part.columns)]
    blocks = all_.blocks.copy()
    blocks[where] -= part.blocks
    return replace(all_, blocks=blocks)
