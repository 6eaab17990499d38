"""What the commands read and write."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mixedeffects.errors import MixedEffectsError


def check_targets(tables: Mapping[str, Path | None], *others: Path | None) -> None:
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


def write_table(path: Path, table: Any) -> None:
    from mixedeffects.saving import replacing

    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, index=False, sep="," if path.suffix == ".csv" else "\t")


def write_text(path: Path, text: str) -> None:
    from mixedeffects.saving import replacing

    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
