"""Correlation that decays with the square of the distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mixedeffects.covariance.spatial import AbstractSpatial


@dataclass(frozen=True, slots=True)
class SquaredExponential(AbstractSpatial):
    """``gau(0 + px + py | g)``, the Gaussian shape: correlation exp(-(distance/range)²).

    Its realizations are smooth: neighbouring effects hardly differ, so that positions close to
    each other, compared with the range, say almost the same.

    Examples
    --------
    >>> import numpy as np
    >>> structure = SquaredExponential.from_positions(3, [0, 1, 3])
    >>> structure.unit, structure.angle_names
    (2.0, ('2/range',))
    >>> root = structure.factor(np.array([1.0, 2 / 2.0]))  # a range of 2
    >>> (root @ root.T).round(4)
    array([[1.    , 0.7788, 0.1054],
           [0.7788, 1.    , 0.3679],
           [0.1054, 0.3679, 1.    ]])
    """

    name: ClassVar[str] = "gau"
    power: ClassVar[int] = 2
