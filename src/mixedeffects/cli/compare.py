"""``mixedeffects compare``: fits side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mixedeffects.cli.files import check_targets, write_table
from mixedeffects.cli.fit import fitted
from mixedeffects.cli.program import DONE, Work, app
from mixedeffects.cli.saved import load_fit

_EXAMPLES = """\b
Examples:
  mixedeffects compare --data sleepstudy 'Reaction ~ Days + (1 | Subject)' \\
      'Reaction ~ Days + (Days | Subject)'
  mixedeffects compare small.fit large.fit --refit --out table.csv
"""


@app.command(epilog=_EXAMPLES)
def compare(
    fits: Annotated[
        list[str], typer.Argument(help="Two or more saved fits; with --data, formulas.")
    ],
    data: Annotated[
        str | None, typer.Option(help="A file or data set to which the formulas are fitted.")
    ] = None,
    family: Annotated[str, typer.Option(help="Of the formulas' response.")] = "gaussian",
    refit: Annotated[
        bool,
        typer.Option("--refit", help="Refit by maximum likelihood where fixed effects differ."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the table (.csv, .tsv, .parquet).")
    ] = None,
) -> Work:
    """Compare fits of the same data: likelihood ratio tests, AIC and BIC."""

    def work() -> int:
        from mixedeffects import model
        from mixedeffects.families import build

        check_targets({"out": out})
        if data is None:
            models = [load_fit(path) for path in fits]
        else:
            models = [fitted(formula, data, family=build(family)) for formula in fits]
        table = model.compare(*models, refit=refit)
        shown = table.dropna(axis=1, how="all")
        print(shown.to_string(index=False, float_format="{:.6g}".format, na_rep=""))
        if out is not None:
            write_table(out, table)
        return DONE

    return work
