"""Tables in text files: which character separates, which marks the decimals, what is missing."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixedeffects.errors import DataError

__all__ = ["SEPARATORS", "read_header", "read_table"]

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}

# "None" is left out: it is the name of a level more often than a missing value
_MISSING = ["", "NA", "<NA>", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null"]
_DECIMAL_COMMAS = r"[-+]?\d*,?\d+(?:[eE][-+]?\d+)?"


def read_header(file: Path, separator: str) -> tuple[tuple[str, ...], str]:
    """The names of the columns, and what separates them.

    A header that the expected separator leaves whole is cut by another one:
    spreadsheets write semicolons where commas mark the decimals.
    """
    names = _header(file, separator)
    if len(names) == 1:
        for other in {";", "\t", ","} - {separator}:
            if other in names[0] and len(cut := _header(file, other)) > 1:
                return cut, other
    return names, separator


def _header(file: Path, separator: str) -> tuple[str, ...]:
    import pandas as pd

    first = pd.read_csv(file, sep=separator, header=None, nrows=1, dtype=str, na_filter=False)
    return tuple(str(cell) for cell in first.iloc[0])


def read_table(file: Path, separator: str, names: Sequence[str]) -> Any:
    """All columns, as with some of them pandas would not notice rows that are too long."""
    import pandas as pd

    # pandas 3 always reads numbers exactly, and warns when told to
    older = int(pd.__version__.split(".")[0]) < 3
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            table = pd.read_csv(
                file,
                sep=separator,
                header=0,
                names=list(names),
                index_col=False,
                keep_default_na=False,
                na_values=_MISSING,
                low_memory=False,
                **({"float_precision": "round_trip"} if older else {}),
            )
        except pd.errors.ParserWarning:
            raise DataError(f"rows have more fields than the header ({len(names)})") from None
    return table if separator == "," else _decimal_commas(table)


def _decimal_commas(table: Any) -> Any:
    """Columns of text that are numbers with a comma, as numbers."""
    for name in table.columns:
        present = table[name].dropna()
        if present.dtype.kind in "OTU" or str(present.dtype) == "str":
            text = present.astype(str)
            if len(text) and text.str.fullmatch(_DECIMAL_COMMAS).all():
                table[name] = table[name].str.replace(",", ".").astype("float64")
    return table
