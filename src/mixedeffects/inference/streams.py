"""Random numbers by replicate: the same whatever the chunks and threads that ask for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Seed = int | np.random.Generator | None


class Streams:
    """One stream of the counter-based Philox generator a replicate (Salmon et al. 2011).

    Parameters
    ----------
    seed
        An integer, a Generator from which one is drawn, or None for another one each time.
    """

    def __init__(self, seed: Seed) -> None:
        if isinstance(seed, np.random.Generator):
            seed = int(seed.integers(2**63))
        self._key = np.asarray(np.random.SeedSequence(seed).generate_state(2, np.uint64))

    def generator(self, number: int) -> np.random.Generator:
        """A replicate's own generator."""
        return _Stream(self._key).at(number)

    def normals(self, first: int, last: int, size: int) -> Floats:
        """Standard normal numbers (last − first, size) of these replicates."""
        drawn = np.empty((last - first, size))
        streams = _Stream(self._key)
        for row, number in zip(drawn, range(first, last), strict=True):
            streams.at(number).standard_normal(out=row)
        return drawn

    def choices(self, first: int, last: int, sizes: tuple[int, ...]) -> list[NDArray[np.int64]]:
        """For each size L, numbers (last − first, L) drawn with replacement from 0..L − 1."""
        drawn = [np.empty((last - first, size), dtype=np.int64) for size in sizes]
        streams = _Stream(self._key)
        for row, number in enumerate(range(first, last)):
            generator = streams.at(number)
            for array, size in zip(drawn, sizes, strict=True):
                array[row] = generator.integers(size, size=size)
        return drawn


class _Stream:
    """A generator that is set to the beginning of any replicate's stream."""

    def __init__(self, key: NDArray[Any]) -> None:
        self._bits = np.random.Philox(key=key)
        self._state: Any = self._bits.state
        self._generator = np.random.Generator(self._bits)

    def at(self, number: int) -> np.random.Generator:
        # Replicates lie 2^128 numbers apart.
        self._state["state"]["counter"][:] = (0, 0, number, 0)
        self._bits.state = self._state
        return self._generator
