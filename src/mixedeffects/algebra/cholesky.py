"""Analyse a pattern of levels once; arrange cross-products in that order for the factor.

The order comes from minimum degree; the vertices whose sparse elimination would cost more
than LAPACK's dense one stay together in a trailing block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra._kernels import BlockFactor
from mixedeffects.algebra._ordering import order
from mixedeffects.algebra.crossproducts import Crossproducts

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]

__all__ = [
    "ArrangedProducts",
    "BlockFactor",
    "Plan",
    "analyse",
    "arrange",
    "arrange_response",
    "columns_of",
    "rearrange",
]


@dataclass(frozen=True, slots=True)
class Plan:
    """Elimination order of the levels (vertices) and pattern of the factor.

    Vertices are numbered in elimination order, the first ``n_leading`` sparsely.  ``size``
    columns of each, ``factor`` it belongs to, ``offset`` of its columns in u, ``square`` of
    its k × k block.  ``struct_*``: later neighbours of a leading vertex and their columns in
    its panel; ``block_*``: the blocks of A above the diagonal by their earlier vertex.
    ``position``: per factor, the vertex of each level.  ``operations``: multiplications and
    additions of one evaluation, about.
    """

    n_leading: int
    size: Ints
    factor: Ints
    offset: Longs
    square: Longs
    struct_ptr: Longs
    struct_rows: Ints
    struct_column: Ints
    panel_width: Ints
    panel_ptr: Longs
    block_ptr: Longs
    block_row: Ints
    block_column: Ints
    block_value: Longs
    block_order: Longs
    block_flipped: NDArray[np.bool_]
    factor_size: Ints
    factor_ptr: Longs
    position: tuple[Ints, ...]
    n_fixed: int
    operations: float

    @property
    def n_dense(self) -> int:
        """Order of the trailing dense block, without the fixed effects."""
        return int(self.offset[-1] - self.offset[self.n_leading])

    @property
    def memory(self) -> int:
        """Bytes of the factor and its selected inverse."""
        order = self.n_dense + self.n_fixed + 1
        return 16 * (order * order + int(self.panel_ptr[-1]))

    @property
    def way(self) -> str:
        """How the factorization goes, in one sentence."""
        total, leading = len(self.size), self.n_leading
        if self.n_dense == 0:
            return f"sparse: all {total:,} levels eliminated one by one"
        return (
            f"{leading:,} of {total:,} levels eliminated one by one, the other "
            f"{total - leading:,} in one dense block of order {self.n_dense:,}"
        )


@dataclass(frozen=True, slots=True)
class ArrangedProducts:
    """Cross-products in the plan's order, flat: the blocks of A, its border and its corner.

    ``precision_*`` hold the inverse of known relationship matrices, identity elsewhere, or
    are None when every factor has independent levels.  ``related``: for each relationship
    matrix (L, L) the places (L, k) of its levels' columns in u.
    """

    diagonal: Floats
    blocks: Floats
    border: Floats
    corner: Floats
    precision_diagonal: Floats | None
    precision_blocks: Floats | None
    related: tuple[tuple[Longs, Floats], ...]


def analyse(products: Crossproducts, related: Sequence[bool]) -> Plan:
    """Elimination order and pattern; ``related``: the factors with a relationship matrix."""
    sizes = np.array([d.shape[1] for d in products.diagonal], dtype=np.int32)
    levels = [d.shape[0] for d in products.diagonal]
    base = np.concatenate([[0], np.cumsum(levels)]).astype(np.int64)
    n_fixed = products.corner.shape[0] - 1
    first, second = _edges(products, base, related)
    size = np.repeat(sizes, levels)
    independent = _largest_independent(base, related)
    leading, struct_ptr, struct_vertices = _order(first, second, size, independent)
    sequence = np.concatenate([leading, _others(leading, struct_vertices, len(size))])
    position = np.empty(len(size), dtype=np.int32)
    position[sequence] = np.arange(len(size), dtype=np.int32)
    struct_rows = _sorted_segments(struct_ptr, position[struct_vertices], len(size))
    size = size[sequence]
    struct_column, panel_width = _panel_columns(struct_ptr, struct_rows, size, n_fixed + 1)
    heights = size[: len(leading)].astype(np.int64)
    blocks = _arrange_blocks(position[first], position[second], size)
    block_ptr, block_row, block_value, block_order, flipped = blocks
    n_dense = int(size[len(leading) :].sum()) + n_fixed + 1
    return Plan(
        n_leading=len(leading),
        size=size,
        factor=np.repeat(np.arange(len(sizes), dtype=np.int32), levels)[sequence],
        offset=_pointers(size),
        square=_pointers(size.astype(np.int64) ** 2),
        struct_ptr=struct_ptr,
        struct_rows=struct_rows,
        struct_column=struct_column,
        panel_width=panel_width,
        panel_ptr=_pointers(heights * panel_width),
        block_ptr=block_ptr,
        block_row=block_row,
        block_column=_locate(
            block_ptr, block_row, struct_ptr, struct_rows, struct_column, len(leading)
        ),
        block_value=block_value,
        block_order=block_order,
        block_flipped=flipped,
        factor_size=sizes,
        factor_ptr=_pointers(sizes.astype(np.int64) ** 2),
        position=tuple(position[base[f] : base[f + 1]] for f in range(len(sizes))),
        n_fixed=n_fixed,
        operations=3.0 * float((heights * panel_width.astype(float) ** 2).sum()) + n_dense**3,
    )


def arrange(
    products: Crossproducts, plan: Plan, relationships: Sequence[Floats | None]
) -> ArrangedProducts:
    """Cross-products in the plan's order; ``relationships``: matrices (L, L) or None."""
    precisions = [None if r is None else cast(Floats, np.linalg.inv(r)) for r in relationships]
    precision_diagonal, precision_blocks = _arrange_precisions(products, plan, precisions)
    diagonal, blocks = _arrange_random(products, plan, [p is not None for p in precisions])
    border, corner = arrange_response(products, plan)
    return ArrangedProducts(
        diagonal=diagonal,
        blocks=blocks,
        border=border,
        corner=corner,
        precision_diagonal=precision_diagonal,
        precision_blocks=precision_blocks,
        related=tuple(
            (columns_of(plan, f), r) for f, r in enumerate(relationships) if r is not None
        ),
    )


