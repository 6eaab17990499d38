"""``mixedeffects datasets``: what comes with the package."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from mixedeffects.cli.program import DONE, Work, app


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
