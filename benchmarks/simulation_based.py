"""Simulation-based calibration of me.sample (Talts et al. 2018, arXiv:1804.06788).

    python benchmarks/simulation_based.py [--sets 300] [--only MODEL ...]

Parameters are drawn from their priors and data from them; the rank of each true value among
thinned draws of its posterior is uniform where densities, priors and sampler are right. Writes
docs/calibration-posteriors.md with its pictures. The same numbers come out whatever the number
of processes.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
import zlib
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mixedeffects as me
from mixedeffects.bayes.quantities import named_draws
from simulated_priors import Model, Simulated, log_likelihood, models
from simulation_report import RESULTS, write_report

Floats = NDArray[np.float64]
CHAINS, DRAWS, TUNE, KEPT = 1, 700, 400, 99


def simulated(model: Model, number: int) -> Simulated:
    """The data set of a number: the first that identifies the model."""
    random = np.random.default_rng([2026, zlib.crc32(model.name.encode()), number])
    while (found := model.simulate(random)) is None:
        pass
    return found


def ranks(model: Model, number: int) -> dict[str, Any]:
    """Rank of each true value among KEPT draws of its posterior, and what the sampler said."""
    warnings.simplefilter("ignore")
    given = simulated(model, number)
    post = me.sample(
        model.formula,
        given.data,
        family=model.family,
        priors=model.priors,
        chains=CHAINS,
        draws=DRAWS,
        tune=TUNE,
        seed=number,
        progress=False,
        on_check="ignore",
    )
    thinned = np.linspace(0, CHAINS * DRAWS - 1, KEPT).round().astype(int)
    values = {name: draws.ravel()[thinned] for name, draws in named_draws(post._sampled)}
    if model.family == "nbinom2":
        values["sigma"] = post._sampled.draws.sigma.ravel()[thinned]
    values["b"] = post._sampled.draws.modes[0].reshape(CHAINS * DRAWS, -1)[thinned, 0]
    truth = {name: np.atleast_1d(value) for name, value in given.truth.items()}
    values["log-likelihood"] = log_likelihood(model, given, values)
    truth["log-likelihood"] = log_likelihood(model, given, truth)
    return {
        "ranks": {name: int((values[name] < own).sum()) for name, own in truth.items()},
        "divergent": int(np.sum(post._sampled.draws.stats.get("diverging", 0))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=300)
    parser.add_argument("--only", nargs="*", default=[model.name for model in models()])
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    RESULTS.parent.mkdir(exist_ok=True)
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    with ProcessPoolExecutor(options.processes) as pool:
        for model in models():
            if model.name in options.only:
                sets = range(options.sets)
                found[model.name] = list(pool.map(ranks, repeat(model), sets, chunksize=5))
                RESULTS.write_text(json.dumps(found, separators=(",", ":")) + "\n")
    write_report(found, KEPT)


if __name__ == "__main__":
    main()
