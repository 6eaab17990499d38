import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

def newton_step_of(gradient: Floats, hessian: Floats, radius: float) -> tuple[Floats, float]: ...
def lower_root_of(factor: Floats) -> Floats: ...
