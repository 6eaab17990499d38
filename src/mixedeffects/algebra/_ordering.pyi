import numpy as np
from numpy.typing import NDArray

def order(
    ptr: NDArray[np.int64],
    adjacent: NDArray[np.int32],
    size: NDArray[np.int32],
    first: int,
    last: int,
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]: ...
