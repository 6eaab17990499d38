"""Error rates of the tests and coverage of the intervals, from simulated data with a known truth.

    python benchmarks/calibration.py [--sets 2000] [--only STUDY ...]

Writes docs/calibration.md with its picture; `--only` keeps the results of the other studies. The
same numbers come out whatever the number of processes.
"""

import argparse
import json
import multiprocessing
import os
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

import mixedeffects as me
from calibration_report import PAGE, RESULTS, write_report
from designs import GROUPS, MAKERS, Design, Hypothesis, crossed, one_factor, slopes
from rates import Rate

Floats = NDArray[np.float64]
LEVEL = 0.95
DEGREES = ("kenward-roger", "satterthwaite", "residual", "asymptotic")
REPLICATES = 399  # of a bootstrap interval


@dataclass(frozen=True, slots=True)
class Task:
    """A study of one design."""

    study: str
    maker: Callable[[int, bool], Design]
    groups: int
    balanced: bool

    def __str__(self) -> str:
        data = "balanced" if self.balanced else "unbalanced"
        return f"{self.study}: {self.maker.__name__}, {self.groups} groups, {data}"

    def run(self, sets: int) -> list[Rate]:
        warnings.simplefilter("ignore")
        design = self.maker(self.groups, self.balanced)
        key = f"{self.study}/{design.structure}/{self.balanced}/{self.groups}"
        random = np.random.default_rng([2026, zlib.crc32(key.encode())])
        return STUDIES[self.study](design, design.responses(random, sets))


def fitted(design: Design, y: Floats, **changes: Any) -> me.MixedFit:
    """A first fit, from which all others of the design are refits."""
    reml, formula = changes.pop("reml", True), design.formula(**changes)
    return me.fit(formula, {"y": y, **design.data}, reml=reml, on_check="ignore")


def refits(first: me.MixedFit, Y: Floats) -> Iterator[me.MixedFit]:
    return (first.refit(y, on_check="ignore") for y in Y.T)


def rate(design: Design, what: str, method: str, hits: Any, undefined: int = 0) -> Rate:
    return Rate(
        design.structure,
        design.balanced,
        design.groups,
        design.rows,
        what,
        method,
        len(hits),
        int(np.sum(hits)),
        int(undefined),
    )


def rejected(design: Design, what: str, p_values: dict[str, Any]) -> list[Rate]:
    return [
        rate(design, what, method, np.asarray(p) < 1 - LEVEL, np.isnan(p).sum())
        for method, p in p_values.items()
    ]


def fixed_effects(design: Design, Y: Floats) -> list[Rate]:
    """Tests of true hypotheses about fixed effects."""
    first = fitted(design, Y[:, 0])
    names = list(first.fixef()["term"])
    rows = [np.eye(len(names))[[names.index(t) for t in h.terms]] for h in design.hypotheses]
    p = np.array([[[p_value(m, L, df) for df in DEGREES] for L in rows] for m in refits(first, Y)])
    full = logliks(fitted(design, Y[:, 0], reml=False), Y)
    found: list[Rate] = []
    for number, hypothesis in enumerate(design.hypotheses):
        own = dict(zip(DEGREES, p[:, number].T, strict=True))
        found += rejected(
            design, hypothesis.label, own | likelihood_ratio(design, hypothesis, Y, full)
        )
    return found


def p_value(m: me.MixedFit, L: Floats, df: str) -> float:
    """NaN where the approximation is refused."""
    try:
        return m.test(L, df=df).joint.p_value
    except me.errors.ModelError:
        return float("nan")


def logliks(first: me.MixedFit, Y: Floats) -> Floats:
    return np.array([m.loglik for m in refits(first, Y)])


def likelihood_ratio(
    design: Design, hypothesis: Hypothesis, Y: Floats, full: Floats
) -> dict[str, Floats]:
    """The χ² test of two fits by maximum likelihood."""
    small = logliks(fitted(design, Y[:, 0], fixed=hypothesis.reduced, reml=False), Y)
    return {"likelihood ratio": stats.chi2.sf(2 * (full - small), len(hypothesis.terms))}


def bootstrap_ratio(design: Design, Y: Floats) -> list[Rate]:
    """The same likelihood ratios against refits to responses of the smaller model."""
    hypothesis = design.hypotheses[1]
    large = refits(fitted(design, Y[:, 0], reml=False), Y)
    small = refits(fitted(design, Y[:, 0], fixed=hypothesis.reduced, reml=False), Y)
    p = [
        me.compare(one, two, method="bootstrap", n=199, seed=number)["p_value"].iloc[1]
        for number, (one, two) in enumerate(zip(small, large, strict=True))
    ]
    return rejected(design, hypothesis.label, {"bootstrap": p})


def variances(design: Design, Y: Floats) -> list[Rate]:
    """Tests of the last random effect's variance, which is zero."""
    first = fitted(design, Y[:, 0])
    terms = list(first.test_random(method="asymptotic")["term"])
    group = design.random.rsplit("| ", 1)[1]
    tested = max(k for k, term in enumerate(terms) if term.endswith(group))
    single = len(design.effects) == 1 and design.effects[0].Z.shape[1] == 1
    found: dict[str, list[float]] = {"exact": [], "mixture": [], "naive": []}
    for m in refits(first, Y):
        test = m.test_random(method="asymptotic").iloc[tested]
        found["naive"].append(test["p_naive"])
        found["mixture"].append(test["p_value"])
        if single:
            zero = test["statistic"] < 1e-9
            exact = 1.0 if zero else m.test_random(method="exact")["p_value"].iloc[tested]
            found["exact"].append(exact)
    return rejected(design, terms[tested], {k: v for k, v in found.items() if v})


