import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]

def add_levels(
    codes: Ints,
    left: Floats,
    right: Floats,
    weights: Floats,
    starts: Longs,
    stride: int,
    out: Floats,
) -> None: ...
def add_rows(codes: Ints, left: Floats, right: Floats, starts: Longs, out: Floats) -> None: ...
def add_pairs(
    starts: Longs,
    flipped: NDArray[np.uint8],
    left: Floats,
    right: Floats,
    weights: Floats,
    out: Floats,
) -> None: ...
def gather(codes: Ints, values: Floats, levels: Floats, out: Floats) -> None: ...
def add_step(
    codes: Ints,
    values: Floats,
    weights: Floats,
    first: Floats,
    shift: Floats,
    squares: Longs,
    offsets: Longs,
    diagonal: Floats,
    score: Floats,
    border: Floats,
) -> None: ...
def forms(codes: Ints, values: Floats, blocks: Floats) -> Floats: ...
