"""The no-U-turn sampler on any log-density with a gradient: nutpie, wrapped.

Hoffman, Gelman (2014) The No-U-Turn Sampler, Journal of Machine Learning Research 15,
1593–1623.  nutpie adapts a diagonal mass matrix from the draws and their gradients.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.draws import Settings
from mixedeffects.bayes.libraries import nutpie
from mixedeffects.errors import ModelError

Floats = NDArray[np.float64]
# The log-density at x (d,) and its gradient (d,).
Density = Callable[[Floats], tuple[float, Floats]]
Progress = Callable[[int], None]

MAX_DEPTH = 10
TARGET_ACCEPTANCE = 0.8
# Seconds between two looks at how far the chains are.
LOOK = 0.05
NOWHERE = (
    "The log-density is not finite where the chains start, in many tries: the posterior may have "
    "no density there, or priors and data contradict each other."
)
# Our (ArviZ's) name of each statistic of a draw, and nutpie's.
STATISTICS = {
    "diverging": "diverging",
    "energy": "energy",
    "tree_depth": "depth",
    "n_steps": "n_steps",
    "step_size": "step_size",
    "acceptance_rate": "mean_tree_accept",
    "lp": "logp",
}


@dataclass(frozen=True, slots=True)
class Chains:
    """Draws x (C, S, d) of C chains after tuning, and statistics (C, S) of each.

    An interrupted run keeps what its chains had, cut to a common length; those that had
    little beside the others are left out.
    """

    x: Floats
    stats: Mapping[str, NDArray[Any]]
    interrupted: bool
    max_depth: int


def run_nuts(
    make_density: Callable[[], Density],
    dimension: int,
    start: Callable[[np.random.Generator], Floats],
    settings: Settings,
    *,
    progress: Progress | None = None,
    cores: int | None = None,
    target_acceptance: float = TARGET_ACCEPTANCE,
    max_depth: int = MAX_DEPTH,
) -> Chains:
    """Draw from a density on R^d.

    Parameters
    ----------
    make_density
        Makes the density of one chain; chains run in threads, and share nothing then.  Where
        it cannot be evaluated its value is NaN, and the trajectory ends there as divergent; an
        exception is kept and raised when the run is over.
    start
        Draws the point at which a chain starts; tried again where the density is not finite.
    progress
        Called now and then, from a thread of its own, with the number of draws made so far by
        all chains, tuning included.
    cores
        Chains that run at a time; the draws do not depend on it.

    Raises
    ------
    KeyboardInterrupt
        When the user stops the run before any draw after tuning.
    ModelError
        When the density is finite at no point where a chain starts.

    Examples
    --------
    >>> density = lambda: lambda x: (-0.5 * float(x @ x), -x)
    >>> chains = run_nuts(density, 3, lambda rng: rng.normal(size=3), Settings(2, 400, 200, 1))
    >>> chains.x.shape, chains.interrupted
    ((2, 400, 3), False)
    >>> bool(np.all(abs(chains.x.mean(axis=(0, 1))) < 0.2))
    True
    """
    run = _Run()
    model = _model(make_density, dimension, start, run)
    options = {"target_accept": target_acceptance, "maxdepth": max_depth}
    return _sampled(model, run, settings, cores, progress, options)


def run_compiled(
    functions: tuple[int, int],
    pool: Counted,
    dimension: int,
    start: Callable[[np.random.Generator], Floats],
    settings: Settings,
    *,
    progress: Progress | None = None,
    cores: int | None = None,
    target_acceptance: float = TARGET_ACCEPTANCE,
) -> Chains:
    """Draw from a density that is a C function, without Python between its evaluations.

    ``functions``: addresses of the density and of what keeps a draw, both as nutpie has them
    compiled for PyMC; their last argument points to the address of ``pool``, which has a
    density for each of the ``cores``.  The rest is as of ``run_nuts``.
    """
    model = _compiled_model(functions, pool, dimension, start)
    options = {"target_accept": target_acceptance, "maxdepth": MAX_DEPTH}
    return _sampled(model, pool, settings, cores, progress, options)


class Counted(Protocol):
    """What counts the draws that were made."""

    @property
    def address(self) -> int: ...

    @property
    def made(self) -> int: ...


def _sampled(
    model: Any,
    run: _Run | Counted,
    settings: Settings,
    cores: int | None,
    progress: Progress | None,
    options: Mapping[str, Any],
) -> Chains:
    sampler = nutpie().sample(
        model,
        draws=settings.draws,
        tune=settings.tune,
        chains=settings.chains,
        seed=settings.seed,
        cores=min(settings.chains, cores or os.cpu_count() or 1),
        progress_bar=False,
        return_raw_trace=True,
        blocking=False,
        **options,
    )
    failures = run.failures if isinstance(run, _Run) else []
    with _reported(run, progress):
        try:
            trace, interrupted = sampler.wait(), False
        except KeyboardInterrupt:
            trace, interrupted = sampler.abort(), True
        except RuntimeError as error:
            known = ModelError(NOWHERE) if "initialization" in str(error) else error
            raise (failures or [known])[0] from error
        except BaseException:
            sampler.cancel()
            raise
    if failures:
        raise failures[0]
    draws, stats = trace.get_arrow_trace()
    return _chains(draws, stats, model.n_dim, interrupted, options["maxdepth"])


class _Run:
    """What the threads of one run tell: draws made so far, and exceptions of the density."""

    def __init__(self) -> None:
        self.made = 0
        self.failures: list[Exception] = []

    def guarded(self, density: Density) -> Density:
        """The density; nutpie must not see an exception, after which it cannot be stopped."""

        def guard(x: Floats) -> tuple[float, Floats]:
            try:
                return density(x)
            except Exception as error:
                self.failures.append(error)
                return float("nan"), np.zeros_like(x)

        return guard


@contextmanager
def _reported(run: _Run | Counted, progress: Progress | None) -> Iterator[None]:
    """Tell the progress from a thread of its own while the chains run."""
    if progress is None:
        yield
        return
    done = threading.Event()

    def tell() -> None:
        while not done.wait(LOOK):
            progress(run.made)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        progress(run.made)


def _model(
    make_density: Callable[[], Density],
    dimension: int,
    start: Callable[[np.random.Generator], Floats],
    run: _Run,
) -> Any:
    nutpie()
    from nutpie.compiled_pyfunc import from_pyfunc

    def make_keep(*seeds: int) -> Callable[[Floats], dict[str, Floats]]:
        def keep(x: Floats) -> dict[str, Floats]:
            run.made += 1
            return {"x": np.array(x)}

        return keep

    return from_pyfunc(
        dimension,
        lambda: run.guarded(make_density()),
        make_keep,
        [np.dtype(np.float64)],
        [(dimension,)],
        ["x"],
        make_initial_point_fn=lambda seed: start(np.random.default_rng(seed)),
    )


def _compiled_model(
    functions: tuple[int, int],
    pool: Counted,
    dimension: int,
    start: Callable[[np.random.Generator], Floats],
) -> Any:
    nutpie()
    from nutpie.compile_pymc import CompiledPyMCModel

    density, keep = (SimpleNamespace(address=address) for address in functions)
    return CompiledPyMCModel(
        dims={},
        compiled_logp_func=density,
        compiled_expand_func=keep,
        initial_point_func=lambda seed: start(np.random.default_rng(seed)),
        shared_data={"pool": pool},
        user_data=np.array([pool.address], dtype=np.uintp),
        n_expanded=dimension,
        shape_info=(["x"], [slice(0, dimension)], [(dimension,)]),
        logp_func=None,
        expand_func=None,
        _n_dim=dimension,
        _shapes={"x": (dimension,)},
        _coords={},
    )


def _chains(
    draws: Sequence[Any], stats: Sequence[Any], dimension: int, interrupted: bool, depth: int
) -> Chains:
    """The draws after tuning of Arrow batches, one a chain."""
    tuning = [int(np.sum(_column(batch, "tuning"))) for batch in stats]
    lengths = np.array([batch.num_rows for batch in draws]) - np.array(tuning)
    kept, length = _worth_keeping(lengths)
    if length == 0:
        raise KeyboardInterrupt("stopped before the chains were tuned")
    x = np.empty((len(kept), length, dimension))
    named: dict[str, list[NDArray[Any]]] = {name: [] for name in STATISTICS}
    for row, chain in enumerate(kept):
        flat = _column(draws[chain].slice(tuning[chain], length), "x")
        x[row] = flat.reshape(length, dimension)
        own = stats[chain].slice(tuning[chain], length)
        for name, theirs in STATISTICS.items():
            named[name].append(_column(own, theirs))
    return Chains(x, {name: np.array(rows) for name, rows in named.items()}, interrupted, depth)


def _column(batch: Any, name: str) -> NDArray[Any]:
    import pyarrow

    column = pyarrow.array(batch.column(name))
    column = column.flatten() if hasattr(column, "flatten") else column
    values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values


def _worth_keeping(lengths: NDArray[np.integer]) -> tuple[NDArray[np.intp], int]:
    """The chains, and the length common to them, that keep the most draws."""
    longest = np.argsort(-lengths, kind="stable")
    count = int(np.argmax(lengths[longest] * np.arange(1, len(lengths) + 1))) + 1
    return np.sort(longest[:count]), int(lengths[longest[count - 1]])
