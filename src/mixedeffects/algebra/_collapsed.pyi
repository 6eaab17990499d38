from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.cholesky import BlockFactor

Floats = NDArray[np.float64]

class Collapsed:
    factor: BlockFactor
    def __init__(
        self,
        plan: Any,
        arranged: Any,
        terms: Sequence[tuple[int, int, int]],
        precision: Floats,
        moment: Floats,
        square: float,
        dof: float,
        held: Floats | None = None,
        corner: Floats | None = None,
    ) -> None: ...
    def evaluate(
        self, T: Floats, log_sigma: float, beta: Floats, by_factor: Floats, by_beta: Floats
    ) -> tuple[float, float]: ...
    def draw(
        self,
        T: Floats,
        log_sigma: Floats,
        beta: Floats,
        noise: Floats,
        b: Floats,
        values: Floats,
    ) -> None: ...
    def values(self, T: Floats, log_sigma: Floats, beta: Floats, values: Floats) -> None: ...
