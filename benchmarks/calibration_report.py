"""The page and the picture of a calibration, from its numbers.

python benchmarks/calibration_report.py     # needs matplotlib
"""

import json
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from rates import Rate

RESULTS = Path(__file__).parent / "results" / "calibration.json"
PAGE = Path(__file__).parents[1] / "docs" / "calibration.md"

NAMES = {
    "kenward-roger": "Kenward–Roger",
    "satterthwaite": "Satterthwaite",
    "residual": "residual",
    "asymptotic": "z, χ²",
    "likelihood ratio": "likelihood ratio χ²",
    "bootstrap": "bootstrapped likelihood ratio",
    "mixture": "mixture of χ²",
    "naive": "naive χ²",
    "wald": "Wald",
    "profile": "profile likelihood",
}
FAR = 3.0

INTRODUCTION = """# Calibration

How often the tests reject what is true, and how often the intervals hold the truth, in simulated
data sets of small designs. Written by `python benchmarks/calibration.py --sets {sets}`, which
gives the same numbers again; the designs are in `benchmarks/designs.py`.

Every number rests on {sets:,} data sets. Its binomial standard error is {se:.2f} points where 5%
(or 95%) is the truth; what lies more than {far:g} of these away is set in **bold**. Fixed effects
are zero and the residual standard deviation is one. All data sets count, also those whose fit is
singular. After a slash: the share of data sets (in percent) for which a method gives nothing, which
count as not rejected, and as missing the truth.
"""

SHORT = """## In short

- From 10 groups on, Kenward–Roger holds its level, or errs on the safe side where a variance is
  often estimated at zero. Satterthwaite, the default, does so too for single coefficients, and
  rejects somewhat too often in F tests that mix coefficients of different precision in few groups.
- Residual and asymptotic degrees of freedom, and the likelihood ratio against χ², reject too often
  wherever few groups carry the hypothesis: two to three times too often at 10. The likelihood
  ratio against a parametric bootstrap repairs it.
- A zero variance is to be tested against the exact distribution or the mixture; the naive χ²
  rejects half as often as it should.
- Standard deviations: with few groups and several coefficients of groups, profile and bootstrap
  intervals miss too often on the low side (maximum likelihood, and a REML estimate taken for the
  truth); the Wald interval on the log scale of the REML estimate holds better, where it exists.
"""

FIXED = """## Tests of fixed effects

Rejections at the 5% level, in percent, of hypotheses that are true. A 95% interval holds the true
coefficient exactly when the t test does not reject it, and the profile interval when the likelihood
ratio test does not: coverage is 100 less these numbers, with Kenward–Roger, Satterthwaite, residual
and normal quantiles.

Where a variance is small its estimate is often zero (a standard deviation of 0.3 below):
Kenward–Roger then errs on the safe side, because its adjustment counts the uncertainty of a
variance that the estimate has at its bound. With 5 groups and treatments of whole groups one or two
degrees of freedom are left: take the results as they are.

![Rejections against the number of groups, a line a method](calibration.png)
"""

BOOTSTRAP_RATIO = """### Likelihood ratio by parametric bootstrap

Both models refitted by maximum likelihood to 199 responses of the smaller one.
"""

VARIANCES = """## Tests of a variance that is zero

Rejections at the 5% level, in percent. "Naive" takes χ² as if a variance could be negative; the
mixture is the large-sample one at the boundary; "exact" is the finite-sample distribution of the
restricted likelihood ratio, where a single variance is all there is. The mixtures err on the safe
side in small samples because a zero estimate is more frequent there than one half.
"""

INTERVALS = """## Intervals of standard deviations and correlations

Coverage of 95% intervals, in percent. There is no Wald interval where the estimate is at its
boundary. Wald is from the REML fit, profile from maximum likelihood.
"""

BOOTSTRAP = """## Bootstrap intervals

Coverage of 95% intervals, in percent, from 399 parametric replicates each.
"""


