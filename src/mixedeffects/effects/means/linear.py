"""Linear functions of the fixed effects with labels: what means, slopes and contrasts share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import FrameKind, level_text, make_table
from mixedeffects.effects.means.adjustments import (
    AbstractAdjustment,
    Family,
    Side,
    adjustment,
)
from mixedeffects.effects.means.inverse_link import InverseLink
from mixedeffects.effects.means.noted import AbstractNoted
from mixedeffects.effects.means.transforms import BackTransform
from mixedeffects.errors import ModelError
from mixedeffects.inference.freedom import AbstractFreedom

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
Labels = Mapping[str, NDArray[Any]]

_SIDES = ("two-sided", "greater", "less")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class AbstractLinear(AbstractNoted):
    """r estimates Lβ̂ + constant.

    Attributes
    ----------
    labels : mapping of str to ndarray of shape (r,)
        Columns that say what each row is.
    by : tuple of str
        Those of the labels that make families, each compared and adjusted for itself.
    L : ndarray, shape (r, p)
        Coefficients of the fixed effects kept.
    constant : ndarray, shape (r,)
        The mean offset.
    freedom : AbstractFreedom
        Degrees of freedom and the covariance of the fixed effects.
    level : float
        Of the intervals.
    back : BackTransform, InverseLink or None
        From the model's scale to the response's, where the table is on that.
    adjust : str
        How p values and limits are adjusted.
    kind : str
        What is compared, for adjustments that are for one kind.
    frame : FrameKind
        The library of the tables.
    context : tuple of str
        How the estimates were made.
    """

    labels: Labels
    by: tuple[str, ...]
    L: Floats
    constant: Floats
    freedom: AbstractFreedom
    level: float
    back: BackTransform | InverseLink | None
    adjust: str
    kind: str
    frame: FrameKind
    context: tuple[str, ...]

    @property
    def estimate(self) -> Floats:
        """Estimates (r,) on the model's scale."""
        result: Floats = self.L @ self.freedom.beta + self.constant
        return result

    @property
    def std_error(self) -> Floats:
        """Standard errors (r,) on the model's scale."""
        return self.freedom.std_errors(self.L)

    @property
    def df(self) -> Floats:
        """Degrees of freedom (r,)."""
        return self.freedom.rows(self.L)

    def vcov(self) -> Floats:
        """Covariance (r, r) of the estimates on the model's scale."""
        return self.freedom.covariance_of(self.L)

    def families(self) -> list[Rows]:
        """Rows of each family, in order."""
        return families(self.labels, self.by, len(self.L))

    def test(
        self,
        null: float = 0.0,
        side: Side = "two-sided",
        delta: float = 0.0,
        adjust: str | None = None,
    ) -> Any:
        """Tests of each estimate, on the model's scale.

        Parameters
        ----------
        null
            The value tested.
        side
            ``"two-sided"``, ``"greater"`` or ``"less"``: the alternative.
        delta
            A difference that does not matter: with it ``"two-sided"`` tests equivalence (two
            one-sided tests, Schuirmann 1987), the other sides test noninferiority.
        adjust
            As in ``contrast``; as the table is adjusted where omitted.

        Returns
        -------
        table
            The labels and ``estimate std_error statistic df p_value``.
        """
        adjust = self.adjust if adjust is None else adjust
        _check_test(null, side, delta, adjust)
        estimate, se, df = self.estimate, self.std_error, self.df
        difference = estimate - null
        if delta:
            difference = {
                "two-sided": np.abs(difference) - delta,
                "greater": difference + delta,
                "less": difference - delta,
            }[side]
            side = "less" if side == "two-sided" else side
        t = _ratios(difference, se)
        columns = {
            "estimate": estimate,
            "std_error": se,
            "statistic": t,
            "df": df,
            "p_value": self.p_values(t, adjustment(adjust, self.kind, side), side),
        }
        return make_table({**self.labels, **columns}, self.frame)

    def p_values(self, t: Floats, method: AbstractAdjustment, side: Side = "two-sided") -> Floats:
        """Adjusted p values (r,) of statistics (r,), each family for itself."""
        p = np.empty_like(t)
        for rows in self.families():
            p[rows] = method.p_values(t[rows], self.family(rows), side)
        return p

    def joint_test(self, null: float = 0.0) -> Any:
        """F test of all estimates of a family at once; of contrasts, that all are zero.

        Returns
        -------
        table
            The ``by`` columns and ``num_df den_df statistic p_value``.
        """
        families = self.families()
        tests = [self.freedom.joint(self.L[rows], null - self.constant[rows]) for rows in families]
        first = [rows[0] for rows in families]
        return make_table(
            {
                **{name: self.labels[name][first] for name in self.by},
                "num_df": [test.num_df for test in tests],
                "den_df": [test.den_df for test in tests],
                "statistic": [test.statistic for test in tests],
                "p_value": [test.p_value for test in tests],
            },
            self.frame,
        )

    def family(self, rows: Rows) -> Family:
        """The tests of these rows."""
        covariance = self.freedom.covariance_of(self.L[rows])
        return Family(self.freedom.rows(self.L[rows]), covariance, self.compared(rows))

    def compared(self, rows: Rows) -> int:
        """How many estimates the rows compare."""
        return len(rows)

    def columns(self, tests: bool) -> dict[str, Any]:
        """Columns of the table, on the scale asked for."""
        estimate, se = self.estimate, self.std_error
        method = adjustment(self.adjust, self.kind)
        p, half = np.empty_like(se), np.empty_like(se)
        t = _ratios(estimate, se)
        for rows in self.families():
            family = self.family(rows)
            half[rows] = method.multipliers(self.level, family) * se[rows]
            if tests:
                p[rows] = method.p_values(t[rows], family, "two-sided")
        low, high = self.limits(estimate, half)
        if self.back is not None:
            estimate, slope = self.back(estimate)
            se = np.abs(slope) * se
            ends = self.back(low)[0], self.back(high)[0]
            low, high = np.minimum(*ends), np.maximum(*ends)
        return {
            **self.labels,
            "estimate": estimate,
            "std_error": se,
            **({"statistic": t} if tests else {}),
            "df": self.df,
            **({"p_value": p} if tests else {}),
            "conf_low": low,
            "conf_high": high,
        }

    def limits(self, estimate: Floats, half: Floats) -> tuple[Floats, Floats]:
        """Lower and upper limits (r,) of estimates with these half widths."""
        return estimate - half, estimate + half


