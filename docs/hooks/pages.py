"""The examples of a page: its Python blocks, what they print, and the pictures that they draw.

A block that is followed by a block of text prints that text; the value of its last expression is
printed as at Python's prompt. A block that is followed by a picture draws it. `python
docs/hooks/pages.py PAGE ...` writes what is printed now into the pages.
"""

from __future__ import annotations

import ast
import io
import re
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_EXAMPLE = re.compile(
    r"^```python\n(?P<code>.*?)^```$"
    r"(?:\n\n(?:```text\n(?P<shown>.*?)^```$|!\[[^\]]+\]\((?P<picture>\S+\.svg)\)))?",
    re.MULTILINE | re.DOTALL,
)
WIDTH = 100  # of printed tables, in characters


@dataclass(frozen=True, slots=True)
class Result:
    """What an example did, beside what its page says of it."""

    code: str
    shown: str | None
    picture: str | None  # its path, relative to the page
    printed: str
    value: Any  # of the last expression


def run(text: str, file: str) -> Iterator[Result]:
    """Run the examples of a page in turn, in one namespace."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for example in _EXAMPLE.finditer(text):
        code = example["code"]
        line = text.count("\n", 0, example.start()) + 1
        with redirect_stdout(io.StringIO()) as out:
            value = _execute("\n" * line + code, file, names)
        yield Result(code, example["shown"], example["picture"], out.getvalue(), value)


def pictures(text: str) -> list[str]:
    """Paths of the pictures that the examples of a page draw, relative to the page."""
    return [example["picture"] for example in _EXAMPLE.finditer(text) if example["picture"]]


@contextmanager
def elsewhere() -> Iterator[None]:
    """Within an empty folder, for what examples write."""
    with TemporaryDirectory() as folder, chdir(folder):
        yield


def figure_of(value: Any) -> Any:
    """The matplotlib figure of what a plot returned: a figure, Axes, or an array of Axes."""
    while not hasattr(value, "savefig"):
        value = value.flat[0] if hasattr(value, "flat") else value.figure
    return value


def _execute(code: str, file: str, names: dict[str, Any]) -> Any:
    import pandas as pd

    tree = ast.parse(code, file)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    display = ("display.width", WIDTH, "display.max_columns", None, "display.precision", 3)
    with pd.option_context(*display):
        exec(compile(tree, file, "exec"), names)
        if last is None:
            return None
        value = eval(compile(ast.Expression(last.value), file, "eval"), names)
        if value is not None:
            print(repr(value))
    return value


def _renew(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    with elsewhere():
        printed = iter([result.printed for result in run(text, str(page))])

    def written(example: re.Match[str]) -> str:
        now = next(printed)
        if example["shown"] is None:
            return example[0]
        return f"```python\n{example['code']}```\n\n```text\n{now.rstrip()}\n```"

    page.write_text(_EXAMPLE.sub(written, text), encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        _renew(Path(name).resolve())
