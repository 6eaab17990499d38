from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]

class BlockFactor:
    T: Floats
    diagonal: Floats
    panel: Floats
    dense: Floats
    u: Floats
    beta: Floats
    s: Floats
    related: Floats
    inverse_diagonal: Floats
    inverse_panel: Floats
    inverse_dense: Floats
    log_determinant: float
    log_determinant_x: float
    rss: float
    def __init__(self, plan: Any, products: Any) -> None: ...
    def use(self, plan: Any, products: Any) -> None: ...
    def factorize(self, T: Floats) -> int: ...
    def solve(self) -> None: ...
    def forward(self, rhs: Floats) -> None: ...
    def backward(self, rhs: Floats) -> None: ...
    def invert(self, border: bool) -> None: ...
    def variances(self, vertices: Ints, z: Floats, x: Floats) -> Floats: ...
    def level_covariances(self, vertices: Ints) -> Floats: ...
    def contract(self) -> tuple[Floats, Floats]: ...
    def information(
        self, parameter_factor: Ints, directions: Floats, direction_ptr: Longs
    ) -> tuple[Floats, Floats]: ...