def truth(design: Design, table: Any) -> Floats:
    """The true value of each row of an interval table."""
    values = []
    for row in table.itertuples():
        if row.kind == "fixed":
            values.append(0.0)
        elif row.kind == "sigma":
            values.append(1.0)
        else:
            root = design.effects[0].root
            covariance = root @ root.T
            sd = np.sqrt(np.diag(covariance))
            k = int(row.term1 != "Intercept")
            values.append(sd[k] if row.kind == "sd" else covariance[0, 1] / (sd[0] * sd[1]))
    return np.array(values)


def intervals(design: Design, Y: Floats) -> list[Rate]:
    """Wald and profile intervals of the variance parameters."""
    first = fitted(design, Y[:, 0])
    frame = first.confint()
    chosen = frame[frame["kind"] != "fixed"]
    names, true = list(chosen["term"]), truth(design, chosen)
    found: list[Rate] = []
    for method in ("wald", "profile"):
        limits = np.array(
            [
                m.confint(method=method, parameters=names)[["conf_low", "conf_high"]].to_numpy()
                for m in refits(first, Y)
            ]
        )
        found += covered(design, names, true, method, limits)
    return found


def covered(
    design: Design, names: list[str], true: Floats, method: str, limits: Floats
) -> list[Rate]:
    """How many of the intervals (sets, parameters, 2) hold the truth; missing ones do not."""
    inside = (limits[..., 0] <= true) & (true <= limits[..., 1])
    missing = np.isnan(limits).any(axis=2).sum(axis=0)
    return [rate(design, name, method, inside[:, k], missing[k]) for k, name in enumerate(names)]


def bootstrap_intervals(design: Design, Y: Floats) -> list[Rate]:
    """Intervals from refits to responses of the fit itself."""
    first = fitted(design, Y[:, 0])
    frame = first.confint()
    names, true = list(frame["term"]), truth(design, frame)
    kinds = ("percentile", "basic", "bias-corrected")
    limits: dict[str, list[Floats]] = {kind: [] for kind in kinds}
    for number, m in enumerate(refits(first, Y)):
        replicates = m.bootstrap(REPLICATES, seed=number, threads=1)
        assert list(replicates.names) == names
        for kind in kinds:
            limits[kind].append(replicates.limits(LEVEL, kind))
    return [
        found
        for kind in kinds
        for found in covered(design, names, true, f"bootstrap, {kind}", np.array(limits[kind]))
    ]


STUDIES: dict[str, Callable[[Design, Floats], list[Rate]]] = {
    "fixed_effects": fixed_effects,
    "bootstrap_ratio": bootstrap_ratio,
    "variances": variances,
    "intervals": intervals,
    "bootstrap_intervals": bootstrap_intervals,
}


def none_of_group(groups: int, balanced: bool) -> Design:
    return one_factor(groups, balanced, sd=0.0)


def no_slopes(groups: int, balanced: bool) -> Design:
    return without_last(slopes(groups, balanced))


def no_items(groups: int, balanced: bool) -> Design:
    return without_last(crossed(groups, balanced))


def without_last(design: Design) -> Design:
    """The design with the variance of its last random effect, or slope, at zero."""
    *others, last = design.effects
    root = last.root.copy()
    root[-1] = 0.0
    return replace(
        design,
        structure=f"{design.structure}, the last variance zero",
        effects=(*others, replace(last, root=root)),
    )


def tasks() -> list[Task]:
    """All studies, the long ones first."""
    grid = [(g, b) for g in GROUPS for b in (True, False)]
    return [
        *(Task("intervals", slopes, g, True) for g in (10, 20, 50)),
        *(Task("intervals", one_factor, g, b) for g, b in grid),
        *(Task("variances", none_of_group, g, b) for g, b in grid),
        *(Task("variances", maker, g, True) for maker in (no_slopes, no_items) for g in GROUPS),
        *(Task("bootstrap_intervals", one_factor, g, True) for g in (5, 10, 20)),
        *(Task("bootstrap_ratio", one_factor, g, True) for g in (5, 10)),
        *(Task("fixed_effects", maker, g, b) for maker in MAKERS for g, b in grid),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=2000, help="simulated data sets of a design")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--only", nargs="*", default=list(STUDIES), choices=STUDIES)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    start = time.perf_counter()
    # processes are parallel, and matrices tiny
    os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    content = json.loads(options.out.read_text()) if options.out.exists() else {}
    content = {study: content.get(study, []) for study in STUDIES} | {o: [] for o in options.only}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, mp_context=context) as pool:
        chosen = [task for task in tasks() if task.study in options.only]
        jobs = [(task, pool.submit(task.run, options.sets)) for task in chosen]
        for task, job in jobs:
            content[task.study] += [asdict(rate) for rate in job.result()]
            options.out.write_text(json.dumps(content, indent=1) + "\n")
            print(f"{time.perf_counter() - start:7.1f} s  {task}", flush=True)
    write_report(options.out, options.page)


if __name__ == "__main__":
    main()
