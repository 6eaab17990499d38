import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

def level_products(
    codes: Ints, left: Floats, right: Floats, weights: Floats, n_levels: int
) -> Floats: ...
def pair_products(
    rows_codes: Ints,
    left: Floats,
    n_rows: int,
    columns_codes: Ints,
    right: Floats,
    n_columns: int,
    weights: Floats,
) -> tuple[Ints, Ints, Floats]: ...
def add_modes(codes: Ints, values: Floats, b: Floats, out: Floats) -> None: ...
