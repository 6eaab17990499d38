"""``mixedeffects predict``: a saved fit on new data."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from mixedeffects.cli.files import check_targets, write_table
from mixedeffects.cli.program import DONE, Work, app
from mixedeffects.cli.saved import load_fit

_EXAMPLES = """\b
Examples:
  mixedeffects fit 'Reaction ~ Days + (Days | Subject)' sleepstudy --save sleep.fit
  mixedeffects predict sleep.fit new.csv --interval prediction --out predictions.csv
  mixedeffects predict sleep.fit new.csv --random population
"""


class Random(StrEnum):
    """Whether groups count."""

    CONDITIONAL = "conditional"
    POPULATION = "population"


class NewLevels(StrEnum):
    """What a group that the fit has not seen is."""

    ERROR = "error"
    POPULATION = "population"
    SAMPLE = "sample"


class Interval(StrEnum):
    """Of the mean, or of a new observation."""

    CONFIDENCE = "confidence"
    PREDICTION = "prediction"


class Scale(StrEnum):
    """Of the response, or of the linear predictor."""

    RESPONSE = "response"
    LINK = "link"


@app.command(epilog=_EXAMPLES)
def predict(
    fit: Annotated[str, typer.Argument(help="A file that mixedeffects fit --save wrote.")],
    data: Annotated[str, typer.Argument(help="A CSV, Parquet or Feather file, or a data set.")],
    random: Annotated[
        Random, typer.Option(help="For the rows' groups, or for the population.")
    ] = Random.CONDITIONAL,
    new_levels: Annotated[
        NewLevels, typer.Option(help="What to do with groups that the fit has not seen.")
    ] = NewLevels.ERROR,
    interval: Annotated[Interval | None, typer.Option(help="Adds standard errors too.")] = None,
    scale: Annotated[Scale, typer.Option(help="Of the predictions.")] = Scale.RESPONSE,
    level: Annotated[float, typer.Option(help="Of the interval.")] = 0.95,
    seed: Annotated[int | None, typer.Option(help="Of sampled levels and observations.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write them (.csv, .tsv, .parquet) in place of printing.")
    ] = None,
) -> Work:
    """Predict from a saved fit; one line a row of the data, in their order."""

    def work() -> int:
        from mixedeffects.data.datasets import resolve

        check_targets({"out": out})
        found = load_fit(fit).predict(
            resolve(data),
            random=random.value,
            new_levels=new_levels.value,
            interval=interval and interval.value,
            scale=scale.value,
            level=level,
            seed=seed,
        )
        table = _as_table(found)
        if out is None:
            table.to_csv(sys.stdout, index=False)
        else:
            write_table(out, table)
        return DONE

    return work


def _as_table(found: Any) -> Any:
    """Predictions with the position of their row in the data."""
    from pandas import DataFrame

    table = found if isinstance(found, DataFrame) else DataFrame({"estimate": found})
    if "row" not in table:
        table.insert(0, "row", range(len(table)))
    return table
