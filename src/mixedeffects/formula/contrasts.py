"""Codings of a categorical factor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Coded", "Contrast"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contrast:
    """A coding by name; `base` is the reference level of a treatment coding."""

    kind: str = "treatment"
    base: str | None = None

    def columns(self, name: str, labels: tuple[str, ...]) -> tuple[Array, tuple[str, ...]]:
        """Coding matrix (L, L - 1) and the names of its columns."""
        if self.kind == "treatment":
            base = 0 if self.base is None else self._position(labels)
            kept = [i for i in range(len(labels)) if i != base]
            return np.eye(len(labels))[:, kept], tuple(f"{name}[T.{labels[i]}]" for i in kept)
        from formulaic.transforms.contrasts import ContrastsRegistry

        contrasts = getattr(ContrastsRegistry, self.kind)()
        matrix = contrasts.get_coding_matrix(list(labels), reduced_rank=True)
        pattern = contrasts.get_factor_format(list(labels), reduced_rank=True)
        names = tuple(pattern.format(name=name, field=field) for field in matrix.columns)
        return np.asarray(matrix, dtype=np.float64), names

    def _position(self, labels: tuple[str, ...]) -> int:
        if self.base not in labels:
            raise ValueError(f"the level {self.base!r} is not one of {', '.join(labels)}")
        return labels.index(self.base)


@dataclass(frozen=True, slots=True)
class Coded:
    """Values of a categorical factor: `codes` (n,) into the `labels` of its levels."""

    codes: NDArray[np.int32]
    labels: tuple[str, ...]
    contrast: Contrast = Contrast()

    def columns(self, name: str, *, reduced: bool) -> list[tuple[str, Array]]:
        """Named columns (n,): one a level, or with `reduced` those of the contrast."""
        if not reduced:
            names = (f"{name}[{label}]" for label in self.labels)
            return [(n, (self.codes == i).astype(np.float64)) for i, n in enumerate(names)]
        matrix, names_reduced = self.contrast.columns(name, self.labels)
        return [(n, matrix[:, j][self.codes]) for j, n in enumerate(names_reduced)]
