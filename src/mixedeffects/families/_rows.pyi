import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

def binomial_logit(
    eta: Floats,
    y: Floats,
    trials: Floats,
    log_choose: Floats,
    out: Floats,
    start: int,
    stop: int,
) -> None: ...
def poisson_log(
    eta: Floats, y: Floats, log_factorial: Floats, out: Floats, start: int, stop: int
) -> None: ...
def rising_table(x: float, out: Floats) -> None: ...
def nbinom2_log(
    eta: Floats,
    delta: Floats,
    y: Floats,
    log_factorial: Floats,
    rising0: Floats,
    rising1: Floats,
    rising2: Floats,
    rising3: Floats,
    places: Ints,
    out: Floats,
    start: int,
    stop: int,
) -> None: ...
def zero_inflated(
    y: Floats,
    zeta: Floats,
    base: Floats,
    recipes: Ints,
    out: Floats,
    start: int,
    stop: int,
) -> None: ...
