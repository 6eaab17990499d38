"""Covariance structures of random-effects terms, one a file, registered here by name."""

from __future__ import annotations

from collections.abc import Sequence

from mixedeffects.covariance.base import AbstractCovariance
from mixedeffects.covariance.diagonal import Diagonal
from mixedeffects.covariance.homogeneous import Homogeneous
from mixedeffects.covariance.unstructured import Unstructured
from mixedeffects.errors import ModelError, suggestion

__all__ = [
    "STRUCTURES",
    "AbstractCovariance",
    "Diagonal",
    "Homogeneous",
    "Unstructured",
    "build",
]

STRUCTURES: dict[str, type[AbstractCovariance]] = {
    kind.name: kind for kind in (Unstructured, Diagonal, Homogeneous)
}
# known(x | g, K) has covariance Σ ⊗ K: K belongs to the levels, hence to the design; Σ is free.
STRUCTURES["known"] = Unstructured


def build(
    structure: str, n_columns: int, positions: Sequence[float] | None = None
) -> AbstractCovariance:
    """Make the covariance structure of a term with ``n_columns`` random effects a level."""
    if structure not in STRUCTURES:
        raise ModelError(
            f"Unknown covariance structure {structure!r}.{suggestion(structure, STRUCTURES)} "
            f"The known ones: {', '.join(STRUCTURES)}."
        )
    return STRUCTURES[structure](n_columns)