def write_report(results: Path, page: Path) -> None:
    """The page; and the picture beside it, where matplotlib is installed."""
    rates = {
        study: [Rate(**rate) for rate in found]
        for study, found in json.loads(results.read_text()).items()
    }
    sets = next(found[0].sets for found in rates.values() if found)
    se = 100 * (0.05 * 0.95 / sets) ** 0.5
    parts = [INTRODUCTION.format(sets=sets, se=se, far=FAR), SHORT]
    if rates["fixed_effects"]:
        parts += [FIXED, *tables(rates["fixed_effects"], 0.05)]
        if find_spec("matplotlib"):
            picture(page.with_suffix(".png"), rates["fixed_effects"])
    if rates["bootstrap_ratio"]:
        parts += [BOOTSTRAP_RATIO, *tables(rates["bootstrap_ratio"], 0.05)]
    if rates["variances"]:
        parts += [VARIANCES, *tables(rates["variances"], 0.05)]
    if rates["intervals"]:
        parts += [INTERVALS, *tables(rates["intervals"], 0.95)]
    if rates["bootstrap_intervals"]:
        parts += [BOOTSTRAP, *tables(rates["bootstrap_intervals"], 0.95)]
    page.write_text("\n".join(parts), encoding="utf-8")


def distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def tables(rates: list[Rate], expected: float) -> list[str]:
    """One table a structure, a row for each quantity, balance and number of groups."""
    found = []
    for structure in distinct(rate.structure for rate in rates):
        own = [rate for rate in rates if rate.structure == structure]
        methods = distinct(rate.method for rate in own)
        head = ["", "data", "groups", "rows", *(NAMES.get(m, m) for m in methods)]
        lines = [f"**{structure[0].upper()}{structure[1:]}**", "", line(head)]
        lines.append(line(["---"] * 2 + ["--:"] * (len(head) - 2)))
        order = distinct(rate.what for rate in own)
        cells = {(order.index(r.what), not r.balanced, r.groups, r.rows): {} for r in own}
        for r in own:
            cells[order.index(r.what), not r.balanced, r.groups, r.rows][r.method] = r
        for (what, unbalanced, groups, rows), of in sorted(cells.items()):
            data = "unbalanced" if unbalanced else "balanced"
            values = [cell(of[m], expected) if m in of else "" for m in methods]
            lines.append(line([order[what], data, str(groups), str(rows), *values]))
        found.append("\n".join([*lines, ""]))
    return found


def line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |"


def cell(rate: Rate, expected: float) -> str:
    text = f"{100 * rate.share:.1f}"
    text = f"**{text}**" if abs(rate.apart(expected)) > FAR else text
    return f"{text} / {100 * rate.undefined / rate.sets:.1f}" if rate.undefined else text


def picture(path: Path, rates: list[Rate]) -> None:
    """Rejections against groups, one panel a hypothesis; unbalanced data dashed."""
    from matplotlib import pyplot

    panels = list(dict.fromkeys((rate.structure, rate.what) for rate in rates))
    methods = distinct(rate.method for rate in rates)
    columns = 4
    rows = -(-len(panels) // columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(13, 2.7 * rows), sharex=True, sharey=True, squeeze=False
    )
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    for axis, (structure, what) in zip(axes.flat, panels, strict=False):
        axis.axhspan(4, 6, color="0.9")
        axis.axhline(5, color="0.6", linewidth=0.8)
        for number, method in enumerate(methods):
            for balanced, style in ((True, "-"), (False, "--")):
                own = sorted(
                    (r.groups, min(100 * r.share, 20.0))
                    for r in rates
                    if (r.structure, r.what, r.method, r.balanced)
                    == (structure, what, method, balanced)
                )
                name = NAMES.get(method, method) if balanced else None
                axis.plot(*zip(*own, strict=True), style, color=f"C{number}", label=name)
        axis.set(title=f"{structure}\n{what}", xscale="log", ylim=(0, 20))
        axis.title.set_fontsize(8)
        axis.set_xticks(sorted({r.groups for r in rates}))
        axis.set_xticklabels(sorted({r.groups for r in rates}))
        axis.minorticks_off()
    figure.supxlabel("groups")
    figure.supylabel("rejections at the 5% level (%), cut at 20")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower right", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    write_report(RESULTS, PAGE)
