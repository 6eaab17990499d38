"""The libraries of Bayesian work, imported when they are first needed."""

from __future__ import annotations

import importlib
import warnings
from functools import cache
from typing import Any


@cache
def arviz() -> Any:
    """ArviZ, without its notice of what a later version will change."""
    return _quietly("arviz")


@cache
def nutpie() -> Any:
    """The sampler, which imports ArviZ."""
    return _quietly("nutpie")


def _quietly(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        return importlib.import_module(name)
