"""The command line: parse arguments, call the API, one line for each error."""

from __future__ import annotations

import io
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mixedeffects import __version__
from mixedeffects.errors import FormulaError, MixedEffectsError, MixedEffectsWarning

if TYPE_CHECKING:
    from rich.status import Status

    from mixedeffects.families import AbstractFamily
    from mixedeffects.model import MixedFit

__all__ = ["main", "run"]

Work = Callable[[], int]

# Exit statuses: what a shell script can tell apart.
DONE, NOT_CERTIFIED, BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141
# A fit that takes longer than this shows how far it is.
PATIENCE = 1.0

# The base of typer's errors of usage, which has no public name common to its versions.
UsageError: type[Exception] = typer.BadParameter.__base__  # type: ignore[assignment]

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Mixed effects models, from a formula and a table to a conclusion.",
    epilog="Try: mixedeffects fit 'Reaction ~ Days + (Days | Subject)' sleepstudy",
)


def main() -> None:
    """Entry point of the command ``mixedeffects``."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a letter of a name
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command line; the exit status."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn  # type: ignore[assignment]
            warnings.simplefilter("always", MixedEffectsWarning)
            # typer only parses: it has its own ideas of interrupts and pipes
            parsed = app(
                list(arguments) or ["--help"], prog_name="mixedeffects", standalone_mode=False
            )
            status = parsed() if callable(parsed) else parsed
        sys.stdout.flush()
    except BrokenPipeError:
        # whatever is still buffered must not fail again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (KeyboardInterrupt, typer.Abort):
        return _failed("interrupted", INTERRUPTED)
    except typer.Exit as leave:
        return leave.exit_code
    except MixedEffectsError as error:
        return _failed(_one_line(error))
    except OSError as error:
        return _failed(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except UsageError as error:
        return _failed(f"{_usage(error)} See mixedeffects --help.")
    return status if isinstance(status, int) else DONE


def _warn(message: Warning | str, *_: Any) -> None:
    print(f"mixedeffects: warning: {' '.join(str(message).split())}", file=sys.stderr)


def _failed(message: str, status: int = BAD_INPUT) -> int:
    print(f"mixedeffects: {message}", file=sys.stderr)
    return status


def _one_line(error: MixedEffectsError) -> str:
    if not isinstance(error, FormulaError) or error.text is None:
        return " ".join(str(error).split())
    place = "" if error.position is None else f" at {error.text[error.position :]!r}"
    return " ".join(f"{error.reason}{place} in the formula {error.text!r}".split())


def _usage(error: Exception) -> str:
    message = getattr(error, "format_message", error.__str__)()
    return " ".join(message.split()).rstrip(".") + "."


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"mixedeffects {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


# -- datasets ------------------------------------------------------------------------------


@app.command()
def datasets(
    name: Annotated[str | None, typer.Argument(help="One of them, to be described.")] = None,
) -> Work:
    """List the data sets that come with the package, or describe one."""
    return partial(_datasets, name)


def _datasets(name: str | None) -> int:
    from mixedeffects.data import datasets as shipped

    if name is not None:
        print(shipped.describe(name))
        return DONE
    width = max(map(len, shipped.names()))
    for known in shipped.names():
        about = shipped.describe(known)
        print(f"{known:<{width}}  {about.n_rows:>6} rows  {about.title}")
    return DONE


# -- fit -----------------------------------------------------------------------------------


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
        Path | None, typer.Option(help="Write the fit, for mixedeffects.load in Python.")
    ] = None,
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
        _check_targets(tables, out, save)
        model = _fitted(
            formula,
            data,
            level,
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
            _write_text(out, _json(model, **asked) + "\n")
        if save is not None:
            model.save(save)
        for name, path in tables.items():
            if path is not None:
                _write_table(path, _table(model, name, **asked))
        return NOT_CERTIFIED if strict and not model.converged else DONE

    return work


def _check_targets(tables: Mapping[str, Path | None], *others: Path | None) -> None:
    """Refuse, before a long fit, what cannot be written after it."""
    for name, path in tables.items():
        if path is None:
            continue
        if path.suffix not in (".csv", ".tsv", ".parquet"):
            raise MixedEffectsError(f"--{name} {path}: give a .csv, .tsv or .parquet file.")
        if path.suffix == ".parquet" and not find_spec("pyarrow"):
            raise MixedEffectsError(
                f"--{name} {path}: Parquet needs pyarrow: pip install 'mixedeffects[files]'."
            )
    for path in (*tables.values(), *others):
        if path is not None and not path.expanduser().absolute().parent.is_dir():
            raise MixedEffectsError(f"{path}: there is no folder {path.parent}.")


def _family(name: str, link: str | None) -> AbstractFamily:
    from mixedeffects.families import build

    family = build(name)
    return family if link is None else replace(family, link=link)


def _fitted(formula: str, data: str, level: float, **options: Any) -> MixedFit:
    from mixedeffects.data.datasets import resolve
    from mixedeffects.inference.wald import check_level
    from mixedeffects.model import fit as fit_model

    check_level(level)  # before a long fit
    progress = _Progress() if sys.stderr.isatty() else None
    try:
        return fit_model(formula, resolve(data), progress=progress, **options)
    finally:
        if progress is not None:
            progress.stop()


class _Progress:
    """A line on the terminal that says how far a fit is, once it takes long."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._line: Status | None = None

    def __call__(self, evaluations: int, objective: float) -> None:
        text = f"{evaluations} evaluations, objective {objective:.4f}"
        if self._line is not None:
            self._line.update(text)
        elif time.monotonic() - self._began > PATIENCE:
            from rich.console import Console

            self._line = Console(stderr=True).status(text)
            self._line.start()

    def stop(self) -> None:
        if self._line is not None:
            self._line.stop()


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


def _write_table(path: Path, table: Any) -> None:
    from mixedeffects.saving import replacing

    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, index=False, sep="," if path.suffix == ".csv" else "\t")


def _write_text(path: Path, text: str) -> None:
    from mixedeffects.saving import replacing

    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
