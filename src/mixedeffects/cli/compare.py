"""``mixedeffects compare``: fits side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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
        print(_shown(table))
        if out is not None:
            write_table(out, table)
        return DONE

    return work


def _shown(table: Any) -> str:
    """Formulas and reasons, which are long, around a table that fits a terminal."""
    of_model = [f"Model {model}" for model in table["model"]]
    formulas = [f"{m}: {text}" for m, text in zip(of_model, table["formula"], strict=True)]
    references = [
        f"{m}'s test: {text}"
        for m, text in zip(of_model, table["reference"], strict=True)
        if isinstance(text, str)
    ]
    digits = dict.fromkeys(("loglik", "aic", "aicc", "bic", "statistic"), "{:.2f}".format)
    digits |= dict.fromkeys(("df", "p_value", "p_naive", "simulation_error"), "{:.3g}".format)
    numbers = table.drop(columns=["formula", "reference", "objective"]).dropna(axis=1, how="all")
    shown = numbers.to_string(index=False, formatters=digits, na_rep="")
    return "\n".join([*formulas, "", shown, *(["", *references] if references else [])])
