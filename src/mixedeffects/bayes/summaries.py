"""Draws of many quantities as columns: means, quantiles, and how well these are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.diagnostics import ess_bulk, ess_tail, r_hat

Floats = NDArray[np.float64]

COLUMNS = (
    *("estimate", "std_error", "median", "conf_low", "conf_high"),
    *("r_hat", "ess_bulk", "ess_tail"),
)


def summary(draws: Floats, level: float) -> dict[str, Floats]:
    """Columns ``estimate std_error median conf_low conf_high`` (...) of draws (N, ...).

    Mean, standard deviation, median and the central interval's limits; NaN where draws are.
    """
    low, median, high = quantiles(draws, [0.5 - 0.5 * level, 0.5, 0.5 + 0.5 * level])
    return {
        "estimate": draws.mean(axis=0),
        "std_error": draws.std(axis=0, ddof=1),
        "median": median,
        "conf_low": low,
        "conf_high": high,
    }


def quantiles(draws: Floats, shares: list[float]) -> Floats:
    """Quantiles (q, ...) of draws (N, ...)."""
    along = np.array(np.moveaxis(draws, 0, -1), order="C")  # a copy, which may be sorted
    found: Floats = np.quantile(along, shares, axis=-1, overwrite_input=True)
    return found


def diagnosed(chains: Floats, level: float) -> dict[str, Floats]:
    """The columns of ``summary`` of draws (C, S, ...), and ``r_hat ess_bulk ess_tail``."""
    if not chains.size:
        return dict.fromkeys(COLUMNS, np.empty(chains.shape[2:]))
    flat = chains.reshape(-1, *chains.shape[2:])
    return summary(flat, level) | {
        "r_hat": r_hat(chains),
        "ess_bulk": ess_bulk(chains),
        "ess_tail": ess_tail(chains),
    }
