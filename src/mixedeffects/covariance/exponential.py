"""Correlation that decays exponentially with the distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mixedeffects.covariance.spatial import AbstractSpatial


@dataclass(frozen=True, slots=True)
class Exponential(AbstractSpatial):
    """``exp(0 + px + py | g)``: correlation exp(-distance/range).

    Examples
    --------
    >>> import numpy as np
    >>> structure = Exponential.from_positions(3, [[0, 0], [3, 4], [0, 5]])
    >>> structure.unit, structure.angle_names
    (5.0, ('sqrt(5/range)',))
    >>> root = structure.factor(np.array([2.0, np.sqrt(5 / 10)]))  # a range of 10
    >>> (root @ root.T).round(4)
    array([[4.    , 2.4261, 2.4261],
           [2.4261, 4.    , 2.9156],
           [2.4261, 2.9156, 4.    ]])
    """

    name: ClassVar[str] = "exp"
    power: ClassVar[int] = 1
