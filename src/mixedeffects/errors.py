"""Exceptions and warnings: everything this package raises on purpose.

```text
MixedEffectsError
├─ DataError  (also a ValueError)        values, columns or levels that cannot be used
│   ├─ ColumnNotFoundError               a name that the data do not have
│   ├─ MissingValueError                 missing values where they were ruled out
│   └─ NewLevelError                     a level that the fit has never seen
├─ FormulaError  (also a ValueError)     text that is not a formula; shows the place
├─ ModelError                            a model or a number that cannot be defended
└─ FileFormatError                       a saved fit or a data file that cannot be read

MixedEffectsWarning  (a UserWarning)
├─ ConvergenceWarning                    the certificate of the optimum does not hold
└─ DataWarning                           the data were used otherwise than they stand
```
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "ColumnNotFoundError",
    "ConvergenceWarning",
    "DataError",
    "DataWarning",
    "FileFormatError",
    "FormulaError",
    "MissingValueError",
    "MixedEffectsError",
    "MixedEffectsWarning",
    "ModelError",
    "NewLevelError",
    "suggestion",
]

_LISTED = 20


def suggestion(name: str, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` for the nearest of the known names, or an empty string.

    Examples
    --------
    >>> suggestion("Subjct", ["Days", "Subject"])
    " Did you mean 'Subject'?"
    """
    by_lower = {k.lower(): k for k in known}
    close = get_close_matches(name.lower(), by_lower, n=1)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""


class MixedEffectsError(Exception):
    """Root of all errors raised by this package."""


class DataError(MixedEffectsError, ValueError):
    """Data that cannot be used: the message names the column and the way out."""


class ColumnNotFoundError(DataError):
    """A column that the data do not have.

    Attributes
    ----------
    column : str
        The name asked for.
    available : tuple of str
        The names that the data have.
    hint : str
        Another way out than to give the column.
    """

    def __init__(self, column: str, available: Iterable[str], hint: str = "") -> None:
        self.column = column
        self.available = tuple(available)
        self.hint = hint
        shown = ", ".join(self.available[:_LISTED])
        rest = len(self.available) - _LISTED
        more = f" and {rest} more" if rest > 0 else ""
        super().__init__(
            f"Column {column!r} is not in the data.{suggestion(column, self.available)}"
            f" The data have: {shown}{more}.{hint and ' '}{hint}"
        )

    def __reduce__(self) -> tuple[type[ColumnNotFoundError], tuple[str, tuple[str, ...], str]]:
        return type(self), (self.column, self.available, self.hint)


class MissingValueError(DataError):
    """Missing values where the caller ruled them out (``missing="error"``)."""


class NewLevelError(DataError):
    """New data hold a level that the fit has never seen."""


class FormulaError(MixedEffectsError, ValueError):
    """A formula that cannot be read; the message points at the place.

    Attributes
    ----------
    reason : str
        What is wrong, without the formula.
    text : str or None
        The formula.
    position : int or None
        Where in the text, counted from 0.

    Examples
    --------
    >>> print(FormulaError("unclosed '('", "y ~ (1 | g", 4))
    unclosed '('
      y ~ (1 | g
          ^
    """

    def __init__(self, reason: str, text: str | None = None, position: int | None = None) -> None:
        self.reason = reason
        self.text = text
        self.position = position
        super().__init__(self._message())

    def _message(self) -> str:
        if self.text is None:
            return self.reason
        # one character for one, so that the caret stays under its place
        line = "".join(" " if c.isspace() else c for c in self.text)
        shown = f"{self.reason}\n  {line}"
        if self.position is None:
            return shown
        return f"{shown}\n  {' ' * self.position}^"

    def __reduce__(self) -> tuple[type[FormulaError], tuple[str, str | None, int | None]]:
        return type(self), (self.reason, self.text, self.position)


class ModelError(MixedEffectsError):
    """A model that cannot be fitted, or a number that cannot be defended."""


class FileFormatError(MixedEffectsError):
    """A file that is truncated, altered, of a later version or of another kind."""


class MixedEffectsWarning(UserWarning):
    """Root of all warnings issued by this package."""


class ConvergenceWarning(MixedEffectsWarning):
    """The certificate of the optimum does not hold; the message names the next step."""


class DataWarning(MixedEffectsWarning):
    """The data were used otherwise than they stand."""
