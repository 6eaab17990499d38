"""The program: what it is called with, how it ends, one line for each error."""

from __future__ import annotations

import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from mixedeffects import __version__
from mixedeffects.errors import FormulaError, MixedEffectsError, MixedEffectsWarning

Work = Callable[[], int]

# Exit statuses: what a shell script can tell apart.
DONE, NOT_CERTIFIED, BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141

# The base of typer's errors of usage, which has no public name common to its versions.
UsageError: type[Exception] = typer.BadParameter.__base__  # type: ignore[assignment]

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
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
        return _as_options(" ".join(str(error).split()))
    place = f" (formula {error.text!r})"
    if error.position is not None:
        place = f" at {error.text[error.position :]!r} in the formula {error.text!r}"
    return " ".join(f"{_as_options(error.reason)}{place}".split())


_ARGUMENTS = re.compile(
    r"\b(family|link|dispersion|zero_inflation|quadrature|weights|offset|random|new_levels"
    r"|interval)=(?:'([^']*)')?"
)


def _as_options(message: str) -> str:
    """Arguments of the Python functions as the options that they are here."""
    message = message.replace("compare(..., refit=True)", "--refit").replace("reml=False", "--ml")
    return _ARGUMENTS.sub(_option, message)


def _option(found: re.Match[str]) -> str:
    value = "" if found[2] is None else f" {found[2]}"
    return f"--{found[1].replace('_', '-')}{value}"


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
