"""The page and the pictures of a simulation-based calibration, from its ranks.

python benchmarks/simulation_report.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
RESULTS = Path(__file__).parent / "results" / "simulation_based.json"
PAGE = Path(__file__).parents[1] / "docs" / "calibration-posteriors.md"
PICTURE = PAGE.with_name("calibration-posteriors.png")

PAGE_TEXT = """# Calibration of posteriors

Simulation-based calibration (Talts et al. 2018, arXiv:1804.06788) of `me.sample`. Parameters are
drawn from their priors and data from the parameters, with NumPy alone; where densities, priors and
sampler are right, the rank of a true value among draws of its posterior is uniform. Written by
`python benchmarks/simulation_based.py`; the models and their priors are in
`benchmarks/simulated_priors.py`. The sets of binomial, Poisson and ordinal models were drawn at a
target acceptance of 0.8, which has since been raised to 0.9: the same script gives other draws of
the same posteriors.

At least {sets} data sets a model, {kept} thinned draws a data set. Beside the parameters, `b` is
the first group's random effect and `log-likelihood` a quantity of data and parameters together,
which finds errors that ranks of parameters miss (Modrák et al. 2023, Bayesian Analysis 20,
461–488).

{tables}

Of the {count} p-values {low} are below 0.05, where {expected:.1f} are expected; the smallest is
{least:.3f}, and {chance:.2f} is the chance of one so small among as many uniform ones.

The distribution function of the ranks less the uniform one, a line a quantity; the band holds 95%
of such lines over their whole length.

![Distribution functions of the ranks less the uniform one](calibration-posteriors.png)

Divergent transitions, among {draws} draws of one chain a data set:

{divergences}
"""


def uniform_p(ranks: NDArray[np.int64], kept: int, bins: int = 20) -> float:
    """χ² of the ranks 0…kept in bins of equal size."""
    counts = np.bincount(ranks * bins // (kept + 1), minlength=bins)
    return float(stats.chisquare(counts).pvalue)


def difference(ranks: NDArray[np.int64], kept: int) -> Floats:
    """Empirical less uniform distribution function (kept + 1,) of the ranks."""
    counts = np.bincount(ranks, minlength=kept + 1)
    found: Floats = np.cumsum(counts) / len(ranks) - np.arange(1, kept + 2) / (kept + 1)
    return found


def band(sets: int, kept: int, level: float = 0.95) -> Floats:
    """Half-width (kept + 1,) that holds a share ``level`` of the lines of uniform ranks.

    In every place the same multiple of the standard deviation there, by simulation.
    """
    z = np.arange(1, kept + 2) / (kept + 1)
    sd = np.sqrt(z * (1 - z) / sets)
    random = np.random.default_rng(1)
    lines = [difference(random.integers(0, kept + 1, sets), kept)[:-1] for _ in range(4000)]
    farthest = np.max(np.abs(lines) / sd[:-1], axis=1)
    width: Floats = sd * np.quantile(farthest, level)
    return width


def write_report(
    found: Mapping[str, list[dict[str, Any]]], kept: int = 99, draws: int = 700
) -> None:
    tables, p_values = [], []
    for name, sets in found.items():
        ranks = _ranks(sets)
        own = {quantity: uniform_p(values, kept) for quantity, values in ranks.items()}
        p_values += own.values()
        head = " | ".join(quantity.replace("|", "&#124;") for quantity in own)
        cells = " | ".join(f"{p:.3f}" for p in own.values())
        rule = "|".join([" --: "] * len(own))
        tables.append(
            f"**{name}**, p of χ² against uniform ranks\n\n| {head} |\n|{rule}|\n| {cells} |"
        )
    sets = min(len(own) for own in found.values())
    least, count = min(p_values), len(p_values)
    PAGE.write_text(
        PAGE_TEXT.format(
            sets=sets,
            kept=kept,
            tables="\n\n".join(tables),
            count=count,
            low=sum(p < 0.05 for p in p_values),
            expected=0.05 * count,
            least=least,
            chance=1 - (1 - least) ** count,
            divergences=_divergences(found),
            draws=draws,
        )
    )
    _picture(found, kept)


def _ranks(sets: list[dict[str, Any]]) -> dict[str, NDArray[np.int64]]:
    names = sets[0]["ranks"]
    return {name: np.array([one["ranks"][name] for one in sets]) for name in names}


def _divergences(found: Mapping[str, list[dict[str, Any]]]) -> str:
    lines = ["| model | sets | of them with a divergent transition |", "| --- | --: | --: |"]
    for name, sets in found.items():
        lines.append(f"| {name} | {len(sets):,} | {sum(one['divergent'] > 0 for one in sets)} |")
    return "\n".join(lines)


def _picture(found: Mapping[str, list[dict[str, Any]]], kept: int) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.5), layout="constrained")
    panels = figure.subplots(2, 4, sharex=True, sharey=True).ravel()
    x = np.arange(kept + 1) / kept
    for panel, (name, sets) in zip(panels, found.items(), strict=False):
        width = band(len(sets), kept)
        panel.fill_between(x, -width, width, color="0.88", lw=0)
        for quantity, ranks in _ranks(sets).items():
            panel.plot(x, difference(ranks, kept), lw=1, label=quantity)
        panel.set_title(f"{name}, {len(sets)} sets", fontsize=9)
        panel.legend(fontsize=5.5, ncols=2, loc="lower center", frameon=False)
        panel.axhline(0, color="0.5", lw=0.5)
    for panel in panels[len(found) :]:
        panel.set_visible(False)
    figure.supxlabel("rank of the true value, as a share")
    figure.supylabel("distribution function of the ranks less the uniform one")
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    write_report(json.loads(RESULTS.read_text()))
