"""The checks of a fit, or of draws: value, limit, meaning and next step."""

from __future__ import annotations

from collections.abc import Sequence

from mixedeffects.fitting.checks import Check
from mixedeffects.show import formats
from mixedeffects.show.report.elements import failure, table
from mixedeffects.show.tables import Table


def check_table(checks: Sequence[Check], caption: str) -> str:
    """All checks in one table."""
    rows = tuple(
        (
            check.name,
            "holds" if check.passed else "FAILS",
            f"{check.message[:1].upper()}{check.message[1:]}.",
            formats.general(check.value, 3),
            formats.general(check.tolerance, 3),
        )
        for check in checks
    )
    header = ("Check", "Result", "Meaning and next step", "Value", "Limit")
    return table(Table(caption, header, rows, 3))


def failures(checks: Sequence[Check], title: str) -> str:
    """What fails, for the top of a page; nothing where all holds."""
    failed = [
        f"{c.name} {c.value:.3g} (limit {c.tolerance:.3g}): {c.message}"
        for c in checks
        if not c.passed
    ]
    return failure(title, failed) if failed else ""
