"""Correlation that decays exponentially with time, at any times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from mixedeffects.covariance.spatial import AbstractSpatial
from mixedeffects.errors import ModelError


@dataclass(frozen=True, slots=True)
class OrnsteinUhlenbeck(AbstractSpatial):
    """``ou(time | g)``: correlation exp(-|s - t|/range) between times s and t.

    An autoregressive process in continuous time (Uhlenbeck & Ornstein 1930, Physical Review 36,
    823-841); 1/range is its rate.  With whole-numbered times it is ``ar1`` without negative
    correlations.

    Examples
    --------
    >>> structure = OrnsteinUhlenbeck.from_positions(3, [0.0, 0.5, 2.5])
    >>> root = structure.factor(np.array([1.0, np.sqrt(structure.unit / 4)]))  # a range of 4
    >>> (root @ root.T).round(4)
    array([[1.    , 0.8825, 0.5353],
           [0.8825, 1.    , 0.6065],
           [0.5353, 0.6065, 1.    ]])
    """

    name: ClassVar[str] = "ou"
    power: ClassVar[int] = 1

    @classmethod
    def from_positions(cls, n_columns: int, positions: ArrayLike | None) -> Self:
        if positions is not None and np.asarray(positions).size > n_columns:
            raise ModelError("ou() takes times, one number each: for places there is exp().")
        return super(OrnsteinUhlenbeck, cls).from_positions(n_columns, positions)
