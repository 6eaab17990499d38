"""Power by simulation: how often a test rejects on responses that a model makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import FrameKind, make_table
from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.inference.draws import parametric_draws
from mixedeffects.inference.power_designs import resized
from mixedeffects.inference.power_runs import AbstractPowerTest, Run
from mixedeffects.inference.streams import Seed, Streams

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Power:
    """Simulated power of a test, at one size or along several.

    Attributes
    ----------
    test : str
        What is tested and how.
    alpha : float
        A p value below this rejects.
    level : float
        Coverage of the intervals.
    along : str or None
        The grouping factor whose levels ``sizes`` counts, ``"within"`` for observations of each
        row, None for the design itself.
    sizes : tuple of int
        S of them; for the design itself the number of its observations.
    p_values : ndarray, shape (S, n)
        Of all replicates, NaN where one failed.
    reasons : tuple of mapping of int to str
        For each size, why a replicate failed, by its number from 0.
    """

    test: str
    alpha: float
    level: float
    along: str | None
    sizes: tuple[int, ...]
    p_values: Floats
    reasons: tuple[Mapping[int, str], ...]
    frame: FrameKind = field(default=FrameKind())

    @property
    def power(self) -> Floats:
        """Share of the replicates that did not fail in which the test rejects (S,)."""
        shares: Floats = self._rejections / self._worked
        return shares

    @property
    def limits(self) -> Floats:
        """Exact binomial limits of the power (S, 2)."""
        return binomial_limits(self._rejections, self._worked, self.level)

    @property
    def table(self) -> Any:
        """Table ``size power conf_low conf_high n failed``, one row a size.

        ``failed`` of the ``n`` replicates count in no power, nor in its interval.
        """
        limits, n = self.limits, self.p_values.shape[1]
        return make_table(
            {
                "size": np.array(self.sizes),
                "power": self.power,
                "conf_low": limits[:, 0],
                "conf_high": limits[:, 1],
                "n": np.full(len(self.sizes), n),
                "failed": n - self._worked,
            },
            self.frame,
        )

    @property
    def n_failed(self) -> int:
        """How many replicates failed, of all sizes."""
        return sum(len(own) for own in self.reasons)

    @property
    def failed(self) -> Any:
        """Table ``size replicate reason`` of the replicates that failed."""
        rows = [
            (size, r, why)
            for size, own in zip(self.sizes, self.reasons, strict=True)
            for r, why in own.items()
        ]
        columns = zip(*rows, strict=True) if rows else ((), (), ())
        named = zip(("size", "replicate", "reason"), map(list, columns), strict=True)
        return make_table(dict(named), self.frame)

    def __repr__(self) -> str:
        failed = f", {self.n_failed} failed" if self.n_failed else ""
        head = (
            f"<Power of {self.test} at {self.alpha:g}: {self.p_values.shape[1]:,} replicates a "
            f"size{failed}"
        )
        what = "observations" if self.along is None else self.along
        rows = [
            f"  {what} {size}: {power:.3f} ({low:.3f}, {high:.3f})"
            for size, power, (low, high) in zip(self.sizes, self.power, self.limits, strict=True)
        ]
        return "\n".join([head, *rows]) + ">"

    @property
    def _worked(self) -> NDArray[np.intp]:
        counts: NDArray[np.intp] = np.isfinite(self.p_values).sum(axis=1)
        return counts

    @property
    def _rejections(self) -> NDArray[np.intp]:
        counts: NDArray[np.intp] = (self.p_values < self.alpha).sum(axis=1)
        return counts


def binomial_limits(successes: Any, n: Any, level: float) -> Floats:
    """Clopper and Pearson's limits (S, 2) of probabilities (1934, Biometrika 26, 404).

    Examples
    --------
    >>> binomial_limits([0, 5], [10, 10], 0.95).round(4)
    array([[0.    , 0.3085],
           [0.1871, 0.8129]])
    """
    from scipy.special import betaincinv

    k, n = np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64)
    tail = 0.5 * (1.0 - level)
    low = betaincinv(np.maximum(k, 1.0), n - k + 1.0, tail)
    high = betaincinv(k + 1.0, np.maximum(n - k, 1.0), 1.0 - tail)
    return np.column_stack([np.where(k > 0.0, low, 0.0), np.where(k < n, high, 1.0)])


def simulated_power(
    truth: Fit,
    test: AbstractPowerTest,
    n: int,
    *,
    along: str | None,
    sizes: Sequence[int],
    alpha: float,
    level: float,
    seed: Seed = None,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Power:
    """Test ``n`` responses of ``truth`` at each size.

    Replicates of different sizes begin with the same random numbers.

    Raises
    ------
    ModelError
        If the design of a size cannot be fitted, or every replicate of one failed.
    """
    streams = Streams(seed)
    designs = [resized(truth, along, size) for size in sizes]
    p_values, reasons = np.empty((len(sizes), n)), []
    for place, (size, own) in enumerate(zip(sizes, designs, strict=True)):
        draws = parametric_draws(own, "marginal", streams)
        tell = None if progress is None else partial(_tell, progress, place * n)
        p_values[place], failed = test.p_values(Run(own, draws, n, threads, tell))
        if len(failed) == n:
            at = "" if along is None else f" with {size} of {along!r}"
            raise ModelError(f"Every replicate failed{at}; the first: {failed[0]}")
        reasons.append(dict(sorted(failed.items())))
    return Power(
        test=test.text,
        alpha=alpha,
        level=level,
        along=along,
        sizes=tuple(sizes),
        p_values=p_values,
        reasons=tuple(reasons),
        frame=FrameKind(truth.design.frame.backend),
    )


def _tell(progress: Callable[[int], None], before: int, done: int) -> None:
    progress(before + done)
