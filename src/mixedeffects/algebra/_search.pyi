from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.cholesky import BlockFactor

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

class Search:
    factor: BlockFactor
    def __init__(
        self,
        plan: Any,
        arranged: Any,
        terms: Sequence[tuple[int, int, Floats, bool, Floats]],
        reml: bool,
        n_rows: float,
        dof: float,
    ) -> None: ...
    def use(self, plan: Any, arranged: Any, n_rows: float, dof: float) -> None: ...
    def evaluate_at(self, theta: Floats, constant: float) -> tuple[float, Floats, Floats]: ...
    def fit(
        self,
        border: Floats,
        corner: Floats,
        starts: Floats,
        constants: Floats,
        theta: Floats,
        beta: Floats,
        variance: Floats,
        objective: Floats,
        roots: Floats,
        proofs: Floats,
        status: Ints,
        evaluations: Ints,
    ) -> None: ...
