import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

def slopes(traces: Floats, scores: Floats, T: Floats, variance: float) -> tuple[Floats, Floats]: ...
def express(
    jacobian: Floats,
    rotation: Floats,
    T: Floats,
    slope: Floats,
    by_covariance: Floats,
    free_term: bool,
    first: int,
    gradient: Floats,
    correction: Floats,
    carry: Floats,
) -> None: ...