def families(labels: Labels, by: Sequence[str], count: int) -> list[Rows]:
    """Rows with the same values of the columns ``by``, in order; all rows where there are none."""
    keys = list(zip(*(texts(labels[name]) for name in by), strict=True)) or [()] * count
    return [
        np.array([i for i, own in enumerate(keys) if own == key]) for key in dict.fromkeys(keys)
    ]


def row_labels(labels: Labels, short: bool = False) -> list[str]:
    """The values of all columns in one text a row; numbers, unless ``short``, after their name."""
    parts = []
    for name, values in labels.items():
        prefix = name if _read_as_numbers(values) and not short else ""
        parts.append([prefix + text for text in texts(values)])
    return [" ".join(row) for row in zip(*parts, strict=True)]


def _ratios(difference: Floats, se: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        t: Floats = difference / se
    return t


def _check_test(null: Any, side: Any, delta: Any, adjust: str) -> None:
    if side not in _SIDES:
        raise ModelError(f"side={side!r} is not one of {', '.join(map(repr, _SIDES))}.")
    if not np.isfinite(null):
        raise ModelError(f"null={null!r} is not a finite number.")
    if not (np.isfinite(delta) and delta >= 0.0):
        raise ModelError(f"delta={delta!r} is not a positive number.")
    if delta and adjust not in ("none", "bonferroni", "holm", "bh", "sidak"):
        raise ModelError(
            f"adjust={adjust!r} is not for tests with delta: use 'none', 'bonferroni', 'holm',"
            " 'bh' or 'sidak'."
        )


def _read_as_numbers(values: NDArray[Any]) -> bool:
    try:
        values.astype(np.float64)
    except (TypeError, ValueError):
        return False
    return values.dtype.kind not in "bM"


def texts(values: NDArray[Any]) -> list[str]:
    """Labels as text, numbers without a needless tail."""
    if values.dtype.kind == "f":
        return [f"{value:.12g}" for value in values]
    return [str(text) for text in level_text(values)]
