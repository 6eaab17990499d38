"""``mixedeffects fit``: from a formula and a table to a summary."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mixedeffects.cli.files import check_targets, write_table, write_text
from mixedeffects.cli.program import DONE, NOT_CERTIFIED, Work, app
from mixedeffects.cli.progress import Progress

if TYPE_CHECKING:
    from mixedeffects.families import AbstractFamily
    from mixedeffects.model import MixedFit


class Freedom(StrEnum):
    """Degrees of freedom of the tests of fixed effects."""

    SATTERTHWAITE = "satterthwaite"
    KENWARD_ROGER = "kenward-roger"
    RESIDUAL = "residual"
    ASYMPTOTIC = "asymptotic"


class Format(StrEnum):
    """Of what ``fit`` prints."""

    TEXT = "text"
    JSON = "json"


_EXAMPLES = """\b
Examples:
  mixedeffects fit 'Reaction ~ Days + (Days | Subject)' sleepstudy
  mixedeffects fit 'y ~ x + (1 | school/class)' pupils.csv --ml --out fit.json
  mixedeffects fit 'y ~ x + (1 | g)' rows.parquet --weights w --predictions out.csv
  mixedeffects fit 'use ~ age + (1 | district)' contraception --family binomial
  mixedeffects fit 'y ~ x + (x | g)' rows.csv --report report.html
"""


@app.command(epilog=_EXAMPLES)
def fit(
    formula: Annotated[str, typer.Argument(help="Such as 'y ~ x + (1 + x | group)'.")],
    data: Annotated[
        str, typer.Argument(help="A CSV, Parquet or Feather file, or the name of a data set.")
    ],
    family: Annotated[
        str, typer.Option(help="Of the response: gaussian, binomial, poisson, nbinom2, ...")
    ] = "gaussian",
    link: Annotated[str | None, typer.Option(help="In place of the family's own.")] = None,
    dispersion: Annotated[
        str | None, typer.Option(help="Formula of the dispersion, such as '~ x'.")
    ] = None,
    zero_inflation: Annotated[
        str | None, typer.Option(help="Formula of extra zeros, such as '~ x + (1 | g)'.")
    ] = None,
    quadrature: Annotated[
        int, typer.Option(help="Nodes of Gauss-Hermite quadrature; 1: Laplace.")
    ] = 1,
    ml: Annotated[bool, typer.Option("--ml", help="Maximum likelihood in place of REML.")] = False,
    weights: Annotated[
        str | None,
        typer.Option(help="Column: residual variance sigma^2 / weight; trials; multiplicities."),
    ] = None,
    offset: Annotated[str | None, typer.Option(help="Column added to the prediction.")] = None,
    df: Annotated[
        Freedom | None,
        typer.Option(
            help="Degrees of freedom of the fixed effects' tests: satterthwaite for linear "
            "models, asymptotic for others."
        ),
    ] = None,
    level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    shown: Annotated[Format, typer.Option("--format", help="What is printed.")] = Format.TEXT,
    out: Annotated[Path | None, typer.Option(help="Write the estimates as JSON.")] = None,
    fixef: Annotated[
        Path | None, typer.Option(help="Write the fixed effects (.csv, .tsv, .parquet).")
    ] = None,
    ranef: Annotated[
        Path | None, typer.Option(help="Write the effects of each group's levels (likewise).")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Write the prediction of each row used (likewise).")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(help="Write the fit, for the other commands and mixedeffects.load."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page about it (.html).")] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit with status 1 where the optimum is not certified."),
    ] = False,
) -> Work:
    """Fit a mixed model and print its summary.

    Exit status: 0 when done, 2 for bad input, 130 when interrupted.
    """
    tables = {"fixef": fixef, "ranef": ranef, "predictions": predictions}

    def work() -> int:
        from mixedeffects.inference.wald import check_level

        check_targets(tables, out, save, report)
        check_level(level)
        if report is not None:
            from mixedeffects.model.reporting import check_page

            check_page(report)
        model = fitted(
            formula,
            data,
            family=_family(family, link),
            dispersion=dispersion,
            zero_inflation=zero_inflation,
            quadrature=quadrature,
            reml=False if ml else None,
            weights=weights,
            offset=offset,
        )
        asked: dict[str, Any] = {"df": df and df.value, "level": level}
        print(_json(model, **asked) if shown == Format.JSON else model.summary(**asked))
        if out is not None:
            write_text(out, _json(model, **asked) + "\n")
        if save is not None:
            model.save(save)
        if report is not None:
            model.report(report)
        for name, path in tables.items():
            if path is not None:
                write_table(path, _table(model, name, **asked))
        return NOT_CERTIFIED if strict and not model.converged else DONE

    return work


def _family(name: str, link: str | None) -> AbstractFamily:
    from mixedeffects.families import build

    family = build(name)
    return family if link is None else replace(family, link=link)


def fitted(formula: str, data: str, **options: Any) -> MixedFit:
    """A fit that says how far it is where that can be seen."""
    from mixedeffects.data.datasets import resolve
    from mixedeffects.model import fit as fit_model

    progress = Progress() if sys.stderr.isatty() else None
    try:
        return fit_model(formula, resolve(data), progress=progress, **options)
    finally:
        if progress is not None:
            progress.stop()


def _json(model: MixedFit, df: str | None, level: float) -> str:
    from mixedeffects.show.record import as_record

    record = as_record(model._fit, model._freedom(df), level)
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)


def _table(model: Any, name: str, df: str | None, level: float) -> Any:
    """A table of the fit in pandas, the library of data from files."""
    if name == "fixef":
        return model.fixef(df, level)
    if name == "ranef":
        return model.ranef()
    table, design = model.predict(interval="confidence", level=level), model.design
    each = len(table) // len(design.rows)  # one row a category where these are ordered
    table = table.drop(columns="row", errors="ignore")
    table.insert(0, "row", design.rows.repeat(each))
    table.insert(1, "observed", design.observed.repeat(each))
    return table
