import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]

def levels_forward(
    T: Floats,
    A: Floats,
    r: Floats,
    starts: Longs,
    w: Floats,
    K: Floats,
    m: Floats,
    u: Floats,
    b: Floats,
) -> float: ...
def levels_backward(
    T: Floats,
    A: Floats,
    r: Floats,
    starts: Longs,
    w: Floats,
    K: Floats,
    m: Floats,
    u: Floats,
    slopes: Floats,
    by_w: Floats,
    by_T: Floats,
    work: Floats,
) -> None: ...
def multiply_levels(K: Floats, starts: Longs, x: Floats, transposed: bool, out: Floats) -> None: ...
def stretch(shape: Floats, y: Floats, x: Floats, first: Floats, second: Floats) -> None: ...
