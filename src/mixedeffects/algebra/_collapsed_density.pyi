from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra._collapsed import Collapsed

Floats = NDArray[np.float64]

FUNCTIONS: tuple[int, int]
MOST_DENSITIES: int

class CollapsedDensity(Collapsed):
    dimension: int
    def __init__(
        self,
        collapsed: tuple[Any, ...],
        covariances: Sequence[tuple[Floats, Floats | None, Floats, Floats]],
        sigma: Floats,
        log_scale: float,
        constant: float,
        coefficients: tuple[Floats, Floats, Floats] | None = None,
    ) -> None: ...
    def whiten(self, centre: Floats, spread: Floats) -> None: ...
    def __call__(self, z: Floats) -> tuple[float, Floats]: ...
    def roots(self, x: Floats, roots: Floats, priors: Floats) -> None: ...

class Pool:
    address: int
    made: int
    def __init__(self, densities: Sequence[CollapsedDensity]) -> None: ...
