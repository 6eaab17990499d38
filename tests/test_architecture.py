"""Imports go upwards only, the public names are these, and importing them is light."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mixedeffects

PACKAGE = Path(mixedeffects.__file__).parent
# Each imports only from those before it.
ORDER = (
    "errors",
    "data",
    "formula",
    "covariance",
    "families",
    "algebra",
    "fitting",
    "inference",
    "effects",
    "bayes",
    "show",
    "saving",
    "model",
    "sklearn",
    "marginaleffects",
    "cli",
)
HEAVY = (
    *("arviz", "formulaic", "matplotlib", "narwhals", "numpy", "nutpie"),
    *("pandas", "polars", "pyarrow", "rich", "scipy", "typer"),
)
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem != "__init__")


def part_of(module: Path) -> str:
    return module.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_parts(module: Path) -> Iterator[tuple[int, str]]:
    """Lines and parts of this package that a module imports, for type checking too."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: relative import"
            path = (node.module or "").split(".")
            if path == ["mixedeffects"]:
                yield from ((node.lineno, a.name) for a in node.names if a.name != "__version__")
            elif path[0] == "mixedeffects":
                yield node.lineno, path[1]
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            yield from ((node.lineno, n[1]) for n in names if n[0] == "mixedeffects" and n[1:])


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_imports_come_from_above(module: Path) -> None:
    own = ORDER.index(part_of(module))
    for line, part in imported_parts(module):
        assert part in ORDER, f"{module}:{line} imports {part}, which has no place in the order"
        assert ORDER.index(part) <= own, f"{module}:{line} imports from below: {part}"


def test_every_part_has_its_place() -> None:
    assert {part_of(module) for module in MODULES} <= set(ORDER)


def test_narwhals_is_imported_at_the_data_edge_only() -> None:
    for module in MODULES:
        if part_of(module) != "data":
            assert "import narwhals" not in module.read_text(encoding="utf-8"), module


def test_public_names() -> None:
    assert mixedeffects.__all__ == [
        "MixedFit",
        "Posterior",
        "__version__",
        "compare",
        "covariance",
        "datasets",
        "errors",
        "families",
        "fit",
        "load",
        "power",
        "priors",
        "report",
        "sample",
    ]
    for name in mixedeffects.__all__:
        assert getattr(mixedeffects, name) is not None
    assert set(mixedeffects.__all__) <= set(dir(mixedeffects))
    with pytest.raises(AttributeError, match="no attribute 'lmer'"):
        _ = mixedeffects.lmer


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a new process has after running the code."""
    code += "\nimport sys; print(*{m.split('.')[0] for m in sys.modules})"
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded_after("import mixedeffects") & set(HEAVY)


def test_a_first_summary_loads_no_more_than_it_needs() -> None:
    code = (
        "from mixedeffects.cli import run\n"
        "run(['fit', 'Reaction ~ Days + (Days | Subject)', 'sleepstudy'])"
    )
    assert not loaded_after(code) & {"arviz", "matplotlib", "nutpie", "polars", "rich"}
