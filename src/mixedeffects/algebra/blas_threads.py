"""One thread for BLAS while the threads are ours: two layers of them only wait for each other."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

# How the OpenBLAS of the wheels of numpy and scipy, or a plain one, names its functions.
NAMES = ("scipy_openblas_{}_num_threads{}", "openblas_{}_num_threads{}")

_lock = threading.Lock()
_users = 0
_before: list[int] = []


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Let numpy's and scipy's own OpenBLAS use one thread meanwhile; another BLAS is left alone."""
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _users, _before
    with _lock:
        if _users == 0:
            _before = [get() for get, _ in _controls()]
            for _, put in _controls():
                put(1)
        _users += 1


def _leave() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users == 0:
            for (_, put), count in zip(_controls(), _before, strict=True):
                put(count)


@lru_cache
def _controls() -> tuple[tuple[Callable[[], int], Callable[[int], None]], ...]:
    """Reader and setter of the number of threads of each library that is there."""
    found = []
    for path in _libraries():
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        for name in NAMES:
            for suffix in ("", "64_"):
                get = getattr(library, name.format("get", suffix), None)
                put = getattr(library, name.format("set", suffix), None)
                if get is not None and put is not None:
                    found.append((get, put))
    return tuple(found)


def _libraries() -> Iterator[Path]:
    """The libraries that the wheels of numpy and scipy bring along."""
    for package in ("numpy", "scipy"):
        spec = find_spec(package)
        for root in spec.submodule_search_locations or () if spec else ():
            for folder in (Path(root).parent / f"{package}.libs", Path(root) / ".dylibs"):
                yield from sorted(folder.glob("*openblas*"))
