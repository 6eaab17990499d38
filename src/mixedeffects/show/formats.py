"""Numbers as text: enough digits for what is known of them, and no more."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = [
    "NONE",
    "amount",
    "column",
    "correlation",
    "counted",
    "general",
    "p_value",
    "places",
    "sizes",
]

NONE = "-"
_WIDEST = 11


def places(sizes: Sequence[float], digits: int = 4) -> int | None:
    """Decimal places that show ``digits`` of the smallest size, or None where they are many.

    Examples
    --------
    >>> places([6.825, 1.546]), places([1200.0, 150.0]), places([1e-9, 1.0])
    (3, 1, None)
    """
    finite = [abs(s) for s in sizes if s and math.isfinite(s)]
    if not finite:
        return 0
    wanted = max(digits - 1 - math.floor(math.log10(min(finite))), 0)
    return wanted if wanted <= _WIDEST - 3 else None


def column(values: Sequence[float], decimals: int | None) -> list[str]:
    """Values with the same decimal places, or each on its own where that would be wide."""
    if decimals is not None:
        texts = [_fixed(v, decimals) for v in values]
        if max(map(len, texts), default=0) <= _WIDEST:
            return texts
    return [general(v) for v in values]


def sizes(values: Sequence[float]) -> list[str]:
    """Positive values in one column: four digits of all but the smallest, never a false zero.

    Examples
    --------
    >>> sizes([1340.6, 0.00078489, 0.0])
    ['1340.60', '0.000785', '0.00']
    """
    largest = max((v for v in values if math.isfinite(v)), default=0.0)
    decimals = places([v for v in values if v > 0.01 * largest])
    # the rest of a column of large numbers keeps two places
    decimals = decimals if decimals is None else max(decimals, 2)
    texts = column(values, decimals)
    return [
        general(v, 3) if decimals is not None and 0.0 < v < 10.0 ** (1 - decimals) else text
        for v, text in zip(values, texts, strict=True)
    ]


def _fixed(value: float, decimals: int) -> str:
    # "+ 0.0" after rounding leaves no negative zero
    return f"{round(value, decimals) + 0.0:.{decimals}f}" if math.isfinite(value) else NONE


def general(value: float, digits: int = 5) -> str:
    """A number in as many digits; ``-`` where there is none."""
    return f"{value:.{digits}g}" if math.isfinite(value) else NONE


def amount(value: float) -> str:
    """Four digits, but all of a large number's whole part: of draws, for example.

    Examples
    --------
    >>> amount(1.01234), amount(398.44), amount(130543.2)
    ('1.012', '398.4', '130,543')
    """
    return f"{value:,.0f}" if abs(value) >= 1000.0 else general(value, 4)


def correlation(value: float) -> str:
    """Two decimals, as for every correlation.

    Examples
    --------
    >>> correlation(-0.4567), correlation(float("nan"))
    ('-0.46', '-')
    """
    return _fixed(value, 2)


def p_value(value: float) -> str:
    """A p value, its size where it is small.

    Examples
    --------
    >>> p_value(0.01234), p_value(4.5e-11), p_value(0.0)
    ('0.0123', '4.5e-11', '<2e-16')
    """
    if not math.isfinite(value):
        return NONE
    if value < 2e-16:
        return "<2e-16"
    return f"{value:.1e}" if value < 1e-4 else f"{value:.4f}"


def counted(count: int, noun: str, many: str | None = None) -> str:
    """A count with its noun; ``many``, its plural where that is not by an s.

    Examples
    --------
    >>> counted(1, "row"), counted(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"
