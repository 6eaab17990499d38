"""A formula from a stranger runs no code."""

import builtins
import os
import re

import formulaic  # noqa: F401  (an import of these would call exec)
import narwhals  # noqa: F401
import numpy as np
import pytest

from mixedeffects.data.frames import read_columns
from mixedeffects.errors import FormulaError
from mixedeffects.formula import build_design
from mixedeffects.formula.python import Python
from mixedeffects.formula.tree import parse
from mixedeffects.formula.values import Values

ATTEMPTS = [
    "__import__('os').system('touch owned')",
    "x.__class__",
    "`x`.__class__",
    "{x}",
    "{__import__('os')}",
    "open('owned', 'w')",
    "eval('1')",
    "exec('import os')",
    "Q('x')",
    "lambda x: x",
    "(lambda: x)()",
    "x[0]",
    "[i for i in x]",
    "x if x else x",
    "x; y",
    "x := 3",
    "f'{x}'",
    "'x'.format(x)",
    "os.system('ls')",
    "np.load('x')",
    "I(__import__('os'))",
    "I(x.__class__)",
    "log(open('owned'))",
    "poly(x, eval('2'))",
    "poly(x, degree=x.__class__)",
    "bs(x, knots=open('owned'))",
    "C(f, levels=open('owned'))",
    "C(f, contr.custom(x))",
    "C(f, contr.__class__)",
    "hashed(f, levels=2)",
    "getattr(x, 'a')",
    "@x",
    "x\\n",
]
PLACES = [
    "y ~ {} + (1 | g)",
    "y ~ x + ({} | g)",
    "y ~ x + (1 | {})",
    "{} ~ x + (1 | g)",
    "y ~ x + offset({}) + (1 | g)",
    "y ~ x + known(1 | g, {})",
    "y ~ x + {}(1 | g)",
    "cbind(y, {}) ~ x + (1 | g)",
]


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return {
        "y": rng.normal(size=8),
        "x": rng.normal(size=8),
        "f": list("abababab"),
        "g": [1, 1, 2, 2, 3, 3, 4, 4],
    }


@pytest.fixture
def no_code(monkeypatch, tmp_path):
    """Calls that only foreign code would make fail the test."""

    def forbidden(*args, **kwargs):
        raise AssertionError("foreign code ran")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "system", forbidden)
    for name in ("eval", "exec", "open"):
        monkeypatch.setattr(builtins, name, forbidden)
    yield
    monkeypatch.undo()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_refused_before_anything_is_evaluated(attempt, place, data, no_code):
    with pytest.raises(FormulaError):
        build_design(place.format(attempt), data, known={})


def test_a_column_of_a_strange_name_is_only_a_column(data, no_code):
    data["__import__('os').system('x')"] = data.pop("x")
    design = build_design("y ~ `__import__('os').system('x')` + (1 | g)", data)
    assert design.x_names == ("Intercept", "__import__('os').system('x')")


def test_code_names_nothing_that_the_formula_brings(data):
    """What formulaic evaluates is written anew: listed functions and made-up names."""
    tree = parse("y ~ I(x^2 * (f == \"__import__('os')\")) + `__import__('os')`").right
    columns = read_columns({**data, "f": ["__import__('os')", "b"] * 4}, ["x", "f"])
    python = Python(Values(columns, "", {}))
    code = python.write(tree.operands[0][1])
    assert "import" not in code
    assert set(re.findall(r"[A-Za-z_]\w*", code)) == {"I", *python.names}
