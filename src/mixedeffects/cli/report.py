"""``mixedeffects report``: a page about one saved fit, or about several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mixedeffects.cli.files import check_targets
from mixedeffects.cli.program import DONE, Work, app
from mixedeffects.cli.saved import load_fit

_EXAMPLES = """\b
Examples:
  mixedeffects report sleep.fit --out report.html
  mixedeffects report small.fit large.fit --out comparison.html
"""


@app.command(epilog=_EXAMPLES)
def report(
    fits: Annotated[list[str], typer.Argument(help="Files that mixedeffects fit --save wrote.")],
    out: Annotated[Path, typer.Option(help="The page.")] = Path("report.html"),
) -> Work:
    """Write one self-contained page: model, data, tables, plots, checks, methods."""

    def work() -> int:
        from mixedeffects.model.reporting import report as write_report

        check_targets({}, out)
        write_report(out, *map(load_fit, fits))
        print(out)
        return DONE

    return work