def rearrange(
    arranged: ArrangedProducts, products: Crossproducts, plan: Plan, related: Sequence[bool]
) -> ArrangedProducts:
    """Other cross-products of the same pattern; ``related`` as in ``analyse``."""
    diagonal, blocks = _arrange_random(products, plan, related)
    border, corner = arrange_response(products, plan)
    return replace(arranged, diagonal=diagonal, blocks=blocks, border=border, corner=corner)


def _arrange_random(
    products: Crossproducts, plan: Plan, related: Sequence[bool]
) -> tuple[Floats, Floats]:
    """The diagonal blocks of Z'WZ and those above them, with zeros between related levels."""
    diagonal = np.empty(plan.square[-1])
    for f, block in enumerate(products.diagonal):
        _scatter(diagonal, plan.square[plan.position[f]], block)
    flat = [pair.blocks for pair in products.pairs]
    for block, known in zip(products.diagonal, related, strict=True):
        if known:
            flat.append(np.zeros((len(block) * (len(block) - 1) // 2, *block.shape[1:])))
    return diagonal, _arrange_values(flat, plan)


def columns_of(plan: Plan, factor: int) -> Longs:
    """Places (L, k) in u of the columns of a grouping factor's levels."""
    starts = plan.offset[plan.position[factor]]
    columns: Longs = starts[:, None] + np.arange(plan.factor_size[factor])
    return columns


def arrange_response(products: Crossproducts, plan: Plan) -> tuple[Floats, Floats]:
    """The border Z'W[X y] in the plan's order, and the corner."""
    width = plan.n_fixed + 1
    border = np.empty(plan.offset[-1] * width)
    for f, block in enumerate(products.border):
        _scatter(border, plan.offset[plan.position[f]] * width, block)
    return border, np.ascontiguousarray(products.corner)


def _scatter(target: Floats, starts: Longs, blocks: Floats) -> None:
    flat = blocks.reshape(len(blocks), int(np.prod(blocks.shape[1:])))
    for column in range(flat.shape[1]):
        target[starts + column] = flat[:, column]


def _pointers(counts: NDArray[np.integer]) -> Longs:
    pointers = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=pointers[1:])
    return pointers


def _edges(products: Crossproducts, base: Longs, related: Sequence[bool]) -> tuple[Longs, Longs]:
    first = [base[pair.first] + pair.rows for pair in products.pairs]
    second = [base[pair.second] + pair.columns for pair in products.pairs]
    for f, known in enumerate(related):
        if known:
            i, j = np.triu_indices(len(products.diagonal[f]), 1)
            first.append(base[f] + i)
            second.append(base[f] + j)
    if not first:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    return np.concatenate(first), np.concatenate(second)


def _largest_independent(base: Longs, related: Sequence[bool]) -> tuple[int, int]:
    """Vertices of the largest factor whose levels are not related, which never touch."""
    counts = np.where(related, 0, np.diff(base))
    f = int(counts.argmax()) if len(counts) else 0
    return (int(base[f]), int(base[f + 1])) if len(counts) and counts[f] else (0, 0)


def _order(
    first: Longs, second: Longs, size: Ints, independent: tuple[int, int]
) -> tuple[Ints, Longs, Ints]:
    n = len(size)
    if len(first) == 0:
        return np.arange(n, dtype=np.int32), np.zeros(n + 1, dtype=np.int64), np.empty(0, np.int32)
    from scipy.sparse import coo_array

    rows, columns = np.concatenate([first, second]), np.concatenate([second, first])
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(n, n)).tocsr()
    leading, struct_ptr, struct_vertices = order(
        graph.indptr.astype(np.int64), graph.indices.astype(np.int32), size, *independent
    )
    return leading, struct_ptr, struct_vertices


def _others(leading: Ints, struct_vertices: Ints, n: int) -> Ints:
    """The vertices of the dense block in the order in which the leading ones touch them.

    Columns that are used together then lie together in memory.
    """
    if len(leading) == n:
        return np.empty(0, dtype=np.int32)
    rest = np.ones(n, dtype=bool)
    rest[leading] = False
    touch = np.full(n, len(struct_vertices), dtype=np.int64)
    touch[struct_vertices[::-1]] = np.arange(len(struct_vertices) - 1, -1, -1)
    others = np.flatnonzero(rest)
    return others[np.argsort(touch[others], kind="stable")].astype(np.int32)


def _sorted_segments(pointers: Longs, values: Ints, bound: int) -> Ints:
    if len(values) == 0:
        return values
    segment = np.repeat(np.arange(len(pointers) - 1, dtype=np.int64), np.diff(pointers))
    return (np.sort(segment * bound + values) - segment * bound).astype(np.int32)


def _panel_columns(
    struct_ptr: Longs, struct_rows: Ints, size: Ints, border: int
) -> tuple[Ints, Ints]:
    ends = _pointers(size[struct_rows])
    starts = np.repeat(ends[struct_ptr[:-1]], np.diff(struct_ptr))
    width = ends[struct_ptr[1:]] - ends[struct_ptr[:-1]] + border
    return (ends[:-1] - starts).astype(np.int32), width.astype(np.int32)


def _arrange_blocks(
    first: Ints, second: Ints, size: Ints
) -> tuple[Longs, Ints, Longs, Longs, NDArray[np.bool_]]:
    flipped = first > second
    early, late = np.minimum(first, second), np.maximum(first, second)
    sequence = np.argsort(early.astype(np.int64) * len(size) + late, kind="stable")
    early, late = early[sequence], late[sequence]
    pointers = _pointers(np.bincount(early, minlength=len(size)))
    value = _pointers(size[early].astype(np.int64) * size[late])
    return pointers, late, value, sequence, flipped


def _locate(
    block_ptr: Longs,
    block_row: Ints,
    struct_ptr: Longs,
    struct_rows: Ints,
    struct_column: Ints,
    n_leading: int,
) -> Ints:
    """Panel columns of the blocks whose earlier vertex is leading; 0 for the others."""
    column = np.zeros(len(block_row), dtype=np.int32)
    if len(block_row) == 0:
        return column
    count = int(block_ptr[n_leading])
    n = len(block_ptr)
    early = np.repeat(np.arange(n_leading, dtype=np.int64), np.diff(block_ptr[: n_leading + 1]))
    owner = np.repeat(np.arange(n_leading, dtype=np.int64), np.diff(struct_ptr))
    at = np.searchsorted(owner * n + struct_rows, early * n + block_row[:count])
    column[:count] = struct_column[at]
    return column


def _arrange_values(flat: Sequence[Floats], plan: Plan) -> Floats:
    """Blocks in the plan's order, transposed where the second factor comes first."""
    values = np.empty(plan.block_value[-1])
    place = np.empty(len(plan.block_order), dtype=np.int64)
    place[plan.block_order] = plan.block_value[:-1]
    start = 0
    for blocks in flat:
        stop = start + len(blocks)
        flipped, where = plan.block_flipped[start:stop], place[start:stop]
        _scatter(values, where[~flipped], blocks[~flipped])
        _scatter(values, where[flipped], blocks[flipped].transpose(0, 2, 1))
        start = stop
    return values


def _arrange_precisions(
    products: Crossproducts, plan: Plan, precisions: Sequence[Floats | None]
) -> tuple[Floats | None, Floats | None]:
    if all(precision is None for precision in precisions):
        return None, None
    diagonal = np.empty(plan.square[-1])
    entries = [np.zeros(len(pair.blocks)) for pair in products.pairs]
    for f, precision in enumerate(precisions):
        n_levels, k, _ = products.diagonal[f].shape
        own = np.ones(n_levels) if precision is None else np.diagonal(precision)
        _scatter(diagonal, plan.square[plan.position[f]], own[:, None, None] * np.eye(k))
        if precision is not None:
            entries.append(precision[np.triu_indices(n_levels, 1)])
    return diagonal, np.concatenate(entries)[plan.block_order]
