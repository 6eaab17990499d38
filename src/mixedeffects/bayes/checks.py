"""What must hold of draws that conclusions are built on, what does, and what to do if not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.diagnostics import bfmi, ess_bulk, ess_tail, plain_r_hat, r_hat
from mixedeffects.bayes.quantities import named_draws
from mixedeffects.bayes.sampled import Sampled
from mixedeffects.fitting.checks import Check

Floats = NDArray[np.float64]

# Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), Bayesian Analysis 16, 667-718.
R_HAT = 1.01
EFFECTIVE = 400.0
# Betancourt (2016), arXiv:1604.00695.
MISSING_INFORMATION = 0.3
# Vehtari, Simpson, Gelman, Yao and Gabry (2024), JMLR 25(72).
PARETO_K = 0.7
# Standard deviations and correlations of one term: in larger ones few parameters make them all.
WATCHED = 200


def check_draws(sampled: Sampled) -> tuple[Check, ...]:
    """The checks of a posterior's draws; of independent draws of a prior, that there are enough."""
    return tuple(_checks(sampled))


def _checks(sampled: Sampled) -> Iterator[Check]:
    draws = sampled.draws
    if draws.interrupted:
        yield _interrupted(sampled)
    names, values = zip(*named_draws(sampled, WATCHED), strict=True)
    together = np.stack(values, axis=-1)
    if "diverging" in draws.stats:
        yield _divergences(np.asarray(draws.stats["diverging"]))
        yield _agreement(names, together, sampled)
        yield from _sizes(names, together)
        yield from _energy(draws.stats)
        yield from _depth(draws.stats, draws.max_depth)
    else:
        yield from _weights(sampled)


def _interrupted(sampled: Sampled) -> Check:
    wanted, (_, made) = sampled.settings.draws, sampled.shape
    return Check(
        "draws",
        False,
        float(made),
        float(wanted),
        f"stopped by the user after {made:,} of {wanted:,} draws of each chain: what is there is "
        "used; sample again for all",
    )


def _divergences(diverging: NDArray[np.bool_]) -> Check:
    count = int(diverging.sum())
    message = (
        "no trajectory diverged"
        if not count
        else "trajectories diverged: draws near a sharp corner of the posterior are missing; give "
        "standard deviations a narrower prior, centre and scale covariates, or leave out random "
        "effects that the data hardly tell of"
    )
    return Check("divergences", not count, float(count), 0.0, message)


def _agreement(names: tuple[str, ...], draws: Floats, sampled: Sampled) -> Check:
    found = r_hat(draws)
    worst, name = _worst(found, names)
    modes = max((_largest(plain_r_hat(b)) for b in sampled.draws.modes), default=0.0)
    if modes > worst:
        worst, name = modes, "a random effect"
    passed = worst <= R_HAT
    compared = "the chains" if sampled.shape[0] > 1 else "the halves of the only chain"
    message = (
        f"{compared} agree"
        if passed
        else f"{compared} disagree on {name}: run longer (tune=, draws=), and look for two "
        "solutions or a parameter that the data do not determine"
    )
    return Check("R-hat", passed, worst, R_HAT, message)


def _worst(values: Floats, names: tuple[str, ...]) -> tuple[float, str]:
    if np.isnan(values).all():
        return 1.0, names[0]
    place = int(np.nanargmax(values))
    return float(values[place]), names[place]


def _largest(values: Floats) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else 0.0


def _sizes(names: tuple[str, ...], draws: Floats) -> Iterator[Check]:
    for kind, sizes in (("bulk", ess_bulk(draws)), ("tail", ess_tail(draws))):
        least, name = _worst(-sizes, names)
        passed = -least >= EFFECTIVE
        of_what = "means and medians" if kind == "bulk" else "the limits of intervals"
        message = (
            f"enough effective draws for {of_what}"
            if passed
            else f"{of_what} of {name} rest on too few effective draws: ask for more draws"
        )
        yield Check(f"{kind} effective draws", passed, -least, EFFECTIVE, message)


def _energy(stats: Mapping[str, NDArray[Any]]) -> Iterator[Check]:
    energy = np.asarray(stats["energy"]) if "energy" in stats else np.empty((0, 0))
    if not energy.size or energy.shape[1] < 3:
        return
    least = float(np.nanmin(bfmi(energy)))
    passed = least >= MISSING_INFORMATION
    message = (
        "the chains move freely through the posterior's levels of energy"
        if passed
        else "the chains move slowly into the posterior's tails: give standard deviations a "
        "narrower prior, or run the chains longer"
    )
    yield Check("energy (BFMI)", passed, least, MISSING_INFORMATION, message)


def _depth(stats: Mapping[str, NDArray[Any]], max_depth: int) -> Iterator[Check]:
    if "tree_depth" not in stats or not max_depth:
        return
    count = int(np.sum(np.asarray(stats["tree_depth"]) >= max_depth))
    message = (
        "no trajectory was cut off"
        if not count
        else f"trajectories were cut off at depth {max_depth}: the draws are valid, but fewer are "
        "effective; centre and scale covariates"
    )
    yield Check("tree depth", not count, float(count), 0.0, message)


def _weights(sampled: Sampled) -> Iterator[Check]:
    draws = sampled.draws
    if np.isfinite(draws.pareto_k):
        passed = draws.pareto_k <= PARETO_K
        message = (
            "the approximation at the mode is near enough for its weights to correct it"
            if passed
            else "the approximation at the mode is too far from the posterior: simplify the "
            "random effects or give standard deviations a narrower prior"
        )
        yield Check("Pareto k", passed, float(draws.pareto_k), PARETO_K, message)
    size = draws.efficiency * sampled.size
    passed = size >= EFFECTIVE
    message = "enough effective draws" if passed else "too few effective draws: ask for more"
    yield Check("effective draws", passed, float(size), EFFECTIVE, message)
