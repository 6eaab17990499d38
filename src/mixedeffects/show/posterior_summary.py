"""The summary of a posterior: its draws, what they say, and whether they can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mixedeffects.bayes.quantities import count_deviations
from mixedeffects.bayes.sampled import Sampled
from mixedeffects.bayes.tables import coefficient_columns, covariance_columns
from mixedeffects.fitting.checks import Check
from mixedeffects.formula.design import Design
from mixedeffects.show import formats
from mixedeffects.show.general_summary import SPOKEN, one_sided
from mixedeffects.show.summary import Summary, span
from mixedeffects.show.tables import Table

__all__ = ["summarize_posterior"]

# What a reader takes in; the whole is in post.fixef() and post.varcorr().
_MOST = 40


def summarize_posterior(sampled: Sampled, checks: Sequence[Check], level: float = 0.95) -> Summary:
    """Summarize draws.

    Parameters
    ----------
    sampled
    checks
        Of the draws.
    level
        Of the intervals.
    """
    failed = [check for check in checks if not check.passed]
    return Summary(
        title=_title(sampled),
        formula=sampled.design.formula,
        facts=tuple(_facts(sampled)),
        tables=tuple(_tables(sampled, level)),
        notes=tuple(_notes(sampled)),
        certificate=(*_certificate(checks), f"{_capital(sampled.draws.way)}."),
        converged=not failed,
    )


def _title(sampled: Sampled) -> str:
    kind = "Prior" if sampled.prior_only else "Posterior"
    model = "linear mixed model" if sampled.is_linear else "mixed model"
    of = "" if sampled.is_linear else f" of family {sampled.family.name}"
    return f"{kind} of a {model}{of}"


def _facts(sampled: Sampled) -> Iterator[tuple[str, str]]:
    design, family = sampled.design, sampled.family
    if not sampled.is_linear:
        yield "Family", family.describe()
    for name, own in design.others.items():
        yield SPOKEN[name].capitalize(), one_sided(own)
    rows = f"{len(design.y):,}"
    yield "Rows", rows if len(design.y) == design.n_rows else f"{rows} of {design.n_rows:,}"
    groups = {t.design.group: len(t.design.levels) for t in sampled.terms}
    yield "Groups", ", ".join(f"{group} {count:,}" for group, count in groups.items())
    chains, draws = sampled.shape
    told = f"{formats.counted(chains, 'chain')} of {formats.counted(draws, 'draw')}"
    yield "Draws", f"{told}, seed {sampled.settings.seed}"
    if design.weights is not None:
        meaning = (
            "residual variance is sigma^2 / weight"
            if sampled.is_linear
            else "they multiply the rows' log-likelihoods"
        )
        yield "Weights", f"{span(design.weights)}; {meaning}"
    if design.offset is not None:
        yield "Offset", span(design.offset)


# -- tables --------------------------------------------------------------------------------


def _tables(sampled: Sampled, level: float) -> Iterator[Table]:
    variances = covariance_columns(sampled, level, _MOST)
    variances["estimate"] = variances["sd_or_corr"]
    of = _of_components(variances.get("component", ()))
    labels = [
        (f"{group}{own}", term if other is None else f"cor({term}, {other})")
        for group, term, other, own in zip(
            variances["group"],
            (t or "" for t in variances["term1"]),
            variances["term2"],
            of or [""] * len(variances["group"]),
            strict=True,
        )
    ]
    told = sum(group != "Residual" for group in variances["group"])
    more = _more(count_deviations(sampled) - told, "varcorr")
    yield _table("Random effects", labels, ("Group", "Term"), variances, level, more)
    fixed = coefficient_columns(sampled, level)
    names = [(term,) for term in fixed["term"]]
    components = fixed.get("component", ["conditional"] * len(names))
    for component in dict.fromkeys(components):
        own = [i for i, c in enumerate(components) if c == component]
        columns = {name: [fixed[name][i] for i in own[:_MOST]] for name in _NUMBERS}
        shown, more = [names[i] for i in own[:_MOST]], _more(len(own) - _MOST, "fixef")
        yield _table(_caption(component, sampled), shown, ("",), columns, level, more)
    yield _priors(sampled)


def _more(count: int, method: str) -> tuple[str, ...]:
    """Where the rows are that are not shown."""
    return (f"{formats.counted(count, 'row')} more: post.{method}()",) if count > 0 else ()


_NUMBERS = ("estimate", "std_error", "conf_low", "conf_high", "r_hat", "ess_bulk", "ess_tail")


def _of_components(components: Sequence[str]) -> list[str]:
    return ["" if c == "conditional" else f" ({SPOKEN.get(c, c)})" for c in components]


def _table(
    caption: str,
    labels: Sequence[tuple[str, ...]],
    names: tuple[str, ...],
    columns: Mapping[str, Any],
    level: float,
    notes: tuple[str, ...],
) -> Table:
    """Posterior means, deviations and limits, with what is known of the draws."""
    decimals = formats.places(list(columns["std_error"]), 3)
    sized = ("estimate", "std_error", "conf_low", "conf_high")
    cells = [list(column) for column in zip(*labels, strict=True)]
    cells += [formats.column(list(columns[name]), decimals) for name in sized]
    cells += [formats.column(list(columns["r_hat"]), 3)]
    sizes = zip(columns["ess_bulk"], columns["ess_tail"], strict=True)
    cells += [[formats.column([min(pair)], 0)[0] for pair in sizes]]
    low, high = f"{50 - 50 * level:.4g}%", f"{50 + 50 * level:.4g}%"
    header = (*names, "Mean", "Std. dev.", low, high, "R-hat", "Eff. draws")
    rows = tuple(zip(*cells, strict=True))
    return Table(caption, header, rows, len(names), notes)


def _caption(component: str, sampled: Sampled) -> str:
    return {
        "conditional": "Fixed effects",
        "dispersion": f"Dispersion: logarithm of the {sampled.family.dispersion}",
        "zero_inflation": "Zero inflation, on the logit scale",
        "threshold": "Thresholds",
        "shape": "Shape",
    }[component]


def _priors(sampled: Sampled) -> Table:
    assigned = list(zip(*sampled.priors.columns().values(), strict=True))
    shown = assigned[:_MOST]
    more = len(assigned) - len(shown)
    notes = (f"{formats.counted(more, 'row')} more: post.priors",) if more else ()
    return Table("Priors", ("Parameter", "Prior", "Source"), tuple(shown), 2, notes)


# -- notes ---------------------------------------------------------------------------------


def _notes(sampled: Sampled) -> Iterator[str]:
    design = sampled.design
    left_out = design.n_rows - len(design.y)
    if left_out:
        counts = ", ".join(f"{name} {count:,}" for name, count in design.dropped.items())
        yield f"{formats.counted(left_out, 'row')} left out for missing values: {counts}."
    yield from _aliased(sampled)
    told = dict.fromkeys(n for own in (design, *design.others.values()) for n in own.notes)
    yield from (note if note.endswith(".") else f"{note}." for note in told)
    if design.categories and sampled.family.response_kind == "ordinal":
        yield f"Categories of {design.response} in their order: {', '.join(design.categories)}."


def _aliased(sampled: Sampled) -> Iterator[str]:
    for part in sampled.parts:
        own: Design | None = part.design
        dropped = sampled.family.has_thresholds and part.name == "conditional"
        names = () if own is None else own.x_names[int(dropped and own.has_intercept) :]
        lost = [name for name in names if name not in part.x_names]
        if lost:
            yield (
                f"Left out, as other columns determine them: {', '.join(lost)}. Predictions do "
                "not depend on the choice."
            )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _certificate(checks: Sequence[Check]) -> Iterator[str]:
    failed = [check for check in checks if not check.passed]
    if not failed:
        found = ", ".join(f"{c.name} {formats.amount(c.value)}" for c in checks)
        yield f"Draws checked: {found}."
        return
    yield "The draws are NOT to be trusted as they are:"
    for c in failed:
        value, limit = formats.amount(c.value), formats.amount(c.tolerance)
        yield f"{c.name} {value} (limit {limit}): {c.message}."
