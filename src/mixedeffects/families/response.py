"""A response as a family sees it, and the checks of its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import DataError
from mixedeffects.families.jets import Array

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Response:
    """The response of n rows, checked, with what depends on it alone.

    Attributes
    ----------
    y : array (n,)
        Values; counts of successes where there are trials, codes 0, 1, … of ordered categories.
    trials : array (n,) or None
        How many trials stand behind each count.
    known : mapping of str to array (n,)
        What a family computes once from the values, such as logarithms of factorials.
    n_categories : int
        How many ordered categories there are; 0 for other responses.
    """

    y: Array = field(repr=False)
    trials: Array | None = field(default=None, repr=False)
    known: Mapping[str, Array] = field(default_factory=dict, repr=False)
    n_categories: int = 0
    memory: dict[str, tuple[tuple[Array, ...], Any]] = field(
        default_factory=dict, repr=False, compare=False
    )
    """The last result of each `remember`; it changes no value, only the time to get it."""

    def remember(self, what: str, inputs: tuple[Array, ...], compute: Callable[[], T]) -> T:
        """The result of ``compute``, kept until the inputs change.

        While random effects are sought, the other predictors stand still: what depends on them
        and on the response alone is computed once.
        """
        kept = self.memory.get(what)
        if kept is not None and all(map(np.array_equal, kept[0], inputs)):
            result: T = kept[1]
            return result
        result = compute()
        self.memory[what] = (tuple(np.array(i) for i in inputs), result)
        return result

    def blocks(self, size: int) -> list[tuple[slice, Response]]:
        """The rows in pieces of at most ``size``, each with a memory of its own."""
        starts = range(0, len(self.y), size)
        slices = [slice(start, start + size) for start in starts]
        return self.remember(f"blocks of {size}", (), lambda: [(s, self.take(s)) for s in slices])

    def take(self, rows: NDArray[np.intp] | slice) -> Response:
        """The given rows."""
        return replace(
            self,
            y=self.y[rows],
            trials=None if self.trials is None else self.trials[rows],
            known={name: values[rows] for name, values in self.known.items()},
            memory={},
        )

    @property
    def observed(self) -> Array:
        """y (n,) on the scale of its mean: proportions where there are trials."""
        return self.y if self.trials is None else self.y / self.trials


@dataclass(frozen=True, slots=True)
class Column:
    """Names the values of a response in an error message.

    Attributes
    ----------
    name : str
        The response as the formula writes it.
    rows : array of int (n,) or None
        Numbers of the rows in the data; those among the values by default.
    """

    name: str = "y"
    rows: NDArray[np.intp] | None = None

    def require(
        self, values: Array, holds: Callable[[Array], NDArray[np.bool_]], says: str
    ) -> None:
        """Refuse values of which ``holds`` is not true, with the first of them and its row.

        Raises
        ------
        DataError
        """
        good = holds(values)
        if good.all():
            return
        first = int(np.argmin(good))
        row = first if self.rows is None else int(self.rows[first])
        more = int(np.count_nonzero(~good)) - 1
        others = f" (and in {more} more)" if more else ""
        raise DataError(f"{self.name!r} is {values[first]:g} in row {row}{others}. {says}")


def is_whole(values: Array) -> NDArray[np.bool_]:
    whole: NDArray[np.bool_] = np.isfinite(values) & (values == np.floor(values))
    return whole


def is_count(values: Array) -> NDArray[np.bool_]:
    return is_whole(values) & (values >= 0)


def is_positive(values: Array) -> NDArray[np.bool_]:
    positive: NDArray[np.bool_] = np.isfinite(values) & (values > 0)
    return positive
