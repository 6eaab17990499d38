"""Covariance structures of random-effects terms, one a file, registered here by name."""

from __future__ import annotations

from numpy.typing import ArrayLike

from mixedeffects.covariance.autoregressive import Autoregressive
from mixedeffects.covariance.base import AbstractCovariance
from mixedeffects.covariance.compound_symmetry import (
    CompoundSymmetry,
    HomogeneousCompoundSymmetry,
)
from mixedeffects.covariance.decay import AbstractDecay
from mixedeffects.covariance.diagonal import Diagonal
from mixedeffects.covariance.exponential import Exponential
from mixedeffects.covariance.homogeneous import Homogeneous
from mixedeffects.covariance.ornstein_uhlenbeck import OrnsteinUhlenbeck
from mixedeffects.covariance.scaled import AbstractScaledCorrelation
from mixedeffects.covariance.spatial import AbstractSpatial
from mixedeffects.covariance.squared_exponential import SquaredExponential
from mixedeffects.covariance.toeplitz import Toeplitz
from mixedeffects.covariance.unstructured import Unstructured
from mixedeffects.errors import ModelError, suggestion

__all__ = [
    "STRUCTURES",
    "AbstractCovariance",
    "AbstractDecay",
    "AbstractScaledCorrelation",
    "AbstractSpatial",
    "Autoregressive",
    "CompoundSymmetry",
    "Diagonal",
    "Exponential",
    "Homogeneous",
    "HomogeneousCompoundSymmetry",
    "OrnsteinUhlenbeck",
    "SquaredExponential",
    "Toeplitz",
    "Unstructured",
    "build",
]

STRUCTURES: dict[str, type[AbstractCovariance]] = {
    kind.name: kind
    for kind in (
        Unstructured,
        Diagonal,
        Homogeneous,
        CompoundSymmetry,
        HomogeneousCompoundSymmetry,
        Autoregressive,
        Toeplitz,
        Exponential,
        SquaredExponential,
        OrnsteinUhlenbeck,
    )
}
# known(x | g, K) has covariance Σ ⊗ K: K belongs to the levels, hence to the design; Σ is free.
STRUCTURES["known"] = Unstructured


def build(structure: str, n_columns: int, positions: ArrayLike | None = None) -> AbstractCovariance:
    """Make the covariance structure of a term.

    Parameters
    ----------
    structure : str
        A key of ``STRUCTURES``.
    n_columns : int
        k, the number of random effects of a level.
    positions : array, shape (k,) or (k, d), optional
        Times or places of the columns, for the structures that depend on them.

    Raises
    ------
    ModelError
        For an unknown structure, or times that the structure cannot use.

    Examples
    --------
    >>> build("ar1", 3, positions=[8, 10, 14])
    Autoregressive(n_columns=3, times=(0, 1, 3))
    """
    if structure not in STRUCTURES:
        raise ModelError(
            f"Unknown covariance structure {structure!r}.{suggestion(structure, STRUCTURES)} "
            f"The known ones: {', '.join(STRUCTURES)}."
        )
    return STRUCTURES[structure].from_positions(n_columns, positions)
